package admin

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/liftoffmq/liftoff/internal/protocol"
)

func TestBackup_IsRestoredElsewhere(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	one, two := startCluster(t), startCluster(t)
	addr := one.brokers[0]
	one.topic(t, "Plain", 3)
	fifo := protocol.TopicConfig{TopicName: "Fifo", ReadQueueNums: 1, WriteQueueNums: 2, Perm: 6, TopicFilterType: protocol.SingleTag, Order: true}
	group := protocol.NewSubscriptionGroupConfig("G")
	group.RetryMaxTimes = 3
	for _, err := range []error{
		one.pool.CreateTopic(ctx, addr, &fifo, "+message.type=FIFO"),
		one.pool.CreateGroup(ctx, addr, &group),
		one.pool.SetRequestMode(ctx, addr, &protocol.RequestMode{Topic: "Plain", ConsumerGroup: "G", Mode: "POP", PopShareQueueNum: 2}),
		one.pool.ForbidGroup(ctx, addr, "G", "Fifo", false),
		one.names.PutKVConfig(ctx, protocol.NamespaceOrderTopicConfig, "Fifo", "broker-a:2"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		one.send(t, addr, "Plain", 1, "x", nil)
	}
	if err := one.pool.CommitOffset(ctx, addr, "G", "Plain", 1, 4); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "b.json")
	if r := tool(t, one, "backup", file); r.err != nil || !strings.Contains(r.out, "broker-a") {
		t.Fatalf("backup: %v\n%s%s", r.err, r.out, r.said)
	}
	restore := func(want []string, not []string, args ...string) {
		t.Helper()
		r := tool(t, two, append([]string{"restore", file}, args...)...)
		if r.err != nil {
			t.Fatalf("restore %v: %v\n%s", args, r.err, r.said)
		}
		for _, w := range want {
			if !strings.Contains(r.said, w) {
				t.Errorf("restore %v does not say %q:\n%s", args, w, r.said)
			}
		}
		for _, n := range not {
			if strings.Contains(r.said, n) {
				t.Errorf("restore %v says %q:\n%s", args, n, r.said)
			}
		}
	}
	restore([]string{"would create topic Plain", "would create group G", "POP", "would forbid group G", "the file has 4, the queue ends at 0", "nothing was changed"}, nil, "--dry-run")
	if topics, err := two.pool.TopicConfigs(ctx, two.brokers[0]); err != nil || topics.TopicConfigTable["Plain"] != nil {
		t.Fatalf("a dry run has made a topic: %v", err)
	}
	restore([]string{"will create topic Plain"}, []string{"group G "}, "--only", "topics")
	restore([]string{"will create group G", "are the same already"}, []string{"will create topic"})
	restore([]string{"there is nothing to restore"}, []string{"will"})

	for range 5 {
		two.send(t, two.brokers[0], "Plain", 1, "x", nil)
	}
	restore([]string{"will set offset of group G in Plain queue 1", "to 4, it has none"}, nil)
	if err := two.pool.CommitOffset(ctx, two.brokers[0], "G", "Plain", 1, 5); err != nil {
		t.Fatal(err)
	}
	restore([]string{"leaves offset of group G in Plain queue 1", "nothing to restore"}, []string{"will"})
	restore([]string{"will set offset of group G in Plain queue 1", "from 5 to 4"}, nil, "--backwards")

	read := func(c *cluster) *brokerBackup {
		t.Helper()
		path := filepath.Join(t.TempDir(), "again.json")
		if r := tool(t, c, "backup", path); r.err != nil {
			t.Fatal(r.err)
		}
		b, err := readBackup(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if b.Namesrv.KV[protocol.NamespaceOrderTopicConfig]["Fifo"] != "broker-a:2" {
			t.Errorf("KV configuration is %v", b.Namesrv.KV)
		}
		return &b.Brokers[0]
	}
	a, b := read(one), read(two)
	for name, topic := range a.Topics {
		if other := b.Topics[name]; other == nil || !sameTopic(topic, other) {
			t.Errorf("topic %s is %+v and %+v", name, topic, other)
		}
	}
	if x, y := a.Groups["G"], b.Groups["G"]; differences(x, y) != "" || y.RetryMaxTimes != 3 {
		t.Errorf("group is %+v and %+v", x, y)
	}
	if !slices.Equal(a.RequestModes, b.RequestModes) || len(b.RequestModes) != 1 || !maps.Equal(a.Forbidden["G"], b.Forbidden["G"]) || !maps.Equal(a.Offsets["Plain@G"], b.Offsets["Plain@G"]) {
		t.Errorf("they differ: %+v %+v", a, b)
	}
}

func TestRestore_RefusesWhatIsNoBackup(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	check := func(content, want string, args ...string) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "b.json")
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if r := tool(t, c, append([]string{"restore", file}, args...)...); r.err == nil || !strings.Contains(r.err.Error(), want) {
			t.Errorf("%q %v: %v", content, args, r.err)
		}
	}
	check("nonsense", "cannot read backup")
	check(`{"topicConfigTable":{}}`, "liftoff backup")
	check(`{"format":"liftoff-backup","version":7}`, "version 7")
	check(`{"format":"liftoff-backup","version":1}`, "", "--only", "everything")
	check(`{"format":"liftoff-backup","version":1,"brokers":[{"name":"x"}]}`, "no broker of the file")
	check(`{"format":"liftoff-backup","version":1,"brokers":[{"name":"x"}]}`, "has no broker y", "--from", "y")
}

// FuzzRestore reads files that anybody may have written.
func FuzzRestore(f *testing.F) {
	data, err := json.Marshal(backup{Format: backupFormat, Version: backupVersion, Brokers: []brokerBackup{{Name: "a", Offsets: map[string]map[int32]int64{"t@g": {0: 1}}}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(data))
	f.Fuzz(func(t *testing.T, data string) {
		b, err := readBackup("-", strings.NewReader(data))
		if err != nil {
			return
		}
		r := restorer{a: &Admin{Err: &strings.Builder{}}, left: map[string]int{}}
		for i := range b.Brokers {
			r.topics(&b.Brokers[i], member{}, &protocol.TopicConfigsAndMappings{}, nil)
		}
	})
}

func TestBackup_ReplacesBackupsOnly(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "b.json")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("somebody's notes")
	for path, want := range map[string]string{file: "cannot replace what is no backup", dir: "it is no file"} {
		if r := tool(t, c, "backup", path); r.err == nil || !strings.Contains(r.err.Error(), want) {
			t.Errorf("%s: %+v", path, r)
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "somebody's notes" {
		t.Errorf("the file has %d bytes now, %v", len(text), err)
	}
	write("") // as mktemp leaves it
	if r := tool(t, c, "backup", file); r.err != nil || r.said != "" {
		t.Error(r)
	}
	if r := tool(t, c, "backup", file); r.err != nil || !strings.Contains(r.said, "will be replaced") {
		t.Error(r)
	}
	if _, err := readBackup(file, nil); err != nil {
		t.Error(err)
	}
	if all, err := os.ReadDir(dir); err != nil || len(all) != 1 {
		t.Error(all, err)
	}
}
