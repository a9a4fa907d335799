package admin

import (
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// keeper is a broker that keeps users and ACLs, and limits of cold reads, and nothing else.
type keeper struct {
	mu    sync.Mutex // protects the fields below
	users map[string][]byte
	acls  map[string][]byte
	limit string
}

func startKeeper(t *testing.T) (*keeper, string) {
	t.Helper()
	k := &keeper{users: make(map[string][]byte), acls: make(map[string][]byte)}
	s, err := remoting.Listen("127.0.0.1:0", k, remoting.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return k, s.Addr().String()
}

func (k *keeper) Flush(c *remoting.Conn)    { c.Flush() }
func (*keeper) Closed(*remoting.Conn)       {}
func (k *keeper) Serve(r *remoting.Request) { remoting.Respond(r, k.answer) }

func (k *keeper) answer(r *remoting.Request) (*remoting.Answer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	h := make(map[string]string)
	for _, f := range r.Fields {
		h[string(f.Key)] = string(f.Value)
	}
	list := func(all map[string][]byte, filter string) *remoting.Answer {
		var some []string
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if strings.Contains(name, filter) {
				some = append(some, string(all[name]))
			}
		}
		return &remoting.Answer{Body: []byte("[" + strings.Join(some, ",") + "]")}
	}
	switch int(r.Code) {
	case protocol.ReqAuthCreateUser, protocol.ReqAuthUpdateUser:
		u := protocol.UserInfo{UserType: "Normal", UserStatus: "enable"}
		if old := k.users[h["username"]]; old != nil {
			if err := fastjson.Unmarshal(old, &u); err != nil {
				return nil, err
			}
		}
		if err := fastjson.Unmarshal(r.Body, &u); err != nil {
			return nil, err
		}
		k.users[h["username"]], _ = fastjson.Marshal(u)
	case protocol.ReqAuthDeleteUser:
		delete(k.users, h["username"])
	case protocol.ReqAuthGetUser:
		return &remoting.Answer{Body: k.users[h["username"]]}, nil
	case protocol.ReqAuthListUser:
		return list(k.users, h["filter"]), nil
	case protocol.ReqAuthCreateACL, protocol.ReqAuthUpdateACL:
		k.acls[h["subject"]] = slices.Clone(r.Body)
	case protocol.ReqAuthDeleteACL:
		delete(k.acls, h["subject"])
	case protocol.ReqAuthGetACL:
		return &remoting.Answer{Body: k.acls[h["subject"]]}, nil
	case protocol.ReqAuthListACL:
		return list(k.acls, h["subjectFilter"]), nil
	case protocol.ReqGetColdDataFlowCtrInfo:
		return &remoting.Answer{Body: []byte(`{"runtimeTable":{"shop":{"coldAcc":5,"createTimeMills":1700000000000,"lastColdReadTimeMills":1700000000000}},"configTable":{` + k.limit + `},"globalAcc":0}`)}, nil
	case protocol.ReqUpdateColdDataFlowCtrConfig:
		name, value, _ := strings.Cut(strings.TrimSpace(string(r.Body)), "=")
		k.limit = `"` + name + `":` + value
	case protocol.ReqRemoveColdDataFlowCtrConfig:
		k.limit = ""
	default:
		return nil, protocol.Errorf(protocol.CodeSystemError, "not here")
	}
	return nil, nil
}

func TestAccess_CommandsChangeAndShow(t *testing.T) {
	t.Parallel()
	_, addr := startKeeper(t)
	_, other := startKeeper(t)
	run := func(want, wantSaid, args string) {
		t.Helper()
		r := mqadmin(t, strings.Fields(args)...)
		if got := steady(r.out); r.err != nil || got != want || !strings.Contains(steady(r.said), wantSaid) {
			t.Errorf("%s: %v\n%s\nwant:\n%s\nsaid: %q", args, r.err, got, want, r.said)
		}
	}
	b := " -b " + addr
	run("create user to HOST success.\n", "", "createUser -u alice -p secret -t Super"+b)
	run("create user to HOST success.\n", "", "createUser -u bob -p hidden"+b)
	run("update user to HOST success.\n", "", "updateUser -u bob -s disable"+b)
	const head = "#UserName         #Password               #UserType               #UserStatus\n"
	run(head+"bob               hidden                  Normal                  disable\n", "", "getUser -u bob"+b)
	run(head+"alice             secret                  Super                   enable\nbob               hidden                  Normal                  disable\n", "", "listUser"+b)
	run(`[{"password":"secret","userStatus":"enable","userType":"Super","username":"alice"}]`+"\n", "", "listUser -f ali --json"+b)
	run("", "would delete user bob (Normal, disable) at HOST\nnothing was changed", "deleteUser -u bob --dry-run"+b)
	run("copy user of bob from HOST to HOST success.\n", "will copy user bob (Normal, disable) from HOST to HOST\n", "copyUser -u bob -f "+addr+" -t "+other)
	run("copy user of alice from HOST to HOST success.\ncopy user of bob from HOST to HOST success.\n", "HOST, where it replaces user bob (Normal, disable)\n", "copyUser -f "+addr+" -t "+other)
	run("delete user to HOST success.\n", "will delete user bob", "deleteUser -u bob"+b)
	run(head+"bob               hidden                  Normal                  disable\n", "", "getUser -u bob -b "+other)

	run("create acl to HOST success.\n", "", "createAcl -s User:bob -r Topic:orders,Group:g -a Pub,Sub -d Allow -i 10.0.0.1"+b)
	const rights = "#Subject          #PolicyType  #Resource               #Actions              #SourceIp                 #Decision\n"
	run(rights+"User:bob          null        Topic:orders            [Pub, Sub]            [10.0.0.1]                Allow\nUser:bob          null        Group:g                 [Pub, Sub]            [10.0.0.1]                Allow\n",
		"", "getAcl -s User:bob"+b)
	run("update acl to HOST success.\n", "", "updateAcl -s User:bob -r Topic:orders -a Pub -d Deny"+b)
	run(rights+"User:bob          null        Topic:orders            [Pub]                 null                      Deny\n", "", "listAcl"+b)
	run("copy acl of User:bob from HOST to HOST success.\n", "will copy the ACL of User:bob (Deny Pub Topic:orders) from HOST to HOST\n", "copyAcl -s User:bob -f "+addr+" -t "+other)
	run("", "would delete all of the ACL of User:bob (Deny Pub Topic:orders) at HOST\n", "deleteAcl -s User:bob --dry-run"+b)
	run("delete acl to HOST success.\n", "will delete the ACL of User:bob for Topic:orders (Deny Pub Topic:orders) at HOST\n", "deleteAcl -s User:bob -r Topic:orders"+b)

	run("updateColdDataFlowCtrGroupConfig success, HOST\n", "", "updateColdDataFlowCtrGroupConfig -g shop -v 1000"+b)
	run(" ============HOST============\n{\n\t\"runtimeTable\":{\n\t\t\"shop\":{\n\t\t\t\"coldAcc\":5,\n\t\t\t\"lastColdReadTimeFormat\":\"TIME\",\n\t\t\t\"createTimeFormat\":\"TIME\"\n\t\t}\n\t},\n"+
		"\t\"configTable\":{\n\t\t\"shop\":1000\n\t},\n\t\"globalAcc\":0\n}\n", "", "getColdDataFlowCtrInfo"+b)
	run("", "would remove the limit of cold reads of group shop (1000 bytes) at HOST\n", "removeColdDataFlowCtrGroupConfig -g shop --dry-run"+b)
	run("remove broker cold read threshold success, HOST\n", "", "removeColdDataFlowCtrGroupConfig -g shop"+b)

	for args, want := range map[string]string{
		"getUser -u bob" + b:                                    `no broker that was asked knows a user "bob"`,
		"getAcl -s User:bob" + b:                                `no broker that was asked has an ACL of "User:bob"`,
		"copyUser -u bob -f " + addr + " -t " + other:           "has no user bob to copy",
		"updateUser -u bob" + b:                                 "at least one of the flags in the group",
		"createUser -u bob -p x":                                "at least one of the flags in the group",
		"updateColdDataFlowCtrGroupConfig -g shop -v much" + b:  "must be a number of bytes",
		"setCommitLogReadAheadMode -m 2" + b:                    "0 is default, 1 random read",
		"setCommitLogReadAheadMode -m 1" + b:                    "not here",
		"switchTimerEngine -e X" + b:                            "must be R or F",
		"rocksDBConfigToJson":                                   "please input cluster or brokerAddr",
		"rocksDBConfigToJson --nameserverAddr 127.0.0.1:1 -c x": "127.0.0.1:1",
		"rocksDBConfigToJson -p x":                              "RocksDB is not known here",
		"rocksDBConfigToJson -t all" + b:                        "invalid configType all",
	} {
		if r := mqadmin(t, strings.Fields(args)...); r.err == nil || !strings.Contains(r.err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, r.err, want)
		}
	}
}

