package admin

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"
)

// top shows samples until it is told to end.
func (a *Admin) top(ctx context.Context, o topOptions) error {
	s := a.topSampler(o.target)
	in, out, ok := a.terminal()
	if !ok || o.once || a.json {
		return a.topOnce(ctx, s, o)
	}
	old, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return fmt.Errorf("cannot read keys: %w", err)
	}
	defer term.Restore(int(in.Fd()), old)
	fmt.Fprint(out, "\x1b[?1049h\x1b[?25l") // another screen, without a cursor
	defer fmt.Fprint(out, "\x1b[?25h\x1b[?1049l")
	v := topView{s: s, o: o, out: out, keys: readKeys(in), size: func() (int, int) {
		width, height, err := term.GetSize(int(out.Fd()))
		if err != nil {
			return 80, 24
		}
		return width, height
	}}
	return v.loop(ctx)
}

// terminal is where keys come from and what is painted, if both are a terminal.
func (a *Admin) terminal() (in, out *os.File, ok bool) {
	in, okIn := a.In.(*os.File)
	out, okOut := a.Out.(*os.File)
	return in, out, okIn && okOut && term.IsTerminal(int(in.Fd())) && term.IsTerminal(int(out.Fd()))
}

// topOnce prints one look. The first sample is for the rates of the second.
func (a *Admin) topOnce(ctx context.Context, s *topSampler, o topOptions) error {
	if _, err := s.sample(ctx); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(o.interval):
	}
	sample, err := s.sample(ctx)
	if err != nil {
		return err
	}
	sample.sort(o.sort)
	return a.show(sample, func(w io.Writer) {
		for _, line := range sample.lines(o.rows, o.rows) {
			fmt.Fprintln(w, line)
		}
	})
}

// readKeys reads keys until there are no more. Nothing can wake the goroutine that waits for one, so it ends with the program or with in.
func readKeys(in io.Reader) <-chan byte {
	keys := make(chan byte, 16)
	go func() {
		defer close(keys)
		r := bufio.NewReader(in)
		for {
			key, err := r.ReadByte()
			if err != nil {
				return
			}
			select {
			case keys <- key:
			default: // nobody takes them that fast
			}
		}
	}()
	return keys
}

// topView is the screen.
type topView struct {
	s    *topSampler
	o    topOptions
	out  io.Writer
	keys <-chan byte
	size func() (width, height int)
	last *topSample
	err  error // of the last look; the one before stays on the screen
}

// loop looks and paints until a key ends it.
func (v *topView) loop(ctx context.Context) error {
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-next.C:
			sample, err := v.s.sample(ctx)
			if v.err = err; err == nil {
				v.last = sample
			}
			next.Reset(v.o.interval)
		case key, more := <-v.keys:
			if !more || v.press(key) {
				return nil
			}
		}
		v.paint()
	}
}

// press does what a key says, and says whether that is to end.
func (v *topView) press(key byte) (end bool) {
	switch key {
	case 'q', 'Q', 3, 4: // Ctrl-C, Ctrl-D
		return true
	case 'r':
		v.o.sort = "rate"
	case 'l':
		v.o.sort = "lag"
	case 'n':
		v.o.sort = "name"
	case '+':
		v.o.interval = min(v.o.interval*2, time.Minute)
	case '-':
		v.o.interval = max(v.o.interval/2, 500*time.Millisecond)
	}
	return false
}

// paint writes the whole screen at once, so that it does not flicker.
func (v *topView) paint() {
	width, height := v.size()
	lines := []string{fmt.Sprintf("liftoff top  every %s  sorted by %s  q quit, r l n sort by rate, lag, name, + - interval", v.o.interval, v.o.sort)}
	if v.err != nil {
		lines = append(lines, strings.Split(v.err.Error(), "\n")...)
	}
	if v.last != nil {
		v.last.sort(v.o.sort)
		left := max(2, height-len(lines)-len(v.last.Brokers)-len(v.last.Errors)-7)
		groups := min(len(v.last.Groups), left/2)
		topics := min(len(v.last.Topics), left-groups)
		groups = min(len(v.last.Groups), left-topics)
		lines = append(lines, v.last.lines(topics, groups)...)
	}
	var b strings.Builder
	b.WriteString("\x1b[H")
	for i, line := range lines {
		if i >= height {
			break
		}
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(cutLine(line, width))
		b.WriteString("\x1b[K")
	}
	b.WriteString("\x1b[J")
	fmt.Fprint(v.out, b.String())
}

