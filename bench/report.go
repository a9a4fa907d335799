package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// apacheVersion is the one that pom.xml names.
const apacheVersion = "5.5.0"

// A sample is what one round on one server gave.
type sample struct {
	Messages  int64         `json:"messages"`
	Seconds   float64       `json:"seconds"`
	Rate      float64       `json:"messages_per_second"`
	P50       time.Duration `json:"p50_ns"`
	P99       time.Duration `json:"p99_ns"`
	P999      time.Duration `json:"p999_ns"`
	Cost      float64       `json:"server_us_per_message"`
	Generator float64       `json:"generator_us_per_message"`
	Refused   int64         `json:"refused"`
	// Others is how much of the machine's processors went to neither server nor generator, 0..1.
	Others float64 `json:"others"`
}

func (s sample) String() string {
	return fmt.Sprintf("%11s msg/s  p50 %-7s p99 %-7s p999 %-7s server %6.2f µs/msg  generator %5.2f  others %2.0f %%",
		thousands(s.Rate), short(s.P50), short(s.P99), short(s.P999), s.Cost, s.Generator, 100*s.Others)
}

// medianSample takes the median of each number by itself.
func medianSample(rounds []sample) sample {
	of := func(get func(sample) float64) float64 {
		var all []float64
		for _, s := range rounds {
			all = append(all, get(s))
		}
		return median(all)
	}
	duration := func(get func(sample) time.Duration) time.Duration {
		return time.Duration(of(func(s sample) float64 { return float64(get(s)) }))
	}
	return sample{
		Messages:  int64(of(func(s sample) float64 { return float64(s.Messages) })),
		Seconds:   of(func(s sample) float64 { return s.Seconds }),
		Rate:      of(func(s sample) float64 { return s.Rate }),
		P50:       duration(func(s sample) time.Duration { return s.P50 }),
		P99:       duration(func(s sample) time.Duration { return s.P99 }),
		P999:      duration(func(s sample) time.Duration { return s.P999 }),
		Cost:      of(func(s sample) float64 { return s.Cost }),
		Generator: of(func(s sample) float64 { return s.Generator }),
		Others:    of(func(s sample) float64 { return s.Others }),
	}
}

// median of an even count is the mean of the two in the middle.
func median(of []float64) float64 {
	if len(of) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(of))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// A row is a scenario on one server.
type row struct {
	Scenario string   `json:"scenario"`
	Title    string   `json:"title"`
	Server   string   `json:"server"`
	Median   sample   `json:"median"`
	Rounds   []sample `json:"rounds"`
}

type unit string

const (
	unitSeconds unit = "seconds"
	unitPercent unit = "percent"
	unitBytes   unit = "bytes"
)

func (u unit) format(v float64) string {
	switch {
	case u == unitSeconds && v < 1:
		return fmt.Sprintf("%.0f ms", 1000*v)
	case u == unitSeconds:
		return fmt.Sprintf("%.2f s", v)
	case u == unitPercent:
		return fmt.Sprintf("%.2f %%", v)
	case math.Abs(v) >= 1e9:
		return fmt.Sprintf("%.1f GB", v/1e9)
	case math.Abs(v) >= 1e6:
		return fmt.Sprintf("%.1f MB", v/1e6)
	}
	return fmt.Sprintf("%.1f KB", v/1e3)
}

// A figure is one number a server that does not belong to a load.
type figure struct {
	Name   string             `json:"name"`
	Title  string             `json:"title"`
	Unit   unit               `json:"unit"`
	Values map[string]float64 `json:"values"` // by server
}

// A report is all that one run found.
type report struct {
	Date      string   `json:"date"`
	Processor string   `json:"processor"`
	Cores     int      `json:"cores"`
	Kernel    string   `json:"kernel"`
	Go        string   `json:"go"`
	Java      string   `json:"java,omitempty"`
	Liftoff   string   `json:"liftoff,omitempty"` // the commit, or the program that was given
	Warmup    string   `json:"warmup"`
	Round     string   `json:"round"`
	Rounds    int      `json:"rounds"`
	Seconds   float64  `json:"seconds"`
	Rows      []row    `json:"loads"`
	Figures   []figure `json:"figures"`
	Warnings  []string `json:"warnings,omitempty"`
}

func (r *report) set(name, title string, u unit, server string, value float64) {
	for _, f := range r.Figures {
		if f.Name == name {
			f.Values[server] = value
			return
		}
	}
	r.Figures = append(r.Figures, figure{Name: name, Title: title, Unit: u, Values: map[string]float64{server: value}})
}

func (r *report) sample(scenario, server string) (sample, bool) {
	for _, row := range r.Rows {
		if row.Scenario == scenario && row.Server == server {
			return row.Median, true
		}
	}
	return sample{}, false
}

