package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/protocol"
)

// topSample is what `liftoff top` shows of one moment. What could not be asked for is told and not shown as 0: a rate of -1 is not known yet.
type topSample struct {
	Time    time.Time   `json:"time"`
	Brokers []topBroker `json:"brokers"`
	Topics  []topTopic  `json:"topics"`
	Groups  []topGroup  `json:"groups"`
	Errors  []string    `json:"errors,omitempty"`
}

type topBroker struct {
	Name    string  `json:"name"`
	ID      int64   `json:"id"`
	Addr    string  `json:"addr"`
	Version string  `json:"version"`
	Up      int64   `json:"upSeconds"`
	In      float64 `json:"inTps"` // messages a second in the last ten, as the broker counts
	Out     float64 `json:"outTps"`
	Backlog int64   `json:"backlogBytes"` // stored and not visible yet
	Disk    float64 `json:"disk"`         // part in use, -1: unknown
	Today   int64   `json:"messagesToday"`
}

type topTopic struct {
	Name     string  `json:"topic"`
	Rate     float64 `json:"tps"` // messages stored a second since the sample before
	Messages int64   `json:"messages"`
	Groups   int     `json:"groups"`
}

type topGroup struct {
	Name    string  `json:"group"`
	Lag     int64   `json:"lag"`
	Rate    float64 `json:"tps"` // messages consumed a second since the sample before
	Topics  int     `json:"topics"`
	Slowest string  `json:"slowestTopic"`
	Behind  int64   `json:"behindMillis"` // how old the message is that is consumed next where it is slowest, -1: unknown
}

// topSampler asks the cluster, seldom for what costs a broker more than a moment.
type topSampler struct {
	a *Admin
	t target

	positions map[string]position            // of topics and groups in the sample before
	topics    map[string][]string            // by address of a master, those that no group consumes, to be asked for one by one
	turn      map[string]int                 // which of them are next
	listed    time.Time                      // when topics were listed
	idle      map[string]map[string]topTopic // what they answered last, by name and master
	stats     map[string]*statsOf            // by address of a master
	own       map[string]bool                // names of clusters and brokers, which have topics of that name
}

// position is a count at a time.
type position struct {
	at    time.Time
	count int64
	rate  float64
}

// statsOf is the last answer about all groups of a broker, which may cost it much.
type statsOf struct {
	list *protocol.ConsumeStatsList
	at   time.Time
	took time.Duration
}

const (
	topicsAtOnce  = 16               // topics without groups that are asked for in one sample
	topicListLife = 30 * time.Second // of the list of topics
	statsShare    = 20               // answering about groups may take a broker one part in so many of its time
)

func (a *Admin) topSampler(t target) *topSampler {
	return &topSampler{a: a, t: t, positions: map[string]position{}, topics: map[string][]string{}, turn: map[string]int{}, idle: map[string]map[string]topTopic{}, stats: map[string]*statsOf{}, own: map[string]bool{}}
}

// sample asks for what is shown: one request to the NameServer, one or two to each broker, and some for topics that nobody consumes.
func (s *topSampler) sample(ctx context.Context) (*topSample, error) {
	all, err := s.a.members(ctx, s.t)
	if err != nil {
		return nil, err
	}
	out := &topSample{Time: time.Now()}
	topics, groups := map[string]*topTopic{}, map[string]*topGroup{}
	asked := map[string]bool{}
	for _, m := range all {
		s.own[m.name], s.own[m.cluster] = true, true
		info, err := s.a.pool.RuntimeInfo(ctx, m.addr)
		if err != nil {
			if ctx.Err() != nil {
				return nil, err
			}
			out.Errors = append(out.Errors, err.Error())
			continue
		}
		out.Brokers = append(out.Brokers, brokerOf(m, info, out.Time))
		if m.id != protocol.MasterID {
			continue
		}
		asked[m.addr] = true
		list, err := s.groupStats(ctx, m.addr)
		if err != nil {
			out.Errors = append(out.Errors, err.Error())
			continue
		}
		addStats(list, topics, groups, out.Time)
	}
	if err := s.quietTopics(ctx, asked, topics, out); err != nil {
		return nil, err
	}
	for name, t := range topics {
		t.Rate = s.rate("topic "+name, t.Messages, out.Time)
		out.Topics = append(out.Topics, *t)
	}
	for name, parts := range s.idle {
		if topics[name] == nil {
			out.Topics = append(out.Topics, sumOf(name, parts))
		}
	}
	for name, g := range groups {
		if g.Topics == 0 { // of brokers and tools, mostly
			continue
		}
		g.Rate = s.rate("group "+name, int64(g.Rate), out.Time)
		out.Groups = append(out.Groups, *g)
	}
	return out, nil
}

