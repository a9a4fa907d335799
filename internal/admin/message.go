package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/liftoffmq/liftoff/internal/client"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
)

// found is a message that was looked for, and the broker that has it.
type found struct {
	message.Message
	broker     string // its name, if it is known
	addr       string
	properties []pair
	plain      error // why the body is still compressed
}

// newFound takes a message as clients do: its body decompressed.
func newFound(m message.Message, broker, addr string) *found {
	f := &found{Message: m, broker: broker, addr: addr}
	at := make(map[string]int)
	for name, value := range message.Properties(m.Properties) {
		if len(name) == 0 || len(value) == 0 {
			continue
		}
		p := pair{string(name), string(value)}
		if i, again := at[p.name]; again {
			f.properties[i] = p
			continue
		}
		at[p.name] = len(f.properties)
		f.properties = append(f.properties, p)
	}
	if m.SysFlag&message.FlagCompressed == 0 {
		return f
	}
	body, err := m.PlainBody()
	if f.plain = err; err == nil {
		f.Body, f.SysFlag = body, m.SysFlag&^message.FlagCompressed
	}
	return f
}

// property is the value of one; there is false when the message has none.
func (f *found) property(name string) (value string, there bool) {
	for _, p := range f.properties {
		if p.name == name {
			return p.value, true
		}
	}
	return "", false
}

// offsetID names the message by its place.
func (f *found) offsetID() string {
	return string(message.AppendOffsetID(nil, f.StoreHost, f.LogOffset))
}

// id is the unique key that the producer gave it, or the offset id when it gave none.
func (f *found) id() string {
	if id, ok := f.property(message.PropUniqKey); ok {
		return id
	}
	return f.offsetID()
}

// shownMessage is a message as JSON.
type shownMessage struct {
	Topic           string            `json:"topic"`
	Broker          string            `json:"broker,omitempty"`
	QueueID         int32             `json:"queueId"`
	QueueOffset     int64             `json:"queueOffset"`
	CommitLogOffset int64             `json:"commitLogOffset"`
	MsgID           string            `json:"msgId"`
	OffsetMsgID     string            `json:"offsetMsgId"`
	Tags            string            `json:"tags,omitempty"`
	Keys            string            `json:"keys,omitempty"`
	BornTimestamp   int64             `json:"bornTimestamp"`
	StoreTimestamp  int64             `json:"storeTimestamp"`
	BornHost        string            `json:"bornHost"`
	StoreHost       string            `json:"storeHost"`
	SysFlag         int32             `json:"sysFlag"`
	Flag            int32             `json:"flag"`
	ReconsumeTimes  int32             `json:"reconsumeTimes"`
	StoreSize       int32             `json:"storeSize"`
	Properties      map[string]string `json:"properties"`
	Body            string            `json:"body,omitempty"`
	BodyBase64      []byte            `json:"bodyBase64,omitempty"`
	Consumers       []track           `json:"consumers,omitempty"`
}

// shown is the message for machines: a body that is not UTF-8 as base64, in another field.
func (f *found) shown(withBody bool) *shownMessage {
	s := &shownMessage{Topic: f.Topic, Broker: f.broker, QueueID: f.QueueID, QueueOffset: f.QueueOffset, CommitLogOffset: f.LogOffset, MsgID: f.id(),
		OffsetMsgID: f.offsetID(), BornTimestamp: f.BornTimestamp, StoreTimestamp: f.StoreTimestamp, BornHost: f.BornHost.String(),
		StoreHost: f.StoreHost.String(), SysFlag: f.SysFlag, Flag: f.Flag, ReconsumeTimes: f.ReconsumeTimes, StoreSize: f.Size,
		Properties: make(map[string]string)}
	s.Tags, _ = f.property(message.PropTags)
	s.Keys, _ = f.property(message.PropKeys)
	for _, p := range f.properties {
		s.Properties[p.name] = p.value
	}
	switch {
	case !withBody:
	case utf8.Valid(f.Body):
		s.Body = string(f.Body)
	default:
		s.BodyBase64 = f.Body
	}
	return s
}

