package protocol

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/fastjson"
)

func sampleRegistration() *RegisterBrokerBody {
	b := &RegisterBrokerBody{FilterServerList: []string{"f:1"}}
	b.Topics.DataVersion = DataVersion{StateVersion: 1, Timestamp: 2, Counter: 3}
	b.Topics.TopicConfigTable = make(map[string]*TopicConfig)
	for i := range 3 {
		c := NewTopicConfig(fmt.Sprint("topic-", i))
		c.ReadQueueNums, c.Perm, c.Attributes = int32(i), 4, map[string]string{"message.type": "FIFO"}
		b.Topics.TopicConfigTable[c.TopicName] = &c
	}
	b.Topics.TopicQueueMappingInfoMap = map[string]*TopicQueueMappingInfo{
		"topic-1": {Topic: "topic-1", Bname: "b", Scope: "__global__", TotalQueues: 4, Epoch: 5, CurrIDMap: map[int32]int32{0: 1, 2: 3}}}
	return b
}

func TestRegistration_ReadsWhatItWrites(t *testing.T) {
	t.Parallel()
	for _, small := range []bool{false, true} {
		want := sampleRegistration()
		data, err := want.Encode(small)
		if err != nil {
			t.Fatal(err)
		}
		for _, said := range []bool{small, false} { // compressed is seen where it is not said
			got, err := DecodeRegisterBrokerBody(data, said, VersionCurrent)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("compressed=%v, said %v: %+v, want %+v", small, said, got.Topics, want.Topics)
			}
		}
	}
}

func TestRegistration_OlderBrokersSendLess(t *testing.T) {
	t.Parallel()
	b := sampleRegistration()
	data, err := b.Encode(true)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeRegisterBrokerBody(data, true, versionV5_0_0-1)
	if err != nil || len(got.Topics.TopicConfigTable) != 3 || got.Topics.TopicQueueMappingInfoMap != nil {
		t.Errorf("before 5.0: %+v, %v", got, err)
	}
	topics, err := fastjson.Marshal(&b.Topics)
	if err != nil {
		t.Fatal(err)
	}
	got, err = DecodeRegisterBrokerBody(topics, false, versionV3_0_11-1)
	if err != nil || len(got.Topics.TopicConfigTable) != 3 || got.FilterServerList != nil {
		t.Errorf("before 3.0.11: %+v, %v", got, err)
	}
	if got, err = DecodeRegisterBrokerBody(nil, false, VersionCurrent); err != nil || len(got.Topics.TopicConfigTable) != 0 {
		t.Errorf("no body: %+v, %v", got, err)
	}
}

func TestRegistration_RefusesNonsense(t *testing.T) {
	t.Parallel()
	good, err := sampleRegistration().Encode(true)
	if err != nil {
		t.Fatal(err)
	}
	deflate := func(s string) []byte {
		var b bytes.Buffer
		z := zlib.NewWriter(&b)
		_, _ = z.Write([]byte(s))
		_ = z.Close()
		return b.Bytes()
	}
	if b, err := DecodeRegisterBrokerBody([]byte("null"), false, VersionCurrent); err == nil {
		t.Errorf("null is %+v", b)
	}
	for _, data := range [][]byte{[]byte("{"), {zlibMark}, good[:len(good)/2], deflate(""), deflate("\xff\xff\xff\xff"), deflate("\x7f\xff\xff\xff{}"),
		deflate("\x00\x00\x00\x02{}\x00\x00\x00\x01\x00\x00\x00\x03a b"), deflate("\x00\x00\x00\x02{}\x00\x00\x00\x01\x00\x00\x00\x0fname x 1 6 TAGS")} {
		if _, err := DecodeRegisterBrokerBody(data, true, VersionCurrent); err == nil || !strings.HasPrefix(err.Error(), "cannot read the topics of a registration") {
			t.Errorf("%q: %v", data, err)
		}
	}
}

// deflated is head, then fill as often as it says, then tail, as a compressed registration.
func deflated(t *testing.T, head, fill string, times int, tail string) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := zlib.NewWriterLevel(&b, zlib.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriterSize(z, 64<<10)
	_, _ = w.WriteString(head)
	for range times {
		_, _ = w.WriteString(fill)
	}
	_, _ = w.WriteString(tail)
	_ = w.Flush()
	_ = z.Close()
	return b.Bytes()
}

// deflatedVersion is a DataVersion without anything in it.
const deflatedVersion = "\x00\x00\x00\x02{}"

