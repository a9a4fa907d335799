package admin

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

// change is one thing that a command is about to do to a server.
type change struct {
	name    string // what, in short, for errors; empty when what is short
	what    string // such as "delete topic orders (8 queues, 1200 messages) at broker-a (127.0.0.1:10911)"
	now     string // what is there before it, such as `it is "b"`; empty when that is not said
	do      func(context.Context) error
	details []string // of many things done in one request, what happens to each
}

// dryRunFlag adds --dry-run to a command that changes what cannot be brought back, or much at once.
func dryRunFlag(c *cobra.Command, dryRun *bool) {
	c.Flags().BoolVar(dryRun, "dry-run", false, "only say what would be changed")
}

// carry says what each change will touch, and then makes them one after the other. It ends at the first that fails and says what is done by then. With
// dryRun nothing is done.
func (a *Admin) carry(ctx context.Context, dryRun bool, changes []change) error {
	verb := "will"
	if dryRun {
		verb = "would"
	}
	for _, c := range changes {
		if c.now == "" {
			a.say("%s %s", verb, c.what)
		} else {
			a.say("%s %s; %s", verb, c.what, c.now)
		}
		for _, detail := range c.details {
			a.say("  %s", detail)
		}
	}
	if dryRun {
		a.say("nothing was changed: this was a dry run")
		return nil
	}
	for i, c := range changes {
		if err := c.do(ctx); err != nil {
			if len(changes) > 1 {
				err = fmt.Errorf("%w\n%d of %d changes were made before this one", err, i, len(changes))
			}
			return fmt.Errorf("cannot %s: %w", cmp.Or(c.name, c.what), err)
		}
	}
	return nil
}

// carryAt is carry for a change at each of some brokers.
func (a *Admin) carryAt(ctx context.Context, dryRun bool, all []member, of func(member) (change, error)) error {
	changes, err := changesAt(all, of)
	if err != nil {
		return err
	}
	return a.carry(ctx, dryRun, changes)
}

// changesAt are a change for each broker.
func changesAt(all []member, of func(member) (change, error)) (changes []change, _ error) {
	for _, m := range all {
		c, err := of(m)
		if err != nil {
			return nil, err
		}
		changes = append(changes, c)
	}
	return changes, nil
}
