package admin

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/liftoffmq/liftoff/internal/fastjson"
)

// show prints a result: v as JSON when that is asked for, otherwise what text writes. A command that prints many results as they come calls it for
// each; then the JSON is one object a line.
func (a *Admin) show(v any, text func(io.Writer)) error {
	out := bufio.NewWriter(a.Out)
	if a.json {
		line, err := fastjson.MarshalStandard(v)
		if err != nil {
			return fmt.Errorf("cannot print the result as JSON: %w", err)
		}
		out.Write(line)
		out.WriteByte('\n')
	} else if isTerminal(a.Out) {
		l := &lastByte{w: out}
		if text(l); l.last != '\n' && l.last != 0 { // Apache's tool leaves the prompt behind some of its texts
			out.WriteByte('\n')
		}
	} else {
		text(out)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("cannot print the result: %w", err)
	}
	return nil
}

// lastByte remembers the last byte that was written.
type lastByte struct {
	w    io.Writer
	last byte
}

func (l *lastByte) Write(b []byte) (int, error) {
	if len(b) > 0 {
		l.last = b[len(b)-1]
	}
	return l.w.Write(b)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// say tells the operator something that is no part of the result.
func (a *Admin) say(format string, args ...any) { fmt.Fprintf(a.Err, format+"\n", args...) }

// progress says how far long work is: on a terminal in a line that changes, elsewhere a line now and then.
type progress struct {
	a           *Admin
	what        string // such as "messages read"
	total, done int64  // total is 0 when unknown
	every       time.Duration
	inPlace     bool
	begun, told time.Time
}

// progress begins to tell.
func (a *Admin) progress(what string, total int64) *progress {
	p := &progress{a: a, what: what, total: total, every: 10 * time.Second, begun: time.Now(), told: time.Now()}
	if isTerminal(a.Err) {
		p.inPlace, p.every = true, 200*time.Millisecond
	}
	return p
}

// add says that n more are done.
func (p *progress) add(n int64) {
	p.done += n
	if now := time.Now(); now.Sub(p.told) >= p.every {
		p.told = now
		p.tell(now.Sub(p.begun))
	}
}

func (p *progress) tell(took time.Duration) {
	rate := float64(p.done) / max(took.Seconds(), 1e-3)
	line := fmt.Sprintf("%d %s, %.0f a second", p.done, p.what, rate)
	if p.total > 0 {
		line = fmt.Sprintf("%d of %d %s (%d %%), %.0f a second", p.done, p.total, p.what, 100*p.done/p.total, rate)
		if rate > 0 {
			line += fmt.Sprintf(", %s left", (time.Duration(float64(p.total-p.done)/rate) * time.Second).Round(time.Second))
		}
	}
	if p.inPlace {
		fmt.Fprintf(p.a.Err, "\r%s\x1b[K", line)
	} else {
		fmt.Fprintln(p.a.Err, line)
	}
}

// end clears the line that changes.
func (p *progress) end() {
	if p.inPlace {
		fmt.Fprint(p.a.Err, "\r\x1b[K")
	}
}
