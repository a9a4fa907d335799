package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/protocol"
)

func (a *Admin) namesrvCommands() []*cobra.Command {
	return []*cobra.Command{a.updateKvConfig(), a.deleteKvConfig(),
		a.writePerm("wipeWritePerm", "Let nobody send to a broker any more, as long as its NameServers run", "wipe"),
		a.writePerm("addWritePerm", "Let clients send to a broker again", "add"),
		a.getNamesrvConfig(), a.updateNamesrvConfig()}
}

// kvNow says what an entry of the KV configuration is now.
func (a *Admin) kvNow(ctx context.Context, namespace, key string) (string, error) {
	value, err := a.names.KVConfig(ctx, namespace, key)
	if refused(err, protocol.CodeQueryNotFound) {
		return "there is none", nil
	} else if err != nil {
		return "", err
	}
	return fmt.Sprintf("it is %q", value), nil
}

func (a *Admin) updateKvConfig() *cobra.Command {
	var namespace, key, value string
	var dry bool
	c := a.command("updateKvConfig", "Set an entry of the NameServers' KV configuration", func(ctx context.Context) error {
		now, err := a.kvNow(ctx, namespace, key)
		if err != nil {
			return err
		}
		put := change{what: fmt.Sprintf("set %s of %s to %q at %s", key, namespace, value, a.namesrvAddr), now: now, do: func(ctx context.Context) error {
			return a.names.PutKVConfig(ctx, namespace, key, value)
		}}
		if err := a.carry(ctx, dry, []change{put}); err != nil || dry {
			return err
		}
		return a.show(map[string]string{"namespace": namespace, "key": key, "value": value}, func(w io.Writer) {
			fmt.Fprintln(w, "create or update kv config to namespace success.")
		})
	})
	required(c, &namespace, "namespace", "s", "`NAMESPACE`")
	required(c, &key, "key", "k", "`KEY`")
	required(c, &value, "value", "v", "`VALUE`")
	dryRunFlag(c, &dry)
	return c
}

func (a *Admin) deleteKvConfig() *cobra.Command {
	var namespace, key string
	var dry bool
	c := a.command("deleteKvConfig", "Delete an entry of the NameServers' KV configuration", func(ctx context.Context) error {
		now, err := a.kvNow(ctx, namespace, key)
		if err != nil {
			return err
		}
		remove := change{what: fmt.Sprintf("delete %s of %s at %s", key, namespace, a.namesrvAddr), now: now, do: func(ctx context.Context) error {
			return a.names.DeleteKVConfig(ctx, namespace, key)
		}}
		if err := a.carry(ctx, dry, []change{remove}); err != nil || dry {
			return err
		}
		return a.show(map[string]string{"namespace": namespace, "key": key}, func(w io.Writer) {
			fmt.Fprintln(w, "delete kv config from namespace success.")
		})
	})
	required(c, &namespace, "namespace", "s", "`NAMESPACE`")
	required(c, &key, "key", "k", "`KEY`")
	dryRunFlag(c, &dry)
	return c
}

// permCount is what a NameServer has changed.
type permCount struct {
	NameServer string `json:"nameServer"`
	Topics     int32  `json:"topics"`
	Err        string `json:"error,omitempty"`
}

// writePerm is wipeWritePerm and addWritePerm. Every NameServer is asked, also when one fails, as a half of them is worse than before.
func (a *Admin) writePerm(name, about, verb string) *cobra.Command {
	var broker string
	var dry bool
	c := a.command(name, about, func(ctx context.Context) error {
		call, what := a.pool.WipeWritePerm, "take the permission to write from"
		if verb == "add" {
			call, what = a.pool.AddWritePerm, "give the permission to write to"
		}
		topics, err := a.topicsOf(ctx, broker)
		if err != nil {
			return err
		}
		done := []permCount{}
		var failed []error
		var changes []change
		for _, addr := range a.names.Addrs() {
			changes = append(changes, change{what: fmt.Sprintf("%s broker %s (%d topics) at %s", what, broker, topics, addr), do: func(ctx context.Context) error {
				n, err := call(ctx, addr, broker)
				one := permCount{NameServer: addr, Topics: n}
				if err != nil {
					one.Err = err.Error()
					failed = append(failed, err)
				}
				done = append(done, one)
				return nil
			}})
		}
		if err := a.carry(ctx, dry, changes); err != nil || dry {
			return err
		}
		err = a.show(done, func(w io.Writer) {
			for _, one := range done {
				if one.Err == "" {
					fmt.Fprintf(w, "%s write perm of broker[%s] in name server[%s] OK, %d\n", verb, broker, one.NameServer, one.Topics)
				} else {
					fmt.Fprintf(w, "%s write perm of broker[%s] in name server[%s] Failed\n", verb, broker, one.NameServer)
				}
			}
		})
		return errors.Join(append(failed, err)...)
	})
	required(c, &broker, "brokerName", "b", "`NAME` of the broker")
	dryRunFlag(c, &dry)
	return c
}

