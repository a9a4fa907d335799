// Command liftoff is RocketMQ in one program: NameServer, broker, both together, a small client, and the tools of an operator.
//
// Called by the name of mqnamesrv, mqbroker or mqadmin, through a link, it takes the flags that RocketMQ's scripts of that name take.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/admin"
)

func main() {
	p := &program{name: os.Args[0], in: os.Stdin, out: os.Stdout, err: os.Stderr, exit: os.Exit}
	os.Exit(p.run(context.Background(), os.Args[1:]))
}

// program is one run of liftoff, so that a test can run it without a process.
type program struct {
	name     string // as it was called
	in       io.Reader
	out, err io.Writer
	exit     func(code int) // at once, without tidying up
}

// Exit codes.
const (
	exitOK      = 0
	exitFailed  = 1
	exitMisused = 2 // the command line or a configuration file is wrong
)

func (p *program) run(ctx context.Context, args []string) int {
	root := p.command()
	args, err := arguments(root, args)
	root.SetArgs(args)
	root.SetIn(p.in)
	root.SetOut(p.out)
	root.SetErr(p.err)
	if err == nil {
		err = root.ExecuteContext(ctx)
	}
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(p.err, "liftoff: "+strings.ReplaceAll(err.Error(), "\n", "\nliftoff: "))
	if errors.As(err, new(misuse)) || errors.As(err, new(admin.Misuse)) {
		return exitMisused
	}
	return exitFailed
}

// arguments puts what RocketMQ's scripts and tool take in the form that cobra understands.
func arguments(root *cobra.Command, args []string) ([]string, error) {
	if name := root.Name(); name == "mqnamesrv" || name == "mqbroker" {
		return scriptArgs(root, args)
	}
	return proxyArgs(admin.Args(root, args)), nil
}

// command is the tree of commands, or one of them when the program bears the name of a script of RocketMQ.
func (p *program) command() *cobra.Command {
	var root *cobra.Command
	switch name := strings.TrimSuffix(filepath.Base(p.name), ".exe"); name {
	case "mqnamesrv":
		root = script(p.namesrvCommand(), "mqnamesrv")
	case "mqbroker":
		root = script(p.brokerCommand(), "mqbroker")
	case "mqadmin":
		root = p.adminCommand("mqadmin")
	case "mqcontroller", "mqbrokercontainer", "mqproxy":
		return unbuilt(name)
	default:
		root = &cobra.Command{
			Use:   "liftoff",
			Short: "RocketMQ in one program",
			Long:  "Liftoff is RocketMQ in one program: NameServer, broker, both together, and a small client.",
			Args:  noCommand,
			RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
			// Completion scripts are not what a newcomer should see first.
			CompletionOptions:          cobra.CompletionOptions{HiddenDefaultCmd: true},
			SuggestionsMinimumDistance: 3,
		}
		root.AddCommand(p.serverCommand(), p.namesrvCommand(), p.brokerCommand(), p.sendCommand(), p.consumeCommand(),
			p.storeCommand(), p.adminCommand("admin"), p.versionCommand())
		root.AddCommand(p.admin().Tools()...)
	}
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(seeHelp)
	root.PersistentPreRunE = checkFlags
	tameHelp(root)
	tellMisuse(root)
	return root
}

// noCommand refuses arguments of a command that has none; the most likely cause is a command's misspelt name.
func noCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := ""
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		likest := slices.MaxFunc(near, func(x, y string) int { return likeness(x, args[0]) - likeness(y, args[0]) })
		if 2*likeness(likest, args[0]) >= len(args[0]) {
			hint = "; did you mean " + likest + "?"
		}
	}
	return misuse{fmt.Errorf("cannot make sense of %q%s; see %s --help", args[0], hint, c.CommandPath())}
}

// likeness is how many characters two words have in common at their beginnings and ends.
func likeness(x, y string) int {
	n := 0
	for n < min(len(x), len(y)) && x[n] == y[n] {
		n++
	}
	m := 0
	for m < min(len(x), len(y))-n && x[len(x)-1-m] == y[len(y)-1-m] {
		m++
	}
	return n + m
}
