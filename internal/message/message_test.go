package message

import (
	"bytes"
	"errors"
	"maps"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func sample() *Message {
	return &Message{
		Topic: "T", QueueID: 3, Flag: 7, SysFlag: FlagTransactionCommit, BornTimestamp: 1000, ReconsumeTimes: 2,
		BornHost:  netip.MustParseAddrPort("10.0.0.1:5000"),
		StoreHost: netip.MustParseAddrPort("10.0.0.2:10911"),
		Body:      []byte("hello"), Properties: []byte("TAGS\x01a\x02KEYS\x01k1 k2\x02"),
		PreparedTransactionOffset: 99, QueueOffset: 12, LogOffset: 34567, StoreTimestamp: 2000,
	}
}

func TestRecord_EveryShapeIsReadBack(t *testing.T) {
	t.Parallel()
	check := func(name string, change func(*Message)) {
		t.Helper()
		for _, withCRC := range []bool{false, true} {
			m := sample()
			change(m)
			if _, err := m.Check(withCRC); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			rec := m.AppendRecord([]byte("before"), withCRC)[len("before"):]
			if len(rec) != m.RecordSize(withCRC) {
				t.Errorf("%s: %d bytes, RecordSize says %d", name, len(rec), m.RecordSize(withCRC))
			}
			var got Message
			if err := Decode(append(rec, "behind"...), &got); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if int(got.Size) != len(rec) || got.CheckBody() != nil {
				t.Errorf("%s: size %d, %v", name, got.Size, got.CheckBody())
			}
			if (CheckRecord(rec) == nil) != withCRC {
				t.Errorf("%s: CheckRecord says %v", name, CheckRecord(rec))
			}
			props := ParseProperties(got.Properties)
			delete(props, PropCRC32)
			if want := ParseProperties(m.Properties); !maps.Equal(props, want) {
				t.Errorf("%s: properties %q, want %q", name, props, want)
			}
			if again := got.AppendRecord(nil, withCRC); !bytes.Equal(again, rec) {
				t.Errorf("%s: written differently once more", name)
			}
			got.Properties, got.Size, got.BodyCRC = m.Properties, 0, 0
			got.SysFlag &^= FlagBornHostV6 | FlagStoreHostV6
			if !reflect.DeepEqual(&got, m) {
				t.Errorf("%s:\n got %+v\nwant %+v", name, got, *m)
			}
			for at := range rec {
				rec[at] ^= 1
				if withCRC && CheckRecord(rec) == nil {
					t.Fatalf("%s: CheckRecord does not see byte %d changed", name, at)
				}
				rec[at] ^= 1
			}
		}
	}
	v6 := netip.MustParseAddrPort("[2001:db8::1]:9")
	check("plain", func(*Message) {})
	check("empty", func(m *Message) { m.Body, m.Properties = []byte{}, []byte{} })
	check("v6 born", func(m *Message) { m.BornHost = v6 })
	check("v6 store", func(m *Message) { m.StoreHost = v6 })
	check("v6 both", func(m *Message) { m.BornHost, m.StoreHost = v6, v6 })
	check("127 bytes of topic", func(m *Message) { m.Topic = strings.Repeat("t", 127) })
	check("128 bytes of topic", func(m *Message) { m.Topic = strings.Repeat("t", 128) })
	check("255 bytes of topic", func(m *Message) { m.Topic = strings.Repeat("t", 255) })
	check("open properties", func(m *Message) { m.Properties = []byte("A\x01b") })
	check("largest properties", func(m *Message) {
		m.Properties = []byte("A\x01" + strings.Repeat("v", MaxProperties-crcSize-3) + "\x02")
	})
}

func TestRecord_MappedAddressIsWrittenAsIPv4(t *testing.T) {
	t.Parallel()
	m := sample()
	want := m.AppendRecord(nil, false)
	m.BornHost = netip.AddrPortFrom(netip.AddrFrom16(m.BornHost.Addr().As16()), m.BornHost.Port())
	if got := m.AppendRecord(nil, false); !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
}

func TestCheck_RefusesWhatLengthFieldsCannotTell(t *testing.T) {
	t.Parallel()
	m := sample()
	m.Properties = []byte("A\x01" + strings.Repeat("v", MaxProperties-1))
	if _, err := m.Check(false); !errors.Is(err, ErrTooLong) {
		t.Errorf("properties: %v", err)
	}
	m.Properties = m.Properties[:MaxProperties]
	if _, err := m.Check(false); err != nil {
		t.Errorf("longest properties: %v", err)
	}
	if _, err := m.Check(true); !errors.Is(err, ErrTooLong) {
		t.Errorf("longest properties and CRC: %v", err)
	}
}

func TestProperties_FollowApachesReader(t *testing.T) {
	t.Parallel()
	check := func(in string, want map[string]string) {
		t.Helper()
		if got := ParseProperties([]byte(in)); !maps.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
		for name, value := range want {
			if got, ok := Property([]byte(in), name); !ok || string(got) != value {
				t.Errorf("%q: %s = %q, want %q", in, name, got, value)
			}
			if _, ok := Property(DeleteProperty([]byte(in), name), name); ok {
				t.Errorf("%q: %s is still there when deleted", in, name)
			}
			if got, _ := Property(SetProperty([]byte(in), name, "new"), name); string(got) != "new" {
				t.Errorf("%q: %s set to %q", in, name, got)
			}
		}
	}
	type m = map[string]string
	check("", m{})
	check("a\x01b\x02", m{"a": "b"})
	check("a\x01b", m{"a": "b"})
	check("a\x01b\x02c\x01d", m{"a": "b", "c": "d"})
	check("a\x01b\x02a\x01d\x02", m{"a": "d"})     // the last counts
	check("a\x01\x02b\x01c\x02", m{"b": "c"})      // no value
	check("\x01a\x02b\x01c\x02", m{"b": "c"})      // no name
	check("\x02\x02ab\x02b\x01c\x02", m{"b": "c"}) // no separator
	check("a\x01b\x01c\x02", m{"a": "b\x01c"})     // the first separates
}

// The walk looks at eight bytes at once; this splits.
func TestProperties_AreThoseOfASplit(t *testing.T) {
	const alphabet = "\x00\x01\x02\x03\x82a"
	var got, want [][2]string
	for seed := range 200_000 {
		r := rand.New(rand.NewPCG(uint64(seed), 1))
		props := make([]byte, r.IntN(40))
		for i := range props {
			props[i] = alphabet[r.IntN(len(alphabet))]
		}
		got, want = got[:0], want[:0]
		for name, value := range Properties(props) {
			got = append(got, [2]string{string(name), string(value)})
		}
		for _, entry := range strings.Split(string(props), "\x02") {
			if name, value, ok := strings.Cut(entry, "\x01"); ok && name != "" && value != "" {
				want = append(want, [2]string{name, value})
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("properties of %q are %q, and not %q", props, got, want)
		}
	}
}

func TestAppendProperty_ClosesAnOpenEntry(t *testing.T) {
	t.Parallel()
	if got := string(AppendProperty([]byte("a\x01b"), "c", "d")); got != "a\x01b\x02c\x01d\x02" {
		t.Errorf("got %q", got)
	}
}

func TestSetProperty_LeavesTheGivenBytesAlone(t *testing.T) {
	t.Parallel()
	given := make([]byte, 0, 100)
	given = append(given, "a\x01b\x02"...)
	behind := given[:10]
	copy(behind[4:], "behind")
	SetProperty(given, "c", "d")
	if string(behind) != "a\x01b\x02behind" {
		t.Errorf("now %q", behind)
	}
}

// The numbers were printed by Java: new String(bytes, UTF_8).hashCode().
func TestJavaHash_IsJavas(t *testing.T) {
	t.Parallel()
	check := func(text string, want int32) {
		t.Helper()
		if got := JavaHash(0, text); got != want {
			t.Errorf("%q: got %d, want %d", text, got, want)
		}
		if got := TagsCode([]byte(text)); got != int64(want) {
			t.Errorf("%q: tags code %d, want %d", text, got, want)
		}
		for i := range text { // cuts between characters
			if got := JavaHash(JavaHash(0, text[:i]), text[i:]); got != want && strings.ToValidUTF8(text, "") == text {
				t.Errorf("%q in two parts: got %d, want %d", text, got, want)
			}
		}
	}
	check("", 0)
	check("AaAa", 2031744)
	check("BBBB", 2031744)
	check("\xc3\xa9", 233)
	check("\xe4\xb8\xad\xe6\x96\x87", 646394)
	check("\xf0\x9f\x98\x80", 1772899)
	check("\x61\xf0\x9f\x98\x80\x62", 57849694)
	check("\xff", 65533)
	check("\xe2\x82", 65533)
	check("\xe2\x82\xac", 8364)
	check("\xc0\xaf", 2097056)
	check("\xed\xa0\x80", 65533)
	check("\xf0\x90\x8d", 65533)
	check("\xf0", 65533)
	check("\xe0\xa0", 65533)
	check("\xe0\x80\x80", 65074269)
	check("\xf4\x8f\xbf\xbf", 1803232)
	check("\xf4\x90\x80\x80", 2017367872)
	check("\x80", 65533)
	check("\xc3", 65533)
	check("\x61\xe2\x82\x61", 2124837)
	check("\xf0\x9f\x98\x61", 2031620)
	check("\xf8\x88\x80\x80", 2017367872)
	check("\x65\x6d\xc3\xa9\x4d", 3120940)
	check("\xe2\xff\x82", 65074269)
	check("\xf0\x9f\xff\x80", 65074269)
	check("the quick brown fox jumps over the lazy dog", -2082818701)
}

func TestBatch_IsReadBack(t *testing.T) {
	t.Parallel()
	want := []BatchEntry{
		{Flag: 1, Body: []byte("one"), Properties: []byte("a\x01b\x02")},
		{Flag: -2, Body: []byte{}, Properties: []byte{}},
		{Flag: 3, Body: []byte("three"), Properties: []byte{}},
	}
	var body []byte
	for _, e := range want {
		body = AppendToBatch(body, e)
	}
	var got []BatchEntry
	for rest := body; len(rest) > 0; {
		var e BatchEntry
		r, err := NextInBatch(rest, &e)
		if err != nil {
			t.Fatal(err)
		}
		got, rest = append(got, e), r
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for n := range AppendToBatch(nil, want[0]) {
		if _, err := NextInBatch(body[:n:n], new(BatchEntry)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%d bytes of a message: %v", n, err)
		}
	}
}

func TestOffsetID_RefusesWhatIsNone(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"", "7F000001", strings.Repeat("G", 32), strings.Repeat("F", 32), strings.Repeat("A", 40)} {
		if _, _, err := ParseOffsetID(id); !errors.Is(err, ErrDamaged) {
			t.Errorf("%q: %v", id, err)
		}
	}
	host := netip.MustParseAddrPort("[2001:db8::1]:10911")
	id := AppendOffsetID(nil, host, 1<<40)
	if got, off, err := ParseOffsetID(bytes.ToLower(id)); len(id) != 56 || got != host || off != 1<<40 || err != nil {
		t.Errorf("%s: %v %d %v", id, got, off, err)
	}
}

func TestUniqKeys_TellWhoAndWhen(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 14, 15, 9, 26, 535e6, time.Local)
	for _, addr := range []string{"192.168.1.7", "2001:db8::1"} {
		keys := NewUniqKeys(netip.MustParseAddr(addr), 4711, 0xCAFE)
		first, second := keys.Append(nil, now), keys.Append(nil, now)
		if bytes.Equal(first, second) {
			t.Errorf("twice %s", first)
		}
		k, err := ParseUniqKey(first)
		if err != nil || k.Addr.String() != addr || k.PID != 4711 || k.Hash != 0xCAFE || k.Counter != 0 {
			t.Errorf("%s: %+v %v", first, k, err)
		}
		if got := k.Born(now.Add(time.Hour)); !got.Equal(now) {
			t.Errorf("born %v, want %v", got, now)
		}
		if got := k.Born(time.Date(2026, 4, 2, 0, 0, 0, 0, time.Local)); !got.Equal(now) {
			t.Errorf("seen in the next month: born %v, want %v", got, now)
		}
	}
	if _, err := ParseUniqKey("my own key"); !errors.Is(err, ErrDamaged) {
		t.Errorf("a user's key: %v", err)
	}
}

func TestHotPath_AllocatesNothing(t *testing.T) {
	m := sample()
	buf := make([]byte, 0, 4096)
	rec := m.AppendRecord(nil, false)
	var d Dispatch
	got := Message{Topic: m.Topic}
	for name, f := range map[string]func(){
		"AppendRecord":   func() { buf = m.AppendRecord(buf[:0], false) },
		"with CRC":       func() { buf = m.AppendRecord(buf[:0], true) },
		"ReadDispatch":   func() { _ = ReadDispatch(rec, &d) },
		"Decode":         func() { _ = Decode(rec, &got) },
		"JavaHash":       func() { JavaHash(0, m.Body) },
		"AppendOffsetID": func() { buf = AppendOffsetID(buf[:0], m.StoreHost, 5) },
		"ParseOffsetID":  func() { _, _, _ = ParseOffsetID("7F000001000051AF00000000000000DF") },
		"Property":       func() { _, _ = Property(m.Properties, PropKeys) },
		"AppendProperty": func() { buf = AppendProperty(buf[:0], "A", "b") },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}
