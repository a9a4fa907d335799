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

// done is a change that was made at a broker, for machines.
type done struct {
	Broker string `json:"broker"`
	Done   string `json:"done"`
}

// told shows that a change was made, in the words of Apache's tool.
func (a *Admin) told(addr, what, format string, args ...any) error {
	return a.show(done{addr, what}, func(w io.Writer) { fmt.Fprintf(w, format, args...) })
}

// everywhere makes the same change at each broker that t names, masters and slaves.
func (a *Admin) everywhere(ctx context.Context, t target, do func(ctx context.Context, addr string) error) error {
	all, err := a.members(ctx, t)
	if err != nil {
		return err
	}
	for i, m := range all {
		if err := do(ctx, m.addr); err != nil {
			if i > 0 {
				err = fmt.Errorf("%w\n%d of %d brokers were changed before this one", err, i, len(all))
			}
			return err
		}
	}
	return nil
}

// userText names a user with what is known of it, but for the password.
func userText(name string, u *protocol.UserInfo) string {
	if u == nil {
		return "user " + name + " (there is none)"
	}
	return fmt.Sprintf("user %s (%s, %s)", name, cmp.Or(u.UserType, "Normal"), cmp.Or(u.UserStatus, "enable"))
}

func (a *Admin) createUser() *cobra.Command {
	var to target
	var u protocol.UserInfo
	c := a.command("createUser", "Add a user", func(ctx context.Context) error {
		return a.everywhere(ctx, to, func(ctx context.Context, addr string) error {
			if err := a.pool.CreateUser(ctx, addr, &u); err != nil {
				return err
			}
			return a.told(addr, "create user "+u.Username, "create user to %s success.\n", addr)
		})
	})
	to.either(c)
	required(c, &u.Username, "username", "u", "`NAME` of the user")
	required(c, &u.Password, "password", "p", "`PASSWORD`")
	c.Flags().StringVarP(&u.UserType, "userType", "t", "", "`TYPE`: Super or Normal, the standard")
	return c
}

func (a *Admin) updateUser() *cobra.Command {
	var to target
	var u protocol.UserInfo
	c := a.command("updateUser", "Change a user's password, type or status", func(ctx context.Context) error {
		return a.everywhere(ctx, to, func(ctx context.Context, addr string) error {
			if err := a.pool.UpdateUser(ctx, addr, &u); err != nil {
				return err
			}
			return a.told(addr, "update user "+u.Username, "update user to %s success.\n", addr)
		})
	})
	to.either(c)
	required(c, &u.Username, "username", "u", "`NAME` of the user")
	c.Flags().StringVarP(&u.Password, "password", "p", "", "new `PASSWORD`")
	c.Flags().StringVarP(&u.UserType, "userType", "t", "", "new `TYPE`: Super or Normal")
	c.Flags().StringVarP(&u.UserStatus, "userStatus", "s", "", "new `STATUS`: enable or disable")
	c.MarkFlagsOneRequired("password", "userType", "userStatus")
	return c
}

func (a *Admin) deleteUser() *cobra.Command {
	var to target
	var name string
	var dryRun bool
	c := a.command("deleteUser", "Remove a user", func(ctx context.Context) error {
		all, err := a.members(ctx, to)
		if err != nil {
			return err
		}
		return a.carryAt(ctx, dryRun, all, func(m member) (change, error) {
			u, err := a.pool.User(ctx, m.addr, name)
			return change{what: fmt.Sprintf("delete %s at %s", userText(name, u), m.addr), do: func(ctx context.Context) error {
				if err := a.pool.DeleteUser(ctx, m.addr, name); err != nil {
					return err
				}
				return a.told(m.addr, "delete user "+name, "delete user to %s success.\n", m.addr)
			}}, err
		})
	})
	to.either(c)
	required(c, &name, "username", "u", "`NAME` of the user")
	dryRunFlag(c, &dryRun)
	return c
}

const userColumns = "%-16s  %-22s  %-22s  %-22s\n"

func printUsers(w io.Writer, all []*protocol.UserInfo) {
	null := func(s string) string { return cmp.Or(s, "null") }
	fmt.Fprintf(w, userColumns, "#UserName", "#Password", "#UserType", "#UserStatus")
	for _, u := range all {
		fmt.Fprintf(w, userColumns, null(u.Username), null(u.Password), null(u.UserType), null(u.UserStatus))
	}
}

func (a *Admin) getUser() *cobra.Command {
	var to target
	var name string
	c := a.command("getUser", "Show a user", func(ctx context.Context) error {
		all, err := a.masters(ctx, to)
		if err != nil {
			return err
		}
		for _, m := range all {
			u, err := a.pool.User(ctx, m.addr, name)
			if err != nil {
				return err
			}
			if u != nil {
				return a.show(u, func(w io.Writer) { printUsers(w, []*protocol.UserInfo{u}) })
			}
		}
		return fmt.Errorf("no broker that was asked knows a user %q", name)
	})
	to.either(c)
	c.Flags().StringVarP(&name, "username", "u", "", "`NAME` of the user")
	return c
}

func (a *Admin) listUser() *cobra.Command {
	var to target
	var filter string
	c := a.command("listUser", "Show the users", func(ctx context.Context) error {
		all, err := a.masters(ctx, to)
		if err != nil {
			return err
		}
		for _, m := range all {
			users, err := a.pool.Users(ctx, m.addr, filter)
			if err != nil {
				return err
			}
			if len(users) > 0 {
				return a.show(users, func(w io.Writer) {
					printUsers(w, users)
					if to.broker == "" {
						fmt.Fprintf(w, "get user from %s success.\n", m.addr)
					}
				})
			}
		}
		return a.show([]*protocol.UserInfo{}, func(io.Writer) {})
	})
	to.either(c)
	c.Flags().StringVarP(&filter, "filter", "f", "", "only users with `TEXT` in their name")
	return c
}

// names splits a list at its commas.
func names(list string) []string {
	var all []string
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name != "" {
			all = append(all, name)
		}
	}
	return all
}

func (a *Admin) copyUser() *cobra.Command {
	k := copier[protocol.UserInfo]{kind: "user", noun: "user ", label: "copy user ",
		all: func(p *client.Pool, ctx context.Context, addr string) ([]*protocol.UserInfo, error) {
			return p.Users(ctx, addr, "")
		},
		find: (*client.Pool).User, create: (*client.Pool).CreateUser, update: (*client.Pool).UpdateUser,
		name:     func(u *protocol.UserInfo) string { return u.Username },
		text:     func(u *protocol.UserInfo) string { return userText(u.Username, u) },
		replaced: func(old *protocol.UserInfo) string { return "replaces " + userText(old.Username, old) }}
	return k.command(a, "copyUser", "Copy users from one broker to another", "usernames", "NAMES", "u")
}
