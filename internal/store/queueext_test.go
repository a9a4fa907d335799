package store

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// bitsOf gives each message a bit map of two bytes: its offset.
func bitsOf(m *message.Dispatch, dst []byte) []byte {
	return binary.BigEndian.AppendUint16(dst, uint16(m.QueueOffset))
}

// openExt opens a store whose queues have extensions, of 10 messages a file.
func openExt(t *testing.T, fs logfile.FS, enabled bool) *Store {
	t.Helper()
	cfg := DefaultConfig("/store")
	cfg.FS, cfg.CommitLogFileSize, cfg.ConsumeQueueFileSize = fs, 64<<10, 100*unitSize
	cfg.MessageIndexEnable = false
	cfg.ConsumeQueueExt, cfg.ConsumeQueueExtFileSize = enabled, 10*(extHead+2)+extEnd
	s, err := Open(t.Context(), cfg, Hooks{Bits: bitsOf})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// extWanted checks that each message is found by its tag and its bits, as the extension tells them; without the extension tags are
// all wanted.
func extWanted(t *testing.T, s *Store, count int) {
	t.Helper()
	q := s.Queue("TopicA", 0)
	tag := message.TagsCode([]byte("odd"))
	for _, want := range []int{0, 1, 9, 10, 11, count - 1} {
		told := 0
		f := &Filter{Tags: func(code int64) bool { return code == tag }, Bits: func(storeTime int64, bits []byte) bool {
			told++
			return storeTime > 0 && len(bits) == 2 && int(binary.BigEndian.Uint16(bits)) == want
		}}
		data, r := s.Get(q, 0, 32, 1<<20, f, nil)
		for r.NextOffset < q.MaxOffset() && r.Count == 0 {
			data, r = s.Get(q, r.NextOffset, 32, 1<<20, f, nil)
		}
		var m message.Message
		if want%2 == 0 {
			if r.Count != 0 {
				t.Errorf("message %d has the tag of another", want)
			}
			continue
		}
		check(t, message.Decode(data, &m))
		if r.Count != 1 || int(m.QueueOffset) != want || told == 0 {
			t.Errorf("%d messages, the first %d, asked %d times; want message %d", r.Count, m.QueueOffset, told, want)
		}
	}
}

func putTagged(t *testing.T, s *Store, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		p := testPut(s.Queue("TopicA", 0), fmt.Sprint(i))
		p.Properties = message.AppendProperty(nil, message.PropTags, []string{"even", "odd"}[i%2])
		putWait(t, s, Written, p)
	}
}

func TestQueueExt_TellsOfEachMessage(t *testing.T) {
	t.Parallel()
	fs := logfile.NewMemory()
	s := openExt(t, fs, true)
	putTagged(t, s, 0, 55)
	extWanted(t, s, 55)
	check(t, s.Close())
	s = openExt(t, fs, false) // what is there is read, whatever the setting
	extWanted(t, s, 55)
	check(t, s.Close())
	s = openExt(t, fs, true)
	putTagged(t, s, 55, 80)
	extWanted(t, s, 80)
	check(t, s.DeleteTopic("TopicA"))
	if entries, err := fs.List("/store/consumequeue_ext/TopicA/0"); err != nil || len(entries) > 0 {
		t.Errorf("after the topic was deleted: %v, %v", entries, err)
	}
	putTagged(t, s, 0, 30)
	extWanted(t, s, 30)
	check(t, s.Close())
}

func TestQueueExt_IsNeverAnotherMessagesAfterACrash(t *testing.T) {
	t.Parallel()
	for round := range 20 {
		fs := logfile.NewMemory()
		s := openExt(t, fs, true)
		putTagged(t, s, 0, 20)
		if round%2 == 0 {
			s.flushBehind()
		}
		putTagged(t, s, 20, 20+round)
		crashed := fs.Kill()
		if round%3 == 0 {
			crashed = fs.Crash(nil)
		}
		check(t, s.Close())
		again := openExt(t, crashed, true)
		count := int(again.Queue("TopicA", 0).MaxOffset())
		putTagged(t, again, count, count+30)
		extWanted(t, again, count+30)
		check(t, again.Close())
	}
}

func TestQueueExt_GoesWithItsMessages(t *testing.T) {
	t.Parallel()
	fs := logfile.NewMemory()
	s := openExt(t, fs, true)
	putTagged(t, s, 0, 100)
	q := s.Queue("TopicA", 0)
	var units [1]unit
	if _, err := q.units.read(57, units[:], false); err != nil {
		t.Fatal(err)
	}
	if _, err := q.deleteBefore(units[0].logOffset); err != nil {
		t.Fatal(err)
	}
	if start := q.ext.files.Start(); q.MinOffset() != 57 || start != 5*q.ext.files.FileSize() {
		t.Errorf("queue begins at %d, its extension at %d", q.MinOffset(), start)
	}
	check(t, s.Close())
}

func FuzzReadExtended(f *testing.F) {
	f.Add([]byte{0, 22, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 2, 3, 4})
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, size, ok := readExtended(b); ok && (size < extHead+len(e.bits) || size > extSizeMax) {
			t.Errorf("%d bytes with %d of bits", size, len(e.bits))
		}
	})
}
