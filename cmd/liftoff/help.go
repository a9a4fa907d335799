package main

import (
	"bytes"
	"io"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
)

// helpWidth is how wide help is at most: what a terminal shows without breaking lines amid words.
const helpWidth = 100

// noDefault takes away what cobra calls the default of a flag that has none.
var noDefault = strings.NewReplacer(" (default [])", "", " (default -1)", "")

// tameHelp keeps help within helpWidth, and lets it refuse what is no command; it would show the help of the command above it.
func tameHelp(root *cobra.Command) {
	standard := root.HelpFunc()
	root.SetHelpFunc(func(c *cobra.Command, args []string) {
		out, text := c.OutOrStdout(), new(bytes.Buffer)
		c.SetOut(text)
		standard(c, args)
		c.SetOut(out)
		_, _ = io.WriteString(out, wrapHelp(noDefault.Replace(text.String())))
	})
	root.InitDefaultHelpCmd()
	for _, c := range root.Commands() {
		if c.Name() != "help" {
			continue
		}
		c.Args = func(_ *cobra.Command, args []string) error {
			of, rest, err := root.Find(args)
			if err != nil || len(rest) == 0 {
				return err
			}
			return noCommand(of, rest)
		}
	}
}

// beforeText is what stands before the text of a line in a list: a flag or a command, and the blanks behind it.
var beforeText = regexp.MustCompile(`^ +\S.*?(   *)`)

// wrapHelp breaks lines that are too wide. Those of lists go on below their text; a paragraph with such a line is filled anew.
func wrapHelp(text string) string {
	var to strings.Builder
	for block := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n\n") {
		lines := strings.Split(block, "\n")
		if tooWide(lines) && !strings.HasPrefix(lines[len(lines)-1], " ") {
			lines = []string{strings.Join(lines, " ")}
		}
		for _, line := range lines {
			indent := 0
			if at := beforeText.FindStringIndex(line); at != nil {
				indent = at[1]
			}
			wrapLine(&to, line, indent)
		}
		to.WriteByte('\n')
	}
	return strings.TrimSuffix(to.String(), "\n")
}

func tooWide(lines []string) bool {
	for _, line := range lines {
		if len(line) > helpWidth {
			return true
		}
	}
	return false
}

// wrapLine writes a line, and what does not fit below it, from column indent on. A word that fits nowhere stands as it is.
func wrapLine(to *strings.Builder, line string, indent int) {
	for len(line) > helpWidth {
		at := strings.LastIndexByte(line[:helpWidth+1], ' ')
		if at <= indent {
			if at = strings.IndexByte(line[min(len(line), helpWidth):], ' '); at < 0 {
				break
			}
			at += helpWidth
		}
		to.WriteString(strings.TrimRight(line[:at], " "))
		to.WriteByte('\n')
		line = strings.Repeat(" ", indent) + line[at+1:]
	}
	to.WriteString(line)
	to.WriteByte('\n')
}
