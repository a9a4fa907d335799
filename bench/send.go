//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	topicQueues  = 8
	uniqueKeyLen = 32
	// Opaques have ten digits from here on, so that they can be patched in place.
	firstOpaque = 1_000_000_000
	opaqueRoom  = 1_000_000_000
	// Stand-ins in a template for what changes from message to message.
	bornHole = "1111111111111"
	dueHole  = "2222222222222"
	keyHole  = "7F0000012A2A5A5A5A5A------------"
)

// A message says what the messages of a load look like.
type message struct {
	topic    string
	bodySize int
	header   serialization
	batch    int    // messages a request; 1 is request code 310, more is 320
	keys     string // KEYS property, none when empty
	half     bool   // of a transaction
	timed    bool   // the template's due says when; the body begins with it
}

// A template is a request of which only a few bytes change from one message to the next: encoding is a copy and a few
// patches.
type template struct {
	frame    []byte
	messages int
	json     bool
	opaqueAt int
	bornAt   int
	queueAt  int
	keysAt   []int // one for each unique key
	bodyAt   int   // of a single message
	dueAt    int
	due      func() time.Time // of the next message; nil for none
}

func newTemplate(m message) *template {
	body := []byte(strings.Repeat("The quick brown fox jumps over the lazy dog. 0123456789 ", m.bodySize/56+1))[:m.bodySize]
	own := []string{"UNIQ_KEY", keyHole, "WAIT", "true", "TAGS", "TagA"}
	if m.keys != "" {
		own = append([]string{"KEYS", m.keys}, own...)
	}
	if m.half {
		own = append(own, "TRAN_MSG", "true", "PGROUP", txGroup)
	}
	if m.timed {
		own = append(own, "TIMER_DELIVER_MS", dueHole)
	}
	r := request{code: codeSend, opaque: firstOpaque, body: body}
	properties := joinProperties(own...)
	if m.batch > 1 {
		r.code = codeSendBatch
		r.body = bytes.Repeat(appendBatched(nil, body, properties), m.batch)
		properties = joinProperties("UNIQ_KEY", keyHole, "WAIT", "true")
	}
	r.fields = sendFields("BenchProducer", m.topic, 0, bornHole, properties, m.batch > 1)
	if m.half {
		r.fields[5].value = "4" // sysFlag
	}
	t := &template{frame: r.appendTo(nil, m.header), messages: max(m.batch, 1), json: m.header == jsonHeader}
	if t.json {
		t.opaqueAt = bytes.Index(t.frame, opaqueKey) + len(opaqueKey)
		t.queueAt = bytes.Index(t.frame, []byte(`"e":"0"`)) + len(`"e":"`)
	} else {
		t.opaqueAt = 8 + 5
		t.queueAt = bytes.Index(t.frame, []byte("\x00\x01e\x00\x00\x00\x010")) + 7
	}
	t.bornAt = bytes.Index(t.frame, []byte(bornHole))
	t.dueAt = bytes.Index(t.frame, []byte(dueHole))
	for at := 0; ; at += uniqueKeyLen {
		next := bytes.Index(t.frame[at:], []byte(keyHole))
		if next < 0 {
			break
		}
		at += next
		t.keysAt = append(t.keysAt, at)
	}
	t.bodyAt = len(t.frame) - len(r.body)
	return t
}

// sendFields are the header fields of request 310 and 320 in the Java client's order.
func sendFields(group, topic string, queue int, bornMS, properties string, batch bool) []field {
	return []field{
		{"a", group}, {"b", topic}, {"c", "TBW102"}, {"d", "4"}, {"e", strconv.Itoa(queue)}, {"f", "0"}, {"g", bornMS},
		{"h", "0"}, {"i", properties}, {"j", "0"}, {"k", "false"}, {"m", strconv.FormatBool(batch)}, {"n", brokerName},
	}
}

// joinProperties writes names and values as a message's property text.
func joinProperties(pairs ...string) string {
	var b strings.Builder
	for i, p := range pairs {
		b.WriteString(p)
		b.WriteByte("\x01\x02"[i%2])
	}
	return b.String()
}

