package filter

import (
	"slices"
	"testing"
)

func TestGolden_BloomIsApaches(t *testing.T) {
	t.Parallel()
	// From a consumerFilter.json that Apache's broker wrote with its default settings.
	b := NewBloom(20, 32)
	if got := b.Positions("GoldenSqlGroup", "GoldenTag"); b != (Bloom{Hashes: 3, Bits: 112}) || !slices.Equal(got, []int32{76, 59, 101}) {
		t.Errorf("%+v, %v", b, got)
	}
}

func TestBloom_TellsWhoDoesNotWant(t *testing.T) {
	t.Parallel()
	b := NewBloom(20, 32)
	bitMap := make([]byte, b.Bits/8)
	SetBits(bitMap, b.Positions("a", "t"))
	if !HasBits(bitMap, b.Positions("a", "t")) || HasBits(bitMap, b.Positions("b", "t")) {
		t.Errorf("%x", bitMap)
	}
	for _, percent := range []int{1, 50, 99} {
		for _, n := range []int{1, 7, 1000} {
			b := NewBloom(percent, n)
			for _, p := range b.Positions("group", "topic") {
				if int(p) >= b.Bits || p < 0 || b.Bits%8 != 0 || b.Hashes < 1 {
					t.Errorf("%d%% of %d: %+v, %d", percent, n, b, p)
				}
			}
		}
	}
}
