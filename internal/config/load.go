package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
)

// extra holds the values of keys that have no field, those that RocketMQ does not know included: they are shown and kept.
type extra map[string]string

// Sources are where a configuration comes from. What is further down in this struct overrides what is further up.
type Sources struct {
	Defaults map[string]string // other defaults than RocketMQ's, by key
	File     string            // a properties file; empty for none
	Flags    map[string]string // what was said on the command line, by key

	// OwnNamesrv is that of [Broker].
	OwnNamesrv string

	// FileSizes finds how long most files of a store are, by the key of the setting that says so; what has no files is not there. It is
	// asked about sizes in a spelling that RocketMQ no longer acts on. Nil: there are no files.
	FileSizes func(rootDir string, commitLogDirs ...string) (map[string]int64, error)
}

// LoadBroker reads a broker's configuration. The notes are in the order of the file. An error is a [WrongValues], a [SyntaxError] or
// one of the file system.
func LoadBroker(from Sources) (Broker, []Note, error) {
	b := DefaultBroker()
	l := loader{kind: brokerKind(), target: reflect.ValueOf(&b).Elem()}
	err := l.load(from, &b.TLS)
	if err == nil && from.File != "" {
		b.File = absolute(from.File)
	}
	if err == nil {
		err = l.takeOldSizes(&b.Store, from.FileSizes)
	}
	b.extra = l.extra
	if _, set := l.origins["namesrvAddr"]; !set && b.NamesrvAddr != "" && b.NamesrvAddr == os.Getenv("NAMESRV_ADDR") {
		l.origins["namesrvAddr"] = origin{file: "$NAMESRV_ADDR"}
	}
	b.adviseBind(l.origins)
	b.bracketAddresses(&l.notes)
	b.OwnNamesrv = from.OwnNamesrv
	b.besideNamesrv(&l, "")
	b.Metrics.settle(l.origins, b.BrokerIP1)
	b.settle(&l.notes)
	b.adviseRole(&l.notes)
	b.adviseHeartbeats(&l.notes)
	b.adviseFrame(&l.notes)
	b.TLS.advise(&l.notes)
	b.explainPaths(&l)
	err = l.finish(err, b.Validate())
	return b, l.notes.list, err
}

// adviseBind tells others the one address that the broker listens on, where they are told no other.
func (b *Broker) adviseBind(set map[string]origin) {
	if ip, err := netip.ParseAddr(b.BindAddress); err == nil && ip.IsUnspecified() {
		return
	}
	host := bracketed(b.BindAddress)
	for key, ip := range map[string]*string{"brokerIP1": &b.BrokerIP1, "brokerIP2": &b.BrokerIP2} {
		if _, told := set[key]; !told && host != "" {
			*ip = host
		}
	}
}

// bracketAddresses makes of what others are told something that all of them can put a port behind.
func (b *Broker) bracketAddresses(n *notes) {
	take := func(key string, ip *string) {
		if told := bracketed(*ip); told != *ip {
			n.info(key, "taken as %s: RocketMQ tells clients the address as it is, and those in Go cannot connect to it without brackets", told)
			*ip = told
		}
	}
	take("brokerIP1", &b.BrokerIP1)
	take("brokerIP2", &b.BrokerIP2)
}

// bracketed is an IPv6 address in brackets, and anything else as it is.
func bracketed(host string) string {
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is6() {
		return "[" + host + "]"
	}
	return host
}

