//go:build unix

package store

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

// processorTime is what this process has used until now.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	check(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkPut stores messages with a unique key and a tag, indexed, on a real disk. cpu-ns/op has all that it costs:
// dispatch, index and flushing too.
func BenchmarkPut(b *testing.B) {
	for _, size := range []int{128, 1024} {
		for _, batch := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("%dB/batch%d", size, batch), func(b *testing.B) { benchmarkPut(b, size, batch, Written) })
		}
	}
	b.Run("128B/batch1/flushed", func(b *testing.B) { benchmarkPut(b, 128, 1, Flushed) })
	b.Run("128B/batch64/flushed", func(b *testing.B) { benchmarkPut(b, 128, 64, Flushed) })
}

func benchmarkPut(b *testing.B, size, batch int, wait Level) {
	cfg := DefaultConfig(b.TempDir())
	cfg.SyncFlush = wait == Flushed
	s := openTest(b, cfg)
	defer s.Close()
	puts := make([]Put, batch)
	for i := range puts {
		puts[i] = testPut(s.Queue("BenchTopic", int32(i%4)), "0123456789ABCDEF0123456789ABCDEF")
		puts[i].Body = make([]byte, size)
	}
	done := make(chan error, 1)
	p := &Batch{Puts: puts, Wait: wait, Done: func(_ *Batch, err error) { done <- err }}
	b.ReportAllocs()
	b.SetBytes(int64(size))
	began := processorTime(b)
	n := 0
	for ; b.Loop(); n++ {
		if n%batch == 0 {
			s.Put(p)
			if err := <-done; err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(processorTime(b)-began)/float64(n), "cpu-ns/op")
}

// BenchmarkGet pulls a backlog of 128 B messages of four mixed queues, 32 at a time, from memory and from files.
func BenchmarkGet(b *testing.B) {
	for _, reopen := range []bool{false, true} {
		b.Run(fmt.Sprintf("files=%v", reopen), func(b *testing.B) {
			cfg := DefaultConfig(b.TempDir())
			s := openTest(b, cfg)
			const messages = 10_000
			var puts []Put
			for i := range messages {
				p := testPut(s.Queue("BenchTopic", int32(i%4)), fmt.Sprint(i))
				p.Body = make([]byte, 128)
				puts = append(puts, p)
			}
			putWait(b, s, Written, puts...)
			if reopen {
				check(b, s.Close())
				s = openTest(b, cfg)
			}
			defer s.Close()
			q := s.Queue("BenchTopic", 1)
			var buf []byte
			began := processorTime(b)
			b.ReportAllocs()
			n := 0
			for from := int64(0); b.Loop(); {
				var r GetResult
				buf, r = s.Get(q, from, 32, 1<<20, nil, buf[:0])
				if r.Status != Found {
					b.Fatal(r.Status)
				}
				n += r.Count
				if from = r.NextOffset; from == messages/4 {
					from = 0
				}
			}
			b.ReportMetric(float64(processorTime(b)-began)/float64(n), "cpu-ns/msg")
		})
	}
}
