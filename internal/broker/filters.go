package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/filter"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/store"
)

// filters are the SQL expressions of groups, kept in config/consumerFilter.json.
//
// A heartbeat makes one, with the time as its birth; another expression makes another. It is dead from when the group has no consumer
// any more, or none that subscribes to the topic; it comes to life with the next, and is forgotten filterDataCleanTimeSpan after it
// died. Until then the bits that it gets in messages' bit maps (bits) stay true, which is what birth and death are for: a
// message that was stored after the birth has the filter's bits if the filter wants it.
//
// A kill costs what changed in the last moments. Then the next heartbeat makes a filter that is younger than it was, so that
// bit maps count for fewer messages, and nothing worse.
type filters struct {
	settings *atomic.Pointer[settings]
	log      *slog.Logger
	sql      *sqlFilters
	file     *saved
	bloom    filter.Bloom

	mu      sync.RWMutex                       // protects the fields below; clients.mu may be held
	byGroup map[string]map[string]*groupFilter // by topic within
	byTopic map[string][]*groupFilter          // the slices do not change
	timer   *time.Timer                        // set when there is a dead one, to when the first is to be forgotten or before
	closed  bool
	cleans  sync.WaitGroup
}

// groupFilter is what a group wants of a topic. Its DeadTime and ClientVersion are protected by filters.mu.
type groupFilter struct {
	consumerFilterData
	sql *sqlFilter
	sub *subscription
}

// consumerFiltersFile is the content of consumerFilter.json.
type consumerFiltersFile struct {
	FilterDataByTopic map[string]*topicFiltersData `json:"filterDataByTopic"`
}

type topicFiltersData struct {
	GroupFilterData map[string]*consumerFilterData `json:"groupFilterData"`
	Topic           string                         `json:"topic"`
}

// consumerFilterData is one filter in the file. Times are Unix milliseconds; DeadTime is 0 while it is alive.
type consumerFilterData struct {
	BloomFilterData *bloomFilterData `json:"bloomFilterData"`
	BornTime        int64            `json:"bornTime"`
	ClientVersion   int64            `json:"clientVersion"`
	ConsumerGroup   string           `json:"consumerGroup"`
	Dead            bool             `json:"dead"` // follows from the times
	DeadTime        int64            `json:"deadTime"`
	Expression      string           `json:"expression"`
	ExpressionType  string           `json:"expressionType"`
	Topic           string           `json:"topic"`
}

type bloomFilterData struct {
	BitNum int32   `json:"bitNum"`
	BitPos []int32 `json:"bitPos"`
}

func (d *consumerFilterData) isDead() bool { return d.DeadTime >= d.BornTime }

// openFilters reads consumerFilter.json.
func openFilters(path string, b *Broker) (*filters, error) {
	cfg := b.settings.Load()
	f := &filters{settings: &b.settings, log: b.log, sql: &b.sql, byGroup: map[string]map[string]*groupFilter{}, byTopic: map[string][]*groupFilter{},
		bloom: filter.NewBloom(cfg.BloomErrorPercent, cfg.BloomConsumers)}
	noChanges := func([]byte) error { return errors.New("there are no changes beside this file") }
	var err error
	f.file, err = openSaved(path, f.log, savedTable{load: f.load, apply: noChanges, encode: f.encode})
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.arm(time.Now())
	return f, nil
}

func (f *filters) close() error {
	f.mu.Lock()
	f.closed = true
	if f.timer != nil && f.timer.Stop() {
		f.cleans.Done()
	}
	f.mu.Unlock()
	f.cleans.Wait()
	return f.file.close()
}

// load takes the file's filters, as dead ones. They are given up altogether when one has other bits than it would get now, for then
// all bit maps are of another size.
func (f *filters) load(data []byte) error {
	var file consumerFiltersFile
	if err := fastjson.Unmarshal(data, &file); err != nil {
		return err
	}
	clear(f.byGroup)
	clear(f.byTopic)
	now := time.Now().UnixMilli()
	for _, topic := range file.FilterDataByTopic {
		if topic == nil {
			continue
		}
		for _, d := range topic.GroupFilterData {
			if d == nil {
				continue
			}
			if !f.validBits(d.BloomFilterData) {
				f.log.Info("the filters of consumerFilter.json are given up, for expectConsumerNumUseFilter or maxErrorRateOfBloomFilter has changed")
				clear(f.byGroup)
				clear(f.byTopic)
				return nil
			}
			g, err := f.make(*d)
			if err != nil {
				f.log.Warn("a filter of consumerFilter.json is given up", "topic", d.Topic, "group", d.ConsumerGroup, "err", err)
				continue
			}
			if g.DeadTime == 0 {
				g.DeadTime = max(now-30_000, g.BornTime)
			}
			f.put(g)
		}
	}
	return nil
}

