package interop

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestJava5_ReadsARepairedStore(t *testing.T) { readsARepairedStore(t, java5) }
func TestJava5_BackupGoesToAndFro(t *testing.T)  { backupGoesToAndFro(t, java5) }

// command runs a command of Liftoff to its end.
func (l *lab) command(t *testing.T, args ...string) (out string, failed bool) {
	t.Helper()
	binary, err := l.liftoff()
	must(t, err)
	var both bytes.Buffer
	cmd := exec.Command(binary, args...)
	cmd.Stdout, cmd.Stderr = &both, &both
	err = cmd.Run()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return both.String(), err != nil
}

// damage overwrites bytes of a file.
func damage(t *testing.T, path string, at int64, data ...byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	_, err = f.WriteAt(data, at)
	must(t, err)
	must(t, f.Close())
}

// readsARepairedStore: a store that Apache's broker wrote is sound to `liftoff store check`; what is then damaged is found and repaired, and Apache's
// broker starts on it and serves everything, as Liftoff does after a kill of Apache's.
func readsARepairedStore(t *testing.T, c client) {
	t.Parallel()
	cl := ownCluster(t, setup{broker: apache, settings: []string{"mappedFileSizeCommitLog=1048576", "mappedFileSizeConsumeQueue=4000", "maxHashSlotNum=1000", "maxIndexNum=4000"}})
	lab, root := cl.broker.lab, filepath.Join(cl.broker.dir, "store")
	p := newProducer(t, c, cl)
	topic := p.topic(4)
	var sent []message
	fill := func() {
		t.Helper()
		must(t, waitFor(soon, func() error {
			answer, err := p.program.call("fill", "name", p.name, "topic", topic, "prefix", uniqueName(t, "turn"), "count", 400, "size", 3000)
			sent = append(sent, p.messages(answer.Get("a"))...)
			return err
		}))
	}
	servesAll := func() {
		t.Helper()
		fresh := newConsumer(t, c, cl, topic, uniqueName(t, "fresh"))
		exactly(t, sent, fresh.wait(len(sent)))
		fresh.close()
		for _, m := range []message{sent[0], sent[len(sent)-1]} {
			must(t, waitFor(soon, func() error {
				answer, err := p.program.call("query", "name", p.name, "topic", topic, "key", m.keys, "begin", 0, "end", int64(1)<<62)
				if err == nil && len(lines(answer.Get("m"))) != 1 {
					t.Errorf("key %s: %q", m.keys, answer.Get("m"))
				}
				return err
			}))
		}
	}
	fill()
	cl.stopBroker(t, false)
	if out, failed := lab.command(t, "store", "check", root); failed {
		t.Fatalf("a store of Apache's is not sound:\n%s", out)
	}
	queues := filepath.Join(root, "consumequeue", topic)
	damage(t, filepath.Join(queues, "0", "00000000000000000000"), 60, 1, 2, 3)
	must(t, os.RemoveAll(filepath.Join(queues, "1")))
	index, err := filepath.Glob(filepath.Join(root, "index", "*"))
	must(t, err)
	damage(t, index[0], 40+4*1000+20*5, 0x7F, 1, 2, 3)
	damage(t, filepath.Join(root, "checkpoint"), 40, 0x7F)
	out, failed := lab.command(t, "store", "check", root)
	for _, kind := range []string{"queue-unit", "queue-missing", "index-entry", "checkpoint"} {
		if !failed || !strings.Contains(out, "PROBLEM "+kind) {
			t.Errorf("%s is not found:\n%s", kind, out)
		}
	}
	if out, failed := lab.command(t, "store", "check", root, "--repair"); failed {
		t.Fatalf("it is not repaired:\n%s", out)
	}
	must(t, cl.startBroker())
	servesAll()

	fill()
	cl.stopBroker(t, true)
	if out, failed := lab.command(t, "store", "check", root); failed {
		t.Errorf("a store of Apache's that was killed is not sound:\n%s", out)
	}
	if out, failed := lab.command(t, "broker", "--dry-run", "-c", filepath.Join(cl.broker.dir, "broker.properties")); failed || !strings.Contains(out, "would start") {
		t.Errorf("a dry run: %v\n%s", failed, out)
	}
	cl.broker.kind = underTest("broker")
	must(t, cl.startBroker())
	servesAll()
	cl.stopBroker(t, false)
	if out, failed := lab.command(t, "store", "check", root); failed {
		t.Errorf("a store that went on is not sound:\n%s", out)
	}
	must(t, cl.startBroker())
}

// backupGoesToAndFro: what a cluster of Apache's knows beside its messages goes into one of ours and back, and is the same.
func backupGoesToAndFro(t *testing.T, c client) {
	t.Parallel()
	from := ownCluster(t, setup{namesrvs: []kind{apache}, broker: apache})
	to := ownCluster(t, setup{})
	lab, dir := from.broker.lab, t.TempDir()
	p := newProducer(t, c, from)
	topic, group := p.topic(3), uniqueName(t, "group")
	answer, err := p.program.call("fill", "name", p.name, "topic", topic, "prefix", "a", "count", 30, "queues", 3)
	must(t, err)
	s := newConsumer(t, c, from, topic, group)
	s.wait(len(p.messages(answer.Get("a"))))
	s.close() // commits

	do := func(want string, args ...string) {
		t.Helper()
		must(t, waitFor(soon, func() error {
			out, failed := lab.command(t, args...)
			if failed || !strings.Contains(out, want) {
				return &unsaid{args, want, out}
			}
			return nil
		}))
	}
	first, second := filepath.Join(dir, "first.json"), filepath.Join(dir, "second.json")
	do("written to", "backup", first, "-n", from.addrs())
	do("would create topic "+topic, "restore", first, "-n", to.addrs(), "--dry-run")
	do("will create group "+group, "restore", first, "-n", to.addrs())
	do("the queue ends at 0", "restore", first, "-n", to.addrs())
	do("will set offset of group "+group, "restore", first, "-n", to.addrs(), "--beyond-end")
	do("there is nothing to restore", "restore", first, "-n", to.addrs())
	do("written to", "backup", second, "-n", to.addrs())
	do("there is nothing to restore", "restore", second, "-n", from.addrs(), "--only", "topics,groups,modes,kv,offsets")
}

// unsaid is a command that did not say what it should.
type unsaid struct {
	args []string
	want string
	out  string
}

func (u *unsaid) Error() string {
	return strings.Join(u.args, " ") + " does not say " + u.want + ":\n" + u.out
}
