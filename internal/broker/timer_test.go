package broker

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/store/timer"
)

// timerConfig has the finest precision there is.
func timerConfig(t testing.TB) config.Broker {
	cfg := testConfig(t)
	cfg.TimerPrecision, cfg.TimerLogFileSize, cfg.TimerFlushInterval = 100*time.Millisecond, 8192, 20*time.Millisecond
	cfg.RecallMessage = true
	return cfg
}

// sendTimed sends a message with properties given as pairs.
func sendTimed(t testing.TB, c *remoting.Conn, topic, key string, pairs ...string) *remoting.Response {
	t.Helper()
	props := message.AppendProperty(nil, message.PropUniqKey, key)
	for i := 0; i < len(pairs); i += 2 {
		props = message.AppendProperty(props, pairs[i], pairs[i+1])
	}
	return call(t, c, protocol.ReqSendMessageV2, sendFields(topic, "i", string(props)), []byte(key))
}

func in(d time.Duration) string { return strconv.FormatInt(time.Now().Add(d).UnixMilli(), 10) }

func fieldOf(r *remoting.Response, name string) string {
	v, _ := r.Get(name)
	return string(v)
}

func propOf(m message.Message, name string) string {
	v, _ := message.Property(m.Properties, name)
	return string(v)
}

// awaitWaiting waits until so many messages are left in the wheel.
func awaitWaiting(t testing.TB, b *Broker, n int64) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); b.timers.wheel.Waiting() != n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d messages wait, want %d", b.timers.wheel.Waiting(), n)
		}
	}
}

func TestTimer_DeliversWithinItsPrecision(t *testing.T) {
	t.Parallel()
	b := openTest(t, timerConfig(t))
	c := dialTest(t, b, remoting.Options{})
	due := map[string]int64{}
	for i := range 20 {
		key := fmt.Sprintf("K%02d", i)
		at := time.Now().Add(time.Duration(300+37*i) * time.Millisecond).UnixMilli()
		due[key] = at
		var r *remoting.Response
		switch i % 3 {
		case 0:
			r = sendTimed(t, c, "Timed", key, message.PropTimerDeliverMS, strconv.FormatInt(at, 10), "REAL_TOPIC", "Forged", "TAGS", "T")
		case 1:
			r = sendTimed(t, c, "Timed", key, message.PropTimerDelayMS, strconv.FormatInt(at-time.Now().UnixMilli(), 10))
		default:
			due[key] = time.Now().UnixMilli() + 1000
			r = sendTimed(t, c, "Timed", key, message.PropTimerDelaySec, "1")
		}
		if r.Code != 0 {
			t.Fatal(r.Code, r.Remark)
		}
	}
	for _, m := range awaitMessages(t, c, "Timed", 0, 20) {
		late := m.StoreTimestamp - due[string(m.Body)]
		if late < -2 || late > 500 { // the send takes some of a delay's time
			t.Errorf("%s came %d ms after its time", m.Body, late)
		}
		if propOf(m, "REAL_TOPIC") != "Timed" || propOf(m, "TIMER_DEQUEUE_MS") == "" || propOf(m, "TIMER_ENQUEUE_MS") == "" || m.Topic != "Timed" {
			t.Errorf("%s has properties %q", m.Body, m.Properties)
		}
	}
}