// LoadNamesrv reads a NameServer's configuration in the same way.
func LoadNamesrv(from Sources) (Namesrv, []Note, error) {
	n := DefaultNamesrv()
	l := loader{kind: namesrvKind(), target: reflect.ValueOf(&n).Elem()}
	err := l.load(from, &n.TLS)
	if err == nil && from.File != "" {
		n.File = absolute(from.File)
	}
	n.extra = l.extra
	n.Metrics.settle(l.origins, n.BindAddress)
	n.TLS.advise(&l.notes)
	err = l.finish(err, n.Validate())
	return n, l.notes.list, err
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// kind is what is known about the keys of one daemon.
type kind struct {
	name   string // broker or NameServer
	fields map[string]field
	rows   map[string]row
	names  []string // of all keys, sorted
}

func newKind(t reflect.Type, of owner) *kind {
	k := &kind{name: "broker", fields: make(map[string]field), rows: make(map[string]row)}
	if of == ofNamesrv {
		k.name = "NameServer"
	}
	for _, f := range fieldsOf(t) {
		k.fields[f.key] = f
		k.names = append(k.names, f.key)
	}
	for key, r := range rows() {
		if r.of == of || r.of == ofServer {
			k.rows[key] = r
			k.names = append(k.names, key)
		}
	}
	slices.Sort(k.names)
	return k
}

var (
	brokerKind  = sync.OnceValue(func() *kind { return newKind(reflect.TypeFor[Broker](), ofBroker) })
	namesrvKind = sync.OnceValue(func() *kind { return newKind(reflect.TypeFor[Namesrv](), ofNamesrv) })
)

func (k *kind) known(key string) bool {
	_, field := k.fields[key]
	_, row := k.rows[key]
	return field || row
}

// origin is where a value stands.
type origin struct {
	file string
	line int
}

// loader puts the values of files and flags into a struct.
type loader struct {
	kind    *kind
	target  reflect.Value
	origins map[string]origin
	extra   extra
	notes   notes
	wrong   WrongValues
}

func (l *loader) load(from Sources, t *TLS) error {
	l.origins = make(map[string]origin)
	l.extra = make(extra)
	for _, key := range sortedKeys(from.Defaults) {
		l.put(key, from.Defaults[key], origin{})
		delete(l.origins, key) // nobody has set it
	}
	if from.File != "" {
		if err := l.file(from.File, func(string) bool { return true }); err != nil {
			return err
		}
	}
	for _, key := range sortedKeys(from.Flags) {
		l.put(key, from.Flags[key], origin{})
	}
	defer l.tellOrigins(t)
	if t.ConfigFile == "" {
		return nil
	}
	// RocketMQ takes all of TLS but these from the file, if there is one.
	err := l.file(t.ConfigFile, func(key string) bool {
		return strings.HasPrefix(key, "tls.") && key != "tls.server.mode" && key != "tls.enable" && key != "tls.config.file"
	})
	if errors.Is(err, fs.ErrNotExist) && t.ConfigFile == defaultTLS().ConfigFile {
		return nil
	}
	return err
}

// tellOrigins keeps where the settings of TLS stand: what is wrong with the files that they name turns out later.
func (l *loader) tellOrigins(t *TLS) {
	for key, from := range l.origins {
		if strings.HasPrefix(key, "tls.") && from.file != "" {
			if t.origins == nil {
				t.origins = make(map[string]origin)
			}
			t.origins[key] = from
		}
	}
}

func (l *loader) file(path string, wanted func(key string) bool) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("cannot read configuration: %w", err)
	}
	props, err := ParseProperties(data)
	if err != nil {
		return fmt.Errorf("cannot read configuration %q: %w", path, err)
	}
	lines := make(map[string]int)
	for _, p := range props {
		if !wanted(p.Key) {
			continue
		}
		if first, again := lines[p.Key]; again {
			l.notes.list = append(l.notes.list, Note{slog.LevelWarn, path, p.Line, p.Key, fmt.Sprintf("stands in line %d already; this one counts", first)})
		}
		lines[p.Key] = p.Line
	}
	for _, p := range props {
		// Of a repeated key only the last one is looked at, as in Java.
		if wanted(p.Key) && lines[p.Key] == p.Line {
			l.put(p.Key, p.Value, origin{path, p.Line})
		}
	}
	return nil
}

// put takes one value. What is found keeps its place, whatever overrides the value later.
func (l *loader) put(key, value string, from origin) {
	noted, wrong := len(l.notes.list), len(l.wrong)
	l.take(key, value, from)
	for i := range l.notes.list[noted:] {
		n := &l.notes.list[noted+i]
		n.File, n.Line = from.file, from.line
	}
	for i := range l.wrong[wrong:] {
		w := &l.wrong[wrong+i]
		w.File, w.Line = from.file, from.line
	}
}

func (l *loader) take(key, value string, from origin) {
	trimmed := trim(value)
	if !l.kind.known(key) {
		if l.kind.isOldSize(key) {
			l.extra[key], l.origins[key] = value, from // what it comes to is settled in the end
			return
		}
		meant, old := spelling(key, l.kind.rows)
		if !old {
			l.extra[key] = value
			l.origins[key] = from
			l.notes.warn(key, "a RocketMQ %s has no such key%s", l.kind.name, didYouMean(nearest(key, l.kind.names)))
			return
		}
		l.notes.info(key, "taken as %s, which is how RocketMQ spells it", meant)
		l.origins[key] = from
		key = meant
	}
	l.origins[key] = from
	f, served := l.kind.fields[key]
	if !served {
		l.idle(l.kind.rows[key], trimmed)
		return
	}
	if key == "brokerConfigPath" || key == "configStorePath" && from.file != "" {
		return // it is the file itself
	}
	if kind := l.target.FieldByIndex(f.index).Kind(); trimmed != value && kind != reflect.String {
		l.notes.warn(key, "the blanks after %q do not count here; RocketMQ would not take the value", trimmed)
	}
	if allowed := f.set(l.target, trimmed); allowed != "" {
		l.wrong = append(l.wrong, WrongValue{Key: key, Value: value, Allowed: allowed})
	}
}

