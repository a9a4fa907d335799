package admin

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
)

// steady replaces what differs from run to run: times, ports, ids, folders.
func steady(text string) string {
	for _, r := range [][2]string{
		{`\b20\d\d-\d\d-\d\d \d\d:\d\d:\d\d(,\d{3})?`, "TIME"},
		{`127\.0\.0\.1:\d+`, "HOST"},
		{`\b7F000001[0-9A-F]{24}\b`, "OFFSETID"},
		{`\b\d{13}/`, "DIR/"},
		{`\b1[789]\d{11}\b`, "MS"},
		{`(Path: +)\S*/`, "${1}DIR/"},
		{` +\n`, "\n"},
	} {
		text = regexp.MustCompile(r[0]).ReplaceAllString(text, r[1])
	}
	return text
}

// check runs a command and compares all that it prints, steadied; its blanks at the ends of lines do not count.
func check(t *testing.T, want string, args ...string) {
	t.Helper()
	r := mqadmin(t, args...)
	if r.err != nil {
		t.Errorf("%v: %v", args, r.err)
	} else if got := steady(r.out); got != want {
		t.Errorf("%v:\n%s\nwant:\n%s", args, got, want)
	}
}

func TestMessages_AreFoundAndPrintedAsApacheDoes(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	c.topic(t, "orders", 1)
	id := c.send(t, c.brokers[0], "orders", 0, "hello", map[string]string{message.PropKeys: "k1 k2", message.PropTags: "paid", message.PropUniqKey: "UNIQ"})
	c.send(t, c.brokers[0], "orders", 0, "\x00\xff", nil)
	c.join(t, "10.0.0.1@7", "shop", "orders")

	const details = `Topic:               orders
Tags:                [paid]
Keys:                [k1 k2]
Queue ID:            0
Queue Offset:        0
CommitLog Offset:    0
Reconsume Times:     0
Born Timestamp:      TIME
Store Timestamp:     TIME
Born Host:           HOST
Store Host:          HOST
System Flag:         0
`
	const stored = "MSG_REGION=DefaultRegion, UNIQ_KEY=UNIQ, CLUSTER=DefaultCluster, TAGS=paid, KEYS=k1 k2, TRACE_ON=true"
	const track = "MessageTrack [consumerGroup=shop, trackType=NOT_CONSUME_YET, exceptionDesc=null]"
	ns := []string{"-n", c.addr, "-t", "orders"}
	with := func(name string, args ...string) []string { return append(append([]string{name}, ns...), args...) }
	waitFor(t, "index", func() bool { return mqadmin(t, with("queryMsgByKey", "-k", "k2")...).err == nil })

	byID := "OffsetID:            OFFSETID\n" + details + "Properties:          {" + stored + "}\nMessage Body Path:   DIR/UNIQ\n"
	check(t, byID+"\n\n"+track+"\n", with("queryMsgById", "-i", id)...)
	check(t, byID+"\n\n"+track+"\n", with("queryMsgById", "-i", "UNIQ")...)
	check(t, byID+"Message Body:        hello\n\n\n"+track+"\n", with("queryMsgById", "-i", id, "-f", "utf-8")...)
	check(t, details+"Properties:          {"+stored+"}\nMessage Body Path:   DIR/UNIQ\n\n\n"+track, with("queryMsgByUniqueKey", "-i", "UNIQ", "-a")...)
	check(t, "OffsetID:            OFFSETID\n"+details+"Properties:          {MSG_REGION=DefaultRegion, UNIQ_KEY=UNIQ, CLUSTER=DefaultCluster, MIN_OFFSET=0, TAGS=paid, KEYS=k1 k2, TRACE_ON=true, MAX_OFFSET=2}\n"+
		"Message Body Path:   DIR/UNIQ\n\n\n"+track+"\n", with("queryMsgByOffset", "-b", "broker-a", "-i", "0", "-o", "0")...)
	r := mqadmin(t, with("queryMsgByKey", "-k", "k2")...)
	if f := strings.Fields(r.out); len(f) != 9 || f[5] != "UNIQ" || !regexp.MustCompile(`^\d+@orders@K@k2@UNIQ@0$`).MatchString(f[8]) {
		t.Errorf("queryMsgByKey: %+v", r)
	}
	if r := mqadmin(t, with("queryMsgByKey", "-k", "paid", "-p", "T")...); !strings.Contains(r.out, "@orders@T@paid@UNIQ@0 ") {
		t.Errorf("queryMsgByKey -p T: %+v", r)
	}
	check(t, "ConsumeMessageDirectlyResult [order=false, autoCommit=true, consumeResult=CR_SUCCESS, remark=null, spentTimeMills=7]",
		with("queryMsgById", "-i", id, "-g", "shop", "-d", "10.0.0.1@7")...)

	const java1 = "MSGID: UNIQ MessageExt [brokerName=broker-a, queueId=0, storeSize=199, queueOffset=0, sysFlag=0, bornTimestamp=MS, bornHost=/HOST, storeTimestamp=MS, storeHost=/HOST, msgId=OFFSETID, " +
		"commitLogOffset=0, bodyCRC=907060870, reconsumeTimes=0, preparedTransactionOffset=0, toString()=Message{topic='orders', flag=0, properties={MSG_REGION=DefaultRegion, UNIQ_KEY=UNIQ, " +
		"CLUSTER=DefaultCluster, MIN_OFFSET=0, TAGS=paid, KEYS=k1 k2, TRACE_ON=true, MAX_OFFSET=2}, body=[104, 101, 108, 108, 111], transactionId='null'}] BODY: "
	check(t, java1+"hello\nTag: paid                           Count: 1\n", with("printMsgByQueue", "-a", "broker-a", "-i", "0", "-s", "paid", "-p", "true", "-d", "true", "-f", "true")...)
	check(t, "minOffset=0, maxOffset=2, MessageQueue [topic=orders, brokerName=broker-a, queueId=0]\n"+java1+"NOT PRINT BODY\n"+
		strings.Repeat("-", 56)+"\n",
		with("printMsg", "-s", "paid || none", "-d", "false")...)
	check(t, "The oldler 1 message will be provided\nConsume ok\n"+java1+"hello\n", with("consumeMessage", "-b", "broker-a", "-i", "0", "-c", "1")...)
	r = mqadmin(t, with("consumeMessage", "-s", "1700000000000")...)
	if !strings.Contains(r.out, "body=[0, -1]") || !strings.HasSuffix(r.out, "print msg finished. status=NO_NEW_MSG, offset=2\n") {
		t.Errorf("consumeMessage: %+v", r)
	}

	r = mqadmin(t, with("printMsg", "--json")...)
	lines := strings.Split(strings.TrimSpace(r.out), "\n")
	var m shownMessage
	if len(lines) != 2 || json.Unmarshal([]byte(lines[1]), &m) != nil || string(m.BodyBase64) != "\x00\xff" || m.QueueOffset != 1 {
		t.Errorf("printMsg --json: %+v", r)
	}
}

