package filter

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// Bloom says which bits of a bit map stand for a consumer of a topic. For each message a broker may keep a map in which the bits of
// those are set that want the message; who misses one of its bits does not want it, and who misses none probably does.
//
// The sizes and positions are part of the format of consumerFilter.json and ConsumeQueueExt; do not change.
type Bloom struct {
	Hashes int // bits for each consumer
	Bits   int // of a map, a multiple of 8
}

// NewBloom sizes the maps for so many consumers of a topic, of which so many percent may look at a message in vain.
func NewBloom(errorPercent, consumers int) Bloom {
	log := func(base, x float64) float64 { return math.Log(x) / math.Log(base) }
	rate := float64(errorPercent) / 100
	m := math.Ceil(float64(consumers) * log(2, 1/rate) * log(2, math.E))
	return Bloom{Hashes: int(math.Ceil(log(0.5, rate))), Bits: int(8 * math.Ceil(m/8))}
}

// Positions are the bits that stand for a group's consumers of a topic.
func (b Bloom) Positions(group, topic string) []int32 {
	sum := murmur3(group + "#" + topic)
	first, second := int32(sum), int32(sum>>32)
	at := make([]int32, b.Hashes)
	for i := range at {
		h := first + int32(i+1)*second
		if h < 0 {
			h = ^h
		}
		at[i] = h % int32(b.Bits)
	}
	return at
}

// SetBits sets bits of a map. The positions must lie in it.
func SetBits(bitMap []byte, positions []int32) {
	for _, p := range positions {
		bitMap[p/8] |= 1 << (p % 8)
	}
}

// HasBits says whether all of the bits are set. The positions must lie in the map.
func HasBits(bitMap []byte, positions []int32) bool {
	for _, p := range positions {
		if bitMap[p/8]&(1<<(p%8)) == 0 {
			return false
		}
	}
	return true
}

// murmur3 is the first half of the 128-bit MurmurHash3 for 64-bit machines, with seed 0.
func murmur3(s string) uint64 {
	const c1, c2 = 0x87c37b91114253d5, 0x4cf5ad432745937f
	mix1 := func(k uint64) uint64 { return bits.RotateLeft64(k*c1, 31) * c2 }
	mix2 := func(k uint64) uint64 { return bits.RotateLeft64(k*c2, 33) * c1 }
	var h1, h2 uint64
	data := []byte(s)
	for ; len(data) >= 16; data = data[16:] {
		h1 ^= mix1(binary.LittleEndian.Uint64(data))
		h1 = (bits.RotateLeft64(h1, 27)+h2)*5 + 0x52dce729
		h2 ^= mix2(binary.LittleEndian.Uint64(data[8:]))
		h2 = (bits.RotateLeft64(h2, 31)+h1)*5 + 0x38495ab5
	}
	var rest [16]byte
	copy(rest[:], data)
	h1 ^= mix1(binary.LittleEndian.Uint64(rest[:]))
	h2 ^= mix2(binary.LittleEndian.Uint64(rest[8:]))
	h1 ^= uint64(len(s))
	h2 ^= uint64(len(s))
	h1 += h2
	h2 += h1
	return spread(h1) + spread(h2)
}

func spread(k uint64) uint64 {
	k = (k ^ k>>33) * 0xff51afd7ed558ccd
	k = (k ^ k>>33) * 0xc4ceb9fe1a85ec53
	return k ^ k>>33
}
