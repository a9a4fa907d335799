package admin

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/client"
)

// copier copies what brokers keep by name, users or ACLs, from one to another.
type copier[T any] struct {
	kind, noun, label string // user, "user ", "copy user ": in the line of Apache's tool, in errors, in the JSON
	all               func(p *client.Pool, ctx context.Context, addr string) ([]*T, error)
	find              func(p *client.Pool, ctx context.Context, addr, name string) (*T, error) // nil when there is none
	create, update    func(p *client.Pool, ctx context.Context, addr string, v *T) error
	name              func(*T) string
	text, replaced    func(*T) string // for saying what is copied, and what it does to the one that is there
}

// command makes the command; flag is the long name of the list of names.
func (k *copier[T]) command(a *Admin, use, short, flag, placeholder, shorthand string) *cobra.Command {
	var from, to, list string
	var dryRun bool
	c := a.command(use, short, func(ctx context.Context) error {
		chosen, err := k.choose(a.pool, ctx, from, list)
		if err != nil {
			return err
		}
		var changes []change
		for _, v := range chosen {
			name := k.name(v)
			old, err := k.find(a.pool, ctx, to, name)
			if err != nil {
				return err
			}
			what, put := fmt.Sprintf("copy %s from %s to %s", k.text(v), from, to), k.create
			if old != nil {
				what, put = what+", where it "+k.replaced(old), k.update
			}
			changes = append(changes, change{what: what, do: func(ctx context.Context) error {
				if err := put(a.pool, ctx, to, v); err != nil {
					return err
				}
				return a.told(to, k.label+name, "copy %s of %s from %s to %s success.\n", k.kind, name, from, to)
			}})
		}
		return a.carry(ctx, dryRun, changes)
	})
	required(c, &from, "fromBroker", "f", "`ADDRESS` of the broker that has them")
	required(c, &to, "toBroker", "t", "`ADDRESS` of the broker that shall have them")
	c.Flags().StringVarP(&list, flag, shorthand, "", "`"+placeholder+"`, separated by commas; all unless given")
	dryRunFlag(c, &dryRun)
	return c
}

// choose reads those that a list names, or all.
func (k *copier[T]) choose(p *client.Pool, ctx context.Context, from, list string) ([]*T, error) {
	if list == "" {
		return k.all(p, ctx, from)
	}
	var chosen []*T
	for _, name := range names(list) {
		v, err := k.find(p, ctx, from, name)
		if err != nil {
			return nil, err
		}
		if v == nil {
			return nil, fmt.Errorf("%s has no %s%s to copy", from, k.noun, name)
		}
		chosen = append(chosen, v)
	}
	return chosen, nil
}
