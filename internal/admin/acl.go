package admin

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/client"
	"github.com/liftoffmq/liftoff/internal/protocol"
)

// aclFlags are the flags of the commands that say what a subject may do.
type aclFlags struct {
	to                                             target
	subject, resources, actions, sources, decision string
}

func (f *aclFlags) add(c *cobra.Command) {
	f.to.either(c)
	required(c, &f.subject, "subject", "s", "`SUBJECT`, such as User:alice")
	required(c, &f.resources, "resources", "r", "`RESOURCES`, such as Topic:orders,Group:*")
	required(c, &f.actions, "actions", "a", "`ACTIONS`, such as Pub,Sub")
	c.Flags().StringVarP(&f.sources, "sourceIp", "i", "", "`ADDRESSES` it counts for; all unless given")
	required(c, &f.decision, "decision", "d", "`DECISION`: Allow or Deny")
}

// info is what the flags say: an entry for each resource.
func (f *aclFlags) info() *protocol.ACLInfo {
	var policy protocol.PolicyInfo
	for _, resource := range names(f.resources) {
		policy.Entries = append(policy.Entries, protocol.PolicyEntryInfo{Resource: resource, Actions: names(f.actions), SourceIPs: names(f.sources), Decision: f.decision})
	}
	return &protocol.ACLInfo{Subject: f.subject, Policies: []protocol.PolicyInfo{policy}}
}

func (a *Admin) createAcl() *cobra.Command {
	var f aclFlags
	c := a.command("createAcl", "Say what a subject may do", func(ctx context.Context) error {
		return a.everywhere(ctx, f.to, func(ctx context.Context, addr string) error {
			if err := a.pool.CreateACL(ctx, addr, f.info()); err != nil {
				return err
			}
			return a.told(addr, "create acl of "+f.subject, "create acl to %s success.\n", addr)
		})
	})
	f.add(c)
	return c
}

func (a *Admin) updateAcl() *cobra.Command {
	var f aclFlags
	c := a.command("updateAcl", "Say anew what a subject may do with some resources", func(ctx context.Context) error {
		return a.everywhere(ctx, f.to, func(ctx context.Context, addr string) error {
			if err := a.pool.UpdateACL(ctx, addr, f.info()); err != nil {
				return err
			}
			return a.told(addr, "update acl of "+f.subject, "update acl to %s success.\n", addr)
		})
	})
	f.add(c)
	return c
}

// aclText is what a subject may do with a resource or, when it is empty, with all.
func aclText(acl *protocol.ACLInfo, resource string) string {
	if acl == nil {
		return "(there is none)"
	}
	var entries []string
	for _, p := range acl.Policies {
		for _, e := range p.Entries {
			if resource == "" || e.Resource == resource {
				entry := fmt.Sprintf("%s %s %s", e.Decision, strings.Join(e.Actions, "+"), e.Resource)
				if len(e.SourceIPs) > 0 {
					entry += " from " + strings.Join(e.SourceIPs, "+")
				}
				entries = append(entries, entry)
			}
		}
	}
	return "(" + listed(entries) + ")"
}

func (a *Admin) deleteAcl() *cobra.Command {
	var to target
	var subject, resource string
	var dryRun bool
	c := a.command("deleteAcl", "Forget what a subject may do", func(ctx context.Context) error {
		all, err := a.members(ctx, to)
		if err != nil {
			return err
		}
		about := "all of the ACL of " + subject
		if resource != "" {
			about = "the ACL of " + subject + " for " + resource
		}
		return a.carryAt(ctx, dryRun, all, func(m member) (change, error) {
			acl, err := a.pool.ACL(ctx, m.addr, subject)
			return change{what: fmt.Sprintf("delete %s %s at %s", about, aclText(acl, resource), m.addr), do: func(ctx context.Context) error {
				if err := a.pool.DeleteACL(ctx, m.addr, subject, resource); err != nil {
					return err
				}
				return a.told(m.addr, "delete acl of "+subject, "delete acl to %s success.\n", m.addr)
			}}, err
		})
	})
	to.either(c)
	required(c, &subject, "subject", "s", "`SUBJECT`, such as User:alice")
	c.Flags().StringVarP(&resource, "resources", "r", "", "only for `RESOURCE`, such as Topic:orders")
	dryRunFlag(c, &dryRun)
	return c
}