// printDetails prints what the message is, a line each. The body goes to a file; with a charset it is printed too.
func (f *found) printDetails(w io.Writer, withOffsetID bool, bodyPath string, text *string) {
	line := func(name string, value any) { fmt.Fprintf(w, "%-20s %v\n", name, value) }
	tags, tagged := f.property(message.PropTags)
	keys, keyed := f.property(message.PropKeys)
	if withOffsetID {
		line("OffsetID:", f.offsetID())
	}
	line("Topic:", f.Topic)
	line("Tags:", "["+orNull(tags, tagged)+"]")
	line("Keys:", "["+orNull(keys, keyed)+"]")
	line("Queue ID:", f.QueueID)
	line("Queue Offset:", f.QueueOffset)
	line("CommitLog Offset:", f.LogOffset)
	line("Reconsume Times:", f.ReconsumeTimes)
	line("Born Timestamp:", timeText(f.BornTimestamp, timeMillis))
	line("Store Timestamp:", timeText(f.StoreTimestamp, timeMillis))
	line("Born Host:", f.BornHost)
	line("Store Host:", f.StoreHost)
	line("System Flag:", f.SysFlag)
	line("Properties:", javaMap(128, f.properties))
	line("Message Body Path:", bodyPath)
	if text != nil {
		line("Message Body:", *text)
	}
}

// javaText is the message as Java prints a MessageExt.
func (f *found) javaText() string {
	var b strings.Builder
	transaction := "null"
	if prepared, _ := f.property(message.PropTransactionPrepared); strings.EqualFold(prepared, "true") {
		if id, ok := f.property(message.PropUniqKey); ok {
			transaction = id
		}
	}
	fmt.Fprintf(&b, "MessageExt [brokerName=%s, queueId=%d, storeSize=%d, queueOffset=%d, sysFlag=%d, bornTimestamp=%d, bornHost=/%s, storeTimestamp=%d, storeHost=/%s, ",
		orNull(f.broker, f.broker != ""), f.QueueID, f.Size, f.QueueOffset, f.SysFlag, f.BornTimestamp, f.BornHost, f.StoreTimestamp, f.StoreHost)
	fmt.Fprintf(&b, "msgId=%s, commitLogOffset=%d, bodyCRC=%d, reconsumeTimes=%d, preparedTransactionOffset=%d, toString()=", f.offsetID(), f.LogOffset, int32(f.BodyCRC),
		f.ReconsumeTimes, f.PreparedTransactionOffset)
	fmt.Fprintf(&b, "Message{topic='%s', flag=%d, properties=%s, body=%s, transactionId='%s'}]", f.Topic, f.Flag, javaMap(128, f.properties), javaBytes(f.Body), transaction)
	return b.String()
}

// javaBytes is bytes as Java's Arrays.toString prints them: signed.
func javaBytes(b []byte) string {
	if len(b) == 0 {
		return "null" // of a message without body
	}
	out := make([]byte, 0, 5*len(b))
	for i, c := range b {
		if i > 0 {
			out = append(out, ", "...)
		}
		out = strconv.AppendInt(out, int64(int8(c)), 10)
	}
	return "[" + string(out) + "]"
}

// charset decodes the bodies of messages.
type charset func([]byte) string

// charsetNamed knows the charsets that every Java knows.
func charsetNamed(name string) (charset, error) {
	switch strings.ToUpper(strings.NewReplacer("_", "", "-", "").Replace(name)) {
	case "UTF8":
		return func(b []byte) string { return string(bytes.ToValidUTF8(b, []byte("\uFFFD"))) }, nil
	case "USASCII", "ASCII":
		return func(b []byte) string { return singleBytes(b, 0x80) }, nil
	case "ISO88591", "LATIN1":
		return func(b []byte) string { return singleBytes(b, 0x100) }, nil
	}
	return nil, misuse(fmt.Errorf("cannot decode the charset %q: it must be UTF-8, US-ASCII or ISO-8859-1; with --json a body that is not UTF-8 is printed as base64", name))
}

// singleBytes takes each byte below end for the character with its number.
func singleBytes(b []byte, end int) string {
	runes := make([]rune, len(b))
	for i, c := range b {
		if runes[i] = rune(c); int(c) >= end {
			runes[i] = utf8.RuneError
		}
	}
	return string(runes)
}

