package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// brokerFile writes a properties file whose TLS settings do not depend on the machine.
func brokerFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "broker.properties")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func findNote(notes []Note, key string) string {
	for _, n := range notes {
		if n.Key == key {
			return n.Level.String() + " " + filepath.Base(n.String())
		}
	}
	return ""
}

func TestLoadBroker_TakesPublishedSamples(t *testing.T) {
	t.Parallel()
	check := func(file string, role BrokerRole, id int64) Broker {
		t.Helper()
		b, notes, err := LoadBroker(Sources{File: filepath.Join("testdata/sample", file)})
		if err != nil || b.BrokerRole != role || b.ID != id || b.Name != "broker-a" || b.FlushDiskType != AsyncFlush {
			t.Errorf("%s gives %+v, %v", file, b, err)
		}
		for _, n := range notes {
			if strings.Contains(n.Text, "no such key") && n.Key != "checkTransactionMessageEnable" {
				t.Errorf("%v", n)
			}
		}
		return b
	}
	if b := check("broker-a.properties", SyncMaster, 0); b.FileReserved != 48*time.Hour || b.HAListenPort != 10912 {
		t.Errorf("%+v", b)
	}
	check("broker-a-s.properties", Slave, 1)
	check("broker.conf", AsyncMaster, 0)
	b := check("many-articles.properties", AsyncMaster, 0)
	if b.ConsumeQueueFileSize != 6000000 || b.CommitLogDirs()[0] != "/data/rocketmq/store/commitlog" || len(b.NamesrvAddrs()) != 2 || b.BrokerIP1 != "192.168.1.3" {
		t.Errorf("%+v", b)
	}
}

// A broker of 4.9 writes all its keys into its file when one is changed while it runs.
func TestLoadBroker_KnowsTheKeysOfBefore5(t *testing.T) {
	t.Parallel()
	_, notes, err := LoadBroker(Sources{File: brokerFile(t, "commercialEnable=true\ncommercialTimerCount=1\ncommercialTransCount=1\ncommercialBigCount=1\nfilterServerNums=0\n"+
		"haSlaveFallbehindMax=268435456\nmaxDelayTime=40\nisEnableBatchPush=false")})
	if err != nil || len(notes) > 0 {
		t.Error(notes, err)
	}
}

func TestServer_TakesNoIdleTimeForNever(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{"0": -1, "-5": -1, "1": time.Second, "120": 120 * time.Second} {
		b, _, err := LoadBroker(Sources{File: brokerFile(t, "serverChannelMaxIdleTimeSeconds="+value)})
		if err != nil || b.IdleTimeout() != want || !strings.Contains(b.Text(), "\nserverChannelMaxIdleTimeSeconds="+value+"\n") {
			t.Errorf("%s gives %v, %v", value, b.IdleTimeout(), err)
		}
	}
}

