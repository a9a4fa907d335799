package main

import (
	"math"
	"testing"
	"time"
)

func TestHistogram_PercentilesAreWithinOnePercent(t *testing.T) {
	t.Parallel()
	var h histogram
	for i := 1; i <= 10_000; i++ {
		h.add(time.Duration(i) * time.Microsecond)
	}
	check := func(p float64, want time.Duration) {
		t.Helper()
		got := h.percentile(p)
		if math.Abs(float64(got-want)) > 0.01*float64(want) {
			t.Errorf("p%g is %v, want about %v", 100*p, got, want)
		}
	}
	check(0.5, 5*time.Millisecond)
	check(0.99, 9900*time.Microsecond)
	check(0.999, 9990*time.Microsecond)
	check(1, 10*time.Millisecond)
}

func TestHistogram_TakesAnyDuration(t *testing.T) {
	t.Parallel()
	var h histogram
	if got := h.percentile(0.5); got != 0 {
		t.Errorf("the median of nothing is %v", got)
	}
	for _, d := range []time.Duration{-1, 0, 1, 255, 256, 257, math.MaxInt64} {
		h.reset()
		h.add(d)
		got := h.percentile(0.99)
		if want := max(d, 0); got < want || float64(got-want) > 0.01*float64(want) {
			t.Errorf("%d reads back as %d", d, got)
		}
	}
}

func TestHistogram_BucketsGrowWithoutGaps(t *testing.T) {
	t.Parallel()
	last := -1
	for d := time.Duration(0); d < 1<<16; d++ {
		bucket := histogramBucket(d)
		if bucket != last && bucket != last+1 {
			t.Fatalf("%d is in bucket %d, the one before in %d", d, bucket, last)
		}
		if edge := histogramEdge(bucket); edge < d {
			t.Fatalf("%d is in bucket %d, which ends at %d", d, bucket, edge)
		}
		last = bucket
	}
}
