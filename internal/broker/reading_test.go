package broker

import (
	"strings"
	"testing"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// Who reads for a group that there cannot be is told what is wrong with its name, not that groups are made without being asked for.
func TestReading_ForAGroupThatCannotBeNamesTheReason(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	sendN(t, c, "T", 1, "e", "0")
	check := func(group, reason string) {
		t.Helper()
		want := "subscription group [" + group + "] does not exist, " + reason
		for what, r := range map[string]*remoting.Response{
			"pull": call(t, c, protocol.ReqPullMessage, pullFields("T", 0, 0, "consumerGroup", group), nil),
			"pop":  call(t, c, protocol.ReqPopMessage, popFields("T", "consumerGroup", group), nil),
		} {
			if r.Code != protocol.CodeSubscriptionGroupNotExist || string(r.Remark) != want {
				t.Errorf("%s: code %d %s, want %s", what, r.Code, r.Remark, want)
			}
		}
	}
	check("bad group", "The specified group: bad group, contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$")
	check("", "The specified group is blank.")
	long := strings.Repeat("g", groupLengthMax+1)
	check(long, "The specified group: "+long+", is longer than group max length: 120")
	if r := call(t, c, protocol.ReqUpdateBrokerConfig, nil, []byte("autoCreateSubscriptionGroup=false")); r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	check("Unknown", "autoCreateSubscriptionGroup=false")
}

func TestReading_AWrongExpressionIsNamed(t *testing.T) {
	t.Parallel()
	b := openTest(t, sqlConfig(t))
	c := dialTest(t, b, remoting.Options{})
	sendN(t, c, "T", 1, "e", "0")
	const words = "parse the consumer's subscription failed: "
	check := func(expression, kind, reason, named string) {
		t.Helper()
		for group, r := range map[string]*remoting.Response{
			"Consumer": call(t, c, protocol.ReqPullMessage, pullFields("T", 0, 0, "subscription", expression, "expressionType", kind), nil),
			"Poppers":  call(t, c, protocol.ReqPopMessage, popFields("T", "exp", expression, "expType", kind), nil),
		} {
			got, want := string(r.Remark), " (group "+group+", topic T, expression "+named+")"
			if r.Code != protocol.CodeSubscriptionParseFailed || !strings.HasPrefix(got, words+reason) || !strings.HasSuffix(got, want) {
				t.Errorf("code %d %s, want %s ... %s", r.Code, got, words+reason, want)
			}
		}
	}
	none := "subString split error, the expression has no tag between its ||"
	check("||", "TAG", none, `"||"`)
	check(" ||  || ", "", none, `" ||  || "`)
	long := strings.Repeat("||", 10_000)
	check(long, "TAG", none, `"`+long[:2*retryLengthMax]+`..."`)
	check("n BETWEEN", "SQL92", "", `"n BETWEEN"`)
	check("n", "REGEX", "there are no filters of the type REGEX", `"n"`)
}