func TestLoadBroker_NamesFileLineAndWhatIsAllowed(t *testing.T) {
	t.Parallel()
	check := func(text string, want ...string) {
		t.Helper()
		_, _, err := LoadBroker(Sources{File: brokerFile(t, text)})
		var wrong WrongValues
		if !errors.As(err, &wrong) || len(wrong) != len(want) {
			t.Errorf("%q gives %v", text, err)
			return
		}
		for i, w := range wrong {
			if got := filepath.Base(w.Error()); got != want[i] {
				t.Errorf("%q gives\n%s\nwant\n%s", text, got, want[i])
			}
		}
	}
	check("brokerName=a\nlistenPort=1O911\nflushDiskType=sync_flush",
		"broker.properties:2: listenPort=1O911 is wrong: it must be a whole number",
		"broker.properties:3: flushDiskType=sync_flush is wrong: it must be ASYNC_FLUSH, SYNC_FLUSH")
	check("com.rocketmq.remoting.frameMaxLength=65535", "broker.properties:1: com.rocketmq.remoting.frameMaxLength=65535 is wrong: it must be from 65536 to 2147483647")
	check("listenPort=70000", "broker.properties:1: listenPort=70000 is wrong: it must be from 0 to 65535")
	check("autoCreateTopicEnable=yes", "broker.properties:1: autoCreateTopicEnable=yes is wrong: it must be true or false")
	check("sendMessageThreadPoolNums=many", "broker.properties:1: sendMessageThreadPoolNums=many is wrong: it must be a whole number")
	check("deleteWhen=04;24", `broker.properties:1: deleteWhen=04;24 is wrong: it must be hours from 00 to 23 separated by semicolons, such as 04 or 02;14; "24" is not an hour from 00 to 23`)
	check("messageDelayLevel=1s 5x", `broker.properties:1: messageDelayLevel=1s 5x is wrong: it must be times separated by spaces, such as "1s 5s 1m 2h"; "5x" is not a number followed by s, m, h or d`)
	check("brokerRole=SLAVE", "brokerId=0 is wrong: it must be more than 0: brokerRole is SLAVE and 0 is the master's")
	check("bindAddress=0.0.0.0:10911", "broker.properties:1: bindAddress=0.0.0.0:10911 is wrong: it must be an address or a name without a port; that is in listenPort")
	check("namesrvAddr=localhost", `broker.properties:1: namesrvAddr=localhost is wrong: it must be addresses such as "127.0.0.1:9876;192.168.0.1:9876"; "localhost" has no host and port`)
	check("storeType=defaultRocksDB", "broker.properties:1: storeType=defaultRocksDB is wrong: it must be default: nothing is kept in RocksDB here, and what such a store holds could not be read")
	check("aclEnable=true", "broker.properties:1: aclEnable=true is wrong: it must be false: with RocketMQ 4 it asks for signed requests, there is no access control here yet, "+
		"and the broker would serve everyone, as that of RocketMQ 5.5 does")
	check("enableDLegerCommitLog=true", "broker.properties:1: enableDLegerCommitLog=true is wrong: it must be false: there is no DLedger commit log here, and a group of such brokers would have several masters")
	check("brokerIP1=192.168.0.1:10911", "broker.properties:1: brokerIP1=192.168.0.1:10911 is wrong: it must be an address or a name without a port; that is in listenPort")
	check("brokerIP1=[::1]:10911\nbrokerIP2=b.example:10912", "broker.properties:1: brokerIP1=[::1]:10911 is wrong: it must be an address or a name without a port; that is in listenPort",
		"broker.properties:2: brokerIP2=b.example:10912 is wrong: it must be an address or a name without a port; that is in haListenPort")
	check("readOnlyCommitLogStorePaths=a,b", "broker.properties:1: readOnlyCommitLogStorePaths=a,b is wrong: it must be empty: files in further directories that are only read are not read here, "+
		"and their messages would be missing; name those directories in storePathCommitLog, which may be several, separated by commas")
	check("tls.server.keyPassword=secret\ntls.server.mode=on", "broker.properties:2: tls.server.mode=on is wrong: it must be disabled, permissive, enforcing")
	check("fileReservedTime=-99999999999", "broker.properties:1: fileReservedTime=-99999999999 is wrong: it must be a larger number")
	check("fileReservedTime=-2147483648", "broker.properties:1: fileReservedTime=-2147483648 is wrong: it must be a larger number")
	check("serverWorkerThreads=-99999999999", "broker.properties:1: serverWorkerThreads=-99999999999 is wrong: it must be a larger number")
	check("brokerRole=SLAVE\nbrokerId=-1\nenableControllerMode=true",
		"broker.properties:3: enableControllerMode=true is wrong: it must be false: there is no controller mode yet, and a group of such brokers would have several masters")
	check("fileReservedTime=99999999999", "broker.properties:1: fileReservedTime=99999999999 is wrong: it must be a smaller number")
	check("channelExpiredTimeout=9999999999999999", "broker.properties:1: channelExpiredTimeout=9999999999999999 is wrong: it must be at most 9223372036854")
}