func TestTimer_RefusesAsApacheDoes(t *testing.T) {
	t.Parallel()
	cfg := timerConfig(t)
	cfg.TimerMaxDelay = time.Hour
	b := openTest(t, cfg)
	c := dialTest(t, b, remoting.Options{})
	check := func(code int, remark string, pairs ...string) {
		t.Helper()
		r := sendTimed(t, c, "Refused", "K", pairs...)
		if int(r.Code) != code || !strings.Contains(string(r.Remark), remark) {
			t.Errorf("%q: got %d %q, want %d %q", pairs, r.Code, r.Remark, code, remark)
		}
	}
	const illegal = "timer message illegal, the delay time should not be bigger than the max delay 3600000ms"
	check(protocol.CodeMessageIllegal, illegal, message.PropTimerDeliverMS, in(time.Hour+time.Second))
	check(protocol.CodeMessageIllegal, illegal, message.PropTimerDelaySec, strconv.Itoa(math.MaxInt64))
	check(protocol.CodeMessageIllegal, "TIMER_DELAY_MS=soon is not a number", message.PropTimerDelayMS, "soon")
	check(protocol.CodeMessageIllegal, illegal, message.PropTimerDelayMS, "-1", message.PropTimerDelUniqKey, "K")
	for _, past := range [][]string{{message.PropTimerDelayMS, "-5"}, {message.PropTimerDelayMS, "0"}, {message.PropTimerDelaySec, strconv.Itoa(math.MinInt64)},
		{message.PropTimerDeliverMS, "1"}, {message.PropTimerDeliverMS, in(time.Minute), message.PropTimerOutMS, "7"}} {
		check(0, "", past...)
	}
	if n := len(awaitMessages(t, c, "Refused", 0, 5)); n != 5 {
		t.Error(n)
	}

	cfg = timerConfig(t)
	cfg.TimerWheel = false
	c = dialTest(t, openTest(t, cfg), remoting.Options{})
	check(protocol.CodeSystemError, "accurate timer message is not enabled, timerWheelEnable is false", message.PropTimerDelayMS, "500")
	if r := call(t, c, protocol.ReqGetTimerCheckPoint, nil, nil); r.Code != protocol.CodeSystemError || !strings.HasPrefix(string(r.Remark), "The checkpoint is null") {
		t.Error(r.Code, r.Remark)
	}

	cfg = timerConfig(t)
	cfg.TimerCongest, cfg.TimerPrecision = 2, time.Second
	c = dialTest(t, openTest(t, cfg), remoting.Options{})
	at := in(time.Minute)
	deadline := time.Now().Add(10 * time.Second)
	for r := sendTimed(t, c, "Congested", "K", message.PropTimerDeliverMS, at); !strings.Contains(string(r.Remark), "timer message is under flow control, max num limit is 4"); {
		if time.Now().After(deadline) {
			t.Fatal("never refused")
		}
		r = sendTimed(t, c, "Congested", "K", message.PropTimerDeliverMS, at)
	}
}

func TestTimer_RollsWhatIsFarAhead(t *testing.T) {
	t.Parallel()
	cfg := timerConfig(t)
	cfg.TimerRollWindow = 6
	b := openTest(t, cfg)
	c := dialTest(t, b, remoting.Options{})
	due := time.Now().Add(1500 * time.Millisecond).UnixMilli()
	sendTimed(t, c, "Rolled", "K", message.PropTimerDeliverMS, strconv.FormatInt(due, 10))
	sendTimed(t, c, "Rolled", "Gone", message.PropTimerDeliverMS, strconv.FormatInt(due, 10))
	sendTimed(t, c, "Rolled", "Gone", message.PropTimerDeliverMS, strconv.FormatInt(due, 10), message.PropTimerDelUniqKey, "Gone")
	sendTimed(t, c, "Rolled", "Gone too", message.PropTimerDeliverMS, strconv.FormatInt(due, 10))
	sendTimed(t, c, "Rolled", "Gone too", message.PropTimerDeliverMS, strconv.FormatInt(due, 10), message.PropTimerDelUniqKey, "Rolled+Gone too") // as 5.3 recalls
	sendTimed(t, c, "Rolled", "Last", message.PropTimerDeliverMS, strconv.FormatInt(due+300, 10))
	ms := awaitMessages(t, c, "Rolled", 0, 2)
	if string(ms[0].Body) != "K" || string(ms[1].Body) != "Last" {
		t.Fatalf("got %s and %s", ms[0].Body, ms[1].Body)
	}
	if rolls, _ := strconv.Atoi(propOf(ms[0], "TIMER_ROLL_TIMES")); rolls < 2 || ms[0].StoreTimestamp < due || ms[0].StoreTimestamp > due+500 {
		t.Errorf("rolled %d times, %d ms late", rolls, ms[0].StoreTimestamp-due)
	}
	awaitWaiting(t, b, 0)
	metrics := string(call(t, c, protocol.ReqGetTimerMetrics, nil, nil).Body)
	var m struct {
		TimingCount map[string]struct{ Count int64 }
	}
	if err := json.Unmarshal([]byte(metrics), &m); err != nil || m.TimingCount["Rolled"].Count != 0 || len(m.TimingCount) != 1 {
		t.Error(metrics, err)
	}
}

