package broker

import (
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/statefile"
)

// offsets are how far groups have consumed, kept in config/consumerOffset.json.
//
// The file is written flushConsumerOffsetInterval after the first commit that changed something since it was last written, and at close: a
// kill costs no more than that, and an idle broker writes nothing. What goes with a topic or a group is gone from it at once. When it is
// opened no offset is left ahead of its queue: a power cut may take messages whose consumption the file knows of.
//
// A commit may set an offset back, as in Apache, for so tools and some clients rewind, and so do resets and copying; who did it, from
// where and to where is logged (setback.go). Nothing else ever sets one back.
type offsets struct {
	path      string
	file      behind
	other     string // the file of the other setting of enableLmq, which counts when it is newer; "" when there is none
	interval  time.Duration
	settings  *atomic.Pointer[settings]
	log       *slog.Logger
	endOf     func(topic string, queue int32) int64 // the offset behind a queue's newest message
	isThere   func(topic string) bool               // nil for always
	isGroup   func(group []byte) bool               // nil for always
	counts    *counts
	unsettled func() bool         // says whether something has come since settle; nil for no
	settle    func() (again bool) // is called before the file is written, and says whether it must be again soon; nil for nothing
	flush     func() error        // makes durable what the file relies on; nil for nothing

	mu      sync.RWMutex // protects the table; each groupOffsets has a lock of its own
	byGroup map[string]map[string]*groupOffsets
	version protocol.DataVersion
	commits atomic.Int64 // as Apache, the version counts every 500th

	backMu sync.Mutex      // protects back; taken inside groupOffsets.mu
	back   []*groupOffsets // those with setbacks that are not logged yet

	dirty atomic.Bool // file was touched, or write is about to look

	removals atomic.Int64 // how often a topic's or a group's offsets were removed
	writeMu  sync.Mutex   // one write at a time; protects the field below
	written  int64        // removals that the file has
}

// groupOffsets is how far one group is in one topic.
type groupOffsets struct {
	mu       sync.Mutex
	consumed map[int32]int64
	pulled   map[int32]int64 // the last offset given out; not kept
	reset    map[int32]int64 // where the next pull shall begin; never in the file
	out      *groupCounts    // found at the first pull
	gone     bool            // it is not in the table any more
	backs    setbacks
}

// A committer is who commits an offset: a connection.
type committer interface{ RemoteAddr() net.Addr }

const offsetsPerVersion = 500

// consumerOffsets is the content of consumerOffset.json, and the answer to GET_ALL_CONSUMER_OFFSET 43. Keys are topic@group.
//
// Apache 5.5.0 writes a pullOffsetTable, too, which no version reads. 5.4.0 cannot even pass over it, for its keys are bare numbers: it gives up
// the file, and all groups go back to where they were long ago. So it is left out.
type consumerOffsets struct {
	DataVersion   protocol.DataVersion       `json:"dataVersion"`
	GroupTopicMap map[string][]string        `json:"groupTopicMap"`
	OffsetTable   map[string]map[int32]int64 `json:"offsetTable"`
}

// openOffsets reads the offsets from the folder of config/.
func openOffsets(dir string, b *Broker) (*offsets, error) {
	own, other := offsetFiles(dir, b.settings.Load().LightQueues)
	o := newOffsets(own, b)
	o.other = other
	if err := o.open(); err != nil {
		return nil, err
	}
	return o, nil
}

func newOffsets(path string, b *Broker) *offsets {
	o := &offsets{path: path, interval: b.settings.Load().FlushConsumerOffsetInterval, settings: &b.settings, log: b.log,
		endOf: func(topic string, queue int32) int64 { _, end := b.rangeOf(topic, queue); return end }, counts: b.counts, byGroup: map[string]map[string]*groupOffsets{}}
	o.file = behind{path: path, write: o.writeBehind, log: b.log}
	return o
}