func TestLoadBroker_TellsWhatIsUnusual(t *testing.T) {
	t.Parallel()
	check := func(text, key, want string) {
		t.Helper()
		_, notes, err := LoadBroker(Sources{File: brokerFile(t, text)})
		if got := findNote(notes, key); err != nil || got != want && !strings.HasSuffix(want, "...") || !strings.HasPrefix(got, strings.TrimSuffix(want, "...")) {
			t.Errorf("%q gives %v\n%s\nwant\n%s", text, err, got, want)
		}
	}
	check("\nborkerName=a", "borkerName", "WARN broker.properties:2: borkerName: a RocketMQ broker has no such key; did you mean brokerName?")
	check("brokername=a", "brokername", "WARN broker.properties:1: brokername: a RocketMQ broker has no such key; did you mean brokerName?")
	check("completelyDifferent=a", "completelyDifferent", "WARN broker.properties:1: completelyDifferent: a RocketMQ broker has no such key")
	check("brokerName=a\nbrokerName=b", "brokerName", "WARN broker.properties:2: brokerName: stands in line 1 already; this one counts")
	check("sendMessageThreadPoolNums=64", "sendMessageThreadPoolNums", "INFO broker.properties:1: sendMessageThreadPoolNums: has no effect: a request is served by...")
	check("transientStorePoolEnable=false", "transientStorePoolEnable", "")
	check("brokerIP1=::1", "brokerIP1", "INFO broker.properties:1: brokerIP1: taken as [::1]: ...")
	check("brokerIP1=[::1]", "brokerIP1", "")
	check("brokerContainer=true", "brokerContainer", "WARN broker.properties:1: brokerContainer: has no effect: ...")
	check("destroyMapedFileIntervalForcibly=1", "destroyMapedFileIntervalForcibly", "INFO broker.properties:1: destroyMapedFileIntervalForcibly: has no effect...")
	check("destroyMappedFileIntervalForcibly=1", "destroyMappedFileIntervalForcibly", "INFO broker.properties:1: destroyMappedFileIntervalForcibly: taken as destroyMapedFileIntervalForcibly, which is how RocketMQ spells it")
	check("diskMaxUsedSpaceRatio=99", "diskMaxUsedSpaceRatio", "WARN broker.properties:1: diskMaxUsedSpaceRatio: 99 counts as 95: the range is 10 to 95")
	check("diskSpaceWarningLevelRatio=95", "diskSpaceWarningLevelRatio", "WARN broker.properties:1: diskSpaceWarningLevelRatio: 95 counts as 90: the range is 35 to 90")
	check("registerNameServerPeriod=1000", "registerNameServerPeriod", "WARN broker.properties:1: registerNameServerPeriod: 1000 counts as 10000: the range is 10000 to 60000")
	check("enableSlaveActingMaster=true\nbrokerHeartbeatInterval=10000", "brokerHeartbeatInterval",
		"WARN broker.properties:2: brokerHeartbeatInterval: 10000 is not less than brokerNotActiveTimeoutMillis=10000: NameServers will give this broker up between two heartbeats")
	check("brokerHeartbeatInterval=10000", "brokerHeartbeatInterval", "")
	check("storePathRootDir=~", "storePathRootDir", "WARN broker.properties:1: storePathRootDir: ~ is taken as it is written, as in RocketMQ...")
	check("storePathCommitLog=${user.home}", "storePathCommitLog", "WARN broker.properties:1: storePathCommitLog: ${user.home} is taken as it is written...")
	check("storePathRootDir=/home/~me/store", "storePathRootDir", "")
	check("brokerId=3", "brokerId", "WARN broker.properties:1: brokerId: 3 is not used: brokerRole is ASYNC_MASTER and a master's id is 0")
	check("\nbrokerRole=SYNC_MASTER", "brokerRole", "WARN broker.properties:2: brokerRole: SYNC_MASTER counts as ASYNC_MASTER: there is no copying yet, so a message is on this host only")
	check("brokerId=1\nbrokerRole=SLAVE", "brokerRole", "WARN broker.properties:2: brokerRole: slaves do not copy their master yet: this one gets no messages and does not register...")
	check("brokerRole=ASYNC_MASTER", "brokerRole", "")
	check("mappedFileSizeConsumeQueue=101", "mappedFileSizeConsumeQueue", "INFO broker.properties:1: mappedFileSizeConsumeQueue: 101 is rounded up to 120, a whole number of entries of 20 bytes")
	check("traceTopicEnable=true ", "traceTopicEnable", `WARN broker.properties:1: traceTopicEnable: the blanks after "true" do not count here...`)
	check("storePathRootDir=/s\nstorePathIndex=/s/index/", "storePathIndex", "")
	check("storePathRootDir=/s\nstorePathIndex=/t/index", "storePathIndex", "WARN index, from storePathRootDir")
	check("namesrvAddr=host:1;;h2:2;", "namesrvAddr", "")
}

