package admin

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestCommands_PrintWhatApachesToolPrints runs commands one after the other against one cluster of two brokers. <ns>, <0> and <1> stand for addresses; what
// begins with ~ is a regular expression.
func TestCommands_PrintWhatApachesToolPrints(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "broker-a", "broker-b")
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	topics := write("topics.json", `[{"topicName":"listed","readQueueNums":2,"writeQueueNums":2,"perm":6},{"topicName":"orders","readQueueNums":4,"writeQueueNums":4,"perm":6}]`)
	groups := write("groups.json", `[{"groupName":"many","retryMaxTimes":3}]`)
	known := func(topic string, brokers int) func() {
		return func() {
			waitFor(t, "route of "+topic, func() bool {
				r, err := c.names.RouteByTopic(t.Context(), topic)
				return err == nil && len(r.QueueDatas) == brokers
			})
		}
	}
	replace := strings.NewReplacer("<ns>", c.addr, "<0>", c.brokers[0], "<1>", c.brokers[1])
	for _, tt := range []struct {
		args, out, said string
		then            func()
	}{
		{"updateTopic -b <0> -t single", "create topic to <0> success.\nTopicConfig [topicName=single, readQueueNums=8, writeQueueNums=8, perm=RW-, topicFilterType=SINGLE_TAG, " +
			"topicSysFlag=0, order=false, attributes={}]\n", "will create topic single with 8 queues to read and 8 to write at <0>\n", nil},
		{"updateTopic -c DefaultCluster -t orders -r 4 -w 4 -p 6 -o true -a +message.type=FIFO", "create topic to <0> success.\ncreate topic to <1> success.\n" +
			"set cluster orderConf. isOrder=true, orderConf=[broker-a:4;broker-b:4]\n" +
			"TopicConfig [topicName=orders, readQueueNums=4, writeQueueNums=4, perm=RW-, topicFilterType=SINGLE_TAG, topicSysFlag=0, order=true, attributes={+message.type=FIFO}]\n",
			"~set the order of topic orders at <ns> to broker-a:4;broker-b:4", known("orders", 2)},
		{"updateTopic -b <1> -t orders -w 2 -o true -u true --dry-run", "", "would change topic orders at <1>: readQueueNums 4 -> 8, writeQueueNums 4 -> 2, topicSysFlag 0 -> 1\n" +
			"would set the order of topic orders at <ns> to broker-a:4;broker-b:2\nnothing was changed: this was a dry run\n", nil},
		{"updateTopicList -b <0> -f " + topics, "submit batch of topic config to <0> success, please check the result later.\n",
			"will create or change 2 topics at <0>\n  create topic listed with 2 queues to read and 2 to write at <0>\n  change topic orders at <0>: order true -> false\n", known("listed", 1)},
		{"updateTopicPerm -b <0> -t single -p 4", "update topic perm from 6 to 4 in <0> success.\nTopicConfig [topicName=single, readQueueNums=8, writeQueueNums=8, perm=R--, " +
			"topicFilterType=SINGLE_TAG, topicSysFlag=0, order=false, attributes={}].\n", "will change the permission of topic single from RW- to R-- at <0>\n", nil},
		{"updateTopicPerm -b <0> -t single -p 4", "new perm equals to the old one!\n", "", nil},
		{"updateOrderConf -t orders -m get", "get orderConf success. topic=[orders], orderConf=[broker-a:4;broker-b:4] ", "", nil},
		{"updateOrderConf -t orders -m put -v broker-a:2", "update orderConf success. topic=[orders], orderConf=[broker-a:2]",
			"will set the order of topic orders to \"broker-a:2\" at <ns>; it is \"broker-a:4;broker-b:4\"\n", nil},
		{"updateOrderConf -t orders -m delete", "delete orderConf success. topic=[orders]", "will delete the order of topic orders at <ns>; it is \"broker-a:2\"\n", nil},
		{"topicClusterList -t orders", "DefaultCluster\n", "", nil},
		{"topicList", "~^(?s).*\nlisted\norders\n.*\nsingle\n", "", nil},
		{"topicList -c", "~#Cluster Name         #Topic                                            #Consumer Group                                 \n(?s:.*)" +
			"\nDefaultCluster        orders {124,}\n", "", nil},
		{"topicStatus -t orders", "~^#Broker Name                      #QID  #Min Offset           #Max Offset             #Last Updated\n" +
			"broker-a                          0     0                     2                       20\\d\\d-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d,\\d\\d\\d\n" +
			"broker-a                          1     0                     0                       \n(?s:.*)\n\nTopic Put TPS: \\d+\\.\\d+\n$", "", nil},
		{"allocateMQ -t listed -i 10.0.0.1,10.0.0.2", `{"result":{"10.0.0.1":[{"brokerName":"broker-a","queueId":0,"topic":"listed"}],"10.0.0.2":[{"brokerName":"broker-a","queueId":1,"topic":"listed"}]}}` + "\n", "", nil},

		{"updateSubGroup -c DefaultCluster -g billing -r 5 -d true", "create subscription group to <0> success.\ncreate subscription group to <1> success.\n" +
			"SubscriptionGroupConfig{groupName=billing, consumeEnable=true, consumeFromMinEnable=false, consumeBroadcastEnable=true, consumeMessageOrderly=false, retryQueueNums=1, retryMaxTimes=5, " +
			"groupRetryPolicy=GroupRetryPolicy{type=CUSTOMIZED, exponentialRetryPolicy=null, customizedRetryPolicy=null}, brokerId=0, whichBrokerWhenConsumeSlowly=1, " +
			"notifyConsumerIdsChangedEnable=true, groupSysFlag=0, consumeTimeoutMinute=15, subscriptionDataSet=null, attributes={}}",
			"will create group billing at broker-a (<0>)\nwill create group billing at broker-b (<1>)\n", nil},
		{`updateSubGroup -b <0> -g billing -p {"type":"EXPONENTIAL","exponentialRetryPolicy":{"initial":1000,"max":9000,"multiplier":3}}`,
			"~groupRetryPolicy=GroupRetryPolicy\\{type=EXPONENTIAL, exponentialRetryPolicy=ExponentialRetryPolicy\\{initial=1000, max=9000, multiplier=3\\}, customizedRetryPolicy=null\\}",
			"~will change group billing at <0>: consumeBroadcastEnable true -> false, retryMaxTimes 5 -> 16, groupRetryPolicy", nil},
		{"updateSubGroupList -c DefaultCluster -f " + groups, "submit batch of subscription group config to <0> success, please check the result later.\n" +
			"submit batch of subscription group config to <1> success, please check the result later.\n", "~  create group many at broker-a", nil},
		{"setConsumeMode -b <0> -t orders -g billing -m POP -q 2", "set consume mode to <0> success.\ntopic[orders] group[billing] consume mode[POP] popShareQueueNum[2]",
			"will let group billing pop topic orders at <0>\n", nil},
		{"getConsumerConfig -g many", "~^=============================DefaultCluster:broker-a=============================\n" +
			"groupName                               =  many\n(?s:.*)\nretryMaxTimes                           =  3\n(?s:.*)=DefaultCluster:broker-b=", "", nil},

		{"updateKvConfig -s ns -k a -v b", "create or update kv config to namespace success.\n", "will set a of ns to \"b\" at <ns>; there is none\n", nil},
		{"deleteKvConfig -s ns -k a", "delete kv config from namespace success.\n", "will delete a of ns at <ns>; it is \"b\"\n", nil},
		{"wipeWritePerm -b broker-b", "~^wipe write perm of broker\\[broker-b\\] in name server\\[<ns>\\] OK, \\d+\n$", "~will take the permission to write from broker broker-b", nil},
		{"addWritePerm -b broker-b", "~^add write perm of broker\\[broker-b\\] in name server\\[<ns>\\] OK, \\d+\n$", "~will give the permission to write to broker broker-b", nil},
		{"getNamesrvConfig", "~^============<ns>============\n(?s:.*)\nlistenPort                                        =  \\d+\n", "", nil},
		{"updateNamesrvConfig -k orderMessageEnable -v true", "update name server config success![<ns>]\norderMessageEnable : true\n",
			"~will set orderMessageEnable to \"true\" at <ns>; it is \"false\"\n", nil},
		{"updateBrokerConfig -b <0> -k logFile -v /x --dry-run", "", "would set logFile to \"/x\" at <0>; it does not show this key now\nnothing was changed: this was a dry run\n", nil},
		{"updateBrokerConfig -c DefaultCluster -k fileReservedTime -v 24", "update broker config success, <0>\nupdate broker config success, <1>\n",
			"will set fileReservedTime to \"24\" at <0>; it is \"72\"\nwill set fileReservedTime to \"24\" at <1>; it is \"72\"\n", nil},
		{"getBrokerConfig -b <0>", "~^============<0>============\n(?s:.*)\nfileReservedTime                                  =  24\n(?s:.*)\n\n$", "", nil},
		{"getBrokerConfig -c DefaultCluster", "~^============Master: <0>============\n(?s:.*)\n\n============Master: <1>============\n", "", nil},
		{"brokerStatus -b <0>", "~\nbrokerVersionDesc               : V5_5_0\n", "", nil},
		{"brokerStatus -c DefaultCluster", "~\n<1> +brokerVersionDesc               : V5_5_0\n", "", nil},
		{"clusterList", "~^#Cluster Name           #Broker Name            #BID  #Addr                  #Version              #InTPS\\(LOAD\\)                   #OutTPS\\(LOAD\\)  " +
			"#Timer\\(Progress\\)        #PCWait\\(ms\\)  #Hour         #SPACE    #ACTIVATED\n" +
			"DefaultCluster          broker-a                0     <0> +V5_5_0  +\\d+\\.\\d\\d\\(0,0ms\\) +\\d+\\.\\d\\d\\(0,0ms\\|0,0ms\\)  0-0\\(0\\.0w, 0\\.0, 0\\.0\\) +0  \\d", "", nil},
		{"clusterList -m -c DefaultCluster", "~^#Cluster Name     #Broker Name                       #InTotalYest  #OutTotalYest  #InTotalToday #OutTotalToday\n" +
			"DefaultCluster    broker-a                                      0              0              2              0\n", "", nil},
		{"producer -b <0>", "", "", nil},
		{"statsAll -t orders", "~^#Topic +#Consumer Group +#Accumulation      #InTPS     #OutTPS   #InMsg24Hour  #OutMsg24Hour\n" +
			"orders +0 +\\d+\\.\\d\\d +\\d+    NO_CONSUMER\n$", "", nil},

		{"exportConfigs -c DefaultCluster -f DIR", "export DIR/configs.json success", "", nil},
		{"exportMetadata -c DefaultCluster -f DIR", "export DIR/metadata.json success\n", "", nil},
		{"exportMetadata -b <0> -t -f DIR", "export DIR/topic.json success", "", nil},
		{"exportMetrics -c DefaultCluster -f DIR", "export DIR/metrics.json success", "", nil},
		{"exportPopRecord -c DefaultCluster -d true", "Export broker records, brokerName=broker-a, brokerAddr=<0>, dryRun=true\nExport broker records, brokerName=broker-b, brokerAddr=<1>, dryRun=true\n",
			"~would move pop records", nil},
		{"exportPopRecord -b <0>", "Export broker records, brokerName=broker-a, brokerAddr=<0>, dryRun=false\n", "~will move pop records", nil},

		{"deleteSubGroup -c DefaultCluster -g billing --dry-run", "", "would delete group billing (no clients, offsets of 0 queues, 0 messages not consumed) at broker-a (<0>)\n" +
			"would delete group billing (no clients, offsets of 0 queues, 0 messages not consumed) at broker-b (<1>)\nnothing was changed: this was a dry run\n", nil},
		{"deleteSubGroup -c DefaultCluster -g billing -r true", "delete subscription group [billing] from broker [<0>] in cluster [DefaultCluster] success.\n" +
			"delete subscription group [billing] from broker [<1>] in cluster [DefaultCluster] success.\n", "~with its offsets\n", nil},
		{"deleteTopic -c DefaultCluster -t orders --dry-run", "", "would delete topic orders (4 queues, 2 messages, read by no group) at broker-a (<0>)\n" +
			"would delete topic orders (4 queues, 0 messages, read by no group) at broker-b (<1>)\nwould forget topic orders of cluster DefaultCluster at <ns>\nnothing was changed: this was a dry run\n", nil},
		{"deleteTopic -c DefaultCluster -t orders", "delete topic [orders] from cluster [DefaultCluster] success.\ndelete topic [orders] from NameServer success.\n", "~2 messages", nil},
	} {
		line := strings.ReplaceAll(replace.Replace(tt.args), "DIR", dir)
		if tt.args == "topicStatus -t orders" {
			c.send(t, c.brokers[0], "orders", 0, "one", nil)
			c.send(t, c.brokers[0], "orders", 0, "two", nil)
			waitFor(t, "two messages", func() bool {
				_, next, err := c.pool.QueueOffsets(t.Context(), c.brokers[0], "orders", 0)
				return err == nil && next == 2
			})
		}
		r := mqadmin(t, append(strings.Fields(line), "-n", c.addr)...)
		if r.err != nil {
			t.Errorf("%s: %v", line, r.err)
		}
		match(t, line, "printed", r.out, tt.out, func(s string) string { return strings.ReplaceAll(replace.Replace(s), "DIR", dir) })
		match(t, line, "said", r.said, tt.said, replace.Replace)
		if tt.then != nil {
			tt.then()
		}
	}
}

