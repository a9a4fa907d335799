package broker

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/logging"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/store"
	"github.com/liftoffmq/liftoff/internal/store/timer"
)

// GET_TIMER_CHECK_POINT 60, GET_TIMER_METRICS 61, SWITCH_TIMER_ENGINE 5001.
//
// Behaviour: a message with TIMER_DELIVER_MS, TIMER_DELAY_MS or TIMER_DELAY_SEC is stored in rmq_sys_wheel_timer and comes to its topic at
// its time or up to timerPrecisionMs later, never earlier. A time that has passed stores it at once; one further ahead than
// timerMaxDelaySec is refused. With a delay level too, the level counts. SWITCH_TIMER_ENGINE knows one engine, the wheel on files.
// Differs from Apache: a message that cannot be stored when its time has come is tried again until it can, and none is lost
// for a broker that was down for more than a week.

// timers are messages that wait for a time: those in the wheel, and the queue of the system that they come through.
type timers struct {
	b         *Broker
	wheel     *timer.Timer
	precision int64 // ms
	queue     *store.Queue
	woken     chan struct{} // the configuration changed
	starts    time.Time     // nothing is delivered before
	offset    int64         // of the queue, taken in before it; used by the follower only
	taken     timersTaken

	untaken, unread, undelivered, unkept logging.Trouble
}

// fails tells of what is tried again, when that is due.
func (t *timers) fails(k *logging.Trouble, what string, err error, args ...any) {
	if k.Failed(err) {
		t.b.log.Error(what+", this is tried again", append(args, "err", logging.Advised(err))...)
	}
}

// goesOn tells that something goes well that did not.
func (t *timers) goesOn(k *logging.Trouble, what string) {
	if lasted, over := k.Passed(); over {
		t.b.log.Info(what, "after", lasted)
	}
}

// openTimers opens wheel and timer log. Without timerWheelEnable there are none.
func openTimers(b *Broker, cfg config.Broker) (*timers, error) {
	if !cfg.TimerWheel {
		return nil, nil
	}
	wheel, err := timer.Open(timer.Config{
		Logger:        b.log,
		RootDir:       cfg.RootDir,
		LogFileSize:   int64(cfg.TimerLogFileSize),
		Precision:     cfg.TimerPrecision,
		RollWindow:    cfg.TimerRollWindow,
		FlushInterval: cfg.TimerFlushInterval,
		CommitLogEnd:  b.store.Stats().Appended,
		Sync:          b.store.Flush,
		Snapshots:     cfg.TimerSnapshots,
		Topics:        b.topics.names,
	})
	if err != nil {
		return nil, fmt.Errorf("cannot open timers: %w", err)
	}
	t := &timers{b: b, wheel: wheel, precision: cfg.TimerPrecision.Milliseconds(), starts: b.started.Add(cfg.TimerStartDelay), queue: b.store.Queue(topicTimer, 0), woken: make(chan struct{}, 1)}
	t.begin()
	return t, nil
}

// close keeps what is known of timers. The follower has ended.
func (t *timers) close() error {
	if t == nil {
		return nil
	}
	return t.wheel.Close()
}

// forget forgets the count of a topic that was deleted.
func (t *timers) forget(topic string) {
	if t != nil {
		t.wheel.Forget(topic)
	}
}

// wake makes the follower look at the configuration again.
func (t *timers) wake() {
	if t == nil {
		return
	}
	select {
	case t.woken <- struct{}{}:
	default:
	}
}

// divertTimer gives a message that is due at a time the queue of timers, unless that time has passed.
func (b *Broker) divertTimer(cfg *settings, p *store.Put) error {
	if p.Queue.Topic() == topicTimer {
		return nil
	}
	if b.timers == nil {
		return protocol.Errorf(protocol.CodeSystemError, "accurate timer message is not enabled, timerWheelEnable is false")
	}
	now := time.Now().UnixMilli()
	due, err := timerDue(p.Properties, now)
	if err != nil {
		return timerIllegal(cfg, err)
	}
	if due <= now {
		if key, ok := message.Property(p.Properties, message.PropTimerDelUniqKey); ok {
			return timerIllegal(cfg, fmt.Errorf("message %s was to be taken away at %s, which has passed", key, time.UnixMilli(due)))
		}
		return nil
	}
	if ahead := due - now; ahead > cfg.TimerMaxDelay.Milliseconds() {
		return timerIllegal(cfg, fmt.Errorf("the message is due in %d ms, timerMaxDelaySec is %d", ahead, int64(cfg.TimerMaxDelay/time.Second)))
	}
	// The slot of time T is delivered when T + precision has come.
	due = (due - 1) / b.timers.precision * b.timers.precision
	if err := b.timers.congested(cfg, due); err != nil {
		return err
	}
	props := make([]byte, 0, len(p.Properties)+len(p.Queue.Topic())+64)
	props = message.AppendPropertiesWithout(props, p.Properties, message.PropTimerOutMS, message.PropRealTopic, message.PropRealQueueID)
	var room [20]byte
	park(p, b.timers.queue, message.AppendProperty(props, message.PropTimerOutMS, strconv.AppendInt(room[:0], due, 10)))
	return nil
}

