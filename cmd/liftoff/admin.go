package main

import (
	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/admin"
)

// admin is what the commands for a whole cluster run with.
func (p *program) admin() *admin.Admin { return &admin.Admin{In: p.in, Out: p.out, Err: p.err} }

// adminCommand is mqadmin, under the name by which it is called.
func (p *program) adminCommand(use string) *cobra.Command {
	c := p.admin().MQAdmin(use)
	c.Args = noCommand
	return c
}
