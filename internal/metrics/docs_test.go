package metrics

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/metrics.md anew")

// The tables of docs/metrics.md are made from the code, so that they cannot say anything else.
func TestDocs_AreUpToDate(t *testing.T) {
	t.Parallel()
	const path, mark = "../../docs/metrics.md", "<!-- made from the code below this line: make docs -->\n"
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, _, found := strings.Cut(string(old), mark)
	if !found {
		t.Fatalf("%s has no line %s", path, mark)
	}
	var doc strings.Builder
	doc.WriteString(head + mark)
	for _, s := range Sections() {
		fmt.Fprintf(&doc, "\n## %s\n\n| name | type | labels | meaning |\n|---|---|---|---|\n", s.Title)
		for _, m := range s.Metrics {
			help := m.Help
			if m.Buckets != nil {
				var bounds []string
				for _, b := range m.Buckets {
					bounds = append(bounds, strconv.FormatFloat(b, 'f', -1, 64))
				}
				help += "; buckets up to " + strings.Join(bounds, ", ")
			}
			labels := strings.ReplaceAll(m.Labels, " ", ", ")
			fmt.Fprintf(&doc, "| `%s` | %s | %s | %s |\n", m.PrometheusName(), typeNames[m.Kind], labels, help)
		}
	}
	if got := doc.String(); got != string(old) && *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if got != string(old) {
		t.Errorf("%s is not up to date: make docs", path)
	}
}
