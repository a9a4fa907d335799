package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/spf13/cobra"
)

func (a *Admin) consumerConnection() *cobra.Command {
	var group, broker string
	c := a.command("consumerConnection", "Show a group's consumers and what they subscribe to", func(ctx context.Context) error {
		online, err := a.consumersOf(ctx, group, broker)
		if err != nil {
			return err
		}
		return a.show(online, func(w io.Writer) {
			fmt.Fprintf(w, "%-36s %-22s %-10s %s\n", "#ClientId", "#ClientAddr", "#Language", "#Version")
			for _, conn := range online.ConnectionSet {
				fmt.Fprintf(w, "%-36s %-22s %-10s %s\n", conn.ClientID, conn.ClientAddr, conn.Language, protocol.VersionName(conn.Version))
			}
			fmt.Fprintf(w, "\nBelow is subscription:\n%-20s %s\n", "#Topic", "#SubExpression")
			for _, topic := range slices.Sorted(maps.Keys(online.SubscriptionTable)) {
				s := online.SubscriptionTable[topic]
				fmt.Fprintf(w, "%-20s %s\n", s.Topic, s.SubString)
			}
			fmt.Fprintf(w, "\nConsumeType: %s\nMessageModel: %s\nConsumeFromWhere: %s\n", online.ConsumeType, online.MessageModel, online.ConsumeFromWhere)
		})
	})
	required(c, &group, "consumerGroup", "g", "`GROUP`")
	c.Flags().StringVarP(&broker, "brokerAddr", "b", "", "`ADDRESS` of the broker to ask; all unless given")
	return c
}

func (a *Admin) producerConnection() *cobra.Command {
	var group, topic string
	c := a.command("producerConnection", "Show a group's producers", func(ctx context.Context) error {
		brokers, err := a.brokers(ctx, topic)
		if err != nil {
			return err
		}
		all := &protocol.ConsumerConnection{}
		for _, b := range brokers {
			some, otherwise := a.pool.ProducerConnections(ctx, b.addr, group)
			if otherwise != nil {
				err = errors.Join(err, otherwise)
				continue
			}
			all.ConnectionSet = append(all.ConnectionSet, some.ConnectionSet...)
		}
		if len(all.ConnectionSet) == 0 {
			return errors.Join(errors.New("not found the producer group connection"), err)
		}
		sortConnections(all)
		return a.show(protocol.ProducerConnection{ConnectionSet: all.ConnectionSet}, func(w io.Writer) {
			for i, conn := range all.ConnectionSet {
				fmt.Fprintf(w, "%04d  %-32s %-22s %-8s %s\n", i+1, conn.ClientID, conn.ClientAddr, conn.Language, protocol.VersionName(conn.Version))
			}
		})
	})
	required(c, &group, "producerGroup", "g", "`GROUP`")
	required(c, &topic, "topic", "t", "`TOPIC` whose brokers are asked")
	return c
}