// timerDue is the time, in ms, that a message asks for.
func timerDue(props []byte, now int64) (int64, error) {
	for _, kind := range [...]struct {
		name   string
		factor int64 // ms; 0: the time itself
	}{{message.PropTimerDelaySec, 1000}, {message.PropTimerDelayMS, 1}, {message.PropTimerDeliverMS, 0}} {
		value, ok := message.Property(props, kind.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s=%s is not a number", kind.name, value)
		}
		if kind.factor == 0 {
			return n, nil
		}
		if n > (math.MaxInt64-now)/kind.factor {
			return math.MaxInt64, nil
		}
		return now + max(n, -now/kind.factor)*kind.factor, nil
	}
	return now, nil
}

// timerIllegal refuses a timer in Apache's words, and says why behind them.
func timerIllegal(cfg *settings, why error) error {
	return protocol.Errorf(protocol.CodeMessageIllegal, "timer message illegal, the delay time should not be bigger than the max delay %dms; or if set del msg, the delay time should be bigger than the current time (%v)",
		cfg.TimerMaxDelay.Milliseconds(), why)
}

// congested refuses a message when too many wait for the same slot: some from timerCongestNumEachSlot on, all from twice that.
func (t *timers) congested(cfg *settings, due int64) error {
	limit := int64(cfg.TimerCongest)
	if limit == math.MaxInt32 {
		return nil
	}
	n := t.wheel.Waits(due)
	if n <= limit || n < 2*limit && rand.Int64N(1000) <= 1000*(n-limit)/(limit+1) {
		return nil
	}
	return protocol.Errorf(protocol.CodeSystemError, "timer message is under flow control, max num limit is %d or the current value is greater than %d and less than %d, trigger random flow control (%d messages are due at %s)",
		2*limit, limit, 2*limit, n, time.UnixMilli(due))
}

func (b *Broker) getTimerCheckpoint(*remoting.Request) (*remoting.Answer, error) {
	if b.timers == nil {
		return nil, protocol.Errorf(protocol.CodeSystemError, "The checkpoint is null (timerWheelEnable is false)")
	}
	c := b.timers.wheel.Checkpoint(time.Now().UnixMilli())
	return &remoting.Answer{Body: c.AppendTo(nil)}, nil
}

func (b *Broker) getTimerMetrics(*remoting.Request) (*remoting.Answer, error) {
	if b.timers == nil {
		return nil, protocol.Errorf(protocol.CodeSystemError, "The timer message store is null (timerWheelEnable is false)")
	}
	body, err := b.timers.wheel.Metrics()
	return &remoting.Answer{Body: body}, err
}

// The engines of SWITCH_TIMER_ENGINE. Part of the wire; do not change.
const (
	timerEngineField = "E_T"
	timerEngineRocks = "R"
	timerEngineWheel = "F"
)

func (b *Broker) switchTimerEngine(r *remoting.Request) (*remoting.Answer, error) {
	engine := ""
	for _, f := range r.Fields {
		if string(f.Key) == timerEngineField {
			engine = string(f.Value)
		}
	}
	switch {
	case b.timers == nil:
		return nil, protocol.Errorf(protocol.CodeInvalidParameter, "broker timerWheelEnable is false")
	case engine == timerEngineRocks:
		return nil, protocol.Errorf(protocol.CodeInvalidParameter, "timerRocksDBEnable must be configured true when broker start (there are no timers in RocksDB here)")
	case engine != timerEngineWheel:
		return nil, protocol.Errorf(protocol.CodeInvalidParameter, "param error (%s=%q, possible is %s)", timerEngineField, engine, timerEngineWheel)
	}
	if b.settings.Load().TimerStopEnqueue {
		if err := b.changeConfig(map[string]string{"timerStopEnqueue": "false"}, r.Conn.RemoteAddr()); err != nil {
			return nil, err
		}
	}
	return &remoting.Answer{Remark: "switch timer engine success"}, nil
}

// info is what the runtime information says of timers.
func (t *timers) info(now time.Time) map[string]string {
	if t == nil {
		return map[string]string{"timerReadBehind": "0", "timerOffsetBehind": "0", "timerCongestNum": "0", "timerEnqueueTps": "0.0", "timerDequeueTps": "0.0"}
	}
	ms := now.UnixMilli()
	in, out := t.taken.rates(now)
	return map[string]string{
		"timerReadBehind":   strconv.FormatInt(max(0, ms-t.wheel.Read(ms))/1000, 10),
		"timerOffsetBehind": strconv.FormatInt(max(0, t.queue.MaxOffset()-t.taken.offset.Load()), 10),
		"timerCongestNum":   strconv.FormatInt(t.wheel.Waiting(), 10),
		"timerEnqueueTps":   strconv.FormatFloat(in, 'f', 1, 64),
		"timerDequeueTps":   strconv.FormatFloat(out, 'f', 1, 64),
	}
}
