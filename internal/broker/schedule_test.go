package broker

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/store"
)

// sendDelayed sends a message with a delay level to queue 0 and returns the answer.
func sendDelayed(t testing.TB, c *remoting.Conn, topic, level, body string, more ...string) *remoting.Response {
	t.Helper()
	props := "DELAY\x01" + level + "\x02"
	for i := 0; i < len(more); i += 2 {
		props += more[i] + "\x01" + more[i+1] + "\x02"
	}
	return call(t, c, protocol.ReqSendMessageV2, sendFields(topic, "i", props), []byte(body))
}

// awaitMessages pulls queue 0 of a topic until there are n messages from an offset on.
func awaitMessages(t testing.TB, c *remoting.Conn, topic string, offset int64, n int) (ms []message.Message) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); len(ms) < n; {
		r := call(t, c, protocol.ReqPullMessage, pullFields(topic, 0, offset, "sysFlag", "6", "suspendTimeoutMillis", "1000"), nil)
		got := records(t, r.Body)
		ms = append(ms, got...)
		offset += int64(len(got))
		if time.Now().After(deadline) {
			t.Fatalf("topic %s has %d messages, want %d; last answer %d %s", topic, len(ms), n, r.Code, r.Remark)
		}
	}
	return ms
}

func TestSchedule_DeliversEachLevelWhenItIsDue(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.DelayLevels = "1s 2s 0s"
	b := openTest(t, cfg)
	c := dialTest(t, b, remoting.Options{})
	begin := time.Now()
	for i, level := range []string{"2", "1", "9", "1", "-1", "0"} { // 9 is the highest, 3
		r := sendDelayed(t, c, "Delayed", level, fmt.Sprint(i), "REAL_TOPIC", "Forged", "TIMER_DELAY_SEC", "900", "k", "v")
		if level != "-1" && level != "0" && r.Code != 0 {
			t.Fatalf("level %s: code %d %s", level, r.Code, r.Remark)
		}
	}
	sent := time.Now()
	// -1 and 0 are no delays; what they have of a time is for the timer.
	ms := awaitMessages(t, c, "Delayed", 0, 4)
	var order []string
	for _, m := range ms {
		order = append(order, string(m.Body))
		props := message.ParseProperties(m.Properties)
		level, _ := strconv.Atoi(props["DELAY"])
		if props["REAL_TOPIC"] != "Delayed" || props["REAL_QID"] != "0" || props["k"] != "v" || props["TIMER_DELAY_SEC"] != "" || level < 1 || level > 3 {
			t.Errorf("message %s has properties %v", m.Body, props)
			continue
		}
		delay := []time.Duration{time.Second, 2 * time.Second, 0}[level-1]
		const late = 2 * time.Second // a machine that is busy with other tests; how late they are else is for interop to say
		if at := time.UnixMilli(m.StoreTimestamp); at.Before(begin.Add(delay).Truncate(time.Millisecond)) || at.After(sent.Add(delay+late)) {
			t.Errorf("message %s of level %d came after %v, want %v", m.Body, level, at.Sub(begin), delay)
		}
	}
	if got := strings.Join(order, " "); got != "2 1 3 0" {
		t.Errorf("delivered %s, want 2 1 3 0", got)
	}
	b.stopFollowers() // the positions move behind the messages
	if info := b.runtimeInfo(time.Now()); info["scheduleMessageOffset_1"] != "2,2" || info["scheduleMessageOffset_2"] != "1,1" {
		t.Errorf("runtime information says %s and %s", info["scheduleMessageOffset_1"], info["scheduleMessageOffset_2"])
	}
	if b.store.FindQueue("Forged", 0) != nil {
		t.Error("a forged REAL_TOPIC was believed")
	}
}

func TestSchedule_RefusesLevelsThatAreNoNumbers(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	for _, level := range []string{"x", "3s", "1.5", "99999999999"} {
		if r := sendDelayed(t, c, "T", level, ""); r.Code != protocol.CodeSystemError || !strings.Contains(string(r.Remark), level) {
			t.Errorf("level %s: code %d %s", level, r.Code, r.Remark)
		}
	}
}

