package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/rocketmq-client-go/v2/primitive"
)

// wholeBody is the length up to which a received body is told whole; a longer one is told by its digest alone.
const wholeBody = 512

// own are the properties that the client and the broker set; all others are the user's.
var own = map[string]bool{
	"KEYS": true, "TAGS": true, "WAIT": true, "UNIQ_KEY": true, "MIN_OFFSET": true, "MAX_OFFSET": true,
	"CLUSTER": true, "TRACE_ON": true, "MSG_REGION": true, "INSTANCE_ID": true, "CONSUME_START_TIME": true,
	"BORN_HOST": true, "BORN_TIMESTAMP": true, "REAL_TOPIC": true, "REAL_QID": true, "RETRY_TOPIC": true,
}

func toSend(in form) (*primitive.Message, error) {
	body, err := in.bytes("body")
	if err != nil {
		return nil, err
	}
	m := primitive.NewMessage(in.Get("topic"), body)
	if in.Get("tags") != "" {
		m.WithTag(in.Get("tags"))
	}
	if in.Get("keys") != "" {
		m.WithKeys([]string{in.Get("keys")})
	}
	for key := range in.Values {
		if name, ok := strings.CutPrefix(key, "p."); ok {
			m.WithProperty(name, in.Get(key))
		}
	}
	if in.Has("queue") {
		m.Queue = &primitive.MessageQueue{Topic: m.Topic, QueueId: in.number("queue", 0)}
	}
	return m, nil
}

func received(m *primitive.MessageExt) form {
	sum := sha256.Sum256(m.Body)
	f := newForm().
		add("topic", m.Topic).
		add("queue", m.Queue.QueueId).
		add("offset", m.QueueOffset).
		add("msgId", m.MsgId).
		add("offsetMsgId", m.OffsetMsgId).
		add("keys", strings.TrimSuffix(m.GetKeys(), " ")). // the client ends each key with a space
		add("tags", m.GetTags()).
		add("size", len(m.Body)).
		add("sha256", hex.EncodeToString(sum[:])).
		add("born", m.BornTimestamp).
		add("stored", m.StoreTimestamp).
		add("times", m.ReconsumeTimes)
	if len(m.Body) <= wholeBody {
		f.add("body", base64.URLEncoding.EncodeToString(m.Body))
	}
	for name, value := range m.GetProperties() {
		if !own[name] {
			f.add("p."+name, value)
		}
	}
	return f
}

// arrivals numbers what comes, across all consumers of this program.
var arrivals atomic.Int64

// An inbox is what one consumer got, in the order in which its callback was called.
type inbox struct {
	mu       sync.Mutex // protects the fields below
	messages []string
	more     chan struct{} // closed and made anew when a message comes
}

func newInbox() *inbox { return &inbox{more: make(chan struct{})} }

func (b *inbox) put(m *primitive.MessageExt, overlapped bool) {
	f := received(m).add("at", time.Now().UnixMilli()).add("seq", arrivals.Add(1)).add("overlapped", 0)
	if overlapped {
		f.Set("overlapped", "1")
	}
	b.add(f)
}

func (b *inbox) add(f form) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.messages = append(b.messages, f.Encode())
	close(b.more)
	b.more = make(chan struct{})
}

func (b *inbox) get() ([]string, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.messages, b.more
}

// seen waits until count messages have come in all, or the time is up, and tells those from the given one on.
func (b *inbox) seen(in form) form {
	end := time.After(in.millis("timeout"))
	for {
		messages, more := b.get()
		if len(messages) < in.number("count", 0) {
			select {
			case <-more:
				continue
			case <-end:
			}
		}
		return form{url.Values{"m": messages[min(in.number("from", 0), len(messages)):]}}
	}
}
