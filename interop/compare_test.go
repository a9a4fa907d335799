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
		if inner, err := parseTree([]byte(t)); err == nil && strings.HasPrefix(t, "{") {
			return s.name(inner) // JSON in JSON
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
	return localPort.ReplaceAllString(strings.NewReplacer(s.names...).Replace(text), "<client>")
}

// localPort is a port of this machine that has no name: some client's.
var localPort = regexp.MustCompile(`127\.0\.0\.1:\d+`)

// An omission is what is left out of the lists at the places that match: entries with a text in them.
type omission struct{ place, text, why string }

// omit takes omissions out of a tree.
func omit(path string, t tree, omitted []omission) tree {
	switch t := t.(type) {
	case map[string]any:
		for k, v := range t {
			t[k] = omit(path+"/"+k, v, omitted)
		}
	case []any:
		for i, v := range t {
			t[i] = omit(path+"/"+strconv.Itoa(i), v, omitted)
		}
		for _, o := range omitted {
			if matches(o.place, path) {
				t = slices.DeleteFunc(t, func(v any) bool { return strings.Contains(whole(v), o.text) })
			}
		}
		return t
	}
	return t
}

// sortAt sorts the lists in a tree whose order says nothing, at the places that match.
func sortAt(path string, t tree, unordered []string) {
	switch t := t.(type) {
	case map[string]any:
		for k, v := range t {
			sortAt(path+"/"+k, v, unordered)
		}
	case []any:
		for i, v := range t {
			sortAt(path+"/"+strconv.Itoa(i), v, unordered)
		}
		if matchesAny(unordered, path) {
			slices.SortFunc(t, func(a, b any) int { return strings.Compare(whole(a), whole(b)) })
		}
	}
}

func whole(t tree) string {
	b, err := json.Marshal(t)
	if err != nil {
		return fmt.Sprint(t)
	}
	return string(b)
}

// matches says whether a path is as a pattern has it, in which * stands for any characters.
func matches(pattern, path string) bool {
	ok, err := regexp.MatchString("^"+strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*")+"$", path)
	return err == nil && ok
}

// moment says whether a text is a time in milliseconds that lies within this run, or a little later, for epochs of static topics are
// moments that are counted up. No count and no size comes near.
func (s *sight) moment(text string) bool {
	ms, err := strconv.ParseInt(text, 10, 64)
	return err == nil && ms >= s.since.UnixMilli() && ms <= time.Now().Add(10*time.Second).UnixMilli()
}

func matchesAny(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return matches(pattern, path) })
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
	text := whole(t)
	if len(text) > 300 {
		return text[:300] + " ..."
	}
	return text
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
	anyNumber            // both are numbers, or texts of numbers
	saysMore             // Liftoff says what Apache says, and more
	onlyOurs             // Apache has nothing there
)

func (a allowance) allows(d difference) bool {
	if !matches(a.path, d.path) {
		return false
	}
	switch a.how {
	case anyNumber:
		return isNumber(d.want) && isNumber(d.got)
	case saysMore:
		want, ok := d.want.(string)
		got, also := d.got.(string)
		return ok && also && contains(got, strings.Split(want, "\n"))
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
		for _, word := range strings.Fields(t) {
			if _, err := strconv.ParseFloat(word, 64); err != nil && word != "<time>" {
				return false
			}
		}
		return true
	}
	return false
}

// contains says whether a text has all these parts, in this order.
func contains(text string, parts []string) bool {
	for _, part := range parts {
		_, after, found := strings.Cut(text, part)
		if !found {
			return false
		}
		text = after
	}
	return true
}