func TestTimer_CanBeRecalled(t *testing.T) {
	t.Parallel()
	b := openTest(t, timerConfig(t))
	c := dialTest(t, b, remoting.Options{})
	due := time.Now().Add(900 * time.Millisecond)
	ms := strconv.FormatInt(due.UnixMilli(), 10)
	handles := map[string]string{}
	for _, key := range []string{"A", "B", "C"} {
		r := sendTimed(t, c, "Recalled", key, message.PropTimerDeliverMS, ms)
		handles[key] = fieldOf(r, "recallHandle")
	}
	raw, err := base64.URLEncoding.DecodeString(handles["B"])
	if want := fmt.Sprintf("v1 Recalled broker-a %d B", (due.UnixMilli()-1)/100*100+1); string(raw) != want || err != nil {
		t.Errorf("handle is %q, want %q", raw, want)
	}
	recall := func(topic, handle string) *remoting.Response {
		return call(t, c, protocol.ReqRecallMessage, [][2]string{{"producerGroup", "P"}, {"topic", topic}, {"recallHandle", handle}}, nil)
	}
	if r := recall("Recalled", handles["B"]); r.Code != 0 || fieldOf(r, "msgId") != "B" {
		t.Fatal(r.Code, r.Remark, r.Fields)
	}
	code := func(text string) string { return base64.URLEncoding.EncodeToString([]byte(text)) }
	check := func(want int, remark, topic, handle string) {
		t.Helper()
		if r := recall(topic, handle); int(r.Code) != want || !strings.HasPrefix(string(r.Remark), remark) {
			t.Errorf("%s: got %d %q, want %d %q", handle, r.Code, r.Remark, want, remark)
		}
	}
	check(protocol.CodeTopicNotExist, "recall failed, the topic[None] not exist", "None", handles["A"])
	check(protocol.CodeIllegalOperation, "recall handle is invalid", "Recalled", "")
	check(protocol.CodeIllegalOperation, "recall handle is invalid", "Recalled", "\xff!")
	check(protocol.CodeIllegalOperation, "recall handle is invalid", "Recalled", code("v2 a b c d"))
	check(protocol.CodeIllegalOperation, "recall failed, topic not match", "Recalled", code("v1 Other broker-a 1 K"))
	check(protocol.CodeIllegalOperation, "recall failed, broker service not available", "Recalled", code("v1 Recalled broker-b 1 K"))
	check(protocol.CodeIllegalOperation, "recall failed, timestamp invalid", "Recalled", code("v1 Recalled broker-a 1 K"))
	check(protocol.CodeIllegalOperation, "recall failed, timestamp invalid", "Recalled", code("v1 Recalled broker-a soon K"))
	check(protocol.CodeIllegalOperation, "recall failed, timestamp invalid", "Recalled", code("v1 Recalled broker-a "+in(100*time.Hour)+" K"))
	got := awaitMessages(t, c, "Recalled", 0, 2)
	if string(got[0].Body)+string(got[1].Body) != "AC" {
		t.Errorf("got %s and %s", got[0].Body, got[1].Body)
	}
	change := func(text string) {
		if r := call(t, c, protocol.ReqUpdateBrokerConfig, nil, []byte(text)); r.Code != 0 {
			t.Fatal(r.Remark)
		}
	}
	change("allowRecallWhenBrokerNotWriteable=false\nbrokerPermission=4")
	check(protocol.CodeServiceNotAvailable, "recall failed, broker service not available", "Recalled", handles["A"])
	change("recallMessageEnable=false")
	check(protocol.CodeNoPermission, "recall failed, operation is forbidden", "Recalled", handles["A"])
}