func TestSchedule_GoesOnAfterARestartWithOtherLevels(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.DelayLevels = "1h 1h 1s 1h"
	b, err := Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	c := dialTest(t, b, remoting.Options{})
	for i, level := range []string{"1", "2", "3", "4"} {
		if r := sendDelayed(t, c, "Delayed", level, fmt.Sprint(i+1)); r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
	}
	if got := awaitMessages(t, c, "Delayed", 0, 1); string(got[0].Body) != "3" {
		t.Fatalf("delivered %s", got[0].Body)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(cfg.RootDir, "config", "delayOffset.json"))
	var file delayOffsets
	if err != nil || fastjson.Unmarshal(data, &file) != nil || file.OffsetTable[3] != 1 || file.DataVersion == nil {
		t.Fatalf("delayOffset.json is %s, %v", data, err)
	}
	// Level 1 is shorter now, its message waits that long from now; levels 3 and 4 are no more, and 3 has nothing left.
	cfg.DelayLevels = "2s 1h"
	begin := time.Now()
	b = openTest(t, cfg)
	got := awaitMessages(t, dialTest(t, b, remoting.Options{}), "Delayed", 1, 1)
	if at := time.UnixMilli(got[0].StoreTimestamp).Sub(begin); string(got[0].Body) != "1" || at < 2*time.Second-2*time.Millisecond {
		t.Errorf("message %s came after %v", got[0].Body, at)
	}
	if end := b.store.Queue("Delayed", 0).MaxOffset(); end != 2 {
		t.Errorf("%d messages are delivered, want 2", end)
	}
	if n := len(b.schedule.levels); n != 4 {
		t.Errorf("%d levels are looked after, want 4: one that is no more has a message", n)
	}
}

// scheduleFor returns the schedule of a broker whose loop does not run.
func scheduleFor(t *testing.T, cfg config.Broker) *schedule {
	b := openTest(t, cfg)
	b.stopFollowers()
	b.stopFollowers = nil
	return b.schedule
}

func TestSchedule_ClockSetBackDeliversNothingEarlyAndNothingMuchLater(t *testing.T) {
	t.Parallel()
	s := scheduleFor(t, testConfig(t))
	l := s.levels[4] // a minute
	now := time.Now()
	ms := now.UnixMilli()
	if got := s.wait(l, 0, ms+60_000, now); got != time.Minute {
		t.Errorf("a message that was just stored waits %v", got)
	}
	if got := s.wait(l, 0, ms-1, now); got != 0 {
		t.Errorf("a message that is due waits %v", got)
	}
	// The clock was set back by an hour; the newest message is due an hour and a minute from now, an older one half a minute before it.
	hour := int64(3600_000)
	l.ahead = ahead{until: 2, newest: ms + hour + 60_000, at: now.Add(time.Minute)}
	if got := s.wait(l, 0, ms+hour+30_000, now); got != 30*time.Second {
		t.Errorf("the older one waits %v", got)
	}
	if got := s.wait(l, 1, ms+hour+60_000, now); got != time.Minute {
		t.Errorf("the newest waits %v", got)
	}
	if got := s.wait(l, 2, ms+10_000, now); got != 10*time.Second {
		t.Errorf("one stored since waits %v", got)
	}
	// Noticed by itself: nothing newer is known.
	l = s.levels[5]
	if got := s.wait(l, 0, ms+hour, now); got != l.delay {
		t.Errorf("a message from the future waits %v, want %v", got, l.delay)
	}
	if got := s.wait(l, 1, 1<<62, now); got != l.delay {
		t.Errorf("a message at the end of time waits %v, want %v", got, l.delay)
	}
}