// sumOf is a topic on all brokers.
func sumOf(name string, parts map[string]topTopic) topTopic {
	t := topTopic{Name: name, Rate: -1}
	for _, part := range parts {
		t.Messages += part.Messages
		if part.Rate >= 0 {
			t.Rate = max(0, t.Rate) + part.Rate
		}
	}
	return t
}

// rate is by how much a count has grown a second since the sample before. An answer that was taken from memory keeps its rate.
func (s *topSampler) rate(key string, count int64, now time.Time) float64 {
	before, known := s.positions[key]
	if known && count == before.count && now.Sub(before.at) < 10*time.Second && before.rate > 0 {
		return before.rate
	}
	p := position{at: now, count: count, rate: -1}
	if known {
		p.rate = max(0, float64(count-before.count)/max(now.Sub(before.at).Seconds(), 0.001))
	}
	s.positions[key] = p
	return p.rate
}

// groupStats asks a broker for all groups, but not again before it had time for other things.
func (s *topSampler) groupStats(ctx context.Context, addr string) (*protocol.ConsumeStatsList, error) {
	last := s.stats[addr]
	began := time.Now()
	if last != nil && began.Sub(last.at) < last.took*statsShare {
		return last.list, nil
	}
	list, err := s.a.pool.BrokerConsumeStats(ctx, addr, false)
	if err != nil {
		return nil, err
	}
	s.stats[addr] = &statsOf{list, time.Now(), time.Since(began)}
	return list, nil
}

// addStats adds what a broker says of its groups. The offsets of a topic are the same in all groups that consume it.
func addStats(list *protocol.ConsumeStatsList, topics map[string]*topTopic, groups map[string]*topGroup, now time.Time) {
	ends := map[string]map[int32]int64{}
	for _, byGroup := range list.ConsumeStatsList {
		for name, stats := range byGroup {
			g := groups[name]
			if g == nil {
				g = &topGroup{Name: name, Behind: -1}
				groups[name] = g
			}
			for _, one := range stats {
				addGroupTopic(g, one, topics, ends, now)
			}
		}
	}
	for name, queues := range ends {
		for _, end := range queues {
			topics[name].Messages += end
		}
	}
}

func addGroupTopic(g *topGroup, stats protocol.ConsumeStats, topics map[string]*topTopic, ends map[string]map[int32]int64, now time.Time) {
	lag, behind, topic := int64(0), int64(-1), ""
	seen := map[string]bool{}
	for _, e := range stats.OffsetTable {
		name := e.Queue.Topic
		if topics[name] == nil {
			topics[name] = &topTopic{Name: name}
		}
		if ends[name] == nil {
			ends[name] = map[int32]int64{}
		}
		ends[name][e.Queue.QueueID] = max(ends[name][e.Queue.QueueID], e.Value.BrokerOffset)
		if !seen[name] {
			seen[name] = true
			g.Topics++
			topics[name].Groups++
		}
		topic = name
		left := max(0, e.Value.BrokerOffset-max(0, e.Value.ConsumerOffset))
		lag += left
		g.Rate += float64(max(0, e.Value.ConsumerOffset)) // of messages, until sample makes a rate of it
		if left > 0 && e.Value.LastTimestamp > 0 {
			behind = max(behind, now.UnixMilli()-e.Value.LastTimestamp)
		}
	}
	g.Lag += lag
	if lag > 0 && behind > g.Behind || g.Slowest == "" {
		g.Slowest, g.Behind = topic, behind
	}
}