func TestTimer_StopsAndGoesOn(t *testing.T) {
	t.Parallel()
	cfg := timerConfig(t)
	cfg.TimerStopEnqueue = true
	b := openTest(t, cfg)
	c := dialTest(t, b, remoting.Options{})
	sendTimed(t, c, "Stopped", "K", message.PropTimerDelayMS, "200")
	time.Sleep(400 * time.Millisecond)
	if info := b.timers.info(time.Now()); info["timerOffsetBehind"] != "1" || info["timerCongestNum"] != "0" {
		t.Error(info)
	}
	if r := call(t, c, protocol.ReqSwitchTimerEngine, [][2]string{{"E_T", "R"}}, nil); r.Code != protocol.CodeInvalidParameter {
		t.Error(r.Code, r.Remark)
	}
	if r := call(t, c, protocol.ReqSwitchTimerEngine, [][2]string{{"E_T", "F"}}, nil); r.Code != 0 || string(r.Remark) != "switch timer engine success" {
		t.Error(r.Code, r.Remark)
	}
	m := awaitMessages(t, c, "Stopped", 0, 1)[0]
	if propOf(m, "TIMER_ENQUEUE_MS") != strconv.Itoa(math.MaxInt64) {
		t.Errorf("%q", m.Properties)
	}
	check := timer.ReadCheckpoint(call(t, c, protocol.ReqGetTimerCheckPoint, nil, nil).Body)
	if check.QueueWritten != 1 || check.Read < time.Now().Add(-time.Minute).UnixMilli() {
		t.Errorf("%+v", check)
	}
}

func TestTimer_OutlastsAStop(t *testing.T) {
	t.Parallel()
	cfg := timerConfig(t)
	b, err := Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	c := dialTest(t, b, remoting.Options{})
	for i := range 300 {
		sendTimed(t, c, "Kept", fmt.Sprintf("K%03d", i), message.PropTimerDelayMS, strconv.Itoa(500+i))
	}
	sendTimed(t, c, "Kept", "Later", message.PropTimerDelayMS, "900000")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = openTest(t, cfg)
	c = dialTest(t, b, remoting.Options{})
	seen := map[string]bool{}
	for _, m := range awaitMessages(t, c, "Kept", 0, 300) {
		if seen[string(m.Body)] {
			t.Errorf("%s came twice", m.Body)
		}
		seen[string(m.Body)] = true
	}
	awaitWaiting(t, b, 1)
	if info := b.timers.info(time.Now()); info["timerCongestNum"] != "1" || info["timerOffsetBehind"] != "0" {
		t.Error(info)
	}
}

// While the timer log cannot be written, what was taken in together with what cannot be is neither delivered nor put into the wheel again.
func TestTimer_EachIsTakenInOnceThoughTheLogCannotBeWritten(t *testing.T) {
	t.Parallel()
	cfg := timerConfig(t)
	cfg.TimerStopEnqueue = true
	b := openTest(t, cfg)
	c := dialTest(t, b, remoting.Options{})
	const n = 450 // more than two files of the log have
	due := time.Now().Add(4 * time.Second)
	sendTimed(t, c, "Overdue", "K", message.PropTimerDelayMS, "100")
	for i := range n {
		sendTimed(t, c, "Due", strconv.Itoa(i), message.PropTimerDeliverMS, strconv.FormatInt(due.UnixMilli(), 10))
	}
	next := filepath.Join(cfg.RootDir, "timerlog", fmt.Sprintf("%020d", cfg.TimerLogFileSize))
	if err := os.MkdirAll(next, 0o777); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond)
	if r := call(t, c, protocol.ReqUpdateBrokerConfig, nil, []byte("timerStopEnqueue=false")); r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	b.timers.wake()
	awaitMessages(t, c, "Overdue", 0, 1)
	time.Sleep(3 * timerRetry) // for what must not happen
	waiting := b.timers.wheel.Waiting()
	if waiting >= n || waiting == 0 {
		t.Errorf("%d of %d are in the wheel", waiting, n)
	}
	if got := b.store.Queue("Overdue", 0).MaxOffset(); got != 1 {
		t.Errorf("what was due already came %d times", got)
	}
	if err := os.Remove(next); err != nil {
		t.Fatal(err)
	}
	await(t, "all of them", func() bool { return b.store.Queue("Due", 0).MaxOffset() >= n && b.timers.wheel.Waiting() == 0 })
	seen := map[string]bool{}
	for _, m := range records(t, getAll(t, b, "Due")) {
		if seen[string(m.Body)] {
			t.Errorf("%s came twice", m.Body)
		}
		seen[string(m.Body)] = true
	}
	if len(seen) != n {
		t.Errorf("%d of %d came", len(seen), n)
	}
}