// appendBatched writes one message of a batch's body:
//
//	total size 4, magic 4, CRC 4, flag 4, body size 4, body, properties size 2, properties
func appendBatched(out, body []byte, properties string) []byte {
	out = binary.BigEndian.AppendUint32(out, uint32(4*5+len(body)+2+len(properties)))
	out = append(out, make([]byte, 12)...)
	out = binary.BigEndian.AppendUint32(out, uint32(len(body)))
	out = append(out, body...)
	out = binary.BigEndian.AppendUint16(out, uint16(len(properties)))
	return append(out, properties...)
}

// keySequence numbers messages; each gets a unique key of its own for the life of the program.
var keySequence uint64

// appendTo writes the next request. The caller's wall clock and queue go into it.
func (t *template) appendTo(out []byte, opaque int32, born time.Time, queue int) []byte {
	start := len(out)
	out = append(out, t.frame...)
	f := out[start:]
	if t.json {
		putDigits(f[t.opaqueAt:t.opaqueAt+10], uint64(opaque))
	} else {
		binary.BigEndian.PutUint32(f[t.opaqueAt:], uint32(opaque))
	}
	putDigits(f[t.bornAt:t.bornAt+len(bornHole)], uint64(born.UnixMilli()))
	f[t.queueAt] = '0' + byte(queue)
	if t.due != nil {
		due := uint64(t.due().UnixMilli())
		putDigits(f[t.dueAt:t.dueAt+len(dueHole)], due)
		binary.BigEndian.PutUint64(f[t.bodyAt:], due)
	}
	for _, at := range t.keysAt {
		keySequence++
		putHex(f[at+uniqueKeyLen-12:at+uniqueKeyLen], keySequence)
	}
	return out
}

func putDigits(to []byte, n uint64) {
	for i := len(to) - 1; i >= 0; i-- {
		to[i] = '0' + byte(n%10)
		n /= 10
	}
}

func putHex(to []byte, n uint64) {
	for i := len(to) - 1; i >= 0; i-- {
		to[i] = "0123456789ABCDEF"[n&15]
		n >>= 4
	}
}

// A sendLoad keeps so many requests in flight: each answer makes way for the next request, on the same connection.
type sendLoad struct {
	loop  *loop
	t     *template
	slots []slot // one for each request in flight; an answer's opaque tells its slot
	queue int    // the next message's

	closing  bool // answers make no new requests any more
	inFlight int

	accepted int64 // requests answered with success since the load began
	latency  histogram
	messages int64 // accepted messages since the last reset
	refusals refusals
}

type slot struct {
	conn    *conn
	count   int64
	opaque  int32
	started time.Duration
}

// newSendLoad opens the connections and puts the first requests on their way with the first run.
func newSendLoad(addr string, m message, connections, inFlightEach int, writeEach bool) (*sendLoad, error) {
	l, err := newLoop(writeEach)
	if err != nil {
		return nil, err
	}
	s := &sendLoad{loop: l, t: newTemplate(m)}
	for range connections {
		c, err := l.dial(addr, s.took)
		if err != nil {
			l.close()
			return nil, err
		}
		for range inFlightEach {
			s.slots = append(s.slots, slot{conn: c})
		}
	}
	return s, nil
}

func (s *sendLoad) close() { s.loop.close() }

// begin puts the first requests on their way, also after a drain.
func (s *sendLoad) begin() error {
	s.closing = false
	for i := range s.slots {
		s.post(i, clock())
	}
	for _, c := range s.loop.conns {
		if err := s.loop.flush(c); err != nil {
			return err
		}
	}
	return nil
}

func (s *sendLoad) post(i int, now time.Duration) {
	sl := &s.slots[i]
	n := int64(len(s.slots))
	sl.opaque = int32(firstOpaque + (sl.count%(opaqueRoom/n))*n + int64(i))
	sl.count++
	sl.started = now
	sl.conn.out = s.t.appendTo(sl.conn.out, sl.opaque, processStart.Add(now), s.queue)
	s.loop.posted(sl.conn)
	s.queue = (s.queue + 1) % topicQueues
	s.inFlight++
}

