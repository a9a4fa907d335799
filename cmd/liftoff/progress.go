package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// progress tells how far long work is: on one line of a terminal, elsewhere seldom.
type progress struct {
	out      io.Writer
	terminal bool
	began    time.Time
	told     time.Time
	shown    bool
}

func newProgress(out io.Writer) *progress {
	now := time.Now()
	return &progress{out: out, terminal: isTerminal(out), began: now, told: now}
}

// isTerminal says whether something is read by a person right now.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// bytes tells of bytes that are done, and how long the others will take.
func (p *progress) bytes(done, total int64) {
	now := time.Now()
	pause := 10 * time.Second
	if p.terminal {
		pause = 500 * time.Millisecond
	}
	if now.Sub(p.told) < pause {
		return
	}
	p.told = now
	took := now.Sub(p.began).Seconds()
	rate := float64(done) / took
	text := fmt.Sprintf("%s of %s, %s a second", showBytes(done), showBytes(total), showBytes(int64(rate)))
	if done > 0 && rate > 0 {
		text += fmt.Sprintf(", %s left", time.Duration(float64(total-done)/rate*float64(time.Second)).Round(time.Second))
	}
	if p.terminal {
		fmt.Fprintf(p.out, "\r\x1b[K%s", text)
		p.shown = true
	} else {
		fmt.Fprintln(p.out, text)
	}
}

// clear takes the line away before something else is printed.
func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(p.out, "\r\x1b[K")
		p.shown = false
	}
}
