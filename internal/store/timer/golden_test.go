package timer

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// The files in testdata/golden were written by Apache RocketMQ 5.5.0: five timers, one of which takes another away, and what POP put
// into the wheel. The timer log is cut behind its first 20 places, of which 12 are records.

func golden(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "golden", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestGolden_IsReadAndWrittenEqual(t *testing.T) {
	t.Parallel()
	log := golden(t, "timerlog")
	records := 0
	for ; ; records++ {
		b := log[records*recordSize:][:recordSize]
		r, ok := readRecord(b)
		if !ok {
			break
		}
		if got := r.appendTo(nil); !bytes.Equal(got, b) {
			t.Errorf("record %d: got %x, want %x", records, got, b)
		}
	}
	if records != 12 {
		t.Errorf("%d records", records)
	}
	check := golden(t, "timercheck")
	c := ReadCheckpoint(check)
	if got := c.AppendTo(nil); !bytes.Equal(got, check[:checkSize]) || c.LogFlushed != 12*recordSize || c.QueueFlushed != 12 {
		t.Errorf("got %x (%+v), want %x", got, c, check[:checkSize])
	}
}

func TestGolden_IsDelivered(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name string, data []byte) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	gz, err := gzip.NewReader(bytes.NewReader(golden(t, "timerwheel.gz")))
	if err != nil {
		t.Fatal(err)
	}
	wheel, err := io.ReadAll(gz)
	if err != nil || len(wheel) != slotCount*slotSize {
		t.Fatal(len(wheel), err)
	}
	write("timerwheel", wheel)
	log := slices.Concat(golden(t, "timerlog"), make([]byte, 104000-1040))
	write("timerlog/"+logfile.FileName(0), log)
	check := golden(t, "timercheck")
	const read = 1795219919000 // before the first was due
	binary.BigEndian.PutUint64(check, read)
	write("config/timercheck", check)
	write("config/timermetrics", golden(t, "timermetrics"))
	w, err := Open(Config{RootDir: dir, LogFileSize: 104000, Precision: time.Second, RollWindow: 172_800, FlushInterval: time.Hour, CommitLogEnd: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	slots, offsets := drain(t, w, read+100_000, 12)
	for i := range slots {
		slots[i] -= read
	}
	equal(t, "slots", slots, 3000, 4000, 6000, 9000, 10_000, 11_000, 12_000, 54_000)
	equal(t, "messages", offsets, 15287, 14602, 14942, 19884, 20353, 20744, 21594, 21985, 21135, 15615, 15951, 166003)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	// What was read was not changed.
	if after, err := os.ReadFile(filepath.Join(dir, "timerlog", logfile.FileName(0))); err != nil || !bytes.Equal(after, log) {
		t.Error("the timer log changed", err)
	}
}