func TestMessages_ErrorsSayWhatIsMissing(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	c.topic(t, "orders", 1)
	c.send(t, c.brokers[0], "orders", 0, "hello", nil)
	for _, tt := range []struct{ args, want string }{
		{"queryMsgById -t orders -i 7F00000100002A9F0000000000FFFFFF", "cannot"},
		{"queryMsgById -t orders -i nonsense", "but no message"},
		{"queryMsgByKey -t orders -k none", "but no message"},
		{"queryMsgByKey -t orders -k none -p X", "just support K for keys or T for tags"},
		{"queryMsgByUniqueKey -t orders -i none", "but no message"},
		{"queryMsgByOffset -t orders -b broker-a -i 0 -o 5", "it has the offsets from 0 on, and before 1"},
		{"queryMsgByOffset -t orders -b broker-x -i 0 -o 0", "the broker[broker-x] not exist: topic orders is on broker-a"},
		{"printMsg -t orders -c GBK", `cannot decode the charset "GBK"`},
		{"printMsg -t orders -b yesterday", `cannot read "yesterday" as a time`},
		{"printMsg -t orders -d maybe", "true or false"},
		{"consumeMessage -t orders -c 0", "messageNumber must be positive"},
		{"consumeMessage -t orders -i 0", "queueId needs brokerName"},
		{"consumeMessage -t orders -o 0", "offset needs queueId"},
		{"consumeMessage -t orders -s 99999999999999", "beginTimestamp must lie before now"},
	} {
		if r := mqadmin(t, append(strings.Fields(tt.args), "-n", c.addr)...); r.err == nil || !strings.Contains(r.err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.args, r.err, tt.want)
		}
	}
}

// The producer's id is a name of a file, and must not lead out of the folder.
func TestSaveBody_StaysInItsFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := &Admin{bodies: filepath.Join(dir, "bodies")}
	for _, id := range []string{"../escaped", "..", "a/b", ""} {
		path, err := a.saveBody(&found{Message: message.Message{Body: []byte("x")}, properties: []pair{{message.PropUniqKey, id}}}, "")
		if err != nil || filepath.Dir(path) != a.bodies {
			t.Errorf("%q: %s, %v", id, path, err)
		}
	}
	if all, err := os.ReadDir(dir); err != nil || len(all) != 1 {
		t.Errorf("%v, %v", all, err)
	}
}

