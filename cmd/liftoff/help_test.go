package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestHelp_FitsATerminal(t *testing.T) {
	t.Parallel()
	var names func(c *cobra.Command) [][]string
	names = func(c *cobra.Command) [][]string {
		all := [][]string{strings.Fields(c.CommandPath())[1:]}
		for _, sub := range c.Commands() {
			all = append(all, names(sub)...)
		}
		return all
	}
	all := names((&program{name: "liftoff"}).command())
	if len(all) < 110 {
		t.Fatalf("%d commands", len(all))
	}
	for _, words := range all {
		out, errs, code := runProgram(t, "liftoff", append(words, "--help")...)
		if code != exitOK || out == "" || strings.HasPrefix(strings.Join(words, " "), "completion") { // cobra's own
			if code != exitOK || out == "" {
				t.Errorf("%v: %d %s", words, code, errs)
			}
			continue
		}
		if strings.Contains(out, "default []") || strings.Contains(out, "default -1") {
			t.Errorf("%v: a default that is none: %s", words, out)
		}
		for line := range strings.Lines(out) {
			if len(line) > helpWidth+1 && len(strings.Fields(line)) > 1 {
				t.Errorf("%v: too wide: %s", words, line)
			}
		}
	}
}

func TestWrapHelp_LosesNothing(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("word ", 60) + "end"
	text := "One\n" + long + "\nthree.\n\n" + long + "\n\nFlags:\n  -a, --all TOPIC   " + long + "\n      --b           " + strings.Repeat("x", 150) + " behind\n  short\n\n\nthe end\n"
	got := wrapHelp(text)
	if !slices.Equal(strings.Fields(got), strings.Fields(text)) {
		t.Error("words are lost")
	}
	if !strings.HasPrefix(got, "One word word") || !strings.Contains(got, "\n"+strings.Repeat(" ", 20)+"word word") || !strings.Contains(got, "\nFlags:\n  -a, --all TOPIC   word") ||
		!strings.Contains(got, "\n  short\n") || !strings.HasSuffix(got, "\nthe end\n") {
		t.Errorf("it is\n%s", got)
	}
	if short := "One\ntwo\n\n  three\n"; wrapHelp(short) != short {
		t.Errorf("%q becomes %q", short, wrapHelp(short))
	}
}