func TestLoadBroker_FlagsOverrideTheFile(t *testing.T) {
	t.Parallel()
	b, _, err := LoadBroker(Sources{
		Defaults: map[string]string{"namesrvAddr": "c:3", "brokerName": "mine"},
		File:     brokerFile(t, "namesrvAddr=a:1\nlistenPort=20000"),
		Flags:    map[string]string{"namesrvAddr": "b:2"},
	})
	if err != nil || b.NamesrvAddr != "b:2" || b.HAListenPort != 20001 || b.Name != "mine" || !filepath.IsAbs(b.File) {
		t.Errorf("%v, %+v", err, b)
	}
	_, _, err = LoadBroker(Sources{Flags: map[string]string{"namesrvAddr": "nonsense"}})
	if err == nil || !strings.HasPrefix(err.Error(), "namesrvAddr=nonsense is wrong") {
		t.Error(err)
	}
	path := brokerFile(t, "# mine\nborkerName=x\nlistenPort=abc\nnamesrvAddr=foo\nautoCreateTopicEnable=true ")
	_, notes, err := LoadBroker(Sources{File: path, Flags: map[string]string{"listenPort": "41911", "namesrvAddr": "a:1", "autoCreateTopicEnable": "false", "borkerName": "y"}})
	if err == nil || err.Error() != path+":3: listenPort=abc is wrong: it must be a whole number" {
		t.Error(err)
	}
	for _, n := range notes {
		if n.Key == "autoCreateTopicEnable" && n.Line != 5 || n.Key == "borkerName" && n.Line != 2 && n.File != "" {
			t.Error(n)
		}
	}
	_, _, err = LoadBroker(Sources{File: path, Flags: map[string]string{"listenPort": "70000"}})
	var wrong WrongValues
	if !errors.As(err, &wrong) || len(wrong) != 3 || wrong[0].Error() != "listenPort=70000 is wrong: it must be from 0 to 65535" || wrong[1].Line != 3 || wrong[2].Line != 4 {
		t.Error(err)
	}
	if _, _, err = LoadBroker(Sources{File: filepath.Join(t.TempDir(), "none")}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// TestLoadBroker_TrimsAsJavaDoes: its trim takes control characters for blanks, such as the one that ends a text of DOS.
func TestLoadBroker_TrimsAsJavaDoes(t *testing.T) {
	t.Parallel()
	check := func(value, want string) {
		t.Helper()
		if b, _, err := LoadBroker(Sources{File: brokerFile(t, "brokerName="+value)}); err != nil || b.Name != want {
			t.Errorf("%q gives %q, %v", value, b.Name, err)
		}
	}
	check("a\x1a", "a")
	check(`a\u0000`, "a")
	check("\x01a b \t", "a b")
	check("a\u00a0", "a")
}

func TestLoadBroker_TellsClientsWhereItListens(t *testing.T) {
	t.Parallel()
	check := func(text, want string) {
		t.Helper()
		if b, _, err := LoadBroker(Sources{File: brokerFile(t, text)}); err != nil || b.BrokerIP1 != want || b.BrokerIP2 != want {
			t.Errorf("%q gives %s and %s, %v", text, b.BrokerIP1, b.BrokerIP2, err)
		}
	}
	check("bindAddress=127.0.0.7", "127.0.0.7")
	check("bindAddress=0.0.0.0", LocalAddress())
	check("bindAddress=::", LocalAddress())
	check("bindAddress=::1", "[::1]")
	check("bindAddress=127.0.0.7\nbrokerIP1=a\nbrokerIP2=a", "a")
	check("brokerIP1=2001:db8::1\nbrokerIP2=2001:db8::1", "[2001:db8::1]")
	check("brokerIP1=[2001:db8::1]\nbrokerIP2=[2001:db8::1]", "[2001:db8::1]")
	if b, _, err := DefaultBroker().With(map[string]string{"brokerIP1": "2001:db8::1"}); err != nil || b.BrokerIP1 != "[2001:db8::1]" {
		t.Error(b.BrokerIP1, err)
	}
}

func TestDefaults_AreValidAndUnchangedByLoading(t *testing.T) {
	t.Parallel()
	b, notes, err := LoadBroker(Sources{})
	if err != nil || len(notes) > 0 {
		t.Error(notes, err)
	}
	want := DefaultBroker()
	want.HAListenPort, want.extra = 10912, extra{}
	if !reflect.DeepEqual(b, want) {
		t.Errorf("got\n%+v\nwant\n%+v", b, want)
	}
	if n, notes, err := LoadNamesrv(Sources{}); err != nil || len(notes) > 0 || n.ListenPort != 9876 {
		t.Error(n, notes, err)
	}
}

func TestLoadNamesrv_KnowsItsOwnKeys(t *testing.T) {
	t.Parallel()
	path := brokerFile(t, "listenPort=9877\nkvConfigPath=/tmp/kv.json\norderMessageEnable=true\nbrokerName=a\nwaitSecondsForService=3\nserverWorkerThreads=4")
	n, notes, err := LoadNamesrv(Sources{File: path})
	if err != nil || n.ListenPort != 9877 || !n.OrderMessage || n.WaitSeconds != 3*time.Second || n.File != path {
		t.Errorf("%v, %+v", err, n)
	}
	if got := findNote(notes, "brokerName"); !strings.Contains(got, "a RocketMQ NameServer has no such key") {
		t.Error(got)
	}
	if len(notes) != 2 {
		t.Error(notes)
	}
}

func TestWith_ChangesACopy(t *testing.T) {
	t.Parallel()
	b, _, err := LoadBroker(Sources{File: brokerFile(t, "brokerName=a\nmine=1")})
	if err != nil {
		t.Fatal(err)
	}
	changed, notes, err := b.With(map[string]string{"fileReservedTime": "12", "sendMessageThreadPoolNums": "3", "mine": "2", "listenPort": "1", "mappedFileSizeConsumeQueue": "21"})
	if err != nil || changed.FileReserved != 12*time.Hour || changed.ConsumeQueueFileSize != 40 || b.FileReserved != 72*time.Hour {
		t.Errorf("%v, %+v", err, changed)
	}
	if got := findNote(notes, "listenPort"); got != "INFO listenPort: takes effect at the next start" {
		t.Error(got)
	}
	for _, line := range []string{"fileReservedTime=12\n", "mine=2\n", "sendMessageThreadPoolNums=3\n"} {
		if !strings.Contains(changed.Text(), "\n"+line) || strings.Contains(b.Text(), "\n"+line) {
			t.Errorf("%q: before\n%safter\n%s", line, b.Text(), changed.Text())
		}
	}
}

func TestWith_RefusesAndSaysWhy(t *testing.T) {
	t.Parallel()
	b, n := DefaultBroker(), DefaultNamesrv()
	b.ConfigBlackList = "maxMessageSize"
	check := func(err, want error) {
		t.Helper()
		if !reflect.DeepEqual(err, want) {
			t.Errorf("got %#v, want %#v", err, want)
		}
	}
	_, _, err := b.With(map[string]string{"maxMessageSize": "1"})
	check(err, ForbiddenKey{"maxMessageSize", true})
	_, _, err = b.With(map[string]string{"configBlackList": ""})
	check(err, ForbiddenKey{"configBlackList", false})
	_, _, err = b.With(map[string]string{"maxMesageSize": "1"})
	check(err, UnknownKey{"maxMesageSize", "maxMessageSize"})
	_, _, err = b.With(map[string]string{"fileReservedTime": "-1"})
	check(err, WrongValues{{Key: "fileReservedTime", Value: "-1", Allowed: "at least 0"}})
	_, _, err = n.With(map[string]string{"kvConfigPath": "/etc/passwd"})
	check(err, ForbiddenKey{"kvConfigPath", true})
	_, _, err = DefaultBroker().With(map[string]string{"rocketmqHome": "/"})
	if err == nil || err.Error() != "rocketmqHome cannot be changed from outside, only in the properties file" {
		t.Error(err)
	}
	for _, key := range []string{"logFile", "tls.server.mode", "tls.server.keyPath", "pprofPort"} { // files and doors of the process
		_, _, err = b.With(map[string]string{key: "1"})
		check(err, ForbiddenKey{key, false})
		_, _, err = n.With(map[string]string{key: "1"})
		check(err, ForbiddenKey{key, false})
	}
	long := strings.Repeat("\u00e9", 100_000)
	if _, _, err = n.With(map[string]string{long: "1"}); err == nil || len(err.Error()) > 300 || !utf8.ValidString(err.Error()) {
		t.Errorf("of a key of %d bytes: %v", len(long), err)
	}
	if _, _, err = n.With(map[string]string{"listenPort": long}); err == nil || len(err.Error()) > 300 || !strings.HasSuffix(err.Error(), "is wrong: it must be a whole number") {
		t.Errorf("of a value of %d bytes: %v", len(long), err)
	}
	if _, _, err = n.With(map[string]string{"logLevel": "debug"}); err != nil {
		t.Error(err)
	}
	n.SharedLog = true
	_, _, err = n.With(map[string]string{"listenPort": "0", "logLevel": "debug"})
	check(err, SharedLogKey{"logLevel"})
	_, _, err = n.With(map[string]string{"listenPort": "x"})
	check(err, WrongValues{{Key: "listenPort", Value: "x", Allowed: "a whole number"}})
}

func TestText_IsSortedAndReadBack(t *testing.T) {
	t.Parallel()
	b := DefaultBroker()
	b.HAListenPort = 10912
	b.Name, b.TLS.KeyPassword = `back\slash`, "secret"
	text := b.Text()
	props, err := ParseProperties([]byte(text))
	if err != nil || strings.Contains(text, "secret") {
		t.Errorf("%v\n%s", err, text)
	}
	if !slices.IsSortedFunc(props, func(a, b Property) int { return strings.Compare(a.Key, b.Key) }) {
		t.Error("not sorted")
	}
	if !slices.ContainsFunc(props, func(p Property) bool { return p.Key == "brokerName" && p.Value == `back\slash` }) {
		t.Errorf("no brokerName in\n%s", text)
	}
	again, notes, err := LoadBroker(Sources{File: brokerFile(t, text)})
	again.File = ""
	if err != nil || again.Text() != text {
		t.Errorf("%v, %v\n%s\nagain\n%s", err, notes, text, again.Text())
	}
	if !strings.Contains(b.Important(), "flushDiskType=ASYNC_FLUSH\n") || strings.Contains(b.Important(), "regionId") {
		t.Errorf("%s", b.Important())
	}
}

func FuzzLoadBroker(f *testing.F) {
	f.Add("brokerName=a\nlistenPort=1\nmessageDelayLevel=1s 2d")
	f.Add("deleteWhen=;\nnamesrvAddr=:\nbrokerIP1=[::1]\ntls.protocols=TLSv1")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "tls.config.file") {
			return // would read any file of the machine
		}
		b, notes, err := LoadBroker(Sources{File: brokerFile(t, text)})
		for _, n := range notes {
			_ = n.String()
		}
		if err != nil {
			_ = err.Error()
			return
		}
		if err := b.Validate(); err != nil {
			t.Fatalf("loading %q gave no error, but: %v", text, err)
		}
		_ = AddressDoubt(b.BrokerIP1)
	})
}
