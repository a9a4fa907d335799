package broker

import (
	"strings"
	"testing"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/metrics"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// series are a snapshot's values by name and labels, those of all series left out: name{a=b,c=d}.
func series(t *testing.T, b *Broker) map[string]float64 {
	t.Helper()
	s := metrics.NewSnapshot(10_000)
	b.Metrics(s)
	all := map[string]float64{}
	for _, f := range s.Families() {
		for _, p := range f.Points {
			var labels []string
			for _, l := range p.Labels {
				switch l.Name {
				case "cluster", "node_id", "node_type", "otel_scope_name", "storage_type", "storage_medium", "protocol_type":
				default:
					labels = append(labels, l.Name+"="+l.Value)
				}
			}
			value := p.Value
			for _, n := range p.Counts {
				value += float64(n)
			}
			all[f.PrometheusName()+"{"+strings.Join(labels, ",")+"}"] = value
		}
	}
	return all
}

// wantSeries checks values; one below 0 stands for a series that must not be there.
func wantSeries(t *testing.T, got map[string]float64, want map[string]float64) {
	t.Helper()
	for name, value := range want {
		if v, ok := got[name]; ok != (value >= 0) || ok && v != value {
			t.Errorf("%s is %v (%t), want %v", name, v, ok, value)
		}
	}
	if t.Failed() {
		for name, v := range got {
			t.Log(name, v)
		}
	}
}

func TestMetrics_OfAnIdleBroker(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.MetricsLabels = "zone:eu-1,cluster:other,broken"
	b := openTest(t, cfg)
	got := series(t, b)
	wantSeries(t, got, map[string]float64{
		"rocketmq_broker_permission{zone=eu-1}":                         6,
		"rocketmq_topic_number{zone=eu-1}":                              float64(b.topics.count()),
		"rocketmq_processor_watermark{processor=send,zone=eu-1}":        0,
		"rocketmq_timer_message_snapshot{timer_bound_s=5,zone=eu-1}":    0,
		"rocketmq_pop_revive_lag_milliseconds{queue_id=7,zone=eu-1}":    0,
		"rocketmq_storage_message_reserve_time_milliseconds{zone=eu-1}": -1,
		"liftoff_store_writable{zone=eu-1}":                             1,
		"liftoff_connections{port=main,zone=eu-1}":                      0,
	})
	if err := b.Ready(); err != nil {
		t.Errorf("not ready: %v", err)
	}
}

func TestMetrics_OfWhatIsSentAndConsumed(t *testing.T) {
	t.Parallel()
	b := openTest(t, txConfig(t))
	c := dialTest(t, b, remoting.Options{})
	if r := call(t, c, protocol.ReqUpdateAndCreateTopic, [][2]string{{"topic", "T"}, {"defaultTopic", "TBW102"}, {"readQueueNums", "4"}, {"writeQueueNums", "4"}, {"perm", "6"},
		{"topicFilterType", "SINGLE_TAG"}, {"topicSysFlag", "0"}, {"order", "false"}}, nil); r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	for range 3 {
		call(t, c, protocol.ReqSendMessageV2, sendFields("T"), []byte("body"))
	}
	call(t, c, protocol.ReqSendMessageV2, sendFields("T", "i", message.PropShardingKey+"\x01one\x02"), make([]byte, 5000))
	call(t, c, protocol.ReqSendMessageV2, sendFields("T", "i", message.PropDelay+"\x0118\x02"), nil)
	mustEnd(t, c, sendHalf(t, c, "T", "one"), message.FlagTransactionCommit)
	mustEnd(t, c, sendHalf(t, c, "T", "two"), message.FlagTransactionRollback)
	sendHalf(t, c, "T", "three")
	if r := call(t, c, protocol.ReqPullMessage, pullFields("T", 0, 0), nil); r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	list := pop(t, c, "T", "consumerGroup", "Popping")
	if len(list) == 0 {
		t.Fatal("nothing was popped")
	}
	size := func(topic string) float64 {
		end := b.store.FindQueue(topic, 0)
		_, r := b.store.Get(end, 0, 100, maxPullBytes, nil, nil)
		return float64(r.Bytes)
	}
	got := series(t, b)
	wantSeries(t, got, map[string]float64{
		"rocketmq_messages_in_total{is_system=false,message_type=normal,topic=T}":                                                    3,
		"rocketmq_messages_in_total{is_system=false,message_type=fifo,topic=T}":                                                      1,
		"rocketmq_messages_in_total{is_system=true,message_type=delay,topic=SCHEDULE_TOPIC_XXXX}":                                    1,
		"rocketmq_messages_in_total{is_system=true,message_type=transaction,topic=RMQ_SYS_TRANS_HALF_TOPIC}":                         3,
		"rocketmq_throughput_in_total{is_system=true,message_type=transaction,topic=RMQ_SYS_TRANS_HALF_TOPIC}":                       size(topicHalf),
		"rocketmq_message_size{is_system=false,message_type=fifo,topic=T}":                                                           1,
		"rocketmq_messages_out_total{consumer_group=Consumer,is_system=false,topic=T}":                                               4,
		"rocketmq_throughput_out_total{consumer_group=Consumer,is_system=false,topic=T}":                                             size("T"),
		"rocketmq_messages_out_total{consumer_group=Popping,is_retry=false,is_system=false,topic=T}":                                 float64(len(list)),
		"rocketmq_messages_out_total{consumer_group=Popping,is_system=false,topic=T}":                                                -1,
		"rocketmq_commit_messages_total{topic=T}":                                                                                    1,
		"rocketmq_rollback_messages_total{topic=T}":                                                                                  1,
		"rocketmq_finish_message_latency_milliseconds{topic=T}":                                                                      1,
		"rocketmq_half_messages{topic=T}":                                                                                            1,
		"rocketmq_topic_create_execution_time_milliseconds{invocation_status=success,is_system=false}":                               1,
		"rocketmq_rpc_latency_milliseconds{is_long_polling=false,request_code=send_message_v2,response_code=success,result=success}": 8,
		"rocketmq_rpc_latency_milliseconds{is_long_polling=false,request_code=pull_message,response_code=success,result=success}":    1,
		"rocketmq_consumer_inflight_messages{consumer_group=Popping,is_retry=false,is_system=false,topic=T}":                         float64(len(list)),
		"rocketmq_consumer_lag_messages{consumer_group=Popping,is_retry=true,is_system=false,topic=T}":                               0,
	})
	closeOnce(t, b)
	series(t, b) // a last look, when the broker is closed, must not fail
	if b.Ready() == nil {
		t.Error("a closed broker is ready")
	}
}

func TestMetrics_OfLiteTopics(t *testing.T) {
	t.Parallel()
	cfg := lightConfig(t)
	cfg.LiteLagTimes, cfg.LiteLagMessages, cfg.LiteLagLatency = true, true, true
	l := newLiteLab(t, openTest(t, cfg))
	l.subscribe("one", "Lites", "a", "b", "c")
	for _, lite := range []string{"a", "b", "c"} {
		l.send(lite, "0", "1", "2")
	}
	for range 2 { // of two of them, one message each
		list, _ := l.pop("one", "maxMsgNum", "1")
		l.ackAll(list)
	}
	const labels = "{consumer_group=Lites,is_retry=false,is_system=false,topic=Parent}"
	got := series(t, l.b)
	wantSeries(t, got, map[string]float64{
		"rocketmq_consumer_lag_messages" + labels:                  4,
		"rocketmq_consumer_ready_messages" + labels:                4,
		"rocketmq_consumer_inflight_messages" + labels:             -1,
		"rocketmq_consumer_queueing_latency_milliseconds" + labels: -1,
	})
	if age, there := got["rocketmq_consumer_lag_latency_milliseconds"+labels]; !there || age < 0 || age > 60_000 {
		t.Errorf("the oldest message is %v ms old (%t)", age, there)
	}
	if r := call(t, l.c, protocol.ReqUpdateBrokerConfig, nil, []byte("liteLagCountMetricsEnable=false\nliteLagLatencyMetricsEnable=false\n")); r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	wantSeries(t, series(t, l.b), map[string]float64{"rocketmq_consumer_lag_messages" + labels: -1, "rocketmq_consumer_lag_latency_milliseconds" + labels: -1})
}
