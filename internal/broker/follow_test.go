package broker

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/store"
)

func TestFollowers_BeginAnewAfterAPanic(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	begun := 0
	b.keepFollowing(t.Context(), func(*Broker, context.Context) {
		if begun++; begun == 1 {
			panic("a follower")
		}
	})
	if begun != 2 {
		t.Errorf("begun %d times, want 2", begun)
	}
	ctx, cancel := context.WithCancel(t.Context())
	b.keepFollowing(ctx, func(*Broker, context.Context) { // ends although it panics each time
		cancel()
		panic("a follower")
	})
}

func TestFollowers_PassOverWhatTheyCannotRead(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	if records, res := b.readOn(&store.Queue{}, 5, 32, 1000, []byte("a")); res.NextOffset != 6 || res.Count != 0 || string(records) != "a" {
		t.Errorf("a queue that panics: %+v, %q", res, records)
	}
	b.stopFollowers()
	c := dialTest(t, b, remoting.Options{})
	for _, body := range []string{"0", "1", "2"} {
		if r := sendDelayed(t, c, "Delayed", "18", body); r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
	}
	l := b.schedule.levels[17]
	entries := make([]store.Entry, 3)
	if n, _, err := b.store.Entries(l.queue, 0, entries); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	entries[1].Size = -500 // the store panics
	done, err := b.schedule.takeAll(l, entries)
	var got []byte
	for _, p := range b.schedule.puts {
		got = append(got, p.Body...)
	}
	if done != 3 || err != nil || !bytes.Equal(got, []byte("02")) || len(b.schedule.from) != 2 {
		t.Errorf("%d done with %q, %v", done, got, err)
	}
}

// Units that point behind the log's end ended the broker at each start, and a zero one ended the queue. The broker runs, the log says what to
// do, and when that is done all comes.
func TestSchedule_WaitsAtAHoleUntilItIsRepaired(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.DelayLevels = "2s"
	b, err := Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	c := dialTest(t, b, remoting.Options{})
	for i := range 30 {
		if r := sendDelayed(t, c, "Delayed", "1", fmt.Sprint(i)); r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(cfg.RootDir, "consumequeue", topicSchedule, "0", "00000000000000000000"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	behind := binary.BigEndian.AppendUint64(nil, 1<<40)
	behind = binary.BigEndian.AppendUint32(behind, 500)
	behind = binary.BigEndian.AppendUint64(behind, 1)
	for i := range int64(22) {
		if i >= 20 {
			clear(behind)
		}
		if _, err := f.WriteAt(behind, 20*i); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	var text syncBuffer
	if b, err = Open(t.Context(), cfg, slog.New(slog.NewTextHandler(&text, nil))); err != nil {
		t.Fatal(err)
	}
	await(t, "the damage to be told", func() bool {
		return strings.Contains(text.String(), "consume queue SCHEDULE_TOPIC_XXXX-0 is damaged at offset 0")
	})
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	o, err := store.OpenOffline(store.Config{RootDir: cfg.RootDir, DelayLevels: []time.Duration{2 * time.Second}}, true)
	if err != nil {
		t.Fatal(err)
	}
	for again := true; again && err == nil; {
		if _, err = o.Check(t.Context(), func(store.Finding) {}, nil); err == nil {
			again, err = o.Repair(t.Context(), false, func(string) {}, nil)
		}
	}
	if err := errors.Join(err, o.Close()); err != nil {
		t.Fatal(err)
	}
	b = openTest(t, cfg)
	ms := awaitMessages(t, dialTest(t, b, remoting.Options{}), "Delayed", 0, 30)
	for i, m := range ms {
		if string(m.Body) != fmt.Sprint(i) {
			t.Errorf("message %d is %q", i, m.Body)
		}
	}
}
