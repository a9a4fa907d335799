package store

import (
	"fmt"
	"strings"
	"testing"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// lightPut is a message that is for light queues too.
func lightPut(s *Store, q *Queue, body string, names ...string) Put {
	p := testPut(q, body)
	p.Properties = message.AppendProperty(p.Properties, message.PropMultiDispatch, strings.Join(names, ","))
	p.Properties = message.AppendProperty(p.Properties, message.PropMultiQueueOffset, "77")
	p.Properties = message.AppendProperty(p.Properties, message.PropWait, "true")
	for _, name := range names {
		var light *Queue
		if IsLight(name) {
			light = s.Queue(name, 0)
		}
		p.Light = append(p.Light, light)
	}
	return p
}

// found reads the bodies of a light queue and the offsets that its messages say they have, which must be their places.
func found(t *testing.T, s *Store, name string) string {
	t.Helper()
	q := s.FindQueue(name, 0)
	if q == nil {
		return ""
	}
	var out []string
	next := q.MinOffset()
	for {
		data, r := s.Get(q, next, 32, 1<<20, nil, nil)
		if r.Status != Found {
			return strings.Join(out, " ")
		}
		for at := next; len(data) > 0; at++ {
			var m message.Message
			if err := message.Decode(data, &m); err != nil {
				t.Fatal(err)
			}
			names, _ := message.Property(m.Properties, message.PropMultiDispatch)
			offsets, _ := message.Property(m.Properties, message.PropMultiQueueOffset)
			at0 := -1
			for i, n := range strings.Split(string(names), ",") {
				if n == name && at0 < 0 {
					at0 = i
				}
			}
			if got := strings.Split(string(offsets), ",")[at0]; got != fmt.Sprint(at) {
				t.Errorf("%s at %d says it is at %s (%s: %s)", m.Body, at, got, names, offsets)
			}
			if _, ok := message.Property(m.Properties, message.PropWait); ok {
				t.Errorf("%s has kept WAIT", m.Body)
			}
			out = append(out, string(m.Body))
			data = data[m.Size:]
		}
		next = r.NextOffset
	}
}

func TestLight_MessagesAreInEachQueueTheyName(t *testing.T) {
	t.Parallel()
	for _, crc := range []bool{false, true} {
		cfg := testConfig(t)
		cfg.LightQueues, cfg.AppendPropCRC, cfg.ForceVerifyPropCRC = true, crc, crc
		m := logfile.NewMemory()
		cfg.FS = m
		check := func(s *Store, a, b string, queues int) {
			t.Helper()
			if gotA, gotB := found(t, s, "%LMQ%a"), found(t, s, "%LMQ%b"); gotA != a || gotB != b || s.LightQueues() != queues {
				t.Errorf("a: %s, b: %s, %d queues; want a: %s, b: %s, %d", gotA, gotB, s.LightQueues(), a, b, queues)
			}
		}
		s := openTest(t, cfg)
		q := s.Queue("T", 1)
		putWait(t, s, Written, lightPut(s, q, "1", "%LMQ%a"), testPut(q, "2"), lightPut(s, q, "3", "%LMQ%b", "other", "%LMQ%a", "%LMQ%b"))
		retry := s.Queue("%RETRY%G", 0)
		copied := lightPut(s, retry, "copied", "%LMQ%a")
		copied.Light = nil // the broker gives none
		putWait(t, s, Written, copied)
		awaitVisible(t, q, 3)
		check(s, "1 3", "3", 2)
		if got := fmt.Sprint(bodies(t, s, q, 0)); got != "[1 2 3]" {
			t.Error(got)
		}

		// Killed, and opened again.
		cfg.FS = m.Kill()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openTest(t, cfg)
		q = s.Queue("T", 1)
		putWait(t, s, Written, lightPut(s, q, "4", "%LMQ%a", "%LMQ%b"))
		awaitVisible(t, q, 4)
		check(s, "1 3 4", "3 4", 2)
		if err := s.DeleteTopic("%LMQ%b"); err != nil {
			t.Fatal(err)
		}
		check(s, "1 3 4", "", 1)
		putWait(t, s, Written, lightPut(s, q, "5", "%LMQ%b"))
		awaitVisible(t, q, 5)
		check(s, "1 3 4", "5", 2)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openTest(t, cfg)
		check(s, "1 3 4", "5", 2)

		// What a stranger's record says of offsets does no harm.
		for _, offsets := range []string{"", ",", "x,1", "-5", "9223372036854775807", "1,2,3"} {
			p := lightPut(s, s.Queue("T", 2), "forged", "%LMQ%c")
			p.Light = nil
			p.Properties = message.SetProperty(p.Properties, message.PropMultiQueueOffset, offsets)
			putWait(t, s, Written, p)
		}
		putWait(t, s, Written, lightPut(s, s.Queue("T", 2), "x", "%LMQ%a/b", "%LMQ%..", "%LMQ%"))
		awaitVisible(t, s.Queue("T", 2), 7)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLight_TooManyNamesAreRefused(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.LightQueues = true
	s := openTest(t, cfg)
	defer s.Close()
	names := make([]string, 3000)
	for i := range names {
		names[i] = "%LMQ%"
	}
	b, err := tryPut(s, Written, lightPut(s, s.Queue("T", 0), "1", names...))
	if err != nil || b.Puts[0].Err == nil || !strings.Contains(b.Puts[0].Err.Error(), "properties of") {
		t.Error(err, b.Puts[0].Err)
	}
}
