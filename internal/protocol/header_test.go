package protocol

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// golden returns a frame that Apache's client or broker sent.
func golden(t testing.TB, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	frame, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		t.Fatal(err)
	}
	return frame
}

// split returns a frame's serialization, header and body.
func split(frame []byte) (Serialization, []byte, []byte) {
	n := int(binary.BigEndian.Uint32(frame[4:]) & 0xFFFFFF)
	return Serialization(frame[4]), frame[8 : 8+n], frame[8+n:]
}

func goldenFiles(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/golden/*.hex")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden frames", err)
	}
	return files
}

// TestGolden_HeadersDecodeAndEncodeToTheSameBytes takes frames apart and puts them together again.
func TestGolden_HeadersDecodeAndEncodeToTheSameBytes(t *testing.T) {
	t.Parallel()
	for _, path := range goldenFiles(t) {
		want := golden(t, path)
		ser, header, body := split(bytes.Clone(want))
		var h Header
		if err := DecodeHeader(&h, ser, header); err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		f := Begin(nil, Head{Serialization: ser, Language: h.Language, Version: h.Version, Code: h.Code, Opaque: h.Opaque, Flag: h.Flag, Remark: string(h.Remark)})
		for _, field := range h.Fields {
			f.Bytes(string(field.Key), field.Value)
		}
		if got := append(f.End(len(body)), body...); !bytes.Equal(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", path, got, want)
		}
	}
}

func TestDecodeHeader_AcceptsWhatOtherClientsWrite(t *testing.T) {
	t.Parallel()
	check := func(in, key, want string) {
		t.Helper()
		var h Header
		if err := DecodeHeader(&h, JSON, []byte(in)); err != nil {
			t.Errorf("%s: %v", in, err)
			return
		}
		if v, _ := h.Get(key); string(v) != want {
			t.Errorf("%s: field %s is %q, want %q", in, key, v, want)
		}
	}
	check(`{"code":1,"extFields":{"a":"b"}}`, "a", "b")
	check(` { "code" : 1 , "extFields" : { "a" : "b" , "c":"d"} } `, "c", "d")
	check(`{"extFields":{"n":12,"t":true,"x":null},"code":1}`, "n", "12")
	check(`{"extFields":{"n":12,"t":true},"code":1}`, "t", "true")
	check(`{"extFields":null,"code":1,"more":{"deep":[1,{"x":"}"}]}}`, "a", "")
	check(`{"extFields":{"a":"\u00e9\ud83d\ude00\n\"\\\/\x41"}}`, "a", "é😀\n\"\\/A")
	check(`{"code":1,"language":null,"version":null,"remark":null,"flag":null,"extFields":{"a":"b"}}`, "a", "b")
	check(`{"code":1,"extFields":{"list":[1,{"x":"}"}],"object":{"y":[]},"a":"b"}}`, "a", "b")
	check(`{"code":1,"extFields":{"object":{"y":[]},"a":"b"}}`, "object", "")
	check(`{"extFields":{"a":"","long key of many bytes":"a value that is longer than eight bytes"}}`, "long key of many bytes", "a value that is longer than eight bytes")
}

// TestDecodeHeader_TakesLooseNumbers: Apache's JSON reader does, and who writes such a header would otherwise lose his connection.
func TestDecodeHeader_TakesLooseNumbers(t *testing.T) {
	t.Parallel()
	check := func(in string, code, opaque, flag int32) {
		t.Helper()
		var h Header
		if err := DecodeHeader(&h, JSON, []byte(in)); err != nil || h.Code != code || h.Opaque != opaque || h.Flag != flag {
			t.Errorf("%s: %+v, %v", in, h, err)
		}
	}
	check(`{"code":106.0,"opaque":3e2,"flag":null}`, 106, 300, 0)
	check(`{"code":null,"opaque":-0.0,"flag":1,"version":null}`, 0, 0, 1)
	check(`{"code":106,"opaque":3,"extFields":{"a":"b",},}`, 106, 3, 0)
	check(`{"code":1,"extFields":{},"opaque":-2147483647.0}`, 1, -2147483647, 0)
	refuse := func(in string) {
		t.Helper()
		var h Header
		if err := DecodeHeader(&h, JSON, []byte(in)); err == nil {
			t.Errorf("%s: %+v", in, h)
		}
	}
	refuse(`{"code":106.5}`)
	refuse(`{"code":3000000000}`)
	refuse(`{"code":1e300}`)
	refuse(`{"code":nan}`)
	refuse(`{"code":""}`)
	refuse(`{"code":true}`)
	refuse(`{"code":` + strings.Repeat("0", 100) + `}`)
	refuse(`{,}`)
	refuse(`{"code":1,,}`)
	refuse(`{"code":1,"extFields":{,}}`)
}

// TestDecodeFields_EmptyIsAbsentInBinaryHeaders: Apache reads an empty text of a binary header as none, and one of a JSON header as it is.
func TestDecodeFields_EmptyIsAbsentInBinaryHeaders(t *testing.T) {
	t.Parallel()
	type fields struct {
		Name  string  `field:"name,required"`
		Group *string `field:"group"`
		Queue int32   `field:"queue"`
		Limit *int64  `field:"limit"`
	}
	decode := func(ser Serialization, v any) error {
		t.Helper()
		f := Begin(nil, Head{Serialization: ser})
		for _, name := range []string{"name", "group", "queue", "limit", "must"} {
			f.Str(name, "")
		}
		_, header, _ := split(f.End(0))
		var h Header
		if err := DecodeHeader(&h, ser, header); err != nil {
			t.Fatal(err)
		}
		return h.DecodeFields(v)
	}
	var got fields
	if err := decode(RocketMQ, &got); err != nil || got != (fields{}) {
		t.Errorf("%+v, %v", got, err)
	}
	var must struct {
		Must int32 `field:"must,required"`
	}
	if err := decode(RocketMQ, &must); err == nil || !strings.Contains(err.Error(), "the custom field <must> is null") {
		t.Errorf("a required number: %v", err)
	}
	if err := decode(JSON, &got); err == nil || !strings.Contains(err.Error(), `<queue> has the value ""`) || got.Group == nil {
		t.Errorf("JSON: %+v, %v", got, err)
	}
}

func TestIsTrue_AsJavaReadsIt(t *testing.T) {
	t.Parallel()
	for _, v := range []string{"true", "True", "TRUE", "tRuE"} {
		if !IsTrue([]byte(v)) {
			t.Errorf("%q is not true", v)
		}
	}
	for _, v := range []string{"", "t", "1", "yes", "false", "true ", "\x14rue", "trve"} {
		if IsTrue([]byte(v)) {
			t.Errorf("%q is true", v)
		}
	}
}

func TestDecodeHeader_RefusesWithTheReason(t *testing.T) {
	t.Parallel()
	check := func(ser Serialization, in, want string) {
		t.Helper()
		var h Header
		if err := DecodeHeader(&h, ser, []byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error that says %q", in, err, want)
		}
	}
	check(JSON, ``, "expected '{'")
	check(JSON, `{"code":"x"}`, "32-bit number")
	check(JSON, `{"code":99999999999}`, "32-bit number")
	check(JSON, `{"extFields":{"a":"b`, "unterminated")
	check(JSON, `{"extFields":{"a" "b"}}`, "expected ':'")
	check(JSON, `{"code":1} x`, "trailing")
	check(RocketMQ, "short", "too few")
	check(RocketMQ, "\x00\x01\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x7f\x00\x00\x00\x00", "remark length")
	check(RocketMQ, "\x00\x01\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x7f\xff\xff\xff", "ext fields length")
	check(7, "", "unknown serialization 7")
}

func FuzzDecodeHeader(f *testing.F) {
	for _, path := range goldenFiles(f) {
		ser, header, _ := split(golden(f, path))
		f.Add(byte(ser), header)
	}
	f.Fuzz(func(t *testing.T, ser byte, data []byte) {
		var h Header
		input := bytes.Clone(data)
		if err := DecodeHeader(&h, Serialization(ser), data); err != nil {
			return
		}
		// What JSON's own decoder takes as well must mean the same.
		var std struct {
			Code      int32
			ExtFields map[string]string
		}
		if Serialization(ser) == JSON && json.Unmarshal(input, &std) == nil && len(std.ExtFields) == len(h.Fields) {
			for k, want := range std.ExtFields {
				if got, ok := h.Get(k); ok && string(got) != want && !strings.ContainsRune(want, '\uFFFD') {
					t.Errorf("field %q is %q, want %q", k, got, want)
				}
			}
		}
		// What was decoded can be encoded and decoded again.
		fr := Begin(nil, Head{Serialization: JSON, Code: h.Code, Remark: string(h.Remark)})
		for _, field := range h.Fields {
			fr.open("k")
			fr.buf = appendQuoted(fr.buf, field.Value)
		}
		var again Header
		ser2, header, _ := split(fr.End(0))
		if err := DecodeHeader(&again, ser2, header); err != nil || len(again.Fields) != len(h.Fields) {
			t.Fatalf("encoded header does not decode: %v", err)
		}
	})
}

func BenchmarkDecodeHeader(b *testing.B) {
	for _, name := range []string{"json", "rocketmq"} {
		ser, header, _ := split(golden(b, "testdata/golden/"+name+"-000310-SEND_MESSAGE_V2-c2b.req.hex"))
		buf := make([]byte, len(header))
		var h Header
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				copy(buf, header)
				if err := DecodeHeader(&h, ser, buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