func (s *sendLoad) took(_ *conn, frame []byte, now time.Duration) error {
	a, err := parseAnswer(frame)
	if err != nil {
		return err
	}
	if !a.isResponse {
		return nil
	}
	i := int(a.opaque-firstOpaque) % len(s.slots)
	if i < 0 || s.slots[i].opaque != a.opaque {
		return fmt.Errorf("cannot match an answer: nothing in flight has the opaque %d", a.opaque)
	}
	s.inFlight--
	if a.code == answerOK {
		s.accepted++
		s.messages += int64(s.t.messages)
		s.latency.add(now - s.slots[i].started)
	} else {
		s.refusals.add(a)
	}
	if s.closing {
		s.slots[i].opaque = 0
		return nil
	}
	s.post(i, now)
	return nil
}

// refusals counts the answers by which a server did not accept a message. A busy broker refuses now and then what its
// clients will send again; the report says how often.
type refusals struct {
	n     int64
	first string
}

func (r *refusals) add(a answer) {
	if r.n++; r.n == 1 {
		r.first = fmt.Sprintf("%d %q", a.code, a.remark())
	}
}

// reset begins a measured interval.
func (s *sendLoad) reset() {
	s.latency.reset()
	s.messages = 0
	s.refusals = refusals{}
}

// drain lets what is in flight come home.
func (s *sendLoad) drain(ctx context.Context) error {
	s.closing = true
	err := s.loop.runFor(ctx, 30*time.Second, func() bool { return s.inFlight == 0 })
	if err == nil && s.inFlight > 0 {
		err = fmt.Errorf("cannot finish: %d requests have no answer after 30 s", s.inFlight)
	}
	return err
}

// createTopic makes a topic of eight queues.
func createTopic(addr, topic string) error {
	_, err := must(addr, createTopicRequest(topic, topicQueues))
	return err
}

func createTopicRequest(topic string, queues int) request {
	n := strconv.Itoa(queues)
	return request{code: codeCreateTopic, fields: []field{
		{"readQueueNums", n}, {"perm", "6"}, {"writeQueueNums", n}, {"topicFilterType", "SINGLE_TAG"},
		{"topic", topic}, {"attributes", ""}, {"force", "false"}, {"defaultTopic", "TBW102"}, {"order", "false"},
		{"topicSysFlag", "0"},
	}}
}

// maxOffsets asks each queue of a topic how far it goes.
func maxOffsets(addr, topic string) (offsets [topicQueues]int64, err error) {
	for q := range offsets {
		a, err := must(addr, maxOffsetRequest(topic, q))
		if err != nil {
			return offsets, err
		}
		if offsets[q], err = a.number("offset"); err != nil {
			return offsets, err
		}
	}
	return offsets, nil
}

func maxOffsetRequest(topic string, queue int) request {
	return request{code: codeMaxOffset, fields: []field{
		{"queueId", strconv.Itoa(queue)}, {"committed", "true"}, {"bname", brokerName}, {"topic", topic},
	}}
}

func total(offsets [topicQueues]int64) (sum int64) {
	for _, n := range offsets {
		sum += n
	}
	return sum
}

// settled waits until a topic holds as many messages as were accepted: consume queues may follow the log far behind. It
// gives up when they stand still for long.
func settled(ctx context.Context, addr, topic string, want int64) error {
	const patience = 20 * time.Second
	got, moved := int64(-1), clock()
	for clock()-moved < patience {
		offsets, err := maxOffsets(addr, topic)
		if err != nil {
			return err
		}
		now := total(offsets)
		if now == want {
			return nil
		}
		if now != got {
			got, moved = now, clock()
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("cannot trust the numbers: %d messages were accepted into %s, its queues hold %d", want, topic, got)
}