func (f *filters) validBits(d *bloomFilterData) bool {
	return d != nil && int(d.BitNum) == f.bloom.Bits && len(d.BitPos) == f.bloom.Hashes &&
		!slices.ContainsFunc(d.BitPos, func(p int32) bool { return p < 0 || p >= d.BitNum })
}

// make makes a filter ready.
func (f *filters) make(d consumerFilterData) (*groupFilter, error) {
	if d.ExpressionType != protocol.ExpressionSQL92 {
		return nil, errExpressionType(d.ExpressionType)
	}
	sql, err := f.sql.get([]byte(d.Expression))
	if err != nil {
		return nil, err
	}
	g := &groupFilter{consumerFilterData: d, sql: sql}
	own := sql.filter
	own.Bits = g.mayWant
	g.sub = &subscription{filter: own, SubscriptionData: protocol.SubscriptionData{Topic: d.Topic, SubString: d.Expression, SubVersion: d.ClientVersion, ExpressionType: d.ExpressionType}}
	return g, nil
}

// mayWant says whether a message may be wanted, by its bit map.
func (g *groupFilter) mayWant(storeTime int64, bitMap []byte) bool {
	d := g.BloomFilterData
	return storeTime <= g.BornTime || len(bitMap)*8 != int(d.BitNum) || filter.HasBits(bitMap, d.BitPos)
}

// bits appends the bit map of a message: the bits of all filters of its topic that want it, dead ones too. There is none for a topic
// without filters.
func (f *filters) bits(m *message.Dispatch, dst []byte) []byte {
	if !f.settings.Load().FilterBits {
		return dst
	}
	f.mu.RLock()
	list := f.byTopic[string(m.Topic)]
	f.mu.RUnlock()
	if len(list) == 0 {
		return dst
	}
	begin := len(dst)
	dst = append(dst, make([]byte, f.bloom.Bits/8)...)
	for _, g := range list {
		if g.sql.expr.Eval(m.Properties) == filter.True {
			filter.SetBits(dst[begin:], g.BloomFilterData.BitPos)
		}
	}
	return dst
}

// put adds a filter, in the place of an older one. mu is held.
func (f *filters) put(g *groupFilter) {
	f.remove(g.Topic, g.ConsumerGroup)
	within(f.byGroup, g.ConsumerGroup)[g.Topic] = g
	f.byTopic[g.Topic] = append(slices.Clone(f.byTopic[g.Topic]), g)
}

// remove takes a filter away, if it is there. mu is held.
func (f *filters) remove(topic, group string) {
	g := f.byGroup[group][topic]
	if g == nil {
		return
	}
	dropWithin(f.byGroup, group, topic)
	left := slices.DeleteFunc(slices.Clone(f.byTopic[topic]), func(other *groupFilter) bool { return other == g })
	if f.byTopic[topic] = left; len(left) == 0 {
		delete(f.byTopic, topic)
	}
}

// subscription finds the filter of a group that its pull of a version may use, or says why it may not.
func (f *filters) subscription(group, topic []byte, version int64) (*subscription, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	g := f.byGroup[string(group)][string(topic)]
	if g == nil {
		return nil, protocol.Errorf(protocol.CodeFilterDataNotExist, "The broker's consumer filter data is not exist!Your expression may be wrong!")
	}
	if g.ClientVersion < version {
		return nil, protocol.Errorf(protocol.CodeFilterDataNotLatest, "the consumer's consumer filter data not latest")
	}
	return g.sub, nil
}

// find finds the filter of a group, nil when there is none.
func (f *filters) find(group, topic string) *groupFilter {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.byGroup[group][topic]
}

// json is a filter as the file has it, "null" when there is none.
func (f *filters) json(group, topic string) (string, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	g := f.byGroup[group][topic]
	if g == nil {
		return "null", nil
	}
	d := g.consumerFilterData
	d.Dead = d.isDead()
	text, err := fastjson.MarshalIndent(&d)
	return string(text), err
}

// register takes what a group's consumer subscribes to.
func (f *filters) register(group string, subs []*protocol.SubscriptionData) {
	isSQL := func(s *protocol.SubscriptionData) bool { return s != nil && !s.IsTag() && s.SubString != "" }
	if !slices.ContainsFunc(subs, isSQL) {
		f.mu.RLock()
		none := f.byGroup[group] == nil
		f.mu.RUnlock()
		if none {
			return // as with nearly every heartbeat
		}
	}
	changed := false
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range subs {
		if isSQL(s) {
			changed = f.registerOne(group, s) || changed
		}
	}
	for topic, g := range f.byGroup[group] {
		if !g.isDead() && !slices.ContainsFunc(subs, func(s *protocol.SubscriptionData) bool { return s != nil && s.Topic == topic }) {
			f.die(g)
			changed = true
		}
	}
	if changed {
		f.file.touch()
	}
}

