package interop

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// TestRaw_AnswersAsApacheDoes asks both brokers, after the same few requests, what brokers and controllers ask each other and what no method
// of Apache's administration library asks for, and compares codes, headers and bodies.
func TestRaw_AnswersAsApacheDoes(t *testing.T) {
	t.Parallel()
	sides := [2]*side{{kind: apache}, {kind: liftoff}}
	both(t, sides, func(s *side) error { return s.askRaw() })
	want, got := sides[0].records, sides[1].records
	if len(want) != len(got) {
		t.Fatalf("%d answers of Apache, %d of Liftoff", len(want), len(got))
	}
	for i := range want {
		name := want[i].(map[string]any)["request"].(string)
		for _, d := range differences(name, want[i], got[i]) {
			if !allowed(rawAllowances, d) {
				t.Error(d)
			}
		}
	}
}

// rawAllowances is where the answers to raw requests may differ.
var rawAllowances = []allowance{
	{"*/remark", saysMore, "a refusal of Liftoff's tells the cause behind Apache's words"},
	{"without */remark", anything, "Apache fails inside when a field is missing"},
	{"17 */remark", anything, "Apache has not set any"},
	{"310 */fields/msgId", anything, "made of an address and a place in the log"},
	{"43/body/pullOffsetTable", anything, "no slave reads it, and one of 5.4.0 cannot pass over it"},
	{"61/body/dataVersion/timestamp", anyNumber, "when it was written last"},
	{"*/body/stats*/tps", anyNumber, "a rate"},
	{"statistics TOPIC_PUT_LATENCY */body/stats*", anyNumber, "how long it took"},
	{"statistics GROUP_GET_LATENCY */body/stats*", anyNumber, "how long it took"},
	{"*/body/statsHour/*", anyNumber, "Apache looks every ten minutes"},
	{"*/body/statsDay/*", anyNumber, "Apache looks every hour"},
	{"906/fields/masterHaAddress", anything, "a port of its own"},
}

// askRaw has the same done on this side's broker, and asks it.
func (s *side) askRaw() error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	c, err := remoting.Dial(ctx, s.cluster.broker.addr(), nil, remoting.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer c.Close()
	call := func(code int, fields, body string) (*remoting.Response, error) {
		var ext [][2]string
		for _, f := range strings.Fields(fields) {
			k, v, _ := strings.Cut(f, "=")
			ext = append(ext, [2]string{k, strings.NewReplacer("\\1", "\x01", "\\2", "\x02").Replace(v)})
		}
		return c.Call(ctx, &remoting.Call{Code: code, Ext: ext, Body: []byte(body)})
	}
	ask := func(name string, code int, fields, body string) error {
		r, err := call(code, fields, body)
		if err != nil {
			return fmt.Errorf("%s asked %s: %w", s.kind, name, err)
		}
		record, err := readRaw(name, r)
		if err != nil {
			return fmt.Errorf("%s's answer to %s: %w", s.kind, name, err)
		}
		s.records = append(s.records, s.sight.name(record))
		return nil
	}
	for _, q := range rawSetup {
		if err := ask(q.name, q.code, q.fields, q.body); err != nil {
			return err
		}
	}
	// The delayed message is in its topic, and Apache has looked at its counters since.
	if err := waitFor(time.Minute, func() error {
		r, err := call(protocol.ReqViewBrokerStatsData, "statsName=TOPIC_PUT_NUMS statsKey=Raw", "")
		if err != nil {
			return err
		}
		var d protocol.BrokerStatsData
		if err := fastjson.Unmarshal(r.Body, &d); err != nil || d.Minute.Sum != 4 {
			return fmt.Errorf("%s counts %+v (%s): %v", s.kind, d, r.Remark, err)
		}
		return nil
	}); err != nil {
		return err
	}
	for _, q := range rawQuestions() {
		if err := ask(q.name, q.code, q.fields, q.body); err != nil {
			return err
		}
	}
	return nil
}

// readRaw makes a tree of an answer.
func readRaw(name string, r *remoting.Response) (tree, error) {
	fields := map[string]any{}
	for _, f := range r.Fields {
		fields[string(f.Key)] = string(f.Value)
	}
	record := map[string]any{"request": name, "code": fmt.Sprint(r.Code), "remark": string(r.Remark), "fields": fields}
	switch {
	case len(r.Body) == 0:
	case r.Body[0] == '{':
		std, err := fastjson.Standard(r.Body)
		if err != nil {
			return nil, err
		}
		body, err := parseTree(std)
		if err != nil {
			return nil, err
		}
		record["body"] = plainNumbers(body)
	default:
		record["body"] = base64.StdEncoding.EncodeToString(r.Body)
	}
	return record, nil
}

// plainNumbers writes 1.0 in a tree as 1, as which Java reads it.
func plainNumbers(t tree) tree {
	switch t := t.(type) {
	case map[string]any:
		for k, v := range t {
			t[k] = plainNumbers(v)
		}
	case json.Number:
		return json.Number(strings.TrimSuffix(t.String(), ".0"))
	}
	return t
}

