package protocol

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"reflect"
	"strings"
	"testing"

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
	for _, data := range [][]byte{[]byte("{"), {zlibMark}, good[:len(good)/2], deflate(""), deflate("\xff\xff\xff\xff"), deflate("\x7f\xff\xff\xff{}"),
		deflate("\x00\x00\x00\x02{}\x00\x00\x00\x01\x00\x00\x00\x03a b"), deflate("\x00\x00\x00\x02{}\x00\x00\x00\x01\x00\x00\x00\x0fname x 1 6 TAGS")} {
		if _, err := DecodeRegisterBrokerBody(data, true, VersionCurrent); err == nil || !strings.HasPrefix(err.Error(), "cannot read the topics of a registration") {
			t.Errorf("%q: %v", data, err)
		}
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