// cutLine cuts a line to the width of the screen, and takes out what a terminal would obey.
func cutLine(line string, width int) string {
	runes := make([]rune, 0, len(line))
	for _, r := range line {
		if len(runes) >= width {
			break
		}
		if r < ' ' || r == 0x7F {
			r = '?'
		}
		runes = append(runes, r)
	}
	return string(runes)
}

// sort puts topics and groups in order.
func (s *topSample) sort(by string) {
	slices.SortFunc(s.Topics, func(a, b topTopic) int {
		if by == "name" {
			return cmp.Compare(a.Name, b.Name)
		}
		return cmp.Or(cmp.Compare(b.Rate, a.Rate), cmp.Compare(b.Messages, a.Messages), cmp.Compare(a.Name, b.Name))
	})
	slices.SortFunc(s.Groups, func(a, b topGroup) int {
		switch by {
		case "name":
			return cmp.Compare(a.Name, b.Name)
		case "lag":
			return cmp.Or(cmp.Compare(b.Lag, a.Lag), cmp.Compare(a.Name, b.Name))
		}
		return cmp.Or(cmp.Compare(b.Lag, a.Lag), cmp.Compare(b.Rate, a.Rate), cmp.Compare(a.Name, b.Name))
	})
}

// lines are the tables, with so many topics and groups at most.
func (s *topSample) lines(topics, groups int) []string {
	rows := [][]string{{"BROKER", "ID", "ADDRESS", "VERSION", "UP", "IN/S", "OUT/S", "BACKLOG", "DISK", "TODAY"}}
	for _, b := range s.Brokers {
		rows = append(rows, []string{b.Name, fmt.Sprint(b.ID), b.Addr, b.Version, shortTime(b.Up * 1000), shortRate(b.In), shortRate(b.Out), shortCount(b.Backlog), percent(b.Disk), shortCount(b.Today)})
	}
	lines := align(rows)
	for _, err := range s.Errors {
		lines = append(lines, "! "+err)
	}
	rows = [][]string{{"TOPIC", "IN/S", "MESSAGES", "GROUPS"}}
	for _, t := range s.Topics[:min(topics, len(s.Topics))] {
		rows = append(rows, []string{t.Name, shortRate(t.Rate), shortCount(t.Messages), fmt.Sprint(t.Groups)})
	}
	lines = append(append(lines, ""), align(rows)...)
	if more := len(s.Topics) - topics; more > 0 {
		lines = append(lines, fmt.Sprintf("%d more topics", more))
	}
	rows = [][]string{{"GROUP", "LAG", "OUT/S", "BEHIND", "TOPICS", "SLOWEST IN"}}
	for _, g := range s.Groups[:min(groups, len(s.Groups))] {
		behind := shortTime(g.Behind)
		if g.Lag == 0 {
			behind = "-"
		}
		rows = append(rows, []string{g.Name, shortCount(g.Lag), shortRate(g.Rate), behind, fmt.Sprint(g.Topics), g.Slowest})
	}
	lines = append(append(lines, ""), align(rows)...)
	if more := len(s.Groups) - groups; more > 0 {
		lines = append(lines, fmt.Sprintf("%d more groups", more))
	}
	return lines
}

const notKnown = "?"

func shortRate(v float64) string {
	switch {
	case v < 0:
		return notKnown
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	}
	return shortCount(int64(v))
}

// shortCount writes large numbers with k, M and G.
func shortCount(n int64) string {
	switch {
	case n < 0:
		return notKnown
	case n < 10_000:
		return fmt.Sprint(n)
	case n < 10_000_000:
		return fmt.Sprintf("%.1fk", float64(n)/1e3)
	case n < 10_000_000_000:
		return fmt.Sprintf("%.1fM", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1fG", float64(n)/1e9)
}

func percent(ratio float64) string {
	if ratio < 0 {
		return notKnown
	}
	return fmt.Sprintf("%.0f%%", ratio*100)
}

// shortTime writes a time in ms by its largest unit.
func shortTime(ms int64) string {
	switch {
	case ms < 0:
		return notKnown
	case ms < 1000:
		return fmt.Sprintf("%dms", ms)
	case ms < 120_000:
		return fmt.Sprintf("%ds", ms/1000)
	case ms < 2*3600_000:
		return fmt.Sprintf("%dm", ms/60_000)
	case ms < 48*3600_000:
		return fmt.Sprintf("%dh", ms/3600_000)
	}
	return fmt.Sprintf("%dd", ms/(24*3600_000))
}
