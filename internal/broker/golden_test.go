package broker

import (
	"encoding/json"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/protocol"
)

// How much of an answer's body must be Apache's.
type likeness int

const (
	code  likeness = iota // only code, remark of a refusal, and names of fields
	shape                 // the same names in the same places
	same                  // all, but for the order of lists
)

// TestGolden_StateIsAnsweredLikeApache plays what an application and mqadmin asked of Apache's broker to this one, in an order that
// makes sense, and compares the answers. Topics and groups of the captures end in J for JSON headers and R for binary ones.
func TestGolden_StateIsAnsweredLikeApache(t *testing.T) {
	t.Parallel()
	for _, ser := range []string{"json", "rocketmq"} {
		t.Run(ser, func(t *testing.T) {
			t.Parallel()
			b := openTest(t, testConfig(t))
			nc, err := net.Dial("tcp", b.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			check := func(name string, like likeness) {
				t.Helper()
				file := "testdata/golden/" + ser + "-" + name
				want, wantBody := decodeFrame(t, readHex(t, file+".resp.hex"))
				got, gotBody := decodeFrame(t, rawCall(t, nc, readHex(t, file+".req.hex")))
				for !got.IsResponse() { // consumers are told of each other
					got, gotBody = decodeFrame(t, rawCall(t, nc, nil))
				}
				compareAnswers(t, name, like, &got, &want, gotBody, wantBody)
			}
			check("000017-UPDATE_AND_CREATE_TOPIC-c2b", code)
			check("000018-UPDATE_AND_CREATE_TOPIC_LIST-c2b", code)
			check("000351-GET_TOPIC_CONFIG-c2b", same)
			check("000200-UPDATE_AND_CREATE_SUBSCRIPTIONGROUP-c2b", code)
			check("000225-UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST-c2b", code)
			check("000353-UPDATE_AND_GET_GROUP_FORBIDDEN-c2b", same)
			check("000034-HEART_BEAT-c2b", same)
			check("000038-GET_CONSUMER_LIST_BY_GROUP-c2b", same)
			check("000345-QUERY_SUBSCRIPTION_BY_CONSUMER-c2b", shape)
			check("000203-GET_CONSUMER_CONNECTION_LIST-c2b", shape)
			check("000328-GET_ALL_PRODUCER_INFO-c2b", code)
			check("000041-LOCK_BATCH_MQ-c2b", same)
			check("000042-UNLOCK_BATCH_MQ-c2b", same)
			check("000400-QUERY_ASSIGNMENT-c2b", shape)
			check("000014-QUERY_CONSUMER_OFFSET-c2b-rc22", same)
			check("000015-UPDATE_CONSUMER_OFFSET-c2b-rc26", same)
			if _, err := nc.Write(readHex(t, "testdata/golden/"+ser+"-000015-UPDATE_CONSUMER_OFFSET-c2b-rconeway.req.hex")); err != nil {
				t.Fatal(err)
			}
			check("000343-QUERY_TOPICS_BY_CONSUMER-c2b", shape)
			check("000300-QUERY_TOPIC_CONSUME_BY_WHO-c2b", shape)
			check("000305-GET_SYSTEM_TOPIC_LIST_FROM_BROKER-c2b", same)
			check("000028-GET_BROKER_RUNTIME_INFO-c2b", code)
			check("000029-SEARCH_OFFSET_BY_TIMESTAMP-c2b", code)
			check("000030-GET_MAX_OFFSET-c2b", code)
			check("000031-GET_MIN_OFFSET-c2b", same)
			check("000032-GET_EARLIEST_MSG_STORETIME-c2b", code)
			check("000021-GET_ALL_TOPIC_CONFIG-c2b", code)
			check("000201-GET_ALL_SUBSCRIPTIONGROUP_CONFIG-c2b", code)
			check("000202-GET_TOPIC_STATS_INFO-c2b", shape)
			check("000208-GET_CONSUME_STATS-c2b", shape)
			check("000025-UPDATE_BROKER_CONFIG-c2b", code)
			check("000035-UNREGISTER_CLIENT-c2b", code)
			check("000207-DELETE_SUBSCRIPTIONGROUP-c2b", code)
			check("000215-DELETE_TOPIC_IN_BROKER-c2b", code)
		})
	}
}

func compareAnswers(t *testing.T, name string, like likeness, got, want *protocol.Header, gotBody, wantBody []byte) {
	t.Helper()
	if got.Code != want.Code || got.Opaque != want.Opaque || got.Flag != want.Flag || want.Code != 0 && string(got.Remark) != string(want.Remark) {
		t.Errorf("%s: answer %d %q, want %d %q", name, got.Code, got.Remark, want.Code, want.Remark)
		return
	}
	for _, f := range want.Fields {
		v, ok := got.Get(string(f.Key))
		if !ok || like == same && string(v) != string(f.Value) {
			t.Errorf("%s: field %s is %q (%t), want %q", name, f.Key, v, ok, f.Value)
		}
	}
	if len(got.Fields) != len(want.Fields) {
		t.Errorf("%s: fields %q, want %q", name, got.Fields, want.Fields)
	}
	if like == code || len(wantBody) == 0 {
		return
	}
	g, w := normal(t, gotBody), normal(t, wantBody)
	if like == shape {
		g, w = outline(g), outline(w)
	}
	if !reflect.DeepEqual(g, w) {
		t.Errorf("%s: body\n got %s\nwant %s", name, gotBody, wantBody)
	}
}

// normal reads the dialect of Java's JSON, maps with objects for keys too, and forgets the order of lists.
func normal(t testing.TB, body []byte) any {
	t.Helper()
	text := string(body)
	text = strings.ReplaceAll(text, `{{"`, `{"{`) // a first key
	text = strings.ReplaceAll(text, `,{"brokerName":"broker-a"`, `,"{brokerName":"broker-a"`)
	if text != string(body) { // {"{brokerName":"b","queueId":0,"topic":"t"}:
		text = strings.NewReplacer(`"{brokerName":"`, `"`, `","queueId":`, `/`, `,"topic":"`, `/`, `"}:`, `":`).Replace(text)
	}
	std, err := fastjson.Standard([]byte(text))
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	var v any
	if err := json.Unmarshal(std, &v); err != nil {
		t.Fatalf("%v: %s", err, std)
	}
	return unordered(v)
}

func unordered(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = unordered(v[k])
		}
	case []any:
		for i := range v {
			v[i] = unordered(v[i])
		}
		slices.SortFunc(v, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	}
	return v
}

