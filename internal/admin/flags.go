package admin

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/liftoffmq/liftoff/internal/config"
)

// Misuse is an error in what was typed, whatever the cluster is like.
type Misuse struct{ err error }

func (m Misuse) Error() string { return m.err.Error() }
func (m Misuse) Unwrap() error { return m.err }

func misuse(err error) error { return Misuse{err} }

// readFlags takes blanks off the values of flags, as Apache's tool does: they come with what is pasted. It refuses addresses of brokers and
// controllers that cannot be any, and how many there cannot be of anything.
func readFlags(flags *pflag.FlagSet) (err error) {
	flags.Visit(func(f *pflag.Flag) {
		value := f.Value.String()
		if f.Value.Type() == "string" {
			value = strings.TrimSpace(value)
			_ = f.Value.Set(value)
		}
		var wrong error
		switch kind, _ := pflag.UnquoteUsage(f); kind {
		case "ADDRESS":
			if f.Name != "namesrvAddr" {
				_, wrong = config.ParseAddrs(value)
			}
		case "N", "BYTES", "SECONDS":
			if strings.HasPrefix(value, "-") {
				wrong = errors.New("it must not be below 0")
			}
		}
		if wrong != nil && err == nil {
			err = misuse(fmt.Errorf("%s %s is wrong: %w", FlagName(f), value, wrong))
		}
	})
	return err
}

// required adds a flag that must be given and that names something: `TOPIC`.
func required(c *cobra.Command, to *string, name, shorthand, usage string) {
	c.Flags().StringVarP(to, name, shorthand, "", usage)
	need(c, name)
}

// need marks flags as required.
func need(c *cobra.Command, names ...string) {
	for _, name := range names {
		_ = c.MarkFlagRequired(name)
	}
}

// boolArg is a flag that takes true or false as a word of its own, as Apache's tool has them.
type boolArg bool

func (b *boolArg) String() string { return strconv.FormatBool(bool(*b)) }
func (b *boolArg) Type() string   { return "true|false" }
func (b *boolArg) Set(s string) error {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "true":
		*b = true
	case "false":
		*b = false
	default:
		return errors.New("it must be true or false")
	}
	return nil
}

// boolFlag adds one.
func boolFlag(c *cobra.Command, to *bool, name, letter string, standard bool, usage string) {
	*to = standard
	c.Flags().VarP((*boolArg)(to), name, letter, usage)
}