// topicsOf counts the topics of a broker group.
func (a *Admin) topicsOf(ctx context.Context, broker string) (int, error) {
	info, err := a.names.ClusterInfo(ctx)
	if err != nil {
		return 0, err
	}
	b := info.BrokerAddrTable[broker]
	if b == nil {
		return 0, fmt.Errorf("the NameServer at %s knows no broker %s; it knows %s", a.namesrvAddr, broker, listed(slices.Sorted(maps.Keys(info.BrokerAddrTable))))
	}
	topics, err := a.pool.TopicConfigs(ctx, b.Pick())
	if err != nil {
		return 0, err
	}
	return len(topics.TopicConfigTable), nil
}

func (a *Admin) getNamesrvConfig() *cobra.Command {
	return a.command("getNamesrvConfig", "Show the configuration of the NameServers", func(ctx context.Context) error {
		return a.showConfigs(ctx, a.names.Addrs(), a.pool.NamesrvConfig)
	})
}

// showConfigs prints the configurations of servers.
func (a *Admin) showConfigs(ctx context.Context, addrs []string, get func(context.Context, string) (map[string]string, error)) error {
	all := make(map[string]map[string]string)
	for _, addr := range addrs {
		cfg, err := get(ctx, addr)
		if err != nil {
			return err
		}
		all[addr] = cfg
	}
	return a.show(all, func(w io.Writer) {
		for _, addr := range addrs {
			fmt.Fprintf(w, "============%s============\n", addr)
			printConfig(w, all[addr])
		}
	})
}

// printConfig prints a key a line, in their order.
func printConfig(w io.Writer, cfg map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(cfg)) {
		fmt.Fprintf(w, "%-50s=  %s\n", key, cfg[key])
	}
}

// configChanges sets a key at servers. What it is now is said first.
func configChanges(ctx context.Context, servers []string, key, value string, get func(context.Context, string) (map[string]string, error),
	set func(context.Context, string, map[string]string) error) (changes []change, _ error) {
	for _, addr := range servers {
		cfg, err := get(ctx, addr)
		if err != nil {
			return nil, err
		}
		now := "it does not show this key now" // which one that is empty does not do either
		if is, shown := cfg[key]; shown {
			now = fmt.Sprintf("it is %q", is)
		}
		changes = append(changes, change{what: fmt.Sprintf("set %s to %q at %s", key, value, addr), now: now, do: func(ctx context.Context) error {
			return set(ctx, addr, map[string]string{key: value})
		}})
	}
	return changes, nil
}

func (a *Admin) updateNamesrvConfig() *cobra.Command {
	var key, value string
	var dry bool
	var c *cobra.Command
	c = a.command("updateNamesrvConfig", "Set a key of the NameServers' configuration", func(ctx context.Context) error {
		servers := ""
		if c.Flags().Changed("namesrvAddr") { // else Apache's tool does not name them
			servers = fmt.Sprintf("[%s]", strings.Join(a.names.Addrs(), ", "))
		}
		return a.updateConfigs(ctx, dry, a.names.Addrs(), fmt.Sprintf("update name server config success!%s\n%s : %s\n", servers, key, value), key, value,
			a.pool.NamesrvConfig, a.pool.UpdateNamesrvConfig)
	})
	required(c, &key, "key", "k", "`KEY`")
	required(c, &value, "value", "v", "`VALUE`")
	dryRunFlag(c, &dry)
	return c
}

// updateConfigs sets a key at NameServers or controllers, and then prints text.
func (a *Admin) updateConfigs(ctx context.Context, dry bool, servers []string, text, key, value string, get func(context.Context, string) (map[string]string, error),
	set func(context.Context, string, map[string]string) error) error {
	changes, err := configChanges(ctx, servers, key, value, get, set)
	if err != nil {
		return err
	}
	if err := a.carry(ctx, dry, changes); err != nil || dry {
		return err
	}
	return a.show(map[string]any{"servers": servers, "key": key, "value": value}, func(w io.Writer) {
		fmt.Fprint(w, text)
	})
}
