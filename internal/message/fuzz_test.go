package message

import (
	"bytes"
	"maps"
	"strings"
	"testing"
	"unicode/utf16"
)

func FuzzDecode(f *testing.F) {
	records, _ := goldenRecords(f)
	for _, rec := range records[:40] {
		f.Add(rec)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var m Message
		var d Dispatch
		size, kind := Peek(b)
		err := Decode(b, &m)
		if (ReadDispatch(b, &d) == nil) != (err == nil) {
			t.Fatal("Decode and ReadDispatch disagree")
		}
		_ = CheckRecord(b)
		if err != nil {
			return
		}
		if kind != Record || int(m.Size) != size || size > len(b) || string(d.Topic) != m.Topic {
			t.Fatalf("size %d, Peek says %d", m.Size, size)
		}
		for name, got := range map[string][]byte{PropUniqKey: d.UniqKey, PropKeys: d.Keys, PropTags: d.Tags, PropDelay: d.Delay,
			PropInnerNum: d.InnerNum, PropInnerBase: d.InnerBase, PropMultiDispatch: d.MultiDispatch, PropMultiQueueOffset: d.MultiOffset} {
			if want, ok := Property(m.Properties, name); !bytes.Equal(got, want) || ok != (got != nil) {
				t.Fatalf("%s: %q, want %q", name, got, want)
			}
		}
		// What was read is written and read back the same. (Topics of v2 records may be short, and hosts mapped, ports
		// above 65535 cut; so the bytes may differ.)
		var again Message
		if err := Decode(m.AppendRecord(nil, false), &again); err != nil {
			t.Fatal(err)
		}
		if again.Topic != m.Topic || !bytes.Equal(again.Body, m.Body) || !bytes.Equal(again.Properties, m.Properties) ||
			again.LogOffset != m.LogOffset || again.QueueOffset != m.QueueOffset || again.StoreTimestamp != m.StoreTimestamp {
			t.Fatalf("got %+v, want %+v", again, m)
		}
	})
}

func FuzzBatchBody(f *testing.F) {
	f.Add(AppendToBatch(AppendToBatch(nil, BatchEntry{Body: []byte("b"), Properties: []byte("a\x01b\x02")}), BatchEntry{}))
	f.Fuzz(func(t *testing.T, b []byte) {
		for rest := b; len(rest) > 0; {
			var e BatchEntry
			r, err := NextInBatch(rest, &e)
			if err != nil {
				return
			}
			if batchFixed+len(e.Body)+len(e.Properties)+len(r) != len(rest) {
				t.Fatalf("%d bytes became %d", len(rest), batchFixed+len(e.Body)+len(e.Properties)+len(r))
			}
			rest = r
		}
	})
}

func FuzzProperties(f *testing.F) {
	f.Add([]byte("a\x01b\x02c\x01d"), "a", "v")
	f.Add([]byte("\x02\x01\x02a\x01\x02"), "", "")
	f.Fuzz(func(t *testing.T, props []byte, name, value string) {
		m := ParseProperties(props)
		if got := ParseProperties(AppendProperties(nil, m)); !maps.Equal(got, m) {
			t.Fatalf("%q became %q", m, got)
		}
		kept := ParseProperties(DeleteProperty(props, name))
		delete(m, name)
		if !maps.Equal(kept, m) {
			t.Fatalf("without %q: %q, want %q", name, kept, m)
		}
		if len(name) > 0 && len(value) > 0 && !bytes.ContainsAny([]byte(name+value), "\x01\x02") {
			if got, ok := Property(SetProperty(props, name, value), name); !ok || string(got) != value {
				t.Fatalf("%q set to %q: %q", name, value, got)
			}
		}
	})
}

func FuzzIDs(f *testing.F) {
	f.Add("7F000001000051AF00000000000000DF")
	f.Add(strings.Repeat("\x7f", 39))
	f.Add("sieben \u00fcber\x7f \U0001F600 acht und noch mehr")
	f.Fuzz(func(t *testing.T, s string) {
		if host, off, err := ParseOffsetID(s); err == nil {
			if h, o, err := ParseOffsetID(AppendOffsetID(nil, host, off)); err != nil || o != off || h.Port() != host.Port() {
				t.Fatalf("%q: %v %v", s, h, err)
			}
		}
		_, _ = ParseUniqKey(s)
		naive := int32(7)
		for _, c := range utf16.Encode([]rune(strings.ToValidUTF8(s, ""))) {
			naive = naive*31 + int32(c)
		}
		if got := JavaHash(7, strings.ToValidUTF8(s, "")); got != naive {
			t.Fatalf("%q: hash %d, want %d", s, got, naive)
		}
		JavaHash(0, s)
	})
}
