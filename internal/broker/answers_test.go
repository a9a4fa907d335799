package broker

import (
	"strings"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// The answers are those of Apache's 5.5.0 to the same requests, but for what is in parentheses at the end of remarks, and the few
// that docs/differences.md tells of.
func TestAnswers_OfWhatABrokerAloneSaysAreApaches(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	check := func(code int, fields, body string, want int, remark, answer string) {
		t.Helper()
		var ext [][2]string
		for _, f := range strings.Fields(fields) {
			k, v, _ := strings.Cut(f, "=")
			ext = append(ext, [2]string{k, v})
		}
		r := call(t, c, code, ext, []byte(body))
		if got, _, _ := strings.Cut(string(r.Remark), " ("); int(r.Code) != want || got != remark {
			t.Errorf("%d %s is answered %d %q, want %d %q", code, fields, r.Code, r.Remark, want, remark)
		}
		if answer != "" && string(r.Body) != answer {
			t.Errorf("%d %s is answered\n%s, want\n%s", code, fields, r.Body, answer)
		}
	}
	ok := func(code int, fields, body, answer string) {
		t.Helper()
		check(code, fields, body, protocol.CodeSuccess, "", answer)
	}
	const failed, invalid, forbidden = protocol.CodeSystemError, protocol.CodeInvalidParameter, protocol.CodeNoPermission

	ok(protocol.ReqCleanExpiredConsumeQueue, "", "", "")
	ok(protocol.ReqCleanUnusedTopic, "", "", "")
	ok(protocol.ReqDeleteExpiredCommitLog, "", "", "")
	ok(protocol.ReqCheckRocksDBCQWriteProgress, "topic=T checkStoreTime=0", "", `{"checkResult":"It is not CombineConsumeQueueStore, no need check","checkStatus":0}`)
	check(protocol.ReqExportRocksDBConfigToJSON, "configType=topics;consumerOffsets", "", 0, "export done.", "")
	check(protocol.ReqExportRocksDBConfigToJSON, "configType=messages", "", failed, "Unknown config type: messages", "")

	ok(protocol.ReqNotifyMinBrokerIDChange, "minBrokerId=0 brokerName=broker-a", "", "")
	ok(protocol.ReqExchangeBrokerHAInfo, "masterHaAddress=192.0.2.1:10912 masterFlushOffset=0 masterAddress=192.0.2.1:10911", "", "")
	ok(protocol.ReqGetBrokerHAStatus, "", "", `{"haClientRuntimeInfo":{"lastReadTimestamp":0,"lastWriteTimestamp":0,"masterFlushOffset":0,"maxOffset":0,"transferredByteInSecond":0},`+
		`"haConnectionInfo":[],"inSyncSlaveNums":0,"master":true,"masterCommitLogMaxOffset":0}`)
	ok(protocol.ReqResetMasterFlushOffset, "masterFlushOffset=5", "", "")
	check(protocol.ReqGetBrokerEpochCache, "", "", failed, "this request only for controllerMode", "")
	ok(protocol.ReqNotifyBrokerRoleChanged, "masterBrokerId=1 masterEpoch=2", "", "")

	limits := func(table string) string {
		return `{"runtimeTable":{},"configTable":` + table + `,"cgColdReadThreshold":3145728,"globalColdReadThreshold":104857600,"globalAcc":0}`
	}
	ok(protocol.ReqGetColdDataFlowCtrInfo, "", "", limits(`{}`))
	ok(protocol.ReqUpdateColdDataFlowCtrConfig, "", "G=1024\nH=5", "")
	check(protocol.ReqUpdateColdDataFlowCtrConfig, "", "I=1\nJ=x", invalid, `the limit of group J is "x", which is not a number of bytes`, "")
	ok(protocol.ReqGetColdDataFlowCtrInfo, "", "", limits(`{"G":1024,"H":5}`))
	ok(protocol.ReqRemoveColdDataFlowCtrConfig, "", "G", "")
	ok(protocol.ReqRemoveColdDataFlowCtrConfig, "", "unknown", "")
	ok(protocol.ReqGetColdDataFlowCtrInfo, "", "", limits(`{"H":5}`))
	check(protocol.ReqSetCommitLogReadMode, "READ_AHEAD_MODE=1", "", 0, "set commitlog readahead mode success, mode: 1", "")
	check(protocol.ReqSetCommitLogReadMode, "READ_AHEAD_MODE=2", "", invalid, "set commitlog readahead mode param value error", "")
	check(protocol.ReqSetCommitLogReadMode, "READ_AHEAD_MODE=x", "", failed, "set commitlog readahead mode failed", "")
	check(protocol.ReqSetCommitLogReadMode, "", "", failed, "set commitlog readahead mode param error", "")

	const later = "An system error occurred, please try again later."
	for _, code := range []int{protocol.ReqAuthCreateUser, protocol.ReqAuthUpdateUser, protocol.ReqAuthGetUser} {
		check(code, "", "", invalid, "The username is blank", "")
		check(code, "username=u", `{"password":"p"}`, failed, later, "")
	}
	check(protocol.ReqAuthDeleteUser, "", "", forbidden, "username can not be blank", "")
	for _, code := range []int{protocol.ReqAuthDeleteACL, protocol.ReqAuthGetACL} {
		check(code, "", "", forbidden, "The subject is null.", "")
		check(code, "subject=User:u", "", failed, later, "")
	}
	check(protocol.ReqAuthListUser, "", "", failed, later, "")
	check(protocol.ReqAuthListACL, "", "", failed, later, "")

	r := call(t, c, protocol.ReqExchangeBrokerHAInfo, nil, nil)
	var ha protocol.HAInfoHeader
	if err := r.DecodeFields(&ha); err != nil || ha.MasterAddress == nil || *ha.MasterAddress != b.registrar.cfg.self.BrokerAddr || *ha.MasterHAAddress != b.registrar.cfg.haAddr || *ha.MasterFlushOffset != 0 {
		t.Errorf("asked for its HA address the master says %d %v: %v", r.Code, ha, err)
	}
}

func TestDelayOffset_IsToldAsTheFileHasIt(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	if r := call(t, c, protocol.ReqSendMessageV2, sendFields("Later", "e", "0", "i", "DELAY\x011\x02"), []byte("body")); r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		r := call(t, c, protocol.ReqGetAllDelayOffset, nil, nil)
		if strings.HasSuffix(string(r.Body), `"offsetTable":{1:1}}`) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d %s", r.Code, r.Body)
		}
	}
}

