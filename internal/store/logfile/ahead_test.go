package logfile

import (
	"bytes"
	"syscall"
	"testing"
)

// writes notes what Ahead asks of a file.
type writes struct {
	File
	zeroed, reserved [][2]int64
	err              error
}

func (w *writes) WriteAt(p []byte, off int64) (int, error) {
	w.zeroed = append(w.zeroed, [2]int64{off, off + int64(len(p))})
	return len(p), w.err
}

func (w *writes) Reserve(off, n int64) error {
	w.reserved = append(w.reserved, [2]int64{off, off + n})
	return w.err
}

func TestAhead_StaysBetweenWhatIsWrittenAndTheEnd(t *testing.T) {
	t.Parallel()
	for _, begin := range []int64{0, 1000, 5 << 20} {
		w := &writes{}
		a := Ahead{Step: 4096}
		end := begin + 10<<20 + 77
		from := begin + 100 // something was there before
		first := from
		for size := int64(1); from < end; size = size*3%50_000 + 1 {
			to := min(end, from+size)
			a.Prepare(w, from, to, begin, end)
			for _, z := range w.zeroed {
				if z[0] < from || z[1] > end || z[1]-z[0] > 4096 {
					t.Fatalf("[%d, %d) is written next: zeros at %d", from, to, z)
				}
			}
			if behind := a.zeroed - to; behind > 4096 || behind < 0 {
				t.Fatalf("zeros are %d bytes ahead", behind)
			}
			w.zeroed, from = nil, to
		}
		at := first // where space is taken to; a step may begin before it
		for i, r := range w.reserved {
			if r[0] < at-4096 || r[1] > end || r[1]-r[0] > max(reserveLeast, r[0]-begin) {
				t.Errorf("space from %d: %d", begin, w.reserved)
			}
			if at = r[1]; i == len(w.reserved)-1 && r[1] != end {
				t.Errorf("space ends at %d and not %d", r[1], end)
			}
		}
		if n := len(w.reserved); n > 6 {
			t.Errorf("space is asked for %d times", n)
		}
		// The next file.
		a.Prepare(w, end, end+10, end, end+1<<20)
		if n := len(w.zeroed); n == 0 || w.zeroed[n-1][1] > end+2*4096 {
			t.Errorf("zeros in the next file: %d", w.zeroed)
		}
	}
}

func TestAhead_LeavesErrorsToTheWrite(t *testing.T) {
	t.Parallel()
	w := &writes{err: syscall.ENOSPC}
	a := Ahead{Step: 4096}
	for at := int64(0); at < 100_000; at += 1000 {
		a.Prepare(w, at, at+1000, 0, 100_000)
	}
	for _, z := range w.zeroed {
		if z[1] > 100_000 {
			t.Errorf("zeros at %d", z)
		}
	}
}

func TestReserve_ReadsAsZerosAndIsNoData(t *testing.T) {
	onBoth(t, func(t *testing.T, fs FS, dir string) {
		if err := fs.MkdirAll(dir); err != nil {
			t.Fatal(err)
		}
		f, err := fs.Create(dir + "/f")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := f.Truncate(1 << 20); err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("before"), 0); err != nil {
			t.Fatal(err)
		}
		if err := f.Reserve(0, 2<<20); err != nil {
			t.Fatal(err)
		}
		b := bytes.Repeat([]byte{1}, 1<<20)
		if n, err := f.ReadAt(b, 0); n != len(b) || !bytes.Equal(b, append([]byte("before"), make([]byte, 1<<20-6)...)) {
			t.Errorf("read %d bytes, %v", n, err)
		}
		if size, err := f.Size(); err != nil || size != 1<<20 {
			t.Errorf("the file has %d bytes, %v", size, err)
		}
		if err := f.Reserve(0, 1<<62); err != nil { // more than there is
			t.Error(err)
		}
	})
}