func (o *offsets) open() error {
	c, err := chooseOffsets(o.path, o.other)
	if err != nil {
		return err
	}
	c.tell(o.log)
	o.take(c.table())
	o.version = c.version(time.Now().UnixMilli())
	o.stayBehindQueues()
	return nil
}

// take makes a file's table this one's.
func (o *offsets) take(file consumerOffsets) {
	for key, queues := range file.OffsetTable {
		topic, group, ok := splitTopicAtGroup(key)
		if !ok {
			o.log.Warn("entry of the offset file is not topic@group and is dropped", "file", o.path, "key", key)
			continue
		}
		of := o.put(group, topic)
		of.consumed = queues
	}
}

// topicAtGroup is how files and answers name a group's part of a topic.
func topicAtGroup(topic, group string) string { return topic + "@" + group }

// splitTopicAtGroup takes such a name apart. Neither name may contain an @.
func splitTopicAtGroup(key string) (topic, group string, ok bool) {
	topic, group, ok = strings.Cut(key, "@")
	return topic, group, ok && !strings.Contains(group, "@")
}

// stayBehindQueues sets offsets back that are ahead of their queues.
func (o *offsets) stayBehindQueues() {
	for group, topics := range o.byGroup {
		for topic, of := range topics {
			for queue, offset := range of.consumed {
				if end := o.endOf(topic, queue); offset > end {
					hint := ""
					if end == 0 {
						hint = "it has no messages; if its folder was removed, stop the broker, and liftoff store check --repair makes it anew"
					}
					o.log.Warn("consumer offset was ahead of its queue and is set back to its end", "group", group, "topic", topic,
						"queue_id", queue, "from", offset, "to", end, "hint", hint)
					of.consumed[queue] = end
					o.touch()
				}
			}
		}
	}
}

// find returns a group's offsets in a topic, nil when there are none. It copies no name.
func (o *offsets) find(group, topic string) *groupOffsets {
	return o.findBytes([]byte(group), []byte(topic))
}

func (o *offsets) findBytes(group, topic []byte) *groupOffsets {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.byGroup[string(group)][string(topic)]
}

// make returns a group's offsets in a topic, made when there are none. If the topic was deleted just now they are nobody's: those who
// delete one remove its offsets once it is not there any more, and what came later would stay for the next topic of that name.
func (o *offsets) make(group, topic string) *groupOffsets {
	if of := o.find(group, topic); of != nil {
		return of
	}
	of := o.put(group, topic)
	if o.isThere != nil && !o.isThere(topic) {
		o.drop(group, topic, of)
	}
	return of
}

// known returns a group's offsets in a topic for who consumes it, made when there are none. If the group was deleted just now, they are nobody's
// either. Who only commits, resets or copies may do so before there is a group, as in Apache.
func (o *offsets) known(group, topic []byte) *groupOffsets {
	of := o.findBytes(group, topic)
	if of == nil {
		of = o.make(string(group), string(topic))
		if o.isGroup != nil && !o.isGroup(group) {
			o.drop(string(group), string(topic), of)
		}
	}
	return of
}

// drop takes of out of the table, and not those of a topic or group that was made again.
func (o *offsets) drop(group, topic string, of *groupOffsets) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.byGroup[group][topic] == of {
		o.dropLocked(group, topic)
	}
}

func (o *offsets) put(group, topic string) *groupOffsets {
	o.mu.Lock()
	defer o.mu.Unlock()
	topics := within(o.byGroup, group)
	if topics[topic] == nil {
		topics[topic] = &groupOffsets{consumed: map[int32]int64{}}
	}
	return topics[topic]
}

// commit sets how far a group has consumed.
func (o *offsets) commit(group, topic []byte, queue int32, offset int64, from committer) {
	of := o.findBytes(group, topic)
	if of == nil {
		of = o.make(string(group), string(topic))
	}
	o.commitIn(of, group, topic, queue, offset, from)
}