func TestSchedule_PositionsOutsideTheirQueueAreSetRight(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	dir := filepath.Join(cfg.RootDir, "config")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "delayOffset.json"), []byte(`{"offsetTable":{1:7,2:-3,40:5}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	s := scheduleFor(t, cfg)
	if got := s.positions(); got[1] != 0 || got[2] != 0 || got[40] != 5 {
		t.Errorf("positions are %v", got)
	}
}

func TestSchedule_MovesAPartOfALevelAtATime(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.DelayLevels = "0s"
	s := scheduleFor(t, cfg)
	c := dialTest(t, s.b, remoting.Options{})
	for i := range 2100 {
		if r := sendDelayed(t, c, "Delayed", "1", fmt.Sprint(i)); r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
	}
	// A topic that cannot be stored at all does not keep the others waiting.
	bad := store.Put{Message: message.Message{Properties: message.AppendProperty(nil, "DELAY", "1")}, Queue: s.levels[0].queue}
	if err := s.deliverNow(bad); err != nil {
		t.Fatal(err)
	}
	if wait := s.round(time.Now()); wait != 0 || s.levels[0].next != scheduleBatch {
		t.Errorf("after one round level 1 is at %d, next look in %v", s.levels[0].next, wait)
	}
	for s.round(time.Now()) != never {
	}
	for i, m := range awaitMessages(t, c, "Delayed", 0, 2100) {
		if string(m.Body) != fmt.Sprint(i) {
			t.Fatalf("message %d is %s", i, m.Body)
		}
	}
	if at := s.levels[0].next; at != 2101 {
		t.Errorf("position is %d, want 2101", at)
	}
}

func TestSchedule_TriesAgainInOrderUntilTheStoreTakesMessages(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.DelayLevels = "0s 0s"
	s := scheduleFor(t, cfg)
	c := dialTest(t, s.b, remoting.Options{})
	for i := range 20 {
		if r := sendDelayed(t, c, "Delayed", fmt.Sprint(1+i%2), fmt.Sprint(i)); r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
	}
	put := s.put
	tries := 0
	s.put = func(b *store.Batch) { tries++; b.Done(b, errors.New("disk is full")) }
	now := time.Now()
	for i, want := range []time.Duration{100, 200, 400, 800, 1000, 1000} {
		if got := s.round(now); got != want*time.Millisecond || tries != i+1 {
			t.Errorf("after failure %d of %d it is tried again in %v, want %v", i+1, tries, got, want*time.Millisecond)
		}
		if got := s.round(now.Add(want*time.Millisecond - 1)); got != 1 || tries != i+1 {
			t.Errorf("it is tried before its time: %v", got)
		}
		now = now.Add(want * time.Millisecond)
	}
	if at := s.positions(); at[1] != 0 || at[2] != 0 {
		t.Errorf("positions are %v though nothing was stored", at)
	}
	// Stored, though not made durable in time.
	s.put = func(b *store.Batch) {
		done := b.Done
		b.Done = func(b *store.Batch, _ error) { done(b, store.ErrFlushTimeout) }
		put(b)
	}
	for s.round(now) != never {
	}
	var order [2][]string
	for _, m := range awaitMessages(t, c, "Delayed", 0, 20) {
		n, _ := strconv.Atoi(string(m.Body))
		order[n%2] = append(order[n%2], string(m.Body))
	}
	if got := fmt.Sprint(order); got != "[[0 2 4 6 8 10 12 14 16 18] [1 3 5 7 9 11 13 15 17 19]]" {
		t.Errorf("delivered %s", got)
	}
}

func TestSchedule_DeliversToATopicThatWasDeletedMeanwhile(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.DelayLevels = "1s 2s"
	b := openTest(t, cfg)
	c := dialTest(t, b, remoting.Options{})
	sendDelayed(t, c, "Gone", "1", "late")
	sendDelayed(t, c, "Stays", "2", "last")
	if r := call(t, c, protocol.ReqDeleteTopicInBroker, [][2]string{{"topic", "Gone"}}, nil); r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	awaitMessages(t, c, "Stays", 0, 1) // it was due after the other
	if r := call(t, c, protocol.ReqPullMessage, pullFields("Gone", 0, 0), nil); r.Code != protocol.CodeTopicNotExist {
		t.Errorf("a pull of the deleted topic: code %d %s", r.Code, r.Remark)
	}
	if err := b.topics.update(newConfig("Gone", 4)); err != nil {
		t.Fatal(err)
	}
	if m := awaitMessages(t, c, "Gone", 0, 1)[0]; string(m.Body) != "late" {
		t.Errorf("message %s", m.Body)
	}
}

func TestSchedule_DeliversToLightQueues(t *testing.T) {
	t.Parallel()
	cfg := lightConfig(t)
	cfg.DelayLevels = "1s"
	b := openTest(t, cfg)
	c := dialTest(t, b, remoting.Options{})
	sendDelayed(t, c, "Topic", "1", "for both", message.PropMultiDispatch, "%LMQ%a,%LMQ%b")
	awaitMessages(t, c, "Topic", 0, 1)
	dispatched(t, b)
	for _, queue := range []string{"%LMQ%a", "%LMQ%b"} {
		if list := records(t, getAll(t, b, queue)); len(list) != 1 || string(list[0].Body) != "for both" {
			t.Errorf("%s has %v", queue, list)
		}
	}
}

// deliverNow stores a message as it is.
func (s *schedule) deliverNow(p store.Put) error {
	done := make(chan error, 1)
	s.b.store.Put(&store.Batch{Puts: []store.Put{p}, Done: func(_ *store.Batch, err error) { done <- err }})
	return <-done
}

func TestSchedule_GoesOnWhereAKilledBrokerWas(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.DelayLevels, cfg.FlushDelayOffsetInterval = "0s 1h", time.Hour
	b, err := Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	c := dialTest(t, b, remoting.Options{})
	for i := range 5 {
		sendDelayed(t, c, "Delayed", "1", fmt.Sprint(i))
	}
	awaitMessages(t, c, "Delayed", 0, 5)
	b.stopFollowers() // the position is kept behind the delivery
	kept, err := os.ReadFile(b.schedule.progress.path)
	if err != nil {
		t.Fatal(err)
	}
	reached, positions, ok := parseDelayProgress(kept)
	if end := b.store.Stats().Written; !ok || reached != end || len(positions) != 1 || positions[1] != 5 {
		t.Fatalf("kept are %q, the log ends at %d", kept, end)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cfg.RootDir, "config")
	path := filepath.Join(dir, "delayOffset.progress")
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Error("it is still there after a clean stop:", err)
	}
	cfg.BrokerRole = config.Slave // which delivers nothing
	check := func(what string, line []byte, want int64) {
		t.Helper()
		if err := errors.Join(os.WriteFile(filepath.Join(dir, "delayOffset.json"), []byte(`{"offsetTable":{1:2}}`), 0o644),
			os.WriteFile(path, line, 0o644)); err != nil {
			t.Fatal(err)
		}
		b, err := Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		data, _ := os.ReadFile(filepath.Join(dir, "delayOffset.json"))
		var file delayOffsets
		if err := fastjson.Unmarshal(data, &file); err != nil || file.OffsetTable[1] != want || b.schedule.levels[0].next != want {
			t.Errorf("%s: level 1 is at %d, in the file at %d (%v), want %d", what, b.schedule.levels[0].next, file.OffsetTable[1], err, want)
		}
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("%s: it is still there", what)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
	line := func(text string) []byte { return fmt.Appendf(nil, "%s %s\n", crcText([]byte(text)), text) }
	check("kept", kept, 5)
	check("behind the file", line("0 1:1"), 2)
	check("torn", kept[:len(kept)-3], 2)
	check("ahead of the log", line(fmt.Sprintf("%d 1:5", reached+1)), 2)
	for _, bad := range []string{"", "\n", "00000000 \n", "xyz", string(line("5 1")), string(line("5 1:-1")), string(line("5 0:1")), string(line("x"))} {
		if _, _, ok := parseDelayProgress([]byte(bad)); ok {
			t.Errorf("%q is believed", bad)
		}
	}
}

func FuzzDelayProgress(f *testing.F) {
	f.Add([]byte("123 1:5 18:9223372036854775807"))
	f.Add([]byte("-1"))
	f.Fuzz(func(t *testing.T, line []byte) {
		parseDelayProgress(line)
		whole := append(append(crcText(line), ' '), line...)
		reached, positions, ok := parseDelayProgress(append(whole, '\n'))
		for level, at := range positions {
			if at < 0 {
				t.Errorf("%q: level %d is at %d of %d, %t", line, level, at, reached, ok)
			}
		}
	})
}

func FuzzDelayOffset(f *testing.F) {
	f.Add([]byte(`{"dataVersion":{"counter":1,"timestamp":5},"offsetTable":{1:3,2:9223372036854775807}}`))
	f.Add([]byte(`{"offsetTable":{"1":3}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := &schedule{reached: map[int]int64{}}
		if s.load(data) != nil {
			return
		}
		text, err := s.encode()
		if err != nil {
			t.Fatal(err)
		}
		again := &schedule{reached: map[int]int64{}}
		if err := again.load(text); err != nil || len(again.reached) != len(s.reached) {
			t.Errorf("%s is read as %v, %v", text, again.reached, err)
		}
	})
}

