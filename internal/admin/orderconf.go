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

// orderChange is what tells NameServers which brokers an ordered topic is on: "broker-a:8;broker-b:8". For one broker, what is known of the others stays.
func (a *Admin) orderChange(ctx context.Context, to target, masters []member, t *protocol.TopicConfig) (conf string, _ change, _ error) {
	entries := make(map[string]string)
	if to.broker != "" {
		name, err := a.brokerName(ctx, to.broker)
		if err != nil {
			return "", change{}, err
		}
		known, err := a.names.KVConfig(ctx, protocol.NamespaceOrderTopicConfig, t.TopicName)
		if err != nil && !refused(err, protocol.CodeQueryNotFound) {
			return "", change{}, err
		}
		for one := range strings.SplitSeq(known, ";") {
			if broker, _, ok := strings.Cut(one, ":"); ok {
				entries[broker] = one
			}
		}
		conf = fmt.Sprintf("%s:%d", name, t.WriteQueueNums)
		entries[name] = conf
	} else {
		for _, m := range masters {
			entries[m.name] = fmt.Sprintf("%s:%d", m.name, t.WriteQueueNums)
		}
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		list = append(list, entries[name])
	}
	all := strings.Join(list, ";")
	if to.broker == "" {
		conf = all
	}
	return conf, change{what: fmt.Sprintf("set the order of topic %s at %s to %s", t.TopicName, a.namesrvAddr, all), do: func(ctx context.Context) error {
		return a.names.PutKVConfig(ctx, protocol.NamespaceOrderTopicConfig, t.TopicName, all)
	}}, nil
}

// brokerName is the name of the broker at an address.
func (a *Admin) brokerName(ctx context.Context, addr string) (string, error) {
	all, err := a.members(ctx, target{})
	if err != nil {
		return "", err
	}
	for _, m := range all {
		if m.addr == addr {
			return m.name, nil
		}
	}
	return "", fmt.Errorf("the NameServer at %s knows no broker at %s", a.namesrvAddr, addr)
}

func (a *Admin) updateOrderConf() *cobra.Command {
	var topic, conf, method string
	var dry bool
	c := a.command("updateOrderConf", "Show or change on which brokers an ordered topic is", func(ctx context.Context) error {
		old, err := a.names.KVConfig(ctx, protocol.NamespaceOrderTopicConfig, topic)
		if err != nil && (method == "get" || !refused(err, protocol.CodeQueryNotFound)) {
			return err
		}
		var do change
		switch method {
		case "get":
			return a.show(map[string]string{"topic": topic, "orderConf": old}, func(w io.Writer) {
				fmt.Fprintf(w, "get orderConf success. topic=[%s], orderConf=[%s] ", topic, old)
			})
		case "put":
			if conf == "" {
				return misuse(errors.New("please set orderConf with option -v"))
			}
			do = change{what: fmt.Sprintf("set the order of topic %s to %q at %s", topic, conf, a.namesrvAddr), now: fmt.Sprintf("it is %q", old), do: func(ctx context.Context) error {
				return a.names.PutKVConfig(ctx, protocol.NamespaceOrderTopicConfig, topic, conf)
			}}
		case "delete":
			do = change{what: fmt.Sprintf("delete the order of topic %s at %s", topic, a.namesrvAddr), now: fmt.Sprintf("it is %q", old), do: func(ctx context.Context) error {
				return a.names.DeleteKVConfig(ctx, protocol.NamespaceOrderTopicConfig, topic)
			}}
		default:
			return misuse(fmt.Errorf("cannot use method %q: it must be put, get or delete", method))
		}
		if err := a.carry(ctx, dry, []change{do}); err != nil || dry {
			return err
		}
		return a.show(map[string]string{"topic": topic, "orderConf": conf}, func(w io.Writer) {
			if method == "put" {
				fmt.Fprintf(w, "update orderConf success. topic=[%s], orderConf=[%s]", topic, conf)
			} else {
				fmt.Fprintf(w, "delete orderConf success. topic=[%s]", topic)
			}
		})
	})
	required(c, &topic, "topic", "t", "`TOPIC`")
	c.Flags().StringVarP(&conf, "orderConf", "v", "", "`BROKERS` and their numbers of queues: broker-a:8;broker-b:8")
	required(c, &method, "method", "m", "`METHOD`: put, get or delete")
	dryRunFlag(c, &dry)
	return c
}