func match(t *testing.T, line, what, got, want string, replace func(string) string) {
	t.Helper()
	if expression, ok := strings.CutPrefix(want, "~"); ok {
		if !regexp.MustCompile(replace(expression)).MatchString(got) {
			t.Errorf("%s: %s\n%s\nwant what matches\n%s", line, what, got, expression)
		}
	} else if want = replace(want); got != want {
		t.Errorf("%s: %s\n%s\nwant\n%s", line, what, got, want)
	}
}

// TestCommands_PrintJSON reads what commands print with --json.
func TestCommands_PrintJSON(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	c.topic(t, "orders", 2)
	c.send(t, c.brokers[0], "orders", 1, "x", nil)
	waitFor(t, "a message", func() bool {
		_, next, err := c.pool.QueueOffsets(t.Context(), c.brokers[0], "orders", 1)
		return err == nil && next == 1
	})
	for args, want := range map[string]string{
		"topicStatus -t orders":        `"maxOffset":1`,
		"topicList":                    `"orders"`,
		"topicList -c":                 `"topic":"orders"`,
		"clusterList":                  `"brokerVersionDesc":"V5_5_0"`,
		"brokerStatus -b <0>":          `"brokerVersionDesc":"V5_5_0"`,
		"getBrokerConfig -b <0>":       `"fileReservedTime":"72"`,
		"statsAll -t orders":           `"accumulation":0`,
		"updateTopic -b <0> -t t -w 3": `"writeQueueNums":3`,
	} {
		r := mqadmin(t, append(strings.Fields(strings.ReplaceAll(args, "<0>", c.brokers[0])), "-n", c.addr, "--json")...)
		if r.err != nil || !json.Valid([]byte(r.out)) || !strings.Contains(r.out, want) {
			t.Errorf("%s --json: %v\n%s\nwant JSON with %s", args, r.err, r.out, want)
		}
	}
}