type rawRequest struct {
	name         string
	code         int
	fields, body string
}

const rawSend = "a=P b=Raw c=TBW102 d=4 f=0 g=1700000000000 h=0 j=0 k=false m=false e=%d i=UNIQ_KEY\\1C0000202AAAA000000000000000000%02d\\2%s"

var rawSetup = []rawRequest{
	{"17 a topic", protocol.ReqUpdateAndCreateTopic, "topic=Raw defaultTopic=TBW102 readQueueNums=4 writeQueueNums=4 perm=6 topicFilterType=SINGLE_TAG topicSysFlag=0 order=false", ""},
	{"200 a group", protocol.ReqUpdateAndCreateSubscriptionGroup, "", `{"groupName":"G","consumeEnable":true,"retryQueueNums":1,"retryMaxTimes":16}`},
	{"310 a delayed message", protocol.ReqSendMessageV2, fmt.Sprintf(rawSend, 2, 1, "DELAY\\11\\2"), "later"},
	{"310 a message", protocol.ReqSendMessageV2, fmt.Sprintf(rawSend, 0, 2, "KEYS\\1k\\2"), "first"},
	{"310 another", protocol.ReqSendMessageV2, fmt.Sprintf(rawSend, 0, 3, ""), "second"},
	{"310 one in another queue", protocol.ReqSendMessageV2, fmt.Sprintf(rawSend, 1, 4, ""), "third"},
}

func rawQuestions() []rawRequest {
	questions := []rawRequest{
		{"11 a pull", protocol.ReqPullMessage, "consumerGroup=G topic=Raw queueId=3 queueOffset=0 maxMsgNums=32 sysFlag=4 commitOffset=0 suspendTimeoutMillis=0 subscription=* subVersion=0 expressionType=TAG", ""},
		{"15 a commit", protocol.ReqUpdateConsumerOffset, "consumerGroup=G topic=Raw queueId=0 commitOffset=1", ""},
		{"43", protocol.ReqGetAllConsumerOffset, "", ""},
		{"45", protocol.ReqGetAllDelayOffset, "", ""},
		{"61", protocol.ReqGetTimerMetrics, "", ""},
		{"402", protocol.ReqGetAllMessageRequestMode, "", ""},
		{"905", protocol.ReqNotifyMinBrokerIDChange, "minBrokerId=0 brokerName=broker-a", ""},
		{"without minBrokerId 905", protocol.ReqNotifyMinBrokerIDChange, "", ""},
		{"906", protocol.ReqExchangeBrokerHAInfo, "", ""},
		{"906 told", protocol.ReqExchangeBrokerHAInfo, "masterHaAddress=192.0.2.1:10912 masterAddress=192.0.2.1:10911 masterFlushOffset=0", ""},
		{"908", protocol.ReqResetMasterFlushOffset, "masterFlushOffset=5", ""},
		{"1007", protocol.ReqGetBrokerEpochCache, "", ""},
		{"1008", protocol.ReqNotifyBrokerRoleChanged, "masterBrokerId=1 masterEpoch=1", ""},
	}
	for _, key := range []string{
		"TOPIC_PUT_NUMS Raw", "TOPIC_PUT_SIZE Raw", "TOPIC_PUT_NUMS Other", "TOPIC_PUT_NUMS SCHEDULE_TOPIC_XXXX",
		"TOPIC_PUT_LATENCY 0@Raw", "TOPIC_PUT_LATENCY 2@Raw", "TOPIC_PUT_LATENCY 2@SCHEDULE_TOPIC_XXXX", "TOPIC_PUT_LATENCY 0@SCHEDULE_TOPIC_XXXX",
		"GROUP_GET_NUMS Raw@G", "GROUP_GET_LATENCY 3@Raw@G", "SNDBCK_PUT_NUMS Raw@G", "GROUP_ACK_NUMS Raw@G", "GROUP_CK_NUMS Raw@G",
		"GROUP_GET_NUMS SCHEDULE_TOPIC_XXXX@SCHEDULE_CONSUMER", "QUEUE_PUT_NUMS SCHEDULE_TOPIC_XXXX@0", "QUEUE_PUT_NUMS Raw@0",
		"BROKER_PUT_NUMS DefaultCluster", "BROKER_PUT_NUMS_WITHOUT_SYSTEM_TOPIC DefaultCluster", "BROKER_PUT_NUMS Other",
		"COMMERCIAL_SEND_TIMES Raw", "DLQ_PUT_NUMS Raw", "NO_SUCH_NUMS Raw",
	} {
		name, of, _ := strings.Cut(key, " ")
		questions = append(questions, rawRequest{"statistics " + key, protocol.ReqViewBrokerStatsData, "statsName=" + name + " statsKey=" + of, ""})
	}
	return append(questions, rawRequest{"statistics without a name", protocol.ReqViewBrokerStatsData, "", ""})
}
