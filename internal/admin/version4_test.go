package admin

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// The answers are those of RocketMQ 4.9.7: it tells of all topics only, without attributes, and spells a rate otherwise.
func TestCommands_WorkAtBrokersBefore5(t *testing.T) {
	t.Parallel()
	d := &double{answers: map[int]*remoting.Answer{
		protocol.ReqGetTopicConfig: {Code: protocol.CodeRequestCodeNotSupported, Remark: " request type 351 not supported"},
		protocol.ReqGetAllTopicConfig: {Body: []byte(`{"dataVersion":{"counter":12,"timestamp":1795359499678},"topicConfigTable":{"ordered":{"order":false,"perm":6,"readQueueNums":4,` +
			`"topicFilterType":"SINGLE_TAG","topicName":"ordered","topicSysFlag":0,"writeQueueNums":4}}}`)},
		protocol.ReqUpdateAndCreateTopic: nil,
		protocol.ReqGetBrokerClusterInfo: {Body: []byte(`{"brokerAddrTable":{"broker-a":{"brokerAddrs":{0:"ADDR"},"brokerName":"broker-a","cluster":"c"}},"clusterAddrTable":{"c":["broker-a"]}}`)},
		protocol.ReqGetBrokerRuntimeInfo: {Body: []byte(`{"table":{"brokerVersionDesc":"V4_9_7","putTps":"1.5 0.0 0.0","getTransferedTps":"2.25 0.0 0.0"}}`)},
	}}
	s, err := remoting.Listen("127.0.0.1:0", d, remoting.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	addr := s.Addr().String()
	info := d.answers[protocol.ReqGetBrokerClusterInfo]
	info.Body = []byte(strings.ReplaceAll(string(info.Body), "ADDR", addr))
	for _, tt := range []struct{ args, out, said string }{
		{"updateTopic -b ADDR -t ordered -r 8 -w 8 --dry-run", "", "readQueueNums 4 -> 8, writeQueueNums 4 -> 8"},
		{"updateTopic -b ADDR -t new --dry-run", "", "would create topic new "},
		{"updateTopicPerm -b ADDR -t ordered -p 4 --dry-run", "", "ordered"},
		{"clusterList", " 2.25(", ""},
	} {
		r := mqadmin(t, append(strings.Fields(strings.ReplaceAll(tt.args, "ADDR", addr)), "-n", addr)...)
		if r.err != nil || !strings.Contains(r.out, tt.out) || !strings.Contains(r.said, tt.said) {
			t.Errorf("%s: %v\n%s\nsaid %s", tt.args, r.err, r.out, r.said)
		}
	}
}

// A broker of 4.9 does not count the topics that 5.x has for itself among those of the system, and refuses to make them.
func TestRestore_LeavesTopicsThatBrokersMake(t *testing.T) {
	t.Parallel()
	from := &brokerBackup{Topics: map[string]*protocol.TopicConfig{}}
	for _, name := range []string{"Plain", "RMQ_SYS_ROCKSDB_TRANS_HALF_TOPIC", "RMQ_SYS_TRACE_TOPIC", "rmq_sys_REVIVE_LOG_c", "rmq_sys_wheel_timer"} {
		topic := protocol.NewTopicConfig(name)
		from.Topics[name] = &topic
	}
	r := restorer{left: map[string]int{}}
	r.topics(from, member{}, &protocol.TopicConfigsAndMappings{}, []string{"RMQ_SYS_TRACE_TOPIC"})
	if len(r.changes) != 1 || !strings.HasPrefix(r.changes[0].what, "create topic Plain ") {
		t.Errorf("%+v", r.changes)
	}
}