func TestLite_CommandsAskEachBroker(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	if err := c.pool.CreateTopic(t.Context(), c.brokers[0], &protocol.TopicConfig{TopicName: "parent", ReadQueueNums: 1, WriteQueueNums: 1, Perm: 6, TopicFilterType: "SINGLE_TAG"}, "+message.type=LITE,+lite.topic.expiration=30"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "route", func() bool { _, err := c.names.RouteByTopic(t.Context(), "parent"); return err == nil })
	run := func(args string) []string { return append(strings.Fields(args), "-n", c.addr) }
	check(t, "Parent Topic Info: [parent]\n#Broker Name                                       #TTL     #Lite Count    #LMQ NUM       #GROUPS\n"+
		"broker-a                                           30       0              0              null\n", run("getParentTopicInfo -p parent")...)
	check(t, "Lite Topic Info: [parent] [x] [%LMQ%$parent$x]\n#Broker Name                                       #MinOffset     #MaxOffset     #LastUpdate                    #Sharding    #SubClientCount\n"+
		"broker-a                                           0              0              -                              true         0\n[]\n", run("getLiteTopicInfo -p parent -l x -s")...)
	r := mqadmin(t, run("getBrokerLiteInfo -c DefaultCluster -d")...)
	if r.err != nil || !strings.Contains(r.out, "Topic Meta: {\"parent\":30}\nGroup Meta: {}\n\n") {
		t.Errorf("getBrokerLiteInfo: %+v", r)
	}
	for _, args := range []string{"getLiteGroupInfo -p parent -g none", "getLiteClientInfo -p parent -g none -c me", "triggerLiteDispatch -p parent -g none"} {
		if r := mqadmin(t, run(args)...); r.err == nil || !strings.Contains(r.out, "error") {
			t.Errorf("%s: %+v", args, r)
		}
	}
}