// TestStaticTopic_GrowsAndMoves makes a static topic, sends to it, gives it more queues and moves them.
func TestStaticTopic_GrowsAndMoves(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "broker-a", "broker-b")
	run := func(args string) result {
		t.Helper()
		r := mqadmin(t, append(strings.Fields(args), "-n", c.addr)...)
		if r.err != nil {
			t.Fatalf("%s: %v\n%s", args, r.err, r.said)
		}
		return r
	}
	r := run("updateStaticTopic -b broker-a -t static -qn 2")
	files := regexp.MustCompile(`^The old mapping data is written to file (.*)\nThe new mapping data is written to file (.*)\n$`).FindStringSubmatch(r.out)
	if files == nil {
		t.Fatal(r.out)
	}
	defer os.Remove(files[1])
	defer os.Remove(files[2])
	if r := mqadmin(t, "updateStaticTopic", "-b", "broker-a", "-t", "static", "-qn", "2", "-n", c.addr); r.err == nil || !strings.Contains(r.err.Error(), "do nothing") {
		t.Errorf("made again: %+v", r)
	}
	r = run("updateStaticTopic -c DefaultCluster -t static -qn 4 --dry-run")
	if !strings.Contains(r.said, "2 of 4 queues led there, 2 physical queues") {
		t.Errorf("dry run: %s", r.said)
	}
	r = run("remappingStaticTopic -b broker-b -t static")
	for _, file := range regexp.MustCompile(`/\S+\.(before|after)`).FindAllString(r.out, -1) {
		defer os.Remove(file)
	}
	waitFor(t, "queues at broker-b", func() bool {
		route, err := c.names.RouteByTopic(t.Context(), "static")
		return err == nil && route.TopicQueueMappingByBroker["broker-b"] != nil && len(route.TopicQueueMappingByBroker["broker-b"].CurrIDMap) == 2
	})
	moved, err := c.pool.TopicConfig(t.Context(), c.brokers[1], "static")
	if err != nil {
		t.Fatal(err)
	}
	for id, queue := range moved.MappingDetail.HostedQueues {
		if leader := queue.Leader(); len(queue) != 2 || leader.Bname != "broker-b" || leader.LogicOffset != blockSize {
			t.Errorf("queue %d: %+v", id, queue)
		}
	}
	if r := run("updateStaticTopic -b broker-a -t static -qn 2 -mf " + files[2] + " -fr true --dry-run"); !strings.Contains(r.said, "set the mapping at broker-a") {
		t.Errorf("from a file: %s", r.said)
	}
	waitFor(t, "status of the logical queues", func() bool {
		return regexp.MustCompile(`\n__syslo__global__ +1 +0 +10000 `).MatchString(run("topicStatus -t static").out)
	})
}

