package config

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/configuration.md anew")

// The tables of docs/configuration.md are made from the code, so that they cannot say anything else.
func TestDocs_AreUpToDate(t *testing.T) {
	t.Parallel()
	const path, mark = "../../docs/configuration.md", "<!-- made from the code below this line: make docs -->\n"
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, _, found := strings.Cut(string(old), mark)
	if !found {
		t.Fatalf("%s has no line %s", path, mark)
	}
	b, n := DefaultBroker(), DefaultNamesrv()
	var doc strings.Builder
	doc.WriteString(head + mark)
	comments := fieldComments(t)
	section := func(title, owner string, defaults reflect.Value) {
		fmt.Fprintf(&doc, "\n## %s\n\n| key | default | meaning |\n|---|---|---|\n", title)
		typ, prefix := defaults.Type(), []int(nil)
		if owner != "" {
			f, _ := typ.FieldByName(owner)
			typ, prefix = f.Type, f.Index
		}
		for i := range typ.NumField() {
			sf := typ.Field(i)
			tag, tagged := sf.Tag.Lookup("prop")
			if !tagged {
				continue
			}
			f := parseTag(tag)
			f.index = append(slices.Clone(prefix), i)
			meaning, text := splitDefault(comments[typ.Name()+"."+sf.Name])
			if text == "" {
				text = f.text(defaults)
			}
			unit := map[string]string{"1ms": " (ms)", "1s": " (s)", "1h0m0s": " (h)"}[f.unit.String()]
			switch {
			case f.local:
				meaning += " **"
			case f.restart:
				meaning += " *"
			}
			fmt.Fprintf(&doc, "| `%s`%s | %s | %s |\n", f.key, unit, text, strings.TrimSpace(meaning))
		}
	}
	doc.WriteString("\nA star marks what counts from the next start on, two stars what can be changed in the properties file only; the rest can be changed while\nthe daemon runs, with `updateBrokerConfig` or `updateNamesrvConfig` of mqadmin. The unit is that of the number in the file.\n")
	broker := reflect.ValueOf(&b).Elem()
	section("How a daemon listens", "Server", broker)
	section("How a daemon logs", "Log", broker.FieldByName("Server"))
	section("TLS", "TLS", broker.FieldByName("Server"))
	section("Metrics", "Metrics", broker)
	section("Metrics of a broker", "Export", broker)
	section("Broker", "", broker)
	section("Broker: the store", "Store", broker)
	section("NameServer", "", reflect.ValueOf(&n).Elem())

	doc.WriteString("\n## Keys without effect\n\nKnown, and taken without complaint; set to something else than the default they are named in the log at the start. Where it\n" +
		"says *refused*, the daemon does not start with another value than the default.\n\n| why | keys |\n|---|---|\n")
	for _, g := range groups {
		why := g.why
		if g.refused {
			why = "*refused*: " + why
		}
		var keys []string
		for line := range strings.Lines(g.keys) {
			if f := strings.Fields(line); len(f) > 0 {
				keys = append(keys, "`"+f[0]+"`")
			}
		}
		fmt.Fprintf(&doc, "| %s | %s |\n", why, strings.Join(keys, " "))
	}

	if got := doc.String(); got != string(old) && *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if got != string(old) {
		t.Errorf("%s is not up to date: make docs", path)
	}
}

// splitDefault takes "Default x." off the end of a comment; only a default in words is given back, a value is in the code.
func splitDefault(comment string) (meaning, text string) {
	meaning, text, _ = strings.Cut(comment, "Default ")
	text = strings.TrimSuffix(text, ".")
	if _, name, ok := strings.Cut(meaning, " "); ok {
		meaning = name // the field's name says nothing to a reader of the table
	}
	for _, verb := range []string{"is ", "are "} {
		meaning = strings.TrimPrefix(meaning, verb)
	}
	meaning = strings.TrimSpace(meaning)
	if text == "" {
		return meaning, ""
	}
	if words := strings.Fields(text); len(words) == 1 && !strings.ContainsAny(text, "$~") || len(words) == 2 && words[0][0] <= '9' {
		return meaning, ""
	}
	return meaning, text
}

// fieldComments gives the comment of each field by "Type.Field".
func fieldComments(t *testing.T) map[string]string {
	t.Helper()
	comments := make(map[string]string)
	for _, name := range []string{"server.go", "log.go", "tls.go", "metrics.go", "store.go", "broker.go", "namesrv.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if s, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range s.Fields.List {
					for _, name := range f.Names {
						comments[spec.Name.Name+"."+name.Name] = strings.Join(strings.Fields(f.Doc.Text()), " ")
					}
				}
			}
			return false
		})
	}
	return comments
}
