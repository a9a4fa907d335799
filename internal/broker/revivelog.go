package broker

import (
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/store"
)

// The revive log is the topic rmq_sys_REVIVE_LOG_<cluster>. It says which messages were popped until when, and which of them were
// acknowledged. Its records go through the timer: a check point comes into the log a second before the popped messages are
// due again, an acknowledgement when they are. So who reads the log meets a check point first and what was acknowledged of it
// then, however long the time between was, and knows that nothing more will come once it has read on far enough.
//
//	tag   body (JSON)                                        comes at          UNIQ_KEY
//	ck    so pt it n q t c d bn [rp] sp bm ro reviveTime     reviveTime - 1 s  topic@queue@start@group@popTime@broker@ck
//	ack   so pt q t c bn ao                                  reviveTime        topic@queue@offset@group@popTime@broker@ack
//	bAck  so pt q t c bn aol                                 reviveTime        topic@queue@-1@group@popTime@broker@ack
//
// reviveTime = pop time + invisible time. Part of the format; do not change.
const (
	reviveGroup = sysGroups + "REVIVE_GROUP"
	tagCK       = "ck"
	tagAck      = "ack"
	tagBatchAck = "bAck"

	ckAheadMS = 1000 // a check point comes so long before its messages are due
)

func reviveTopic(cluster string) string { return systemPrefix + "REVIVE_LOG_" + cluster }

// ckBody is a check point: n messages of one queue that one pop has taken. d has each one's distance from so; old brokers left
// it out, then they follow each other.
type ckBody struct {
	Start      int64   `json:"so"`
	PopTime    int64   `json:"pt"`
	Invisible  int64   `json:"it"`
	BitMap     int32   `json:"bm"`
	Num        int8    `json:"n"`
	Queue      int32   `json:"q"`
	Topic      string  `json:"t"`
	Group      string  `json:"c"`
	ReviveAt   int64   `json:"ro"` // 0 in the log
	Diffs      []int32 `json:"d"`
	Broker     string  `json:"bn"`
	RePut      string  `json:"rp,omitempty"` // how often it was put once more because its messages could not be
	Suspend    bool    `json:"sp"`           // deliver again without counting a try
	ReviveTime int64   `json:"reviveTime"`
}

// ackBody is an acknowledgement of one message, or with ao -1 of several.
type ackBody struct {
	Offset  int64   `json:"ao"`
	Offsets []int64 `json:"aol,omitempty"`
	Start   int64   `json:"so"`
	Group   string  `json:"c"`
	Topic   string  `json:"t"`
	Queue   int32   `json:"q"`
	PopTime int64   `json:"pt"`
	Broker  string  `json:"bn"`
}

// parseCK reads a check point of the log; what cannot be one is refused.
func parseCK(body []byte) (c ckBody, ok bool) {
	if fastjson.Unmarshal(body, &c) != nil || c.Topic == "" || c.Group == "" || c.Num < 0 || c.Start < 0 || c.Start > math.MaxInt64-math.MaxInt32 {
		return c, false
	}
	if len(c.Diffs) == 0 {
		c.Diffs = nil // [] as well: they follow each other
	} else {
		c.Diffs = slices.Clone(c.Diffs[:min(len(c.Diffs), popMax)])
		c.Num = int8(len(c.Diffs))
	}
	for _, d := range c.Diffs {
		if d < 0 {
			return c, false
		}
	}
	c.Num = min(c.Num, popMax)
	return c, true
}

// parseAck reads either kind of acknowledgement.
func parseAck(tag, body []byte) (a ackBody, ok bool) {
	if fastjson.Unmarshal(body, &a) != nil || a.Topic == "" || a.Group == "" {
		return a, false
	}
	if string(tag) == tagAck {
		a.Offsets = []int64{a.Offset}
	}
	return a, true
}

// logKey is what a check point and its acknowledgements have in common.
type logKey struct {
	topic, group string
	queue        int32
	start, pop   int64
	broker       string
}

// ckPut makes the record of a check point.
func (b *Broker) ckPut(cfg *settings, c *checkPoint) store.Put {
	pq := c.pq
	body := ckBody{Start: c.start, PopTime: c.popTime, Invisible: c.invisible, Num: int8(c.n), Queue: pq.id, Topic: pq.group.topic, Group: pq.group.group,
		Broker: cfg.Name, Suspend: c.suspend, ReviveTime: c.reviveTime(), Diffs: make([]int32, c.n)}
	for i := range body.Diffs {
		body.Diffs[i] = int32(c.offset(i) - c.start)
	}
	return b.revivePut(cfg, c.reviveQueue, tagCK, &body, reviveKey(pq, c.start, c.popTime, cfg.Name, tagCK), c.reviveTime()-ckAheadMS)
}

// ackPut makes the record of acknowledgements. There must be one at least.
func (b *Broker) ackPut(cfg *settings, reviveQueue int32, a *ackBody, reviveTime int64) store.Put {
	tag := tagBatchAck
	if len(a.Offsets) == 1 {
		tag, a.Offset, a.Offsets = tagAck, a.Offsets[0], nil
	} else {
		a.Offset = -1
	}
	key := appendReviveKey(nil, a.Topic, a.Queue, a.Offset, a.Group, a.PopTime, a.Broker, tagAck)
	return b.revivePut(cfg, reviveQueue, tag, a, key, reviveTime)
}

func reviveKey(pq *popQueue, offset, popTime int64, broker, tag string) []byte {
	return appendReviveKey(nil, pq.group.topic, pq.id, offset, pq.group.group, popTime, broker, tag)
}

func appendReviveKey(dst []byte, topic string, queue int32, offset int64, group string, popTime int64, broker, tag string) []byte {
	dst = append(append(dst, topic...), '@')
	dst = append(strconv.AppendInt(dst, int64(queue), 10), '@')
	dst = append(strconv.AppendInt(dst, offset, 10), '@')
	dst = append(append(dst, group...), '@')
	dst = append(strconv.AppendInt(dst, popTime, 10), '@')
	dst = append(append(dst, broker...), '@')
	return append(dst, tag...)
}

// revivePut makes a record for the revive log that comes there at a time in ms, or as late as the timer may keep it.
func (b *Broker) revivePut(cfg *settings, queue int32, tag string, body any, key []byte, at int64) store.Put {
	data, err := fastjson.Marshal(body)
	if err != nil {
		panic("bug: " + err.Error()) // only our own structs
	}
	now := time.Now().UnixMilli()
	at = min(at, now+cfg.invisibleMax())
	var p store.Put
	p.Queue = b.store.Queue(reviveTopic(cfg.Cluster), queue)
	p.Body = data
	p.Properties = message.AppendProperty(p.Properties, message.PropTags, tag)
	p.Properties = message.AppendProperty(p.Properties, message.PropUniqKey, key)
	p.Properties = message.AppendProperty(p.Properties, message.PropTimerDeliverMS, strconv.FormatInt(at, 10))
	p.BornTimestamp, p.BornHost = now, cfg.storeHost
	return p
}
