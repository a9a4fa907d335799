package main

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// golden reads a frame that the Java client 5.5.0 or Apache's broker has sent.
func golden(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".hex"))
	if err != nil {
		t.Fatal(err)
	}
	frame, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		t.Fatal(err)
	}
	return frame
}

func TestAnswer_ReadsWhatApacheSends(t *testing.T) {
	t.Parallel()
	check := func(name string, opaque int32, key string, want string, bodySize int) {
		t.Helper()
		a, err := parseAnswer(golden(t, name)[4:])
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if a.code != answerOK || a.opaque != opaque || !a.isResponse || len(a.body) != bodySize {
			t.Errorf("%s: code %d, opaque %d, response %v, body of %d bytes", name, a.code, a.opaque, a.isResponse, len(a.body))
		}
		if got, ok := a.field(key); !ok || got != want {
			t.Errorf("%s: %s is %q, want %q", name, key, got, want)
		}
		if got, ok := a.field("absent"); ok {
			t.Errorf("%s: a field that is not there reads as %q", name, got)
		}
	}
	check("json-000310-SEND_MESSAGE_V2-c2b.resp", 11, "msgId", "7F000001000051AF0000000000000000", 0)
	check("rocketmq-000310-SEND_MESSAGE_V2-c2b.resp", 11, "msgId", "7F000001000051AF0000000000002D44", 0)
	check("json-000030-GET_MAX_OFFSET-c2b.resp", 203, "offset", "7", 0)
	check("json-000011-PULL_MESSAGE-c2b.resp", 86, "nextBeginOffset", "6", 1122)
}

func TestAnswer_TakesNoFieldForACode(t *testing.T) {
	t.Parallel()
	header := `{"extFields":{"code":"7","opaque":"8","barcode":5},"code":-1,"flag":1,"opaque":9}`
	frame := append([]byte{0, 0, 0, byte(len(header))}, header...)
	a, err := parseAnswer(frame)
	if err != nil || a.code != -1 || a.opaque != 9 {
		t.Errorf("code %d, opaque %d, %v; want -1, 9", a.code, a.opaque, err)
	}
}

func TestWalkRecords_GivesEachMessageOfAPull(t *testing.T) {
	t.Parallel()
	a, err := parseAnswer(golden(t, "json-000011-PULL_MESSAGE-c2b.resp")[4:])
	if err != nil {
		t.Fatal(err)
	}
	var offsets []int64
	var bodies []string
	err = walkRecords(a.body, func(queueOffset int64, body []byte) {
		offsets = append(offsets, queueOffset)
		bodies = append(bodies, string(body))
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(offsets) != 5 || offsets[0] != 0 || offsets[2] != 2 || bodies[0] != "hello wire" || bodies[2] != "b2" {
		t.Errorf("got offsets %v, bodies %q", offsets, bodies)
	}
}

func FuzzParseAnswer(f *testing.F) {
	for _, name := range []string{"json-000310-SEND_MESSAGE_V2-c2b.resp", "rocketmq-000310-SEND_MESSAGE_V2-c2b.resp",
		"json-000011-PULL_MESSAGE-c2b.resp"} {
		f.Add(golden(f, name)[4:])
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		a, err := parseAnswer(frame)
		if err != nil {
			return
		}
		a.field("msgId")
		a.remark()
		_ = walkRecords(a.body, func(int64, []byte) {})
	})
}

func TestRequest_EscapesPropertySeparators(t *testing.T) {
	t.Parallel()
	got := appendJSONString(nil, "a\x01b\x02\"\\")
	if want := `"a\u0001b\u0002\"\\"`; !bytes.Equal(got, []byte(want)) {
		t.Errorf("got %s, want %s", got, want)
	}
}
