package fastjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestStandard_ForgivesWhatJavaForgives(t *testing.T) {
	t.Parallel()
	check := func(in, want string) {
		t.Helper()
		got, err := Standard([]byte(in))
		if err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v, want %s", in, got, err, want)
		}
		if !json.Valid(got) {
			t.Errorf("%s: %s is not JSON", in, got)
		}
	}
	check(`{0:1,-1:2}`, `{"0":1,"-1":2}`)
	check(`{0:"127.0.0.1:10911"}`, `{"0":"127.0.0.1:10911"}`)
	check(`{ a : 1 , b_$1:[ 1 ,2, ] , }`, `{"a":1,"b_$1":[1,2]}`)
	check(`{'a':'it"s'}`, `{"a":"it\"s"}`)
	check(`{"a":5L,"b":1.5F,"c":-0.5e+10}`, `{"a":5,"b":1.5,"c":-0.5e+10}`)
	check("\xef\xbb\xbf{/* c */\"a\":// d\n1}\n\x00\x00", `{"a":1}`)
	check("\"tab\there\"", `"tab\u0009here"`)
	check(`"\x41\'"`, `"\u0041'"`)
	check("\"\xff\"", "\"\uFFFD\"")
	check(`[true,false,null,NaN]`, `[true,false,null,null]`)
	check(`{}`, `{}`)
}