// commitKnown is commit for who consumes.
func (o *offsets) commitKnown(group, topic []byte, queue int32, offset int64, from committer) {
	o.commitIn(o.known(group, topic), group, topic, queue, offset, from)
}

func (o *offsets) commitIn(of *groupOffsets, group, topic []byte, queue int32, offset int64, from committer) {
	of.mu.Lock()
	if of.gone { // with its topic or group, meanwhile
		of.mu.Unlock()
		return
	}
	old, known := of.consumed[queue]
	if !known || old != offset {
		of.consumed[queue] = offset
	}
	warn := known && offset < old && o.backLocked(of, group, topic, queue, old, offset, from)
	of.mu.Unlock()
	if warn {
		o.log.Warn("consumer offset was set back by a commit", "group", string(group), "topic", string(topic), "queue_id", queue,
			"from", old, "to", offset, "addr", from.RemoteAddr())
	}
	if o.commits.Add(1)%offsetsPerVersion == 0 {
		o.bumpVersion()
	}
	if !known || old != offset {
		o.touch()
	}
}

// byBroker is who commits offsets that no client asked for.
type byBroker struct{}

// RemoteAddr is the committer's.
func (byBroker) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// commitText is commitKnown for the broker itself.
func (o *offsets) commitText(group, topic string, queue int32, offset int64) {
	o.commitKnown([]byte(group), []byte(topic), queue, offset, byBroker{})
}

func (o *offsets) bumpVersion() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.version = o.version.Next(time.Now().UnixMilli())
}

// setPulled remembers the offset behind the last message that a pull was given, and returns where what pulls get is counted. It costs
// no write of the file.
func (o *offsets) setPulled(group, topic []byte, queue int32, offset int64) *groupCounts {
	of := o.known(group, topic)
	of.mu.Lock()
	defer of.mu.Unlock()
	if of.pulled == nil {
		of.pulled = map[int32]int64{}
	}
	if old, ok := of.pulled[queue]; !ok || old != offset {
		of.pulled[queue] = offset
	}
	if of.out == nil || of.out.gone.Load() {
		of.out = o.counts.ofGroup(string(topic), string(group))
	}
	return of.out
}

// query returns how far a group has consumed, or where a reset wants it to be; -1 when nobody knows.
func (o *offsets) query(group, topic string, queue int32) int64 {
	of := o.find(group, topic)
	if of == nil {
		return -1
	}
	of.mu.Lock()
	defer of.mu.Unlock()
	if to, ok := of.reset[queue]; ok && o.settings.Load().ServerSideResetOffset {
		return to
	}
	if offset, ok := of.consumed[queue]; ok {
		return offset
	}
	return -1
}

// popFrom returns how far a group has consumed, -1 when nobody knows, and whether a reset waits.
func (o *offsets) popFrom(group, topic string, queue int32) (consumed int64, reset bool) {
	of := o.find(group, topic)
	if of == nil {
		return -1, false
	}
	of.mu.Lock()
	defer of.mu.Unlock()
	if len(of.reset) > 0 {
		_, reset = of.reset[queue]
	}
	if offset, ok := of.consumed[queue]; ok {
		return offset, reset
	}
	return -1, reset
}

// queryPulled returns the offset behind the last message that a pull was given, or else how far the group has consumed.
func (o *offsets) queryPulled(group, topic string, queue int32) int64 {
	if of := o.find(group, topic); of != nil {
		of.mu.Lock()
		offset, ok := of.pulled[queue]
		of.mu.Unlock()
		if ok {
			return offset
		}
	}
	return o.query(group, topic, queue)
}

// reset sets how far a group has consumed, and makes its next pull begin there.
func (o *offsets) reset(group, topic string, queue int32, offset int64) {
	of := o.make(group, topic)
	of.mu.Lock()
	old, known := of.consumed[queue]
	if of.reset == nil {
		of.reset = map[int32]int64{}
	}
	of.reset[queue], of.consumed[queue] = offset, offset
	of.mu.Unlock()
	if !known {
		old = -1
	}
	o.log.Info("consumer offset was reset", "group", group, "topic", topic, "queue_id", queue, "from", old, "to", offset)
	o.touch()
}

