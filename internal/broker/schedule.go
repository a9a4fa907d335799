package broker

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/statefile"
	"github.com/liftoffmq/liftoff/internal/store"
)

// Messages delayed by a level.
//
// A message with DELAY=n waits in queue n-1 of SCHEDULE_TOPIC_XXXX. All messages of a level wait equally long, so that queue is in the
// order of delivery, and the dispatcher notes in its entries when each is due (store.Entry.TagsCode). One loop follows all levels: it
// stands at the time at which the first of the messages in front is due, moves what is due into its own topic, and only then moves
// the level's position. What is delivered again after a kill is the last round at most (delayprogress.go), and
// after a power cut what was moved since the positions were last written; nothing is lost and nothing comes early.
//
// The clock. Times are those of the wall clock, as in Apache: the loop looks at it each clockLook while anything waits, so a clock
// set ahead delivers what is then due. A message that is due later than its level's time from now seems to have been stored in the
// future: the clock was set back, or the level was longer then. It must neither come early nor wait for the clock to come round again;
// see ahead.

// schedule is how far the delay levels are delivered, kept in config/delayOffset.json.
type schedule struct {
	b      *Broker
	path   string
	file   behind
	levels []*delayLevel // level n is at n-1; does not change
	top    int           // the highest level that a message is given

	// Of the follower only.
	put      func(*store.Batch)
	woken    chan struct{}
	entries  []store.Entry
	puts     []store.Put
	from     []parked // where each of puts was
	buf      []byte
	failures int
	pause    time.Time // until which nothing is tried after a failure
	progress delayProgress
	stored   int64 // log offset behind what was delivered

	mu      sync.Mutex // protects the fields below
	reached map[int]int64
	version protocol.DataVersion
	changes int64
}

// delayLevel is one level. Only the follower uses the fields behind queue.
type delayLevel struct {
	level int
	delay time.Duration
	queue *store.Queue

	next    int64 // queue offset of the first message that is not delivered
	behind  int64 // what next becomes when this round's messages are stored
	due     int64 // when the message at next is due, ms; 0 when that is not known
	ahead   ahead
	unwatch func() // while the queue is watched because nothing waits in it
}

// delayOffsets is the content of delayOffset.json.
type delayOffsets struct {
	DataVersion *protocol.DataVersion `json:"dataVersion"`
	OffsetTable map[int]int64         `json:"offsetTable"`
}

// openSchedule reads delayOffset.json. Positions are never left outside their queue: a power cut may take messages, and old
// ones are deleted.
func openSchedule(path string, b *Broker) (*schedule, error) {
	s := &schedule{b: b, path: path, put: b.store.Put, woken: make(chan struct{}, 1), reached: map[int]int64{}}
	s.progress.path = strings.TrimSuffix(path, ".json") + ".progress"
	s.file = behind{path: path, write: s.write, log: b.log}
	s.version.Timestamp = time.Now().UnixMilli()
	if err := readState(path, s.b.log, s.load); err != nil {
		return nil, err
	}
	if err := s.takeProgress(); err != nil {
		return nil, err
	}
	cfg := b.settings.Load()
	delays, err := cfg.DelayDurations()
	if err != nil {
		return nil, err
	}
	s.top = len(delays)
	for i, d := range delays {
		s.add(i+1, d)
	}
	// Levels that are no more may have messages. Each entry knows when it is due.
	for _, q := range b.store.Queues(topicSchedule) {
		for level := len(s.levels) + 1; level <= min(int(q.ID())+1, delayLevelsMax) && q.MaxOffset() > 0; level++ {
			s.add(level, delays[len(delays)-1])
		}
	}
	return s, nil
}

// takeProgress goes on where a killed broker was.
func (s *schedule) takeProgress() error {
	kept, err := s.progress.read(s.b.store.Stats().Written)
	if err != nil {
		return err
	}
	for level, at := range kept {
		s.reached[level] = max(s.reached[level], at)
	}
	if len(kept) > 0 {
		if err := s.write(); err != nil {
			return err
		}
	}
	return s.progress.remove() // before the log grows to where it would be believed
}

func (s *schedule) add(level int, delay time.Duration) {
	l := &delayLevel{level: level, delay: delay, queue: s.b.store.Queue(topicSchedule, int32(level-1))}
	l.next = s.reached[level]
	if right := min(max(l.next, l.queue.MinOffset()), l.queue.MaxOffset()); right != l.next {
		s.b.log.Warn("position of a delay level was outside its queue and is set right", "level", level, "from", l.next, "to", right)
		l.next = right
		s.reached[level] = right
	}
	s.levels = append(s.levels, l)
}

func (s *schedule) load(data []byte) error {
	var file delayOffsets
	if err := fastjson.Unmarshal(data, &file); err != nil {
		return err
	}
	if file.OffsetTable != nil {
		s.reached = file.OffsetTable
	}
	if file.DataVersion != nil {
		s.version = *file.DataVersion
	}
	return nil
}

func (s *schedule) close() error {
	if err := s.file.close(); err != nil {
		return err
	}
	return s.progress.remove()
}

// write writes the file. It tells only of deliveries that are as durable as itself: a power cut must not take a message that
// had waited on the disk.
func (s *schedule) write() error {
	data, err := s.encode()
	if err != nil {
		return err
	}
	if err := s.b.store.Flush(); err != nil {
		return fmt.Errorf("cannot flush what it tells of: %w", err)
	}
	return statefile.Write(s.path, data)
}

func (s *schedule) encode() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fastjson.MarshalIndent(delayOffsets{DataVersion: &s.version, OffsetTable: s.reached})
}

// GET_ALL_DELAY_OFFSET 45.
//
// Behaviour: how far each level is delivered, as delayOffset.json has it.
func (b *Broker) getAllDelayOffset(*remoting.Request) (*remoting.Answer, error) {
	b.schedule.mu.Lock()
	defer b.schedule.mu.Unlock()
	return jsonAnswer(delayOffsets{DataVersion: &b.schedule.version, OffsetTable: b.schedule.reached})
}

// positions are how far the levels are delivered.
func (s *schedule) positions() map[int]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.reached)
}

// info adds to runtime information how far each level is and where its queue ends.
func (s *schedule) info(table map[string]string) {
	for level, at := range s.positions() {
		_, end := s.b.rangeOf(topicSchedule, int32(level-1))
		table["scheduleMessageOffset_"+strconv.Itoa(level)] = fmt.Sprintf("%d,%d", at, end)
	}
}

// divertDelayed puts a message into the queue of its delay level. A level above the highest is the highest.
func (b *Broker) divertDelayed(cfg *settings, level int, p *store.Put) error {
	if err := p.Queue.Refused(); err != nil { // now, for nobody could be told later
		return sendFailure(cfg, err)
	}
	level = min(level, b.schedule.top)
	props := make([]byte, 0, len(p.Properties)+len(p.Queue.Topic())+64)
	props = message.AppendPropertiesWithout(props, p.Properties, message.PropDelay, message.PropRealTopic, message.PropRealQueueID,
		message.PropTimerDelaySec, message.PropTimerDelayMS, message.PropTimerDeliverMS) // a level goes before a time
	park(p, b.schedule.levels[level-1].queue, message.AppendProperty(props, message.PropDelay, strconv.Itoa(level)))
	return nil
}