// TestRegistration_SmallOnesThatInflateToMuch is of registrations that anybody may send to a NameServer. It is not parallel: it looks at
// what is allocated.
func TestRegistration_SmallOnesThatInflateToMuch(t *testing.T) {
	const much = "\x03\x00\x00\x00" // 48 MiB, as a length
	for _, c := range []struct{ head, fill, want string }{
		{deflatedVersion + "\x00\x00\x00\x01" + much, " ", "a topic has 50331648 bytes, the limit is 65536"},
		{much + "[", `"",`, "the DataVersion has"},
		{deflatedVersion + "\x00\x00\x00\x00" + much + "[", `"",`, "the list of filter servers has"},
		{deflatedVersion + "\x00\x00\x00\x00\x00\x00\x00\x02[]\x00\x00\x00\x01" + much + "{", `"a":0,`, "a static topic's mapping has"},
	} {
		data := deflated(t, c.head, c.fill, 48<<20/len(c.fill), "")
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := DecodeRegisterBrokerBody(data, true, VersionCurrent)
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want an error that says %q", err, c.want)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 {
			t.Errorf("%s: a registration of %d bytes took %d MiB", c.want, len(data), n>>20)
		}
	}
}

func TestRegistration_AllOfItIsBounded(t *testing.T) {
	t.Parallel()
	topic := "\x00\x00\x40\x1bone-name 16 16 6 SINGLE_TAG" + strings.Repeat(" ", 0x4000)
	data := deflated(t, deflatedVersion+"\x0f\xff\xff\xff", topic, inflatedMax/len(topic)+1, "")
	_, err := DecodeRegisterBrokerBody(data, true, VersionCurrent)
	if err == nil || !strings.Contains(err.Error(), "inflated it has more than 67108864 bytes") {
		t.Error(err)
	}
	// More topics than any broker has, with names that are as long as they may be, and attributes.
	line := strings.Repeat("n", 127) + ` 16 16 6 SINGLE_TAG {"cleanup.policy":"COMPACTION","message.type":"TRANSACTION","queue.type":"BatchCQ"}`
	line = string(binary.BigEndian.AppendUint32(nil, uint32(len(line)))) + line
	count := string(binary.BigEndian.AppendUint32(nil, 100_000))
	data = deflated(t, deflatedVersion+count, line, 100_000, "\x00\x00\x00\x02[]\x00\x00\x00\x00")
	if _, err := DecodeRegisterBrokerBody(data, true, VersionCurrent); err != nil {
		t.Error(err)
	}
}

// TestRegistration_FewAreInflatedAtOnce is not parallel: it holds up all others.
func TestRegistration_FewAreInflatedAtOnce(t *testing.T) {
	data, err := sampleRegistration().Encode(true)
	if err != nil {
		t.Fatal(err)
	}
	for range inflatingMost {
		inflating <- struct{}{}
	}
	var mayGo atomic.Bool
	done := make(chan error)
	go func() {
		_, err := DecodeRegisterBrokerBody(data, true, VersionCurrent)
		if err == nil && !mayGo.Load() {
			err = errors.New("it did not wait for the others")
		}
		done <- err
	}()
	time.Sleep(10 * time.Millisecond) // if that is too short the test passes and shows nothing
	mayGo.Store(true)
	for range inflatingMost {
		<-inflating
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestTopicLine_LosesAttributesWithBlanksAsApacheDoes(t *testing.T) {
	t.Parallel()
	c, err := parseTopicLine(`name 1 2 6 SINGLE_TAG {"a":"b c"}`)
	if err != nil || c.ReadQueueNums != 1 || c.WriteQueueNums != 2 || c.Perm != 6 || len(c.Attributes) != 0 {
		t.Errorf("%+v, %v", c, err)
	}
}

func FuzzDecodeRegisterBrokerBody(f *testing.F) {
	for _, small := range []bool{false, true} {
		data, err := sampleRegistration().Encode(small)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, small)
	}
	f.Fuzz(func(t *testing.T, data []byte, small bool) {
		b, err := DecodeRegisterBrokerBody(data, small, VersionCurrent)
		if err != nil {
			return
		}
		if _, err := b.Encode(false); err != nil {
			t.Error(err)
		}
	})
}

// BenchmarkRegistration reads and writes a registration of 10,000 topics.
func BenchmarkRegistration(b *testing.B) {
	body := &RegisterBrokerBody{FilterServerList: []string{}}
	body.Topics.TopicConfigTable = make(map[string]*TopicConfig)
	for i := range 10_000 {
		c := NewTopicConfig(fmt.Sprint("topic-", i))
		body.Topics.TopicConfigTable[c.TopicName] = &c
	}
	data, err := body.Encode(false)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := body.Encode(false); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := DecodeRegisterBrokerBody(data, false, VersionCurrent); err != nil {
				b.Fatal(err)
			}
		}
	})
}