func (r *report) figure(name, server string) (float64, bool) {
	for _, f := range r.Figures {
		if f.Name == name {
			v, ok := f.Values[server]
			return v, ok
		}
	}
	return 0, false
}

// A bar is what Liftoff has to reach: so many times better than Apache in the same run, or a fixed bound.
type bar struct {
	scenario string
	what     string
	times    float64 // Apache's number over Liftoff's, at least; for a rate Liftoff's over Apache's
	rate     bool
	number   func(sample) float64
	atMost   float64 // when times is 0: Liftoff's figure of that name, at most
	unit     unit
}

var bars = []bar{
	{scenario: "send/128/JSON/16x4", what: "cost a message", times: 8, number: sampleCost},
	{scenario: "send/128/JSON/1x16", what: "cost a message", times: 5, number: sampleCost},
	{scenario: "batch/128/JSON", what: "cost a message", times: 5, number: sampleCost},
	{scenario: "transaction", what: "cost a transaction", times: 5, number: sampleCost},
	{scenario: "backlog", what: "cost a message", times: 5, number: sampleCost},
	{scenario: "filter", what: "cost a message looked at", times: 5, number: sampleCost},
	{scenario: "pop", what: "cost a message", times: 5, number: sampleCost},
	{scenario: "timer", what: "cost a message", times: 5, number: sampleCost},
	{scenario: "quiet", what: "cost a message", times: 8, number: sampleCost},
	{scenario: "quiet", what: "p99", times: 5, number: func(s sample) float64 { return float64(s.P99) }},
	{scenario: "sync", what: "rate", times: 1, rate: true, number: func(s sample) float64 { return s.Rate }},
	{scenario: "sync", what: "cost a message", times: 5, number: sampleCost},
	{scenario: "idle", what: "idle, part of one core", atMost: 0.3, unit: unitPercent},
	{scenario: "memory-idle", what: "resident memory when idle", atMost: 40e6, unit: unitBytes},
	{scenario: "start", what: "start to first accepted message", atMost: 0.25, unit: unitSeconds},
}

func sampleCost(s sample) float64 { return s.Cost }

// A verdict is a bar that this run can judge.
type verdict struct {
	What   string  `json:"what"`
	Bar    string  `json:"bar"`
	Found  string  `json:"found"`
	Margin float64 `json:"margin"` // above 1 the bar is met, 0.5 misses it by a factor of two
	Met    bool    `json:"met"`
}

func (r *report) judge() []verdict {
	var all []verdict
	for _, b := range bars {
		var v verdict
		if b.times == 0 {
			value, ok := r.figure(b.scenario, "Liftoff")
			if !ok {
				continue
			}
			v.What, v.Bar, v.Found = b.what, "≤ "+b.unit.format(b.atMost), b.unit.format(value)
			v.Margin = b.atMost / max(value, 1e-9)
		} else {
			theirs, ok1 := r.sample(b.scenario, "Apache")
			ours, ok2 := r.sample(b.scenario, "Liftoff")
			if !ok1 || !ok2 {
				continue
			}
			ratio := b.number(theirs) / max(b.number(ours), 1e-9)
			v.Bar = fmt.Sprintf("≤ 1/%g of Apache's", b.times)
			v.Found = fraction(b.number(ours), b.number(theirs))
			if b.rate {
				ratio = b.number(ours) / max(b.number(theirs), 1e-9)
				v.Bar = "≥ Apache's"
				v.Found = fmt.Sprintf("%.1fx", ratio)
			}
			v.What = b.scenario + ", " + b.what
			v.Margin = ratio / b.times
		}
		v.Met = v.Margin >= 1
		all = append(all, v)
	}
	return all
}

// text is the report for people, at most 120 columns wide.
func (r *report) text(verdicts []verdict) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s; %s, %d cores, Linux %s\n", r.Date, r.Processor, r.Cores, r.Kernel)
	var versions []string
	if r.Java != "" {
		versions = append(versions, "Apache RocketMQ "+apacheVersion+" on "+r.Java)
	}
	if r.Liftoff != "" {
		versions = append(versions, "Liftoff "+r.Liftoff+" on "+r.Go)
	}
	b.WriteString(strings.Join(versions, "; ") + "\n")
	fmt.Fprintf(&b, "medians of %d rounds of %s, Apache warmed up for %s; %.0f s in all\n", r.Rounds, r.Round, r.Warmup, r.Seconds)
	r.writeLoads(&b)
	r.writeFigures(&b)
	writeVerdicts(&b, verdicts)
	r.writeWarnings(&b)
	return b.String()
}