// BenchmarkDelayed sends messages of a level that is due at once and waits until they are delivered. One iteration is one message.
func BenchmarkDelayed(b *testing.B) {
	cfg := testConfig(b)
	cfg.DelayLevels = "0s"
	broker := openTest(b, cfg)
	nc, err := net.Dial("tcp", broker.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	const inFlight = 64
	var frames []byte
	for range inFlight {
		f := protocol.Begin(nil, protocol.RequestHead(protocol.JSON, protocol.ReqSendMessageV2, 1, false))
		for _, kv := range sendFields("Bench", "i", "UNIQ_KEY\x01C00002023AED4E0E2F2A6716EC120000\x02DELAY\x011\x02") {
			f.Str(kv[0], kv[1])
		}
		body := make([]byte, 128)
		frames = append(frames, append(f.End(len(body)), body...)...)
	}
	answer := make([]byte, 64<<10)
	b.ReportAllocs()
	b.ResetTimer()
	rounds := (b.N + inFlight - 1) / inFlight
	for range rounds {
		if _, err := nc.Write(frames); err != nil {
			b.Fatal(err)
		}
		for range inFlight {
			if _, err := io.ReadFull(nc, answer[:4]); err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(nc, answer[:int(answer[2])<<8|int(answer[3])]); err != nil {
				b.Fatal(err)
			}
		}
	}
	for broker.store.Queue("Bench", 0).MaxOffset() < int64(rounds*inFlight) {
		time.Sleep(time.Millisecond)
	}
}