func TestCleanUnusedTopics_RemovesOnlyWhatIsNotThereAnyMore(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	for _, topic := range []string{"Kept", "Gone"} {
		if r := call(t, c, protocol.ReqSendMessageV2, sendFields(topic, "e", "0"), []byte("body")); r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
	}
	// Another broker has left its queues, or a delayed message came when its topic was deleted.
	if _, err := b.topics.delete("Gone"); err != nil {
		t.Fatal(err)
	}
	clean := func() *remoting.Response { return call(t, c, protocol.ReqCleanUnusedTopic, nil, nil) }
	if r := clean(); r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	if kept, gone := b.store.FindQueue("Kept", 0), b.store.FindQueue("Gone", 0); kept.MaxOffset() != 1 || gone.MaxOffset() != 0 {
		t.Errorf("the queues end at %d and %d", kept.MaxOffset(), gone.MaxOffset())
	}
	if _, err := b.topics.delete("Kept"); err != nil {
		t.Fatal(err)
	}
	if r := clean(); r.Code != protocol.CodeSystemError || !strings.Contains(string(r.Remark), "topics.json was lost") {
		t.Errorf("with no topic left: %d %s", r.Code, r.Remark)
	}
	if b.store.FindQueue("Kept", 0).MaxOffset() != 1 {
		t.Error("the last topic's messages went though its configuration may be lost")
	}
}
