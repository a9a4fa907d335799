package main

import (
	"math/bits"
	"time"
)

// A histogram of durations: 128 steps for each power of two of nanoseconds, so that a percentile is off by less than 1 %.
type histogram struct {
	counts [histogramSteps * 57]uint32
	n      uint64
}

const histogramSteps = 128

func (h *histogram) add(d time.Duration) {
	h.counts[histogramBucket(d)]++
	h.n++
}

func (h *histogram) reset() { *h = histogram{} }

// percentile returns the upper edge of the bucket that holds the p-th part (0..1) of all durations; 0 when there are none.
func (h *histogram) percentile(p float64) time.Duration {
	if h.n == 0 {
		return 0
	}
	rank := uint64(p * float64(h.n))
	if rank >= h.n {
		rank = h.n - 1
	}
	var seen uint64
	for i, c := range h.counts {
		seen += uint64(c)
		if seen > rank {
			return histogramEdge(i)
		}
	}
	panic("bug: the histogram's buckets hold less than its count")
}

// histogramBucket: the first 256 nanoseconds have a bucket each; after that the seven bits below the highest count.
func histogramBucket(d time.Duration) int {
	v := uint64(max(d, 0))
	shift := max(bits.Len64(v)-8, 0)
	return shift*histogramSteps + int(v>>shift)
}

func histogramEdge(bucket int) time.Duration {
	shift := max(bucket/histogramSteps-1, 0)
	step := bucket - shift*histogramSteps
	return time.Duration((uint64(step)+1)<<shift - 1)
}