// consumedIn returns a copy of a group's offsets in a topic by queue.
func (o *offsets) consumedIn(group, topic string) map[int32]int64 {
	of := o.find(group, topic)
	if of == nil {
		return nil
	}
	of.mu.Lock()
	defer of.mu.Unlock()
	return maps.Clone(of.consumed)
}

// clone sets a group's offsets in a topic to those that another has, if it has any.
func (o *offsets) clone(from, to, topic string, by committer) {
	consumed := o.consumedIn(from, topic)
	if len(consumed) == 0 {
		return
	}
	of := o.make(to, topic)
	of.mu.Lock()
	old := maps.Clone(of.consumed)
	of.consumed = maps.Clone(consumed)
	of.mu.Unlock()
	queues, more := changesOf(old, consumed)
	o.log.Info("consumer offsets were copied", "source_group", from, "group", to, "topic", topic, "queues", queues, "more_unnamed", more, "addr", by.RemoteAddr())
	o.touch()
}

// hasReset says whether a reset waits for the queue's next pull.
func (o *offsets) hasReset(group, topic string, queue int32) bool {
	of := o.find(group, topic)
	if of == nil {
		return false
	}
	of.mu.Lock()
	defer of.mu.Unlock()
	_, ok := of.reset[queue]
	return ok
}

// takeReset returns where a reset wants the next pull to begin, once.
func (o *offsets) takeReset(group, topic []byte, queue int32) (int64, bool) {
	of := o.findBytes(group, topic)
	if of == nil {
		return 0, false
	}
	of.mu.Lock()
	defer of.mu.Unlock()
	to, ok := of.reset[queue]
	delete(of.reset, queue)
	return to, ok
}

// topicsOf returns the topics that a group has offsets in.
func (o *offsets) topicsOf(group string) []string {
	o.mu.RLock()
	defer o.mu.RUnlock()
	var names []string
	for topic, of := range o.byGroup[group] {
		if of.isConsumed() {
			names = append(names, topic)
		}
	}
	slices.Sort(names)
	return names
}

// groupsOf returns the groups that have offsets in a topic.
func (o *offsets) groupsOf(topic string) []string {
	o.mu.RLock()
	defer o.mu.RUnlock()
	var names []string
	for group, topics := range o.byGroup {
		if of := topics[topic]; of != nil && of.isConsumed() {
			names = append(names, group)
		}
	}
	slices.Sort(names)
	return names
}

func (of *groupOffsets) isConsumed() bool {
	of.mu.Lock()
	defer of.mu.Unlock()
	return len(of.consumed) > 0
}

// removeTopic forgets all offsets in a topic, because it was deleted.
func (o *offsets) removeTopic(topic string) {
	var gone []string
	o.mu.Lock()
	for group := range o.byGroup {
		if o.dropLocked(group, topic) {
			gone = append(gone, group)
		}
	}
	o.mu.Unlock()
	if len(gone) > 0 {
		o.log.Info("consumer offsets were removed with their topic", "topic", topic, "groups", gone)
		o.removed()
	}
}

// removeGroup forgets all offsets of a group, because it was deleted.
func (o *offsets) removeGroup(group string) {
	o.mu.Lock()
	topics := slices.Sorted(maps.Keys(o.byGroup[group]))
	for _, topic := range topics {
		o.dropLocked(group, topic)
	}
	o.mu.Unlock()
	if len(topics) > 0 {
		o.log.Info("consumer offsets were removed with their group", "group", group, "topics", topics)
		o.removed()
	}
}

// remove forgets a group's offsets in a topic.
func (o *offsets) remove(group, topic string) {
	o.mu.Lock()
	had := o.dropLocked(group, topic)
	o.mu.Unlock()
	if had {
		o.removed()
	}
}

