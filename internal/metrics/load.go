package metrics

import (
	"slices"
	"strings"
)

// Load is what the connections of a port have before them, as remoting tells it.
type Load struct{ Conns, Unsent, UnsentMax, Stalled int }

// AddLoad adds the series of a port.
func AddLoad(s *Snapshot, port string, l Load) {
	s.AddInt(&Connections, int64(l.Conns), "port", port)
	s.AddInt(&UnsentBytes, int64(l.Unsent), "port", port)
	s.AddInt(&UnsentBytesMax, int64(l.UnsentMax), "port", port)
	s.AddInt(&Stalled, int64(l.Stalled), "port", port)
}

// ParsePairs reads "name:value,name:value". What is no such pair is left out, as in Apache.
func ParsePairs(text string) (pairs []Label) {
	for pair := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(pair, ":")
		if ok && !strings.Contains(value, ":") && name != "" {
			pairs = append(pairs, Label{name, value})
		}
	}
	return pairs
}

// ParseLabels reads labels as metricsLabel has them. What is there already is left out.
func ParseLabels(text string, there []Label) (labels []Label) {
	for _, l := range ParsePairs(text) {
		l.Name = labelName(l.Name)
		same := func(other Label) bool { return other.Name == l.Name }
		if !slices.ContainsFunc(there, same) && !slices.ContainsFunc(labels, same) {
			labels = append(labels, l)
		}
	}
	return labels
}

// labelName makes a name one that Prometheus takes, as Apache's exporter does: other characters become _.
func labelName(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '_'
	}, name)
}
