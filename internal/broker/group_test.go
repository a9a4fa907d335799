package broker

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

func TestGroups_OutliveAKillAtOnce(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	b := stateBroker(t, cfg)
	admin := protocol.NewSubscriptionGroupConfig("Admin")
	admin.RetryMaxTimes, admin.ConsumeEnable = 3, false
	if err := b.groups.update(admin, protocol.NewSubscriptionGroupConfig("Gone")); err != nil {
		t.Fatal(err)
	}
	if b.groups.get([]byte("Consumer")) == nil {
		t.Fatal("not made")
	}
	if _, err := b.groups.delete("Gone"); err != nil {
		t.Fatal(err)
	}
	if err := b.groups.setReadable("Admin", "T", false); err != nil {
		t.Fatal(err)
	}
	again := stateBroker(t, killed(t, cfg))
	if g := again.groups.find("Admin"); g == nil || g.RetryMaxTimes != 3 || g.ConsumeEnable || !g.forbidden([]byte("T")) || g.forbidden([]byte("U")) {
		t.Errorf("group of an admin is %+v", g)
	}
	if again.groups.find("Consumer") == nil || again.groups.find("Gone") != nil {
		t.Error("a group is lost or back")
	}
}

func TestGroups_AreMadeByConsumersWhereThatIsAllowed(t *testing.T) {
	t.Parallel()
	check := func(auto bool, group string, want bool) {
		t.Helper()
		cfg := testConfig(t)
		cfg.AutoCreateGroup = auto
		b := stateBroker(t, cfg)
		if got := b.groups.get([]byte(group)) != nil; got != want {
			t.Errorf("autoCreateSubscriptionGroup=%t: %q made: %t", auto, group, got)
		}
	}
	check(true, "G", true)
	check(false, "G", false)
	check(false, "CID_RMQ_SYS_X", true)
	check(true, "a b", false)
	check(true, strings.Repeat("a", 121), false)
	check(true, strings.Repeat("a", 120), true)
	check(false, "TOOLS_CONSUMER", true)
}

func TestGroup_AdminRequests(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.AutoCreateGroup = false
	b := openTest(t, cfg)
	c := dialTest(t, b, remoting.Options{})
	check := func(code int, ext [][2]string, body string, wantCode int32, want string) {
		t.Helper()
		r := call(t, c, code, ext, []byte(body))
		if got := string(r.Remark) + string(r.Body); r.Code != wantCode || !strings.Contains(got, want) {
			t.Errorf("%s: %d %s, want %d %s", protocol.RequestName(code), r.Code, got, wantCode, want)
		}
	}
	group := [][2]string{{"group", "G"}}
	check(protocol.ReqGetSubscriptionGroupConfig, group, "", 26, "No group in this broker")
	check(protocol.ReqUpdateAndCreateSubscriptionGroup, nil, `{"groupName":"G","retryMaxTimes":5,"attributes":{"+priority.factor":"7"}}`, 0, "")
	check(protocol.ReqGetSubscriptionGroupConfig, group, "", 0, `"attributes":{"priority.factor":"7"},"brokerId":0,"consumeBroadcastEnable":true,`)
	check(protocol.ReqUpdateAndCreateSubscriptionGroup, nil, `{"groupName":"a b"}`, 29, "The specified group: a b, contains illegal characters")
	check(protocol.ReqUpdateAndCreateSubscriptionGroup, nil, `{"groupName":"G","attributes":{"+priority.factor":"101"}}`, 1, "value is not in range(0, 100)")
	check(protocol.ReqUpdateAndCreateSubscriptionGroup, nil, `{"groupName":"G","retryMaxTimes":"many"}`, 1, "retryMaxTimes")
	check(protocol.ReqUpdateAndCreateSubscriptionGroupList, nil, `{"groupConfigList":[{"groupName":"H"},{"groupName":"I"}]}`, 0, "")
	check(protocol.ReqGetAllSubscriptionGroupConfig, nil, "", 0, `"H":{`)
	check(protocol.ReqGetAllSubscriptionGroupConfig, [][2]string{{"groupSeq", "0"}, {"maxGroupNum", "1"}}, "", 0, `"subscriptionGroupTable":{"CID_ONS-HTTP-PROXY":{`)
	forbid := [][2]string{{"group", "G"}, {"topic", "T"}, {"readable", "false"}}
	check(protocol.ReqUpdateAndGetGroupForbidden, forbid, "", 0, `{"group":"G","readable":false,"topic":"T"}`)
	check(protocol.ReqUpdateAndGetGroupForbidden, [][2]string{{"group", "G"}, {"topic", "U"}, {"readable", "false"}}, "", 0, `"readable":false`)
	check(protocol.ReqUpdateAndGetGroupForbidden, [][2]string{{"group", "G"}, {"topic", "U"}, {"readable", "true"}}, "", 0, `"readable":true`)
	check(protocol.ReqUpdateAndGetGroupForbidden, forbid[:2], "", 0, `"readable":false`) // only asks
	check(protocol.ReqGetAllSubscriptionGroupConfig, nil, "", 0, `"forbiddenTable":{"G":{"T":4}}`)
	b.offsets.commit([]byte("G"), []byte("T"), 0, 2, c)
	check(protocol.ReqDeleteSubscriptionGroup, [][2]string{{"groupName", "G"}, {"cleanOffset", "true"}}, "", 0, "")
	check(protocol.ReqGetSubscriptionGroupConfig, group, "", 26, "")
	if b.offsets.query("G", "T", 0) != -1 {
		t.Error("offsets of the deleted group are there")
	}
	if _, err := filepath.Glob(filepath.Join(cfg.RootDir, "config", "subscriptionGroup.json*")); err != nil {
		t.Error(err)
	}
}