// quietTopics asks for topics that no group consumes, some in each sample.
func (s *topSampler) quietTopics(ctx context.Context, masters map[string]bool, consumed map[string]*topTopic, out *topSample) error {
	if out.Time.Sub(s.listed) > topicListLife {
		s.listed = out.Time
		for addr := range masters {
			configs, err := s.a.pool.TopicConfigs(ctx, addr)
			if err != nil {
				out.Errors = append(out.Errors, err.Error())
				continue
			}
			s.topics[addr] = slices.DeleteFunc(sorted(configs.TopicConfigTable), func(name string) bool { return s.own[name] || isSystemTopic(name) })
		}
	}
	for addr := range masters {
		names := s.topics[addr]
		for asked := 0; asked < min(topicsAtOnce, len(names)); asked++ {
			name := names[s.turn[addr]%len(names)]
			s.turn[addr]++
			if consumed[name] != nil {
				continue
			}
			stats, err := s.a.pool.TopicStats(ctx, addr, name)
			var no *protocol.Error
			if errors.As(err, &no) { // deleted meanwhile
				delete(s.idle[name], addr)
				if len(s.idle[name]) == 0 {
					delete(s.idle, name)
				}
				continue
			}
			if err != nil {
				return err
			}
			t := topTopic{Name: name}
			for _, e := range stats.OffsetTable {
				t.Messages += e.Value.MaxOffset
			}
			t.Rate = s.rate("topic "+name+" "+addr, t.Messages, time.Now())
			if s.idle[name] == nil {
				s.idle[name] = map[string]topTopic{}
			}
			s.idle[name][addr] = t
		}
	}
	return nil
}

// isSystemTopic says whether brokers and clients made a topic for themselves, which would only crowd out the others.
func isSystemTopic(name string) bool {
	for _, prefix := range []string{"RMQ_SYS_", "rmq_sys_", retryPrefix, dlqPrefix, topicSchedule, "TBW102", "SELF_TEST_TOPIC", "OFFSET_MOVED_EVENT", "BenchmarkTest", topicCheckMax} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return strings.HasSuffix(name, "_REPLY_TOPIC")
}

// brokerOf reads what a broker says of itself.
func brokerOf(m member, info map[string]string, now time.Time) topBroker {
	number := func(keys ...string) float64 {
		for _, key := range keys {
			first, _, _ := strings.Cut(strings.TrimSpace(info[key]), " ") // of the last 10 s, 60 s, 600 s
			if v, err := strconv.ParseFloat(first, 64); err == nil {
				return v
			}
		}
		return -1
	}
	b := topBroker{Name: cmp.Or(m.name, info["brokerName"]), ID: m.id, Addr: m.addr, Version: info["brokerVersionDesc"],
		In: number("putTps"), Out: number(transferredTPS...), Backlog: int64(number("dispatchBehindBytes")),
		Disk: number("commitLogDiskRatio"), Today: -1}
	if boot := number("bootTimestamp"); boot > 0 {
		b.Up = (now.UnixMilli() - int64(boot)) / 1000
	}
	if total, morning := number("msgPutTotalTodayNow"), number("msgPutTotalTodayMorning"); total >= 0 && morning >= 0 {
		b.Today = int64(total - morning)
	}
	return b
}

// topOptions are what `liftoff top` was told.
type topOptions struct {
	target
	interval time.Duration
	once     bool
	sort     string
	rows     int
}

func (a *Admin) topCommand() *cobra.Command {
	var o topOptions
	c := &cobra.Command{
		Use:   "top",
		Short: "Show brokers, topics by rate and groups by lag, as they change",
		Long: `Show brokers, topics by rate and groups by lag, as they change: q ends it, r l n sort by rate, lag or name, + and - change the interval.
Where the output is no terminal, or with --once, it prints one look and ends. Each look costs one request to the NameServer, two to each
master, and up to 16 for topics that no group consumes; a broker that takes long over its groups is asked for them less often.`,
		Example: "  liftoff top\n  liftoff top --once --json -n 10.0.0.1:9876",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := readFlags(c.Flags()); err != nil {
				return err
			}
			if o.interval < 100*time.Millisecond {
				return misuse(fmt.Errorf("--interval=%s is wrong: it must be at least 100ms", o.interval))
			}
			if o.rows < 1 {
				return misuse(fmt.Errorf("--rows=%d is wrong: it must be at least 1", o.rows))
			}
			if !slices.Contains([]string{"rate", "lag", "name"}, o.sort) {
				return misuse(fmt.Errorf("--sort=%s is wrong: it must be rate, lag or name", o.sort))
			}
			return a.run(c.Context(), func(ctx context.Context) error { return a.top(ctx, o) })
		},
	}
	o.clusterFlag(c, "clusterName")
	o.brokerFlag(c)
	c.Flags().DurationVar(&o.interval, "interval", 2*time.Second, "time between two looks")
	c.Flags().BoolVar(&o.once, "once", false, "print one look and end; it takes one interval, for the rates")
	c.Flags().StringVar(&o.sort, "sort", "rate", "sort topics by rate or name, groups by lag, rate or name: rate, lag, name")
	c.Flags().IntVar(&o.rows, "rows", 20, "`ROWS` of topics and of groups to print at most; a terminal shows what fits")
	return c
}
