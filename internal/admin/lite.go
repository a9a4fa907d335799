package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/protocol"
)

// litePrefix begins the name of a lite topic's light queue. Part of the format.
const litePrefix = lightPrefix + "$"

// liteBrokers shows what each broker of a parent topic says; one that cannot does not keep the others from it.
func (a *Admin) liteBrokers(ctx context.Context, parent string, do func(ctx context.Context, b member) error) error {
	brokers, err := a.brokers(ctx, parent)
	if err != nil {
		return err
	}
	var failed error
	for _, b := range brokers {
		if err := do(ctx, b); err != nil {
			if err := a.text("[%s] error.\n", b.name); err != nil {
				return err
			}
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

// timeOr is a time as text, or instead when it was never.
func timeOr(ms int64, instead string) string {
	if ms <= 0 {
		return instead
	}
	return timeText(ms, timeMillis)
}

// now is the time in ms.
func now() int64 { return time.Now().UnixMilli() }

// atBroker is what a broker says, for machines.
type atBroker[V any] struct {
	Broker string `json:"broker"`
	Info   V      `json:"info"`
}

func (a *Admin) getBrokerLiteInfo() *cobra.Command {
	var to target
	var detail bool
	c := a.command("getBrokerLiteInfo", "Show what lite topics cost brokers", func(ctx context.Context) error {
		const columns = "%-30v %-17v %-10v %-14v %-20v %-17v %-15v %-18v %-15v\n"
		if err := a.text(columns, "#Broker", "#Store Type", "#Max LMQ", "#Current LMQ", "#SubscriptionCount", "#OrderInfoCount", "#CQTableSize", "#OffsetTableSize",
			"#eventMapSize"); err != nil {
			return err
		}
		return a.eachMaster(ctx, to, func(ctx context.Context, addr string) error {
			i, err := a.pool.BrokerLiteInfo(ctx, addr)
			if err != nil {
				if to.broker == "" {
					_ = a.text("[%s] error.\n", addr)
				}
				return err
			}
			return a.show(atBroker[*protocol.BrokerLiteInfo]{addr, i}, func(w io.Writer) {
				fmt.Fprintf(w, columns, addr, i.StoreType, i.MaxLmqNum, i.CurrentLmqNum, i.LiteSubscriptionCount, i.OrderInfoCount, i.CqTableSize, i.OffsetTableSize, i.EventMapSize)
				if detail {
					topics, _ := fastjson.Marshal(i.TopicMeta) // they were read from JSON
					groups, _ := fastjson.Marshal(i.GroupMeta)
					fmt.Fprintf(w, "Topic Meta: %s\nGroup Meta: %s\n\n", topics, groups)
				}
			})
		})
	})
	to.brokerFlag(c)
	to.clusterFlag(c, "cluster")
	c.MarkFlagsOneRequired("brokerAddr", "cluster")
	c.Flags().BoolVarP(&detail, "showDetail", "d", false, "show topics and groups too")
	return c
}

func (a *Admin) getParentTopicInfo() *cobra.Command {
	var parent string
	c := a.command("getParentTopicInfo", "Show how many lite topics a topic has", func(ctx context.Context) error {
		const columns = "%-50v %-8v %-14v %-14v %-100v \n"
		if err := a.text("Parent Topic Info: [%s]\n"+columns, parent, "#Broker Name", "#TTL", "#Lite Count", "#LMQ NUM", "#GROUPS"); err != nil {
			return err
		}
		return a.liteBrokers(ctx, parent, func(ctx context.Context, b member) error {
			i, err := a.pool.ParentTopicInfo(ctx, b.addr, parent)
			if err != nil {
				return err
			}
			return a.show(atBroker[*protocol.ParentTopicInfo]{b.name, i}, func(w io.Writer) {
				fmt.Fprintf(w, columns, clip(b.name, 40), i.TTL, i.LiteTopicCount, i.LmqNum, javaList(i.Groups))
			})
		})
	})
	parentFlag(c, &parent)
	return c
}

func parentFlag(c *cobra.Command, to *string) {
	c.Flags().StringVarP(to, "parentTopic", "p", "", "parent `TOPIC`")
	need(c, "parentTopic")
}

func (a *Admin) getLiteTopicInfo() *cobra.Command {
	var h protocol.GetLiteTopicInfoHeader
	var clients bool
	c := a.command("getLiteTopicInfo", "Show a lite topic", func(ctx context.Context) error {
		const columns = "%-50v %-14v %-14v %-30v %-12v %-18v \n"
		if err := a.text("Lite Topic Info: [%s] [%s] [%s]\n"+columns, h.ParentTopic, h.LiteTopic, litePrefix+h.ParentTopic+"$"+h.LiteTopic, "#Broker Name", "#MinOffset",
			"#MaxOffset", "#LastUpdate", "#Sharding", "#SubClientCount"); err != nil {
			return err
		}
		return a.liteBrokers(ctx, h.ParentTopic, func(ctx context.Context, b member) error {
			i, err := a.pool.LiteTopicInfo(ctx, b.addr, &h)
			if err != nil {
				return err
			}
			return a.show(atBroker[*protocol.LiteTopicInfo]{b.name, i}, func(w io.Writer) {
				o := i.TopicOffset
				fmt.Fprintf(w, columns, clip(b.name, 40), o.MinOffset, o.MaxOffset, timeOr(o.LastUpdateTimestamp, "-"), i.ShardingToBroker, len(i.Subscriber))
				if clients {
					list := make([]string, 0, len(i.Subscriber))
					for _, s := range i.Subscriber {
						list = append(list, s.ClientID+"@"+s.Group)
					}
					slices.Sort(list)
					fmt.Fprintln(w, javaList(list))
				}
			})
		})
	})
	parentFlag(c, &h.ParentTopic)
	required(c, &h.LiteTopic, "liteTopic", "l", "lite `TOPIC`")
	c.Flags().BoolVarP(&clients, "showClientId", "s", false, "show who subscribes to it")
	return c
}

func (a *Admin) getLiteClientInfo() *cobra.Command {
	var h protocol.GetLiteClientInfoHeader
	var detail bool
	c := a.command("getLiteClientInfo", "Show which lite topics a client subscribes to", func(ctx context.Context) error {
		const columns = "%-30v %-20v %-30v %-30v \n"
		if err := a.text("Lite Client Info: [%s] [%s] [%s]\n"+columns, h.ParentTopic, h.Group, h.ClientID, "#Broker", "#LiteTopicCount", "#LastAccessTime",
			"#LastConsumeTime"); err != nil {
			return err
		}
		return a.liteBrokers(ctx, h.ParentTopic, func(ctx context.Context, b member) error {
			i, err := a.pool.LiteClientInfo(ctx, b.addr, &h)
			if err != nil {
				return err
			}
			return a.show(atBroker[*protocol.LiteClientInfo]{b.name, i}, func(w io.Writer) {
				count := "N/A"
				if i.LiteTopicCount > 0 {
					count = fmt.Sprint(i.LiteTopicCount)
				}
				fmt.Fprintf(w, columns, b.name, count, timeOr(i.LastAccessTime, "N/A"), timeOr(i.LastConsumeTime, "N/A"))
				if detail && i.LiteTopicSet != nil {
					slices.Sort(i.LiteTopicSet)
					fmt.Fprintf(w, "Lite Topics: %s\n\n", javaList(i.LiteTopicSet))
				}
			})
		})
	})
	parentFlag(c, &h.ParentTopic)
	required(c, &h.Group, "group", "g", "`GROUP`")
	required(c, &h.ClientID, "clientId", "c", "`ID` of the client")
	c.Flags().BoolVarP(&detail, "showDetail", "s", false, "show the lite topics")
	return c
}

// liteLags is how far a group is behind in lite topics.
type liteLags struct {
	Group       string                             `json:"group"`
	ParentTopic string                             `json:"parentTopic"`
	LiteTopic   string                             `json:"liteTopic,omitempty"`
	Lag         int64                              `json:"totalLagCount"`
	Earliest    int64                              `json:"earliestUnconsumedTimestamp"`
	Offsets     map[string]*protocol.OffsetWrapper `json:"offsets,omitempty"` // by broker
	ByCount     []protocol.LiteLag                 `json:"lagCountTopK"`
	ByTime      []protocol.LiteLag                 `json:"lagTimestampTopK"`
}

func (a *Admin) getLiteGroupInfo() *cobra.Command {
	var h protocol.GetLiteGroupInfoHeader
	var parent string
	c := a.command("getLiteGroupInfo", "Show how far a group is behind in lite topics", func(ctx context.Context) error {
		l := &liteLags{Group: h.Group, ParentTopic: parent, LiteTopic: h.LiteTopic, Earliest: now(), Offsets: make(map[string]*protocol.OffsetWrapper)}
		brokers, err := a.brokers(ctx, parent)
		if err != nil {
			return err
		}
		var failed error
		var without []string
		for _, b := range brokers {
			i, err := a.pool.LiteGroupInfo(ctx, b.addr, &h)
			if err != nil {
				failed, without = errors.Join(failed, err), append(without, b.name)
				continue
			}
			l.Lag += max(i.TotalLagCount, 0)
			if i.EarliestUnconsumedTimestamp > 0 {
				l.Earliest = min(l.Earliest, i.EarliestUnconsumedTimestamp)
			}
			l.Offsets[b.name] = i.LiteTopicOffsetWrapper
			l.ByCount, l.ByTime = append(l.ByCount, i.LagCountTopK...), append(l.ByTime, i.LagTimestampTopK...)
		}
		slices.SortStableFunc(l.ByCount, func(x, y protocol.LiteLag) int { return cmp.Compare(y.LagCount, x.LagCount) })
		slices.SortStableFunc(l.ByTime, func(x, y protocol.LiteLag) int {
			return cmp.Compare(x.EarliestUnconsumedTimestamp, y.EarliestUnconsumedTimestamp)
		})
		if err := a.show(l, func(w io.Writer) { l.print(w, without) }); err != nil {
			return err
		}
		return failed
	})
	parentFlag(c, &parent)
	required(c, &h.Group, "group", "g", "`GROUP`")
	c.Flags().StringVarP(&h.LiteTopic, "liteTopic", "l", "", "only this lite `TOPIC`")
	c.Flags().Int32VarP(&h.TopK, "topK", "k", 20, "the `N` lite topics of each broker with most to do")
	return c
}

func (l *liteLags) print(w io.Writer, without []string) {
	fmt.Fprintf(w, "Lite Group Info: [%s] [%s]\n", l.Group, l.ParentTopic)
	const columns = "%-50v %-16v %-16v %-16v %-30v\n"
	if l.LiteTopic != "" {
		fmt.Fprintf(w, columns, "#Broker Name", "#BrokerOffset", "#ConsumeOffset", "#LagCount", "#LastUpdate")
		for _, name := range slices.Sorted(maps.Keys(l.Offsets)) {
			if o := l.Offsets[name]; o == nil {
				fmt.Fprintf(w, columns, name, "-", "-", "-", "-")
			} else {
				fmt.Fprintf(w, columns, name, o.BrokerOffset, o.ConsumerOffset, o.BrokerOffset-o.ConsumerOffset, timeOr(o.LastTimestamp, "-"))
			}
		}
	}
	for _, name := range without {
		fmt.Fprintf(w, "[%s] error.\n", name)
	}
	fmt.Fprintf(w, "Total Lag Count: %d\nMin Unconsumed Timestamp: %d (%d s ago)\n\n", l.Lag, l.Earliest, (now()-l.Earliest)/1000)
	if l.LiteTopic != "" {
		return
	}
	rows := func(title string, all []protocol.LiteLag) {
		fmt.Fprintf(w, "%s\n%-6s %-40s %-12s %-30s\n", title, "NO", "Lite Topic", "Lag Count", "UnconsumedTimestamp")
		for i, lag := range all {
			fmt.Fprintf(w, "%-6d %-40s %-12d %-30s\n", i+1, lag.LiteTopic, lag.LagCount, timeOr(lag.EarliestUnconsumedTimestamp, "-"))
		}
	}
	rows("------TopK by lag count-----", l.ByCount)
	rows("\n------TopK by lag time------", l.ByTime)
}

func (a *Admin) triggerLiteDispatch() *cobra.Command {
	var h protocol.TriggerLiteDispatchHeader
	var parent, broker string
	c := a.command("triggerLiteDispatch", "Let a group's clients look at all their lite topics again", func(ctx context.Context) error {
		brokers, err := a.brokers(ctx, parent)
		if err != nil {
			return err
		}
		if err := a.text("Group And Topic Info: [%s] [%s]\n\n", h.Group, parent); err != nil {
			return err
		}
		var failed error
		met := false
		for _, b := range brokers {
			if broker != "" && broker != b.name {
				continue
			}
			met = true
			result := "dispatched"
			if err := a.pool.TriggerLiteDispatch(ctx, b.addr, &h); err != nil {
				result, failed = "error", errors.Join(failed, err)
			}
			if err := a.show(done{b.name, result}, func(w io.Writer) { fmt.Fprintf(w, "%-30s %-12s\n", b.name, result) }); err != nil {
				return err
			}
		}
		if !met {
			return fmt.Errorf("topic %s is not on a broker %s", parent, broker)
		}
		return failed
	})
	parentFlag(c, &parent)
	required(c, &h.Group, "group", "g", "`GROUP`")
	c.Flags().StringVarP(&h.ClientID, "clientId", "c", "", "only the client with this `ID`")
	c.Flags().StringVarP(&broker, "brokerName", "b", "", "only at the broker with this `NAME`")
	return c
}
