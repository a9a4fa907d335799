package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// A scriptLine reads a command line as RocketMQ's mqbroker and mqnamesrv do. These are the same:
//
//	-n a:1   -na:1   -n=a:1   --namesrvAddr a:1   -namesrvAddr=a:1   -names a:1   -namesrvAddra:1
//
// A name has one dash or two, and may be cut short as long as no other option begins so. -pm is -p -m, unless an option is called pm. The
// first value of an option counts, and what is an option itself is nobody's value.
type scriptLine struct {
	short map[string]*pflag.Flag
	long  map[string]*pflag.Flag
	known []string // long names that RocketMQ has and that may be cut short; sorted
}

// given is an option of a command line.
type given struct {
	flag   *pflag.Flag
	value  string
	valued bool
}

// scriptArgs puts a script's arguments in the form that cobra understands. What belongs to no option stays as it is.
func scriptArgs(c *cobra.Command, args []string) ([]string, error) {
	l := newScriptLine(c, slices.Contains(args, "--enable-proxy"))
	var out []string
	seen := make(map[*pflag.Flag]bool)
	for len(args) > 0 {
		arg := args[0]
		if arg == "--" {
			return append(out, args...), nil
		}
		args = args[1:]
		options, err := l.read(arg)
		if err != nil {
			return nil, seeHelp(c, err)
		}
		if len(options) == 0 {
			out = append(out, arg)
			continue
		}
		if last := &options[len(options)-1]; !last.valued && last.flag.NoOptDefVal == "" {
			if len(args) == 0 || l.isOption(args[0]) {
				return nil, seeHelp(c, fmt.Errorf("%s lacks its value", arg))
			}
			last.value, last.valued = unquoted(args[0]), true
			args = args[1:]
		}
		for _, o := range options {
			if !seen[o.flag] {
				seen[o.flag] = true
				out = append(out, o.String())
			}
		}
	}
	return out, nil
}

func (g given) String() string {
	if g.valued {
		return "--" + g.flag.Name + "=" + g.value
	}
	return "--" + g.flag.Name
}

func newScriptLine(c *cobra.Command, withProxy bool) *scriptLine {
	l := &scriptLine{short: make(map[string]*pflag.Flag), long: make(map[string]*pflag.Flag)}
	c.InitDefaultHelpFlag()
	note := func(f *pflag.Flag) {
		l.long[f.Name] = f
		if f.Shorthand != "" { // only RocketMQ's have one
			l.short[f.Shorthand] = f
			l.known = append(l.known, f.Name)
		}
	}
	c.Flags().VisitAll(note)
	c.PersistentFlags().VisitAll(note)
	if withProxy {
		for short, long := range proxyNames {
			name := strings.TrimPrefix(long, "--")
			if f := l.long[name]; f != nil {
				l.short[strings.TrimPrefix(short, "-")] = f
				l.known = append(l.known, name)
			}
		}
	}
	slices.Sort(l.known)
	return l
}

// read returns the options that an argument is; none when it is a word, or an option that is not known.
func (l *scriptLine) read(arg string) ([]given, error) {
	text, dash := strings.CutPrefix(arg, "-")
	if !dash || text == "" {
		return nil, nil
	}
	text, twoDashes := strings.CutPrefix(text, "-")
	name, value, valued := strings.Cut(text, "=")
	f := l.short[name]
	if f == nil || twoDashes {
		var err error
		if f, err = l.find(name); err != nil {
			return nil, err
		}
	}
	switch {
	case f != nil:
		return []given{{f, unquoted(value), valued}}, nil
	case twoDashes:
		return nil, nil
	}
	for _, name := range l.known {
		if value, begins := strings.CutPrefix(text, name); begins && l.long[name].NoOptDefVal == "" {
			return []given{{l.long[name], unquoted(value), true}}, nil
		}
	}
	return l.letters(text), nil
}

// find returns the option that has a long name, or alone begins with it.
func (l *scriptLine) find(name string) (*pflag.Flag, error) {
	if f := l.long[name]; f != nil || name == "" {
		return f, nil
	}
	var found []string
	for _, long := range l.known {
		if strings.HasPrefix(long, name) {
			found = append(found, "--"+long)
		}
	}
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		return l.long[strings.TrimPrefix(found[0], "--")], nil
	}
	return nil, fmt.Errorf("cannot tell which option %s is: %s", name, strings.Join(found, " or "))
}

// letters reads options of one letter that stand together; the last one may have its value there too.
func (l *scriptLine) letters(text string) (list []given) {
	for i := range len(text) {
		f := l.short[text[i:i+1]]
		if f == nil {
			return nil
		}
		o := given{flag: f}
		if rest := text[i+1:]; f.NoOptDefVal == "" && rest != "" {
			o.value, o.valued = unquoted(rest), true
			return append(list, o)
		}
		list = append(list, o)
	}
	return list
}

// isOption says whether an argument cannot be the value of the option before it.
func (l *scriptLine) isOption(arg string) bool {
	options, err := l.read(arg)
	return arg == "--" || err != nil || len(options) > 0
}

// unquoted takes the quotes off a value that were quoted themselves.
func unquoted(value string) string {
	if inner, ok := strings.CutPrefix(value, `"`); ok {
		if inner, ok = strings.CutSuffix(inner, `"`); ok && !strings.Contains(inner, `"`) {
			return inner
		}
	}
	return value
}
