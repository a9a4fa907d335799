// Package monitoring checks the board and the alerts: with Prometheus' own parser, and that each metric and label in them is one that is
// served.
package monitoring

import (
	"encoding/json"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/liftoffmq/liftoff/internal/metrics"
)

// served are the metrics there are and the labels that each may have.
func served() map[string][]string {
	all := map[string][]string{"up": {"job", "instance"}}
	for _, s := range metrics.Sections() {
		for _, m := range s.Metrics {
			own := strings.Fields(strings.NewReplacer("[", "", "]", "").Replace(m.Labels))
			own = append(own, "cluster", "node_id", "node_type", "job", "instance")
			name := m.PrometheusName()
			all[name] = own
			if m.Kind == metrics.Distribution {
				all[name+"_bucket"], all[name+"_sum"], all[name+"_count"] = append(slices.Clone(own), "le"), own, own
			}
		}
	}
	return all
}

// check parses an expression and looks at what it selects.
func check(t *testing.T, where, text string) {
	t.Helper()
	for variable, value := range map[string]string{"$__rate_interval": "1m", "$cluster": "c", "$broker": "b", "$job": "rocketmq"} {
		text = strings.ReplaceAll(text, variable, value)
	}
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(text)
	if err != nil {
		t.Errorf("%s: %s: %v", where, text, err)
		return
	}
	all := served()
	found := false
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		selector, ok := n.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		found = true
		own, known := all[selector.Name]
		if !known {
			t.Errorf("%s: %s is not served", where, selector.Name)
			return nil
		}
		for _, m := range selector.LabelMatchers {
			if m.Name != labels.MetricName && !slices.Contains(own, m.Name) {
				t.Errorf("%s: %s has no label %s", where, selector.Name, m.Name)
			}
		}
		return nil
	})
	if !found {
		t.Errorf("%s: %s selects nothing", where, text)
	}
}

func TestAlerts(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	groups, errs := rulefmt.Parse(data, false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	n := 0
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			check(t, r.Alert, r.Expr)
			n++
		}
	}
	if n == 0 {
		t.Error("there are no alerts")
	}
}

func TestBoard(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("board.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Title  string
		Panels []struct {
			ID      int
			Type    string
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(data, &board); err != nil {
		t.Fatal(err)
	}
	ids, n := map[int]bool{}, 0
	for _, p := range board.Panels {
		if ids[p.ID] || p.Title == "" {
			t.Errorf("panel %d (%s) has no title, or not a number of its own", p.ID, p.Title)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			check(t, p.Title, target.Expr)
			n++
		}
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %s shows nothing", p.Title)
		}
	}
	if n == 0 {
		t.Error("the board shows nothing")
	}
}
