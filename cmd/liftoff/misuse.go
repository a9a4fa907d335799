package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/liftoffmq/liftoff/internal/admin"
)

// misuse is an error of whoever typed the command, or wrote the configuration file that it names.
type misuse struct{ error }

func (m misuse) Unwrap() error { return m.error }

// misused makes an error one of misuse.
func misused(err error) error {
	if err == nil {
		return nil
	}
	return misuse{err}
}

// tellMisuse makes what a command and those below it refuse to take errors of misuse.
func tellMisuse(c *cobra.Command) {
	if args := c.Args; args != nil {
		c.Args = func(c *cobra.Command, given []string) error {
			err := args(c, given)
			if _, told := err.(misuse); err == nil || told {
				return err
			}
			return seeHelp(c, err)
		}
	}
	for _, sub := range c.Commands() {
		tellMisuse(sub)
	}
}

func seeHelp(c *cobra.Command, err error) error {
	return misuse{fmt.Errorf("%w; see %s --help", err, c.CommandPath())}
}

// flagGroup is how cobra names flags that belong together.
var flagGroup = regexp.MustCompile(`\[[A-Za-z -]+\]`)

// checkFlags looks at ports, and at the flags that must be given, before cobra does, whose errors could not be told from others.
func checkFlags(c *cobra.Command, _ []string) error {
	if c.DisableFlagParsing {
		return nil
	}
	var wrong error
	c.Flags().Visit(func(f *pflag.Flag) {
		if f.Name != "port" && !strings.HasSuffix(f.Name, "-port") {
			return
		}
		if n, err := strconv.Atoi(f.Value.String()); err == nil && (n < 0 || n > 65535) {
			wrong = seeHelp(c, fmt.Errorf("--%s=%d is wrong: it must be from 0 to 65535", f.Name, n))
		}
	})
	if wrong != nil {
		return wrong
	}
	var missing []string
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if slices.Contains(f.Annotations[cobra.BashCompOneRequiredFlag], "true") && !f.Changed {
			missing = append(missing, admin.FlagName(f))
		}
	})
	if len(missing) > 0 {
		return seeHelp(c, fmt.Errorf("cannot do without %s", strings.Join(missing, ", ")))
	}
	if err := c.ValidateFlagGroups(); err != nil {
		text := flagGroup.ReplaceAllStringFunc(err.Error(), func(group string) string {
			names := strings.Fields(strings.Trim(group, "[]"))
			for i, name := range names {
				if f := c.Flags().Lookup(name); f != nil {
					names[i] = admin.FlagName(f)
				}
			}
			return "[" + strings.Join(names, ", ") + "]"
		})
		return seeHelp(c, fmt.Errorf("%s", text))
	}
	return nil
}
