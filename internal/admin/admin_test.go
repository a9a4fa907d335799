package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/liftoffmq/liftoff/internal/protocol"
)

// result is what a command did.
type result struct {
	out, said string
	err       error
}

// mqadmin runs a command line of mqadmin.
func mqadmin(t *testing.T, args ...string) result {
	t.Helper()
	var out, said bytes.Buffer
	root := (&Admin{In: strings.NewReader(""), Out: &out, Err: &said, bodies: filepath.Join(t.TempDir(), "bodies"), folder: t.TempDir()}).MQAdmin("mqadmin")
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetOut(&out)
	root.SetErr(&said)
	root.SetArgs(Args(root, args))
	err := root.ExecuteContext(t.Context())
	return result{out.String(), said.String(), err}
}

func TestTopicRoute_PrintsRouteAsAskedFor(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	c.topic(t, "orders", 8)
	if r := mqadmin(t, "topicRoute", "-n", c.addr, "-t", " orders "); r.err != nil || !strings.Contains(r.out, `"readQueueNums":8`) {
		t.Errorf("topicRoute: %+v", r)
	}
	// Names in any case, and long names with one dash, as with Apache's tool.
	r := mqadmin(t, "TOPICROUTE", "-namesrvAddr", c.addr, "-topic=orders", "-l")
	if lines := strings.Split(r.out, "\n"); r.err != nil || len(lines) != 5 || !strings.HasPrefix(lines[0], "#ClusterName ") || !strings.HasPrefix(lines[3], "Total: ") {
		t.Errorf("topicRoute -l: %+v", r)
	}
	r = mqadmin(t, "topicRoute", "-n", c.addr, "-t", "orders", "--json")
	var route struct{ QueueDatas []struct{ ReadQueueNums int } }
	if err := json.Unmarshal([]byte(r.out), &route); err != nil || len(route.QueueDatas) != 1 || route.QueueDatas[0].ReadQueueNums != 8 {
		t.Errorf("topicRoute --json: %+v: %v", r, err)
	}
}

func TestCommand_SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"topicRoute", "-n", c.addr, "-t", "nobody"}, "No topic route info in name server for the topic: nobody"},
		{[]string{"topicRoute", "-n", "127.0.0.1:1", "-t", "orders"}, "nothing listens there; say with -n"},
		{[]string{"topicRoute", "-n", c.brokers[0], "-t", "orders"}, "-n is for a NameServer, -b for a broker"},
		{[]string{"topicRoute", "-n", "here", "-t", "orders"}, `cannot use name servers "here": "here" has no host and port`},
		{[]string{"topicRoute", "-n", c.addr}, `required flag(s) "topic" not set`},
	} {
		if r := mqadmin(t, tt.args...); r.err == nil || !strings.Contains(r.err.Error(), tt.want) {
			t.Errorf("%v: %v, want %q", tt.args, r.err, tt.want)
		}
	}
}

// A script that makes a topic and uses it at once finds it.
func TestCreateTopic_IsFoundAtOnce(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "broker-a", "broker-b")
	for i := range int32(20) {
		for _, addr := range c.brokers {
			cfg := &protocol.TopicConfig{TopicName: "orders", ReadQueueNums: i + 1, WriteQueueNums: i + 1, Perm: 6, TopicFilterType: "SINGLE_TAG"}
			if err := c.pool.CreateTopic(t.Context(), addr, cfg, ""); err != nil {
				t.Fatal(err)
			}
		}
		route, err := c.names.RouteByTopic(t.Context(), "orders")
		if err != nil || len(route.QueueDatas) != 2 || route.QueueDatas[0].ReadQueueNums != i+1 || route.QueueDatas[1].ReadQueueNums != i+1 {
			t.Fatalf("after change %d: %+v, %v", i, route, err)
		}
	}
}

// Nor does a change of what a whole broker permits leave clients with the routes of before.
func TestBrokerPermission_IsKnownAtOnce(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	c.topic(t, "orders", 4)
	for i := range 10 {
		perm := []string{"4", "6"}[i%2]
		if r := mqadmin(t, "updateBrokerConfig", "-n", c.addr, "-b", c.brokers[0], "-k", "brokerPermission", "-v", perm); r.err != nil {
			t.Fatal(r.err)
		}
		route, err := c.names.RouteByTopic(t.Context(), "orders")
		if err != nil || fmt.Sprint(route.QueueDatas[0].Perm) != perm {
			t.Fatalf("after brokerPermission=%s: %+v, %v", perm, route, err)
		}
	}
}

// What cannot be brought back can be tried first.
func TestCommands_ThatDestroyHaveADryRun(t *testing.T) {
	t.Parallel()
	destroys := regexp.MustCompile("^(delete|clean|wipe|remove|reset|skip|clone|copy|remapping|elect)")
	n := 0
	for _, c := range (&Admin{}).MQAdmin("mqadmin").Commands() {
		if destroys.MatchString(c.Name()) {
			n++
			if c.Flags().Lookup("dry-run") == nil {
				t.Errorf("%s has no --dry-run", c.Name())
			}
		}
	}
	if n < 18 {
		t.Errorf("only %d commands were looked at", n)
	}
}