func TestJavaMap_HasJavasOrder(t *testing.T) {
	t.Parallel()
	got := javaMap(128, []pair{{"WAIT", "true"}, {"KEYS", "k"}, {"TAGS", "t"}, {"UNIQ_KEY", "u"}, {"MSG_REGION", "r"}, {"CLUSTER", "c"}, {"TRACE_ON", "true"}})
	if want := "{MSG_REGION=r, UNIQ_KEY=u, CLUSTER=c, TAGS=t, KEYS=k, WAIT=true, TRACE_ON=true}"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestConsumers_AreShownAsApacheDoes(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "broker-a", "broker-b")
	c.topic(t, "orders", 1)
	for range 5 {
		c.send(t, c.brokers[0], "orders", 0, "hello", nil)
	}
	c.join(t, "10.0.0.1@7", "shop", "orders")
	if err := c.pool.CommitOffset(t.Context(), c.brokers[0], "shop", "orders", 0, 3); err != nil {
		t.Fatal(err)
	}
	run := func(args string) []string { return append(strings.Fields(args), "-n", c.addr) }
	version := protocol.VersionName(protocol.VersionCurrent)
	check(t, `#ClientId                            #ClientAddr            #Language  #Version
10.0.0.1@7                           HOST        JAVA       `+version+`

Below is subscription:
#Topic               #SubExpression
orders               *

ConsumeType: CONSUME_PASSIVELY
MessageModel: CLUSTERING
ConsumeFromWhere: CONSUME_FROM_LAST_OFFSET
`, run("consumerConnection -g shop")...)
	check(t, "0001  10.0.0.1@7                       HOST        JAVA     "+version+"\n", run("producerConnection -g producers -t orders")...)

	head := "#Topic                                                            #Broker Name                      #QID  #Broker Offset        #Consumer Offset      #Diff                #Inflight           #LastTime\n"
	orders := "orders                                                            broker-a                          0     5                     3                     2                    0                    TIME\n" +
		"orders                                                            broker-b                          0     0                     0                     0                    0                    N/A\n"
	check(t, head+orders+"\nConsume TPS: 0.00\nConsume Diff Total: 2\nConsume Inflight Total: 0\n", run("consumerProgress -g shop -t orders")...)
	r := mqadmin(t, run("consumerProgress -g shop -t orders -s true --json")...)
	var g groupProgress
	if err := json.Unmarshal([]byte(r.out), &g); err != nil || g.Diff != 2 || len(g.Queues) != 2 || g.Queues[0].ClientIP != "10.0.0.1" || g.Queues[1].ClientIP != "" {
		t.Errorf("consumerProgress --json: %+v: %v", r, err)
	}
	check(t, "#Group                                                            #Count  #Version                 #Type  #Model          #TPS     #Diff Total\n"+
		"shop                                                              1       "+version+"                   PUSH   CLUSTERING      0        2\n", run("consumerProgress")...)

	r = mqadmin(t, run("consumerStatus -g shop")...)
	lines := strings.Split(steady(r.out), "\n")
	if r.err != nil || len(lines) != 9 || lines[1] != "1          10.0.0.1@7                               "+version+"               DIR/10.0.0.1@7" ||
		lines[6] != "Rebalance OK" || !strings.HasPrefix(lines[7], "10.0.0.1@7 MessageQueue [topic=orders, brokerName=broker-a, queueId=0] can't consume for a while, maybe blocked, ") {
		t.Errorf("consumerStatus: %q", lines)
	}
	r = mqadmin(t, run("consumerStatus -g shop -i 10.0.0.1@7 -s")...)
	for _, want := range []string{"PROP_CONSUMEORDERLY                     : false\n", "001 Topic: orders                                   ClassFilter: false    SubExpression: *\n",
		"orders                            broker-a                          0     3                   \n", "cachedMsgCount=2", "3.00           4.00           1.50           2.25               0.50                         1\n",
		"\n\n#Consumer jstack#\nmain RUNNABLE"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("consumerStatus -i: no %q in %s %v", want, r.out, r.err)
		}
	}
	for args, want := range map[string]string{
		"consumerConnection -g nobody":                    "No topic route info",
		"consumerConnection -g nobody -b " + c.brokers[0]: "not online",
		"producerConnection -g nobody -t orders":          "not found the producer group connection",
		"consumerProgress -g nobody":                      "No topic route info",
		"consumerStatus -g shop -i nobody":                "not online",
	} {
		if r := mqadmin(t, run(args)...); r.err == nil || !strings.Contains(r.err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, r.err, want)
		}
	}
}