// dropLocked takes a group's offsets in a topic out of the table, and says whether there were any. o.mu is held.
func (o *offsets) dropLocked(group, topic string) bool {
	of := o.byGroup[group][topic]
	if of == nil {
		return false
	}
	dropWithin(o.byGroup, group, topic)
	of.mu.Lock()
	of.gone = true
	of.mu.Unlock()
	return true
}

// removed counts a removal, which is in the table.
func (o *offsets) removed() {
	o.removals.Add(1)
	o.touch()
}

// all returns the whole table as the file has it.
func (o *offsets) all() consumerOffsets {
	o.mu.RLock()
	defer o.mu.RUnlock()
	all := consumerOffsets{DataVersion: o.version, GroupTopicMap: map[string][]string{}, OffsetTable: map[string]map[int32]int64{}}
	for group, topics := range o.byGroup {
		for topic, of := range topics {
			key := topicAtGroup(topic, group)
			of.mu.Lock()
			if len(of.consumed) > 0 {
				all.OffsetTable[key] = maps.Clone(of.consumed)
				all.GroupTopicMap[group] = append(all.GroupTopicMap[group], topic)
			}
			of.mu.Unlock()
		}
		slices.Sort(all.GroupTopicMap[group])
	}
	return all
}

// touch makes the file be written within the interval.
func (o *offsets) touch() {
	if o.dirty.Load() || !o.dirty.CompareAndSwap(false, true) {
		return
	}
	o.file.touch(o.interval)
}

// writeBehind is write, unless a removal has written what there was.
func (o *offsets) writeBehind() error {
	if !o.dirty.Load() {
		return nil
	}
	err := o.write()
	if err != nil {
		o.dirty.Store(true)
	}
	return err
}

// write writes the file. It tells of no offset whose messages, or check points behind which it moved, a power cut could take: they are
// flushed before, and the file stays as it is while they cannot be for now. What is committed from its first line on may be in it or not,
// and makes touch set the timer again.
func (o *offsets) write() error {
	o.writeMu.Lock()
	defer o.writeMu.Unlock()
	return o.writeLocked()
}

// writeRemoved makes the file have all removals before it returns: what comes into a topic that is made again has offsets from 0 on, and a
// group that is put where it was would pass over it. Requests that remove at the same time share one write.
func (o *offsets) writeRemoved() error {
	o.writeMu.Lock()
	defer o.writeMu.Unlock()
	if o.written == o.removals.Load() {
		return nil
	}
	if err := o.writeLocked(); err != nil {
		o.touch()
		return fmt.Errorf("cannot write consumer offsets, and until they are written a crash may bring removed ones back: %w", err)
	}
	return nil
}

// writeLocked is write with writeMu held.
func (o *offsets) writeLocked() error {
	again := o.settle != nil && o.settle()
	o.dirty.Store(false)
	o.sayBacks()
	if again || o.unsettled != nil && o.unsettled() { // what has come since found it dirty
		o.touch()
	}
	removals := o.removals.Load()
	var file any = o.all()
	if o.settings.Load().LightQueues {
		file = file.(consumerOffsets).withLight()
	}
	data, err := fastjson.MarshalIndent(file)
	if err != nil {
		return err
	}
	if o.flush != nil {
		if err := o.flush(); err != nil {
			return fmt.Errorf("cannot flush what they rely on: %w", err)
		}
	}
	if err := statefile.Write(o.path, data); err != nil {
		return err
	}
	o.written = removals
	return nil
}

// flushForOffsets makes durable what consumer offsets rely on. In a store that has failed nothing is any more, and groups go on reading what
// it has: without their offsets they would get it again after the next start.
func (b *Broker) flushForOffsets() error {
	err := b.store.Flush()
	if b.store.HasFailed() {
		return nil
	}
	return err
}

// close writes the file a last time if something has changed.
func (o *offsets) close() error { return o.file.close() }