// trim leaves out what surrounds a value: blanks, and all control characters, for Java's trim takes those for blanks.
func trim(value string) string {
	return strings.TrimFunc(value, func(r rune) bool { return r < ' ' || unicode.IsSpace(r) })
}

// idle takes the value of a key that has no effect.
func (l *loader) idle(r row, value string) {
	l.extra[r.key] = value
	if allowed := r.check(value); allowed != "" {
		l.wrong = append(l.wrong, WrongValue{Key: r.key, Value: value, Allowed: allowed})
		return
	}
	if r.same(value) {
		return
	}
	if r.refused {
		l.wrong = append(l.wrong, WrongValue{Key: r.key, Value: value, Allowed: cmp.Or(r.text, "empty") + ": " + r.why})
		return
	}
	l.notes.add(r.level, r.key, "has no effect: %s", r.why)
}

// check says what is allowed when a value is not of the row's type.
func (r row) check(value string) string {
	var err error
	switch r.kind {
	case "int":
		if _, err = strconv.ParseInt(value, 10, 32); err != nil {
			return wholeNumber(value, err)
		}
	case "long":
		if _, err = strconv.ParseInt(value, 10, 64); err != nil {
			return wholeNumber(value, err)
		}
	case "double":
		if x, err := strconv.ParseFloat(value, 64); err != nil || math.IsNaN(x) {
			return "a number"
		}
	case "boolean":
		if _, ok := parseBool(value); !ok {
			return "true or false"
		}
	}
	return ""
}

// same is true for the row's default.
func (r row) same(value string) bool {
	return value == r.text || r.kind == "boolean" && strings.EqualFold(value, r.text) || r.unset && value == ""
}

// explainPaths speaks about the paths that many examples print and RocketMQ ignores.
func (b *Broker) explainPaths(l *loader) {
	for key, real := range map[string]string{
		"storePathConsumeQueue": filepath.Join(b.RootDir, "consumequeue"),
		"storePathIndex":        filepath.Join(b.RootDir, "index"),
		"storeCheckpoint":       filepath.Join(b.RootDir, "checkpoint"),
		"abortFile":             filepath.Join(b.RootDir, "abort"),
	} {
		told, set := l.extra[key]
		if !set {
			continue
		}
		l.notes.list = slices.DeleteFunc(l.notes.list, func(n Note) bool { return n.Key == key })
		if filepath.Clean(told) != filepath.Clean(real) {
			l.notes.warn(key, "it has no effect, in RocketMQ neither: the real path is %s, from storePathRootDir", real)
		}
	}
}