// outline keeps the names and of each list and of each map by queue one entry; values become their kinds.
func outline(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k := range v {
			name := k
			if strings.Contains(k, "/") {
				name = "queue"
			}
			out[name] = outline(v[k])
		}
		return out
	case []any:
		if len(v) > 0 {
			return []any{outline(v[0])}
		}
		return []any{}
	}
	return fmt.Sprintf("%T", v)
}

// bodyOf reads the body of a captured answer.
func bodyOf(t testing.TB, name string, into any) {
	t.Helper()
	_, body := decodeFrame(t, readHex(t, filepath.Join("testdata", "golden", name)))
	if err := fastjson.Unmarshal(body, into); err != nil {
		t.Fatal(err)
	}
}

func TestGolden_EveryBrokerHasApachesTopicsAndGroups(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	var topics protocol.TopicConfigs
	bodyOf(t, "json-000021-GET_ALL_TOPIC_CONFIG-c2b.resp.hex", &topics)
	var groups protocol.SubscriptionGroups
	bodyOf(t, "json-000201-GET_ALL_SUBSCRIPTIONGROUP_CONFIG-c2b.resp.hex", &groups)
	for name, want := range topics.TopicConfigTable {
		if strings.Contains(name, "Wire") {
			continue // made by the one who captured
		}
		got := b.topics.find(name)
		if got == nil {
			t.Errorf("no topic %s", name)
			continue
		}
		if name == topicAutoCreate || strings.HasPrefix(name, systemPrefix+"REVIVE") { // were configured otherwise
			want.ReadQueueNums, want.WriteQueueNums = got.ReadQueueNums, got.WriteQueueNums
		}
		if !got.TopicConfig.Equal(want) {
			t.Errorf("topic %+v, want %+v", got.TopicConfig, *want)
		}
		topics.TopicConfigTable[name] = nil
	}
	for name := range b.topics.byName {
		if _, there := topics.TopicConfigTable[name]; !there {
			t.Errorf("topic %s is not Apache's", name)
		}
	}
	for name, want := range groups.SubscriptionGroupTable {
		if got := b.groups.find(name); !strings.Contains(name, "Wire") && (got == nil || !reflect.DeepEqual(got.SubscriptionGroupConfig, *want)) {
			t.Errorf("group %s is %+v, want %+v", name, got, *want)
		}
	}
}

func TestGolden_RuntimeInfoHasApachesKeys(t *testing.T) {
	t.Parallel()
	var want protocol.KVTable
	bodyOf(t, "json-000028-GET_BROKER_RUNTIME_INFO-c2b.resp.hex", &want)
	b := openTest(t, testConfig(t))
	got := b.runtimeInfo(b.started)
	for key := range want.Table {
		if _, ok := got[key]; !ok && !strings.HasPrefix(key, "commitLogDiskRatio_") && !strings.HasPrefix(key, "scheduleMessageOffset_") {
			t.Errorf("%s is missing; Apache said %q", key, want.Table[key])
		}
	}
}

func TestGolden_StateFilesAreReadAndWrittenAlike(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	dir := filepath.Join(cfg.RootDir, "config")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	names := []string{"topics.json", "subscriptionGroup.json", "consumerOffset.json"}
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join("testdata", "state", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b := stateBroker(t, cfg)
	offsets := &offsets{path: filepath.Join(dir, names[2]), log: b.log, settings: &b.settings, byGroup: map[string]map[string]*groupOffsets{},
		endOf: func(string, int32) int64 { return math.MaxInt64 }}
	if err := offsets.open(); err != nil {
		t.Fatal(err)
	}
	for i, encode := range []func() ([]byte, error){b.topics.encode, b.groups.encode, func() ([]byte, error) { return fastjson.MarshalIndent(offsets.all()) }} {
		written, err := encode()
		if err != nil {
			t.Fatal(err)
		}
		original, err := os.ReadFile(filepath.Join("testdata", "state", names[i]))
		if err != nil {
			t.Fatal(err)
		}
		got, want := normal(t, written).(map[string]any), normal(t, original).(map[string]any)
		delete(want, "pullOffsetTable") // see consumerOffsets
		for table := range want {
			g, isTable := got[table].(map[string]any)
			if w, ok := want[table].(map[string]any); ok && isTable && table == "topicConfigTable" {
				for name := range g { // topics that the broker of the capture did not have, for it had another name
					if _, there := w[name]; !there && !b.topics.isSystem(name) {
						t.Errorf("topic %s was not in the file", name)
					} else if !there {
						delete(g, name)
					}
				}
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %s\nwant %s", names[i], written, original)
		}
	}
}