// saveBody writes the body into a file of the folder where Apache's tool has them, and returns its path. What was there under the name is
// replaced.
func (a *Admin) saveBody(f *found, suffix string) (string, error) {
	dir := a.bodies
	if dir == "" {
		dir = filepath.Join(os.TempDir(), "rocketmq", "msgbodys")
	}
	name := f.id() + suffix
	if name != filepath.Base(name) || !filepath.IsLocal(name) {
		name = f.offsetID() + suffix // the producer's id would lead somewhere else
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("cannot make the folder for message bodies: %w", err)
	}
	tmp, err := os.CreateTemp(dir, "body-*")
	if err != nil {
		return "", fmt.Errorf("cannot write the body of message %s: %w", f.id(), err)
	}
	_, err = tmp.Write(f.Body)
	err = errors.Join(err, tmp.Close())
	path := filepath.Join(dir, name)
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
		return "", fmt.Errorf("cannot write the body of message %s: %w", f.id(), err)
	}
	return path, nil
}

// findMessage looks for a message by its offset id, or by the unique key that its producer gave it.
func (a *Admin) findMessage(ctx context.Context, cluster, topic, id string) (*found, error) {
	host, logOffset, err := message.ParseOffsetID(id)
	if err != nil || host.Port() == 0 {
		return a.findUnique(ctx, cluster, topic, id)
	}
	f, err := a.viewMessage(ctx, topic, host, logOffset)
	if err != nil {
		// Some unique keys look like offset ids.
		if f, otherwise := a.findUnique(ctx, cluster, topic, id); otherwise == nil {
			return f, nil
		}
	}
	return f, err
}

// viewMessage reads the message at a log offset.
func (a *Admin) viewMessage(ctx context.Context, topic string, host netip.AddrPort, logOffset int64) (*found, error) {
	m, err := a.pool.ViewMessage(ctx, host.String(), topic, logOffset)
	if err != nil {
		return nil, err
	}
	name := ""
	if members, err := a.members(ctx, target{}); err == nil {
		for _, b := range members {
			if b.addr == host.String() {
				name = b.name
			}
		}
	}
	return newFound(*m, name, host.String()), nil
}

func (a *Admin) findUnique(ctx context.Context, cluster, topic, id string) (*found, error) {
	all, err := a.queryMessages(ctx, cluster, &client.Query{Topic: topic, Key: id, Unique: true, Kind: "U", Max: uniqueMax, Begin: daysAgo(3), End: forever})
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// queryMessages looks for messages by key on all brokers of a topic, or those of a cluster. None is an error with NO_MESSAGE. The cluster is the
// parent topic when the topic is a light queue.
func (a *Admin) queryMessages(ctx context.Context, cluster string, q *client.Query) ([]*found, error) {
	topic, light := q.Topic, strings.HasPrefix(q.Topic, lightPrefix)
	brokers, err := a.brokers(ctx, routeTopicOf(topic, cluster))
	if err != nil {
		return nil, err
	}
	ask := *q
	if light && cluster != "" {
		ask.Topic = cluster
	}
	var all []*found
	var failed error
	for _, b := range brokers {
		if !light && cluster != "" && cluster != b.cluster {
			continue
		}
		messages, err := a.pool.QueryMessages(ctx, b.addr, &ask)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		for _, m := range messages {
			if f := newFound(m, b.name, b.addr); f.matches(q, light) {
				all = append(all, f)
			}
		}
	}
	if len(all) > 0 {
		if failed != nil {
			a.say("not all brokers answered: %v", failed)
		}
		return all, nil
	}
	if failed != nil {
		return nil, failed
	}
	return nil, protocol.Errorf(protocol.CodeNoMessage, "query message by key finished, but no message. Topic %s has none with %s in that time", topic, q.Key)
}

// matches is false for messages that only have the hash of what was looked for.
func (f *found) matches(q *client.Query, light bool) bool {
	if !light && f.Topic != q.Topic {
		return q.Unique && f.id() == q.Key
	}
	switch q.Kind {
	case "U":
		return f.id() == q.Key
	case "T":
		tags, _ := f.property(message.PropTags)
		return tags == q.Key
	}
	keys, _ := f.property(message.PropKeys)
	for key := range strings.SplitSeq(keys, " ") {
		if key == q.Key {
			return true
		}
	}
	return false
}
