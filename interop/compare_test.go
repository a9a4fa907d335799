package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A tree is decoded JSON: map[string]any, []any, string, json.Number, bool or nil.
type tree = any

func parseTree(line []byte) (tree, error) {
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	var t tree
	err := d.Decode(&t)
	return t, err
}

// A sight is how one side of a comparison looks: what it says that the other cannot say, and the words for that.
type sight struct {
	names []string // pairs of a text and its name, the longest first
	since time.Time
}

func newSight(c *cluster, since time.Time) *sight {
	s := &sight{since: since.Add(-time.Second)}
	s.names = append(s.names, c.broker.dir, "<broker's folder>", c.broker.addr(), "<broker>")
	for _, n := range c.namesrvs {
		s.names = append(s.names, n.dir, "<NameServer's folder>", n.addr(), "<namesrv>")
	}
	return s
}

// name replaces in a tree the texts that have a name, and moments of this run by "<time>".
func (s *sight) name(t tree) tree {
	switch t := t.(type) {
	case map[string]any:
		named := make(map[string]any, len(t))
		for k, v := range t {
			named[s.text(k)] = s.name(v)
		}
		return named
	case []any:
		named := make([]any, len(t))
		for i, v := range t {
			named[i] = s.name(v)
		}
		return named
	case string:
		if s.moment(t) {
			return "<time>"
		}
		return s.text(t)
	case json.Number:
		if s.moment(t.String()) {
			return "<time>"
		}
	}
	return t
}

func (s *sight) text(text string) string {
	return strings.NewReplacer(s.names...).Replace(text)
}

// moment says whether a text is a time in milliseconds that lies within this run. No count and no size comes near.
func (s *sight) moment(text string) bool {
	ms, err := strconv.ParseInt(text, 10, 64)
	return err == nil && ms >= s.since.UnixMilli() && ms <= time.Now().UnixMilli()
}

// A difference is one place at which two trees are not the same.
type difference struct {
	path      string
	want, got tree
}

func (d difference) String() string {
	return fmt.Sprintf("%s: Apache has %s, Liftoff has %s", d.path, shown(d.want), shown(d.got))
}

// absent stands for what only one of two trees has.
type absent struct{}

func shown(t tree) string {
	if t == (absent{}) {
		return "nothing"
	}
	b, err := json.Marshal(t)
	if err != nil {
		return fmt.Sprint(t)
	}
	if len(b) > 300 {
		return string(b[:300]) + " ..."
	}
	return string(b)
}

func differences(path string, want, got tree) []difference {
	switch w := want.(type) {
	case map[string]any:
		if g, ok := got.(map[string]any); ok {
			return mapDifferences(path, w, g)
		}
	case []any:
		if g, ok := got.([]any); ok && len(w) == len(g) {
			var all []difference
			for i := range w {
				all = append(all, differences(path+"/"+strconv.Itoa(i), w[i], g[i])...)
			}
			return all
		}
	default:
		if _, ok := got.(map[string]any); !ok {
			if _, ok := got.([]any); !ok && want == got {
				return nil
			}
		}
	}
	return []difference{{path, want, got}}
}

func mapDifferences(path string, want, got map[string]any) []difference {
	keys := map[string]bool{}
	for k := range want {
		keys[k] = true
	}
	for k := range got {
		keys[k] = true
	}
	var all []difference
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		w, inWant := want[k]
		g, inGot := got[k]
		if !inWant {
			w = absent{}
		}
		if !inGot {
			g = absent{}
		}
		all = append(all, differences(path+"/"+k, w, g)...)
	}
	return all
}

// An allowance lets answers differ at one place, and says why.
type allowance struct {
	path string // of the place, with * for any characters
	how  how
	why  string
}

// A how says how far what stands at a place may differ.
type how int

const (
	anything  how = iota // not compared
	anyNumber            // both are numbers, or texts that are
	goesOn               // Liftoff says what Apache says, and then more
	onlyOurs             // Apache has nothing there
)

func (a allowance) allows(d difference) bool {
	pattern := "^" + strings.ReplaceAll(regexp.QuoteMeta(a.path), `\*`, ".*") + "$"
	if ok, err := regexp.MatchString(pattern, d.path); err != nil || !ok {
		return false
	}
	switch a.how {
	case anyNumber:
		return isNumber(d.want) && isNumber(d.got)
	case goesOn:
		want, ok := d.want.(string)
		got, also := d.got.(string)
		return ok && also && strings.HasPrefix(got, want)
	case onlyOurs:
		return d.want == (absent{})
	}
	return true
}

func isNumber(t tree) bool {
	switch t := t.(type) {
	case json.Number:
		return true
	case string:
		_, err := strconv.ParseFloat(t, 64)
		return err == nil || t == "<time>"
	}
	return false
}