func TestStandard_RefusesWhatIsNoJSON(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		``, ` `, `{`, `[`, `{"a"}`, `{"a":}`, `{"a":1`, `{"a":1]`, `[1 2]`, `"a`, `"\`, `"\u12"`, `"\q"`, `{{{"a":1}:1}:2}`, `{[1]:2}`,
		`01`, `1.`, `-`, `1e`, `tru`, `{"a":1}}`, `{"a":1} x`, "\x00", `/*`, `{,:1}`, strings.Repeat("[", 5000),
	} {
		if got, err := Standard([]byte(in)); !errors.Is(err, ErrSyntax) {
			t.Errorf("%.20q: got %q, %v", in, got, err)
		}
	}
}

type inner struct {
	Counter int64 `json:"counter"`
}

type sample struct {
	inner
	Text   string           `json:"text"`
	Flag   bool             `json:"flag"`
	Small  int32            `json:"small"`
	Float  float64          `json:"float"`
	Queues map[int32]int64  `json:"queues"`
	Names  map[string]inner `json:"names"`
	List   []int            `json:"list"`
	Texts  []string         `json:"texts"`
	Ptr    *inner           `json:"ptr"`
	Raw    json.RawMessage  `json:"raw,omitempty"`
	Any    any              `json:"any"`
	Bytes  []byte           `json:"bytes"`
	Gone   string           `json:"-"`
	Empty  string           `json:"empty,omitempty"`
}

func TestUnmarshal_TakesTextForNumbersAndBack(t *testing.T) {
	t.Parallel()
	check := func(in string, want sample) {
		t.Helper()
		var got sample
		if err := Unmarshal([]byte(in), &got); err != nil {
			t.Errorf("%s: %v", in, err)
		} else if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", in, got, want)
		}
	}
	check(`{}`, sample{})
	check(`{"text":"a\u00e9\n","flag":true,"small":-5,"float":1.5}`, sample{Text: "aé\n", Flag: true, Small: -5, Float: 1.5})
	check(`{"text":12,"flag":"true","small":"7","float":"2.5","counter":"9"}`, sample{Text: "12", Flag: true, Small: 7, Float: 2.5, inner: inner{9}})
	check(`{"TEXT":"a","unknown":{"x":[1,{"y":"}"}]},"flag":1}`, sample{Text: "a", Flag: true})
	check(`{"text":null,"queues":null,"ptr":null,"small":""}`, sample{})
	check(`{"queues":{0:1,"5":"6"},"names":{"a":{"counter":1}}}`, sample{Queues: map[int32]int64{0: 1, 5: 6}, Names: map[string]inner{"a": {1}}})
	check(`{"list":[1,"2"],"texts":["a",3],"ptr":{counter:4}}`, sample{List: []int{1, 2}, Texts: []string{"a", "3"}, Ptr: &inner{4}})
	check(`{"raw":{0:1},"any":[1,"a"],"bytes":"aGk="}`, sample{Raw: json.RawMessage(`{"0":1}`), Any: []any{1.0, "a"}, Bytes: []byte("hi")})
	check(`{"small":1e2,"list":[]}`, sample{Small: 100, List: []int{}})
}

func TestUnmarshal_SaysWhatDoesNotFitWhere(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"small":3000000000}`:           `at "/small" of the JSON stands 3000000000 where a whole number of 32 bits should be`,
		`{"small":"x"}`:                  `at "/small" of the JSON stands "x" where a whole number of 32 bits should be`,
		`{"queues":{"a":1}}`:             `at "/queues/a" of the JSON stands "a" where a whole number of 32 bits should be`,
		`{"names":{"n":{"counter":[]}}}`: `at "/names/n/counter" of the JSON stands a list where a whole number of 64 bits should be`,
		`{"list":{}}`:                    `at "/list" of the JSON stands an object where a list should be`,
		`{"flag":"maybe"}`:               `at "/flag" of the JSON stands "maybe" where true or false should be`,
		`[]`:                             `at "/" of the JSON stands a list where an object should be`,
	} {
		var v sample
		err := Unmarshal([]byte(in), &v)
		if !errors.Is(err, ErrType) || err.Error() != want {
			t.Errorf("%s: %v, want %s", in, err, want)
		}
	}
	if err := Unmarshal([]byte(`{}`), sample{}); !errors.Is(err, ErrType) {
		t.Errorf("into no pointer: %v", err)
	}
}

// ownReader reads its JSON by itself.
type ownReader struct{ Small int32 }

func (o *ownReader) UnmarshalJSON(data []byte) error {
	var plain struct {
		Small int32 `json:"small"`
	}
	err := Unmarshal(data, &plain)
	o.Small = plain.Small
	return err
}

func TestUnmarshal_NamesTheWholeWayToWhatIsWrong(t *testing.T) {
	t.Parallel()
	v := map[string]map[string]*ownReader{}
	err := Unmarshal([]byte(`{"a":{"b":{"small":{}}}}`), &v)
	if want := `at "/a/b/small" of the JSON stands an object where a whole number of 32 bits should be`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestMarshal_WritesThreeDialects(t *testing.T) {
	t.Parallel()
	v := map[string]any{
		"b": map[int]string{10: "x", 9: "<y>"}, "a": []int{1, 2}, "c": map[string]int{}, "d": nil,
		"e": []string{"q\"", "é"}, "f": []string{}, "0": inner{1},
	}
	check := func(marshal func(any) ([]byte, error), want string) {
		t.Helper()
		got, err := marshal(v)
		if err != nil || string(got) != want {
			t.Errorf("got  %s %v\nwant %s", got, err, want)
		}
	}
	check(Marshal, `{"0":{"counter":1},"a":[1,2],"b":{9:"<y>",10:"x"},"c":{},"e":["q\"","é"],"f":[]}`)
	check(MarshalStandard, `{"0":{"counter":1},"a":[1,2],"b":{"9":"<y>","10":"x"},"c":{},"e":["q\"","é"],"f":[]}`)
	check(MarshalIndent, "{\n\t\"0\":{\n\t\t\"counter\":1\n\t},\n\t\"a\":[1,2],\n\t\"b\":{\n\t\t9:\"<y>\",\n\t\t10:\"x\"\n\t},\n\t\"c\":{},\n\t\"e\":[\n\t\t\"q\\\"\",\n\t\t\"é\"\n\t],\n\t\"f\":[]\n}")
}

func TestMarshal_SortsFieldsAndLeavesOutNil(t *testing.T) {
	t.Parallel()
	got, err := Marshal(&sample{Text: "t", Raw: json.RawMessage(`{"x":1}`), Bytes: []byte("hi"), Gone: "g"})
	want := `{"bytes":"aGk=","counter":0,"flag":false,"float":0,"raw":{"x":1},"small":0,"text":"t"}`
	if err != nil || string(got) != want {
		t.Errorf("got  %s %v\nwant %s", got, err, want)
	}
	if _, err := Marshal(map[string]any{"f": func() {}}); !errors.Is(err, ErrType) {
		t.Errorf("a function: %v", err)
	}
	if _, err := Marshal(map[float64]int{1: 1}); !errors.Is(err, ErrType) {
		t.Errorf("a float as key: %v", err)
	}
}

// The shapes of the files that Apache's broker keeps in config/, as far as their style needs it.
var configShapes = map[string]any{
	"topics.json": &struct {
		DataVersion      map[string]int64          `json:"dataVersion"`
		TopicConfigTable map[string]map[string]any `json:"topicConfigTable"`
	}{},
	"subscriptionGroup.json": &struct {
		DataVersion            map[string]int64            `json:"dataVersion"`
		ForbiddenTable         map[string]map[string]int32 `json:"forbiddenTable"`
		SubscriptionGroupTable map[string]map[string]any   `json:"subscriptionGroupTable"`
	}{},
	"consumerOffset.json": &struct {
		DataVersion     map[string]int64           `json:"dataVersion"`
		GroupTopicMap   map[string][]string        `json:"groupTopicMap"`
		OffsetTable     map[string]map[int32]int64 `json:"offsetTable"`
		PullOffsetTable map[string]map[int32]int64 `json:"pullOffsetTable"`
	}{},
	"delayOffset.json": &struct {
		DataVersion map[string]int64 `json:"dataVersion"`
		OffsetTable map[int32]int64  `json:"offsetTable"`
	}{},
	"consumerFilter.json": &struct {
		FilterDataByTopic map[string]struct {
			GroupFilterData map[string]struct {
				BloomFilterData struct {
					BitNum int   `json:"bitNum"`
					BitPos []int `json:"bitPos"`
				} `json:"bloomFilterData"`
				BornTime       int64  `json:"bornTime"`
				ClientVersion  int64  `json:"clientVersion"`
				ConsumerGroup  string `json:"consumerGroup"`
				Dead           bool   `json:"dead"`
				DeadTime       int64  `json:"deadTime"`
				Expression     string `json:"expression"`
				ExpressionType string `json:"expressionType"`
				Topic          string `json:"topic"`
			} `json:"groupFilterData"`
			Topic string `json:"topic"`
		} `json:"filterDataByTopic"`
	}{},
	"consumerOrderInfo.json": &struct {
		OrderInfoCount          int                                  `json:"orderInfoCount"`
		OrderedConsumptionLevel string                               `json:"orderedConsumptionLevel"`
		Table                   map[string]map[int32]json.RawMessage `json:"table"`
	}{},
}

// TestGolden_ConfigFilesAreWrittenInApachesStyle reads what Apache's broker wrote and writes it again. Apache orders maps by
// hash, so lines are compared as sets (without their commas), and content as parsed.
func TestGolden_ConfigFilesAreWrittenInApachesStyle(t *testing.T) {
	t.Parallel()
	for name, v := range configShapes {
		want, err := os.ReadFile(filepath.Join("../store/testdata/golden/store/config", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := Unmarshal(want, v); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := MarshalIndent(v)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if g, w := sortedLines(got), sortedLines(want); !reflect.DeepEqual(g, w) {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
		var g, w any
		if Unmarshal(got, &g) != nil || Unmarshal(want, &w) != nil || !reflect.DeepEqual(g, w) {
			t.Errorf("%s reads differently", name)
		}
	}
}

func sortedLines(b []byte) map[string]int {
	lines := map[string]int{}
	for line := range bytes.Lines(b) {
		lines[strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), ",")]++
	}
	return lines
}

func FuzzUnmarshal(f *testing.F) {
	f.Add([]byte(`{0:1,"a":[1,'b',null,{}],c:/**/-5L,"s":"\u00e9\x41"}`))
	f.Add([]byte(`{"text":12,"flag":"true","queues":{0:1,"5":"6"},"any":{},"raw":[1],"bytes":"aGk=","ptr":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		std, err := Standard(data)
		if err == nil && !json.Valid(std) {
			t.Fatalf("%q became %q", data, std)
		}
		if json.Valid(data) && err != nil && !bytes.Contains(data, []byte("[[[[[[[[[[")) && !bytes.Contains(data, []byte("{")) {
			t.Fatalf("%q is JSON, but: %v", data, err)
		}
		var v sample
		if Unmarshal(data, &v) != nil || err != nil {
			return
		}
		b, err := Marshal(&v)
		if err != nil {
			return // a RawMessage or float that JSON does not have
		}
		var again sample
		if err := Unmarshal(b, &again); err != nil {
			t.Fatalf("%q became %q: %v", data, b, err)
		}
	})
}
