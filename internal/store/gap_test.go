package store

import (
	"math"
	"testing"

	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// A queue whose middle was lost has fillers there. They must not be taken for those before its first message.
func TestConsumeQueue_BeginsBeforeAGapOfFillers(t *testing.T) {
	t.Parallel()
	for _, begin := range []int64{0, 7} {
		memory := logfile.NewMemory()
		gapped := func() *consumeQueue {
			return newConsumeQueue(memory, logfile.NewHandles(10), "/q", 100*unitSize)
		}
		q := gapped()
		for n := begin; n < 40; n++ {
			if n < 15 || n >= 30 { // 15 to 29 are lost
				check(t, q.append(n, timedUnit{unit: testUnit(n + 1)}))
			}
		}
		check(t, q.flush())
		q.close()
		for _, durable := range []int64{math.MaxInt64, testUnit(12).logOffset, 0} {
			q = gapped()
			check(t, q.load(durable, nil))
			if q.min() != begin || q.max() != 40 {
				t.Errorf("durable to %d: queue is %d to %d, want %d to 40", durable, q.min(), q.max(), begin)
			}
			q.close()
		}
		for first := begin; first < 40; first++ {
			q = gapped()
			check(t, q.load(math.MaxInt64, nil))
			_, err := q.deleteBefore(testUnit(first + 1).logOffset)
			check(t, err)
			want := first
			if first > 15 && first <= 30 {
				want = 15 // all of the gap points to what is behind it
			}
			if q.min() != want {
				t.Errorf("without what lies before message %d: queue begins at %d, want %d", first, q.min(), want)
			}
			q.close()
		}
	}
}

// What lies behind the checkpoint may be lost, before a gap too.
func TestConsumeQueue_EndsAtALostPageBeforeAGap(t *testing.T) {
	t.Parallel()
	memory := logfile.NewMemory()
	const size = 1000 * unitSize
	q := newConsumeQueue(memory, logfile.NewHandles(10), "/q", size)
	for n := range int64(1000) {
		if n < 500 || n >= 900 {
			check(t, q.append(n, timedUnit{unit: testUnit(n + 1)}))
		}
	}
	check(t, q.flush())
	q.close()
	f, err := memory.Open("/q/" + logfile.FileName(0))
	check(t, err)
	check(t, f.Zero(310*unitSize, 4096))
	q = newConsumeQueue(memory, logfile.NewHandles(10), "/q", size)
	check(t, q.load(testUnit(301).logOffset, nil))
	if q.max() != 310 && q.max() != 309 { // 309 lies in two sectors
		t.Errorf("queue ends at %d, want 310", q.max())
	}
	q.close()
}