const aclColumns = "%-16s  %-10s  %-22s  %-20s  %-24s  %-10s\n"

func printACLHead(w io.Writer) {
	fmt.Fprintf(w, aclColumns, "#Subject", "#PolicyType", "#Resource", "#Actions", "#SourceIp", "#Decision")
}

func printACL(w io.Writer, acl *protocol.ACLInfo) {
	if len(acl.Policies) == 0 {
		fmt.Fprintf(w, aclColumns, acl.Subject, "", "", "", "", "")
	}
	for _, p := range acl.Policies {
		for _, e := range p.Entries {
			fmt.Fprintf(w, aclColumns, acl.Subject, cmp.Or(p.PolicyType, "null"), e.Resource, javaList(e.Actions), javaList(e.SourceIPs), e.Decision)
		}
	}
}

func (a *Admin) getAcl() *cobra.Command {
	var to target
	var subject string
	c := a.command("getAcl", "Show what a subject may do", func(ctx context.Context) error {
		all, err := a.masters(ctx, to)
		if err != nil {
			return err
		}
		known := false
		for _, m := range all {
			acl, err := a.pool.ACL(ctx, m.addr, subject)
			if err != nil {
				return err
			}
			if acl == nil {
				continue
			}
			known = true
			if err := a.show(acl, func(w io.Writer) { printACLHead(w); printACL(w, acl) }); err != nil {
				return err
			}
		}
		if !known {
			return fmt.Errorf("no broker that was asked has an ACL of %q", subject)
		}
		return nil
	})
	to.either(c)
	c.Flags().StringVarP(&subject, "subject", "s", "", "`SUBJECT`, such as User:alice")
	return c
}

func (a *Admin) listAcl() *cobra.Command {
	var to target
	var subject, resource string
	c := a.command("listAcl", "Show what subjects may do", func(ctx context.Context) error {
		all, err := a.masters(ctx, to)
		if err != nil {
			return err
		}
		for _, m := range all {
			acls, err := a.pool.ACLs(ctx, m.addr, subject, resource)
			if err != nil {
				return err
			}
			if len(acls) == 0 {
				continue
			}
			if err := a.show(acls, func(w io.Writer) {
				printACLHead(w)
				for _, acl := range acls {
					printACL(w, acl)
				}
			}); err != nil {
				return err
			}
		}
		return nil
	})
	to.either(c)
	c.Flags().StringVarP(&subject, "subject", "s", "", "only subjects with `TEXT` in them")
	c.Flags().StringVarP(&resource, "resource", "r", "", "only resources with `TEXT` in them")
	return c
}

func (a *Admin) copyAcl() *cobra.Command {
	k := copier[protocol.ACLInfo]{kind: "acl", noun: "ACL of ", label: "copy acl of ",
		all: func(p *client.Pool, ctx context.Context, addr string) ([]*protocol.ACLInfo, error) {
			return p.ACLs(ctx, addr, "", "")
		},
		find: (*client.Pool).ACL, create: (*client.Pool).CreateACL, update: (*client.Pool).UpdateACL,
		name:     func(acl *protocol.ACLInfo) string { return acl.Subject },
		text:     func(acl *protocol.ACLInfo) string { return "the ACL of " + acl.Subject + " " + aclText(acl, "") },
		replaced: func(old *protocol.ACLInfo) string { return "changes " + aclText(old, "") }}
	return k.command(a, "copyAcl", "Copy what subjects may do from one broker to another", "subjects", "SUBJECTS", "s")
}