// finish puts file and line to what was found when all values were there, and everything in order.
func (l *loader) finish(err, invalid error) error {
	for i, n := range l.notes.list {
		if n.File == "" {
			from := l.origins[n.Key]
			l.notes.list[i].File, l.notes.list[i].Line = from.file, from.line
		}
	}
	slices.SortStableFunc(l.notes.list, func(a, b Note) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	if err != nil {
		return err
	}
	var more WrongValues
	if errors.As(invalid, &more) {
		for _, w := range more {
			from := l.origins[w.Key]
			w.File, w.Line = from.file, from.line
			// A value that could not be read has left the default behind, which is not what is wrong.
			if !slices.ContainsFunc(l.wrong, func(have WrongValue) bool { return have.Key == w.Key && have.File == w.File && have.Line == w.Line }) {
				l.wrong = append(l.wrong, w)
			}
		}
	}
	if len(l.wrong) == 0 {
		return nil
	}
	slices.SortStableFunc(l.wrong, func(a, b WrongValue) int { return cmp.Compare(a.Line, b.Line) })
	return l.wrong
}

// With is the configuration with some keys changed, as a request from outside may do it. The error is an [UnknownKey], a [ForbiddenKey] or
// a [WrongValues], and nothing is changed then.
func (b Broker) With(changes map[string]string) (Broker, []Note, error) {
	if err := brokerKind().forbid(changes, b.ConfigBlackList); err != nil {
		return Broker{}, nil, err
	}
	own := b.NamesrvAddr
	l, err := change(brokerKind(), reflect.ValueOf(&b).Elem(), b.extra, changes)
	if err != nil {
		return Broker{}, nil, err
	}
	b.extra = l.extra
	b.besideNamesrv(l, own)
	b.bracketAddresses(&l.notes)
	b.settle(&l.notes)
	if _, set := changes["brokerRole"]; set {
		b.adviseRole(&l.notes)
	}
	for _, key := range []string{"maxMessageSize", frameMaxKey} {
		if _, set := changes[key]; set {
			b.adviseFrame(&l.notes)
			break
		}
	}
	err = l.finish(nil, b.Validate())
	return b, l.notes.list, err
}

// With is the configuration with some keys changed, as a request from outside may do it; see [Broker.With]. The error may be a [SharedLogKey]
// too.
func (n Namesrv) With(changes map[string]string) (Namesrv, []Note, error) {
	if err := namesrvKind().forbid(changes, n.ConfigBlackList); err != nil {
		return Namesrv{}, nil, err
	}
	for _, key := range sortedKeys(changes) {
		if n.SharedLog && isLogKey(key) {
			return Namesrv{}, nil, SharedLogKey{key}
		}
	}
	l, err := change(namesrvKind(), reflect.ValueOf(&n).Elem(), n.extra, changes)
	if err != nil {
		return Namesrv{}, nil, err
	}
	n.extra = l.extra
	err = l.finish(nil, n.Validate())
	return n, l.notes.list, err
}

// forbid is a [ForbiddenKey] when a key that changes is a local one or one of blackList.
func (k *kind) forbid(changes map[string]string, blackList string) error {
	listed := make(map[string]bool)
	for key := range strings.SplitSeq(blackList, ";") {
		listed[strings.TrimSpace(key)] = true
	}
	for _, key := range sortedKeys(changes) {
		if f := k.fields[key]; listed[key] || f.local {
			return ForbiddenKey{key, listed[key]}
		}
	}
	return nil
}

func change(k *kind, target reflect.Value, have extra, changes map[string]string) (*loader, error) {
	l := &loader{kind: k, target: target, extra: maps.Clone(have), origins: make(map[string]origin)}
	if l.extra == nil {
		l.extra = make(extra)
	}
	for _, key := range sortedKeys(changes) {
		if k.isOldSize(key) {
			return nil, UnknownKey{key, oldSizes[key]}
		}
		if _, old := spelling(key, k.rows); !k.known(key) && !old {
			if _, set := l.extra[key]; !set {
				return nil, UnknownKey{key, nearest(key, k.names)}
			}
		}
		l.put(key, changes[key], origin{})
		if f, served := k.fields[key]; served && f.restart {
			l.notes.info(key, "takes effect at the next start")
		}
	}
	return l, nil
}

// Text is every key and its value, sorted, a line each, as the answers to "get broker config" and "get namesrv config" hold it.
func (b *Broker) Text() string {
	return string(text(brokerKind(), reflect.ValueOf(b).Elem(), b.extra))
}

// Text is every key and its value, sorted, a line each; see [Broker.Text].
func (n *Namesrv) Text() string {
	return string(text(namesrvKind(), reflect.ValueOf(n).Elem(), n.extra))
}

// Unused is the value of a key that RocketMQ knows and that has no effect here, its default when it is not set.
func (b *Broker) Unused(key string) string {
	if v, ok := b.extra[key]; ok {
		return v
	}
	return rows()[key].text
}

// Important is the part of Text that `mqbroker -m` prints.
func (b *Broker) Important() string {
	k := brokerKind()
	var out []byte
	for _, key := range sortedKeys(k.fields) {
		if f := k.fields[key]; f.important {
			out = AppendProperty(out, key, f.text(reflect.ValueOf(b).Elem()))
		}
	}
	return string(out)
}

func text(k *kind, v reflect.Value, set extra) []byte {
	values := make(map[string]string)
	host := hostDefaults()
	for key, r := range k.rows {
		if !r.unset {
			values[key] = r.text
		} else if n, ok := host[key]; ok {
			values[key] = n
		}
	}
	maps.Copy(values, set)
	for key, f := range k.fields {
		if s := f.text(v); s != "" {
			values[key] = s
		}
	}
	for key := range values {
		if strings.HasSuffix(key, "assword") {
			delete(values, key)
		}
	}
	for key, told := range toldAs {
		if value, ok := values[key]; ok {
			delete(values, key)
			values[told] = value
		}
	}
	var out []byte
	for _, key := range sortedKeys(values) {
		out = AppendProperty(out, key, values[key])
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