// registerOne says whether something has changed. mu is held.
func (f *filters) registerOne(group string, s *protocol.SubscriptionData) bool {
	old := f.byGroup[group][s.Topic]
	if old != nil && s.SubVersion <= old.ClientVersion {
		if s.SubVersion < old.ClientVersion || !old.isDead() {
			return false
		}
		old.DeadTime = 0
		return true
	}
	if old != nil && old.Expression == s.SubString && old.ExpressionType == s.ExpressionType {
		old.ClientVersion = s.SubVersion
		if old.isDead() {
			old.DeadTime = 0
		}
		return true
	}
	g, err := f.make(consumerFilterData{Topic: s.Topic, ConsumerGroup: group, Expression: s.SubString, ExpressionType: s.ExpressionType, ClientVersion: s.SubVersion,
		BloomFilterData: &bloomFilterData{BitNum: int32(f.bloom.Bits), BitPos: f.bloom.Positions(group, s.Topic)}})
	if err != nil {
		f.remove(s.Topic, group) // its pulls are refused then
		return old != nil
	}
	f.put(g)
	// A message whose bits were computed without this filter was stored before now.
	g.BornTime = time.Now().UnixMilli()
	f.log.Info("group filters a topic", "group", group, "topic", s.Topic, "expression", shown(s.SubString))
	return true
}

// die notes that nobody asks for the filter any more. mu is held.
func (f *filters) die(g *groupFilter) {
	g.DeadTime = max(time.Now().UnixMilli(), g.BornTime)
	f.arm(time.Now())
}

// unregister notes that a group has no consumer any more.
func (f *filters) unregister(group string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, g := range f.byGroup[group] {
		if !g.isDead() {
			f.die(g)
			f.file.touch()
		}
	}
}

// arm sets the timer to when the first dead filter is to be forgotten, unless it is set. mu is held.
func (f *filters) arm(now time.Time) {
	if f.timer != nil || f.closed {
		return
	}
	first := int64(-1)
	for _, list := range f.byTopic {
		for _, g := range list {
			if g.isDead() && (first < 0 || g.DeadTime < first) {
				first = g.DeadTime
			}
		}
	}
	if first < 0 {
		return
	}
	wait := time.UnixMilli(first).Add(f.settings.Load().FilterDataKept).Sub(now)
	f.cleans.Add(1)
	f.timer = time.AfterFunc(max(wait, time.Second), f.clean)
}

// clean forgets filters that are dead for too long.
func (f *filters) clean() {
	defer f.cleans.Done()
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.timer = nil
	f.forget(now)
	f.arm(now)
}

// forget takes away filters that are dead for too long. mu is held.
func (f *filters) forget(now time.Time) {
	before := now.Add(-f.settings.Load().FilterDataKept).UnixMilli()
	for _, list := range f.byTopic {
		for _, g := range list {
			if g.isDead() && g.DeadTime <= before {
				f.remove(g.Topic, g.ConsumerGroup)
				f.file.touch()
				f.log.Info("filter of a group without consumers is forgotten", "group", g.ConsumerGroup, "topic", g.Topic)
			}
		}
	}
}

func (f *filters) encode() ([]byte, error) {
	f.mu.RLock()
	file := consumerFiltersFile{FilterDataByTopic: make(map[string]*topicFiltersData, len(f.byTopic))}
	for topic, list := range f.byTopic {
		t := &topicFiltersData{Topic: topic, GroupFilterData: make(map[string]*consumerFilterData, len(list))}
		for _, g := range list {
			d := g.consumerFilterData
			d.Dead = d.isDead()
			t.GroupFilterData[d.ConsumerGroup] = &d
		}
		file.FilterDataByTopic[topic] = t
	}
	f.mu.RUnlock()
	data, err := fastjson.MarshalIndent(file)
	if err != nil {
		return nil, fmt.Errorf("cannot encode filters: %w", err)
	}
	return data, nil
}

// retried is a group's filter for its retry topic: that of the topic which a message was consumed from first. Messages of topics
// without one are all wanted.
func (f *filters) retried(s *subscription) *subscription {
	group := groupOfRetry(s.Topic)
	own := *s
	own.filter = store.Filter{Record: func(record []byte) bool {
		topic, _ := message.Property(message.RecordProperties(record), message.PropRetryTopic)
		g := f.find(group, string(topic))
		return g == nil || g.sql.filter.Record(record)
	}}
	return &own
}