func (r *report) writeLoads(b *strings.Builder) {
	if len(r.Rows) == 0 {
		return
	}
	line := func(name, server, rate, p50, p99, p999, cost, ratio string) {
		writeLine(b, pad(name, 46), pad(server, 8), padLeft(rate, 10), padLeft(p50, 8), padLeft(p99, 8), padLeft(p999, 8),
			padLeft(cost, 9), padLeft(ratio, 9))
	}
	b.WriteString("\n")
	line("load", "server", "msg/s", "p50", "p99", "p999", "µs/msg", "ratio")
	title := ""
	for _, row := range r.Rows {
		name := row.Title
		if name == title {
			name = ""
		}
		title = row.Title
		ratio := ""
		if theirs, ok := r.sample(row.Scenario, "Apache"); ok && row.Server == "Liftoff" {
			ratio = fraction(row.Median.Cost, theirs.Cost)
		}
		m := row.Median
		line(name, row.Server, thousands(m.Rate), short(m.P50), short(m.P99), short(m.P999),
			fmt.Sprintf("%.2f", m.Cost), ratio)
	}
}

func (r *report) writeFigures(b *strings.Builder) {
	if len(r.Figures) == 0 {
		return
	}
	line := func(name, theirs, ours, ratio string) {
		writeLine(b, pad(name, 46), padLeft(theirs, 12), padLeft(ours, 12), padLeft(ratio, 11))
	}
	b.WriteString("\n")
	line("", "Apache", "Liftoff", "ratio")
	for _, f := range r.Figures {
		cell := func(server string) string {
			if v, ok := f.Values[server]; ok {
				return f.Unit.format(v)
			}
			return "-"
		}
		ratio := ""
		if theirs, ok := f.Values["Apache"]; ok && f.Values["Liftoff"] > 0 {
			ratio = fraction(f.Values["Liftoff"], theirs)
		}
		line(f.Title, cell("Apache"), cell("Liftoff"), ratio)
	}
}

func writeVerdicts(b *strings.Builder, verdicts []verdict) {
	if len(verdicts) == 0 {
		return
	}
	met := 0
	for _, v := range verdicts {
		if v.Met {
			met++
		}
	}
	fmt.Fprintf(b, "\n%d of %d bars met\n", met, len(verdicts))
	for _, v := range verdicts {
		mark := "met"
		if !v.Met {
			mark = "MISSED"
		}
		writeLine(b, pad("  "+mark, 8), pad(v.What, 36), pad(v.Bar, 24), v.Found)
	}
}

func (r *report) writeWarnings(b *strings.Builder) {
	disturbed := 0.0
	for _, row := range r.Rows {
		refused, accepted := int64(0), int64(0)
		for _, s := range row.Rounds {
			disturbed = max(disturbed, s.Others)
			refused += s.Refused
			accepted += s.Messages
		}
		if refused > 0 {
			fmt.Fprintf(b, "\n%s: %s was busy and refused %s messages, %s accepted.\n", row.Title, row.Server,
				thousands(float64(refused)), thousands(float64(accepted)))
		}
	}
	if disturbed > 0.1 {
		fmt.Fprintf(b, "\nOther programs took up to %.0f %% of the machine in a round: take the numbers with care.\n", 100*disturbed)
	}
	for _, w := range r.Warnings {
		fmt.Fprintf(b, "warning: %s\n", w)
	}
}

// fraction writes ours as a part of theirs: 1/8.0, or 1.3x when it is more.
func fraction(ours, theirs float64) string {
	if ours <= 0 || theirs <= 0 {
		return "-"
	}
	if ours > theirs {
		return fmt.Sprintf("%.1fx", ours/theirs)
	}
	return fmt.Sprintf("1/%.1f", theirs/ours)
}

func writeLine(b *strings.Builder, cells ...string) {
	b.WriteString(strings.TrimRight(strings.Join(cells, " "), " ") + "\n")
}

// pad and padLeft count characters, not bytes, for the sake of µ.
func pad(s string, width int) string { return s + strings.Repeat(" ", max(width-len([]rune(s)), 0)) }
func padLeft(s string, width int) string {
	return strings.Repeat(" ", max(width-len([]rune(s)), 0)) + s
}

// thousands writes a whole number with separators.
func thousands(v float64) string {
	s := strconv.FormatInt(int64(math.Round(v)), 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// short writes a duration with three digits.
func short(d time.Duration) string {
	for _, u := range []struct {
		of   time.Duration
		name string
	}{{time.Second, "s"}, {time.Millisecond, "ms"}, {time.Microsecond, "µs"}} {
		v := float64(d) / float64(u.of)
		switch {
		case v >= 99.95:
			return fmt.Sprintf("%.0f%s", v, u.name)
		case v >= 9.995:
			return fmt.Sprintf("%.1f%s", v, u.name)
		case v >= 1:
			return fmt.Sprintf("%.2f%s", v, u.name)
		}
	}
	return fmt.Sprintf("%dns", d.Nanoseconds())
}
