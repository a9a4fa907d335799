package admin

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestSending_PrintsAsApacheDoes(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	c.topic(t, "orders", 2)
	c.send(t, c.brokers[0], "orders", 1, "x", nil)
	waitFor(t, "queue", func() bool {
		_, end, err := c.pool.QueueOffsets(t.Context(), c.brokers[0], "orders", 1)
		return err == nil && end == 1
	})
	for args, want := range map[string]string{
		"sendMessage -t orders -p hello -k k1 -c paid -b broker-a -i 1 -m true": `#Broker Name                      #QID  #Send Result            #MsgId\nbroker-a                          1     SEND_OK                 [0-9A-F]{32}\n`,
		"sendMsgStatus -b broker-a -c 2 -s 22":                                  `(rt=\d+ms, SendResult=SendResult \[sendStatus=SEND_OK, msgId=[0-9A-F]{32}, offsetMsgId=[0-9A-F]{32}, messageQueue=MessageQueue \[topic=broker-a, brokerName=broker-a, queueId=\d\], queueOffset=\d+, recallHandle=null\]\n){2}`,
		"checkMsgSendRT -t orders -a 3 -s 10":                                   `#Broker Name                      #QID  #Send Result            #RT\n(broker-a {26}[01]     true {20}\d+\n){3}Avg RT: \d+\.\d\d\n`,
		"clusterRT -a 2 --rounds 1":                                             `#Cluster Name             #Broker Name              #RT   #successCount  #failCount\nDefaultCluster            broker-a                  \d+\.\d\d +2                 0               \n`,
		"clusterRT -a 2 -p true -m here --rounds 2 -i 0":                        `(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\|here\|DefaultCluster\|broker-a\|\d+\n){2}`,
		"queryCq -t orders -q 1 -i 0":                                           `Queue data: \nmax: \d+, min: 0\n=+\n(idx: \d\nConsumeQueueData\{physicOffset=\d+, physicSize=\d+, tagsCode=-?\d+, extendDataJson='null', bitMap='null', eval=false, msg='null'\}\n=+\n)*`,
	} {
		r := mqadmin(t, append(strings.Fields(args), "-n", c.addr)...)
		if r.err != nil || !regexp.MustCompile("^"+want+"$").MatchString(r.out) {
			t.Errorf("%s: %+v", args, r)
		}
	}
	for args, want := range map[string]string{
		"sendMessage -t orders -p x -i 1":             "the broker must be named",
		"sendMessage -t orders -p x -b broker-a -i 9": "has no queue 9 at broker broker-a",
		"queryCq -t nobody -q 0 -i 0":                 "No topic route info",
		"queryCq -t orders -q 1 -i 99999":             "Index 99999 of 1@orders is not exist!",
		"clusterRT -c nowhere":                        "knows no cluster nowhere",
		"clusterRT --rounds -1":                       "--rounds -1 is wrong: it must not be below 0",
		"clusterRT --rounds 1 -i -1":                  "-1 is wrong",
		"clusterRT --rounds 1 -a -1":                  "-1 is wrong",
		"checkMsgSendRT -t orders -s -1":              "-1 is wrong",
		"sendMsgStatus -b broker-a -c -1":             "-1 is wrong",
		"startMonitoring --rounds -1":                 "--rounds -1 is wrong",
		"startMonitoring --rounds 1 --interval -1":    "--interval -1 is wrong",
	} {
		if r := mqadmin(t, append(strings.Fields(args), "-n", c.addr)...); r.err == nil || !strings.Contains(r.err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, r.err, want)
		}
	}
}

// A trace is found by the id of what it is about.
func TestTrace_OfASentMessage(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	c.topic(t, "traces", 1)
	c.send(t, c.brokers[0], "traces", 0, "Pub\x011700000000000\x01r\x01makers\x01orders\x01ID\x01\x01\x01h\x015\x017\x010\x01OFFSETID\x01true\x02", map[string]string{"KEYS": "ID"})
	run := []string{"QueryMsgTraceById", "-n", c.addr, "-i", "ID", "-t", "traces"}
	waitFor(t, "index", func() bool { return mqadmin(t, run...).err == nil })
	check(t, "#Type      #ProducerGroup       #ClientHost          #SendTime            #CostTimes #Status\nPub        makers               127.0.0.1            TIME  7ms        success\n\n", run...)
}

func TestPrintTraces_GroupsConsumers(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	at := time.Date(2024, 1, 2, 3, 4, 5, 0, time.Local).UnixMilli()
	printTraces(&b, []clientTrace{{Kind: "SubAfter", Group: "b", Host: "h", Time: at, CostMS: 2}, {Kind: "SubAfter", Group: "a", Host: "h", Time: at, CostMS: 3, Success: true},
		{Kind: "SubBefore", Group: "a"}})
	head := "#Type      #ConsumerGroup       #ClientHost          #ConsumerTime        #CostTimes #Status   \n"
	want := head + "Sub        a                    h                    2024-01-02 03:04:05  3ms        success   \n\n" +
		head + "Sub        b                    h                    2024-01-02 03:04:05  2ms        failed    \n\n"
	if b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

func TestMonitoring_TellsWhoIsBehind(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	c.topic(t, "orders", 1)
	c.send(t, c.brokers[0], "orders", 0, "x", nil)
	c.join(t, "10.0.0.1@7", "shop", "orders")
	if err := c.pool.CommitOffset(t.Context(), c.brokers[0], "shop", "orders", 0, 0); err != nil {
		t.Fatal(err)
	}
	r := mqadmin(t, "startMonitoring", "-n", c.addr, "--rounds", "2", "--interval", "0")
	for _, want := range []string{"[MONITOR] ====", "[MONITOR] reportUndoneMsgs: UndoneMsgs [consumerGroup=shop, topic=orders, undoneMsgsTotal=1, undoneMsgsSingleMQ=1, undoneMsgsDelayTimeMills=0]\n",
		"[MONITOR]  [NOTIFY] reportConsumerRunningInfo: ConsumerGroup: shop, ClientId: 10.0.0.1@7, 10.0.0.1@7 MessageQueue [topic=orders, brokerName=broker-a, queueId=0] can't consume for a while"} {
		if strings.Count(r.out, want) < 2 {
			t.Errorf("no %q in %s %v", want, r.out, r.err)
		}
	}
}