func TestReadMapping_RefusesWhatIsNotWhole(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{}`:                             "it has no brokerConfigMap",
		`{"brokerConfigMap":{"b":null}}`: "broker b has no part",
		`{"brokerConfigMap":{"b":{}}}`:   "mapping info should not be null in broker b",
		`{"brokerConfigMap":{"b":{"topicName":"t","mappingDetail":{"topic":"t","bname":"x"}}}}`:                                                                                  "the broker name is not equal b != x",
		`{"brokerConfigMap":{"b":{"topicName":"t","mappingDetail":{"topic":"t","bname":"b","totalQueues":2147483647}}}}`:                                                         "does not match the real hosted queues 2147483647 != 0",
		`{"brokerConfigMap":{"b":{"topicName":"t","mappingDetail":{"topic":"t","bname":"b","totalQueues":1,"hostedQueues":{"0":[]}}}}}`:                                          "does not match the real hosted queues 1 != 0",
		`{"brokerConfigMap":{"b":{"topicName":"t","mappingDetail":{"topic":"t","bname":"b","totalQueues":1,"hostedQueues":{"7":[{"bname":"b","endOffset":-1}]}}}}}`:              "the queue number 0 is not in",
		`{"brokerConfigMap":{"b":{"topicName":"t","mappingDetail":{"topic":"t","bname":"b","totalQueues":1,"hostedQueues":{"0":[{"bname":"b","queueId":-3,"endOffset":-1}]}}}}}`: "should not be negative",
		`nonsense`: "cannot read",
	} {
		path := filepath.Join(t.TempDir(), "mapping")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readMapping(path, "t"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestShares_AreEvenAndMoveLittle(t *testing.T) {
	t.Parallel()
	got := shares(7, []string{"a", "b", "c"}, map[string]int{"c": 7})
	if got["a"] != 2 || got["b"] != 2 || got["c"] != 3 {
		t.Error(got)
	}
	for offset, want := range map[int64]int64{0: 10000, 4999: 10000, 5000: 20000, 10000: 20000, 16000: 30000} {
		if got := roundUp(offset); got != want {
			t.Errorf("roundUp(%d) = %d, want %d", offset, got, want)
		}
	}
}

func TestCommands_RefuseWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	for args, want := range map[string]string{
		"updateTopic -t t":                                                 "at least one of the flags in the group [brokerAddr clusterName] is required",
		"updateTopic -c nowhere -t t":                                      "knows no cluster nowhere; it knows DefaultCluster",
		"updateTopic -c DefaultCluster -t t -o maybe":                      "it must be true or false",
		"updateTopic -c DefaultCluster -t t -a color=red":                  "add/alter attribute format is wrong: color",
		"updateTopic -c DefaultCluster -t t!":                              "The specified topic: t!, contains illegal characters",
		"updateTopicList -b <0> -f /nowhere":                               "the file path /nowhere does not exists",
		"setConsumeMode -b <0> -t t -g g -m PUSH":                          "it must be PULL or POP",
		"updateSubGroup -b <0> -g g -p {\"type\":\"X\"}":                   "must be EXPONENTIAL or CUSTOMIZED",
		"wipeWritePerm -b nobody":                                          "knows no broker nobody; it knows broker-a",
		"getConsumerConfig -g nobody":                                      "has group nobody",
		"topicStatus -t nobody":                                            "No topic route info in name server for the topic: nobody",
		"removeBroker -c 127.0.0.1:1 -b x":                                 "it is cluster:name:id",
		"cleanBrokerMetadata -a 127.0.0.1:1 -bn b -b x -c y":               "according to the format",
		"cleanBrokerMetadata -a 127.0.0.1:1 -bn b":                         "clusterName option can not be empty",
		"electMaster -a 127.0.0.1:1 -b 1 -bn b -c c":                       "connection refused",
		"exportMetadataInRocksDB -p /x -t topics":                          "not applicable: ",
		"dumpCompactionLog -f /nowhere":                                    "file /nowhere not exist",
		"updateBrokerConfig -b <0> -k loglevel -v debug":                   `cannot set loglevel to "debug" at <0>: cannot call UPDATE_BROKER_CONFIG at <0>: code 29: no such key: loglevel; did you mean logLevel?`,
		"remappingStaticTopic -b broker-a -t nobody":                       "no broker has topic nobody",
		"updateStaticTopic -b broker-x -t s -qn 1":                         "can't find addr for broker broker-x",
		"updateOrderConf -t t -m put":                                      "please set orderConf with option -v",
		"updateStaticTopic -b broker-a -t s -totalQueueNum 1 -mf /nowhere": "no such file",
	} {
		r := mqadmin(t, append(strings.Fields(strings.ReplaceAll(args, "<0>", c.brokers[0])), "-n", c.addr)...)
		want = strings.ReplaceAll(want, "<0>", c.brokers[0])
		if r.err == nil || !strings.Contains(r.err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, r.err, want)
		}
	}
}

func TestCompletion_KnowsNamesOfTheCluster(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	c.topic(t, "orders", 1)
	if r := mqadmin(t, "updateSubGroup", "-b", c.brokers[0], "-g", "billing"); r.err != nil {
		t.Fatal(r.err)
	}
	for args, want := range map[string]string{
		"topicRoute -n <ns> -t ord":           "orders\n:4\n",
		"deleteSubGroup -n <ns> -g bill":      "billing\n:4\n",
		"deleteTopic -n <ns> -c D":            "DefaultCluster\n:4\n",
		"wipeWritePerm -n <ns> -b b":          "broker-a\n:4\n",
		"getBrokerConfig -n <ns> -b 127":      c.brokers[0] + "\n:4\n",
		"topicRoute -n 127.0.0.1:1 -t orders": ":4\n",
	} {
		line := strings.ReplaceAll("__complete "+args, "<ns>", c.addr)
		if r := mqadmin(t, strings.Fields(line)...); r.err != nil || r.out != want {
			t.Errorf("%s: %v %q, want %q", line, r.err, r.out, want)
		}
	}
}

func TestPrintBrokers_HoursOfAnEmptyStore(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for earliest, want := range map[string]string{"-1": " 0.00 ", strconv.FormatInt(now.Add(-3*time.Hour).UnixMilli(), 10): " 3.00 "} {
		var b strings.Builder
		printBrokers(&b, []brokerLine{{Info: map[string]string{"earliestMessageTimeStamp": earliest, "commitLogDiskRatio": "0.5"}}}, now)
		if !strings.Contains(b.String(), want+"         0.5000 ") {
			t.Errorf("%s: %s", earliest, &b)
		}
	}
}

func TestJavaDouble(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{0: "0.0", 1: "1.0", 12.5: "12.5", 1e7: "1.0E7", 12345678.9: "1.23456789E7", 0.0005: "5.0E-4"} {
		if got := javaDouble(v); got != want {
			t.Errorf("javaDouble(%v) = %s, want %s", v, got, want)
		}
	}
}
