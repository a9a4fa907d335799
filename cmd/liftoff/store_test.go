package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// goldenStore is a copy of a store that Apache RocketMQ wrote.
func goldenStore(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store")
	if err := os.CopyFS(dir, os.DirFS("../../internal/store/testdata/golden/store")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func spoil(t *testing.T, path string, at int64, data string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte(data), at); err != nil {
		t.Fatal(err)
	}
}

func TestStoreCheck_TellsWhatIsWrongAndRepairsIt(t *testing.T) {
	t.Parallel()
	dir := goldenStore(t)
	out, errs, code := runProgram(t, "liftoff", "store", "check", dir)
	if code != exitOK || !strings.Contains(out, "108 records") || !strings.Contains(out, "problems  none") {
		t.Fatalf("a sound store: %d\n%s%s", code, out, errs)
	}
	spoil(t, filepath.Join(dir, "consumequeue", "GoldenPlain", "0", "00000000000000000000"), 20, "\x01")
	topics, err := os.ReadFile(filepath.Join(dir, "config", "topics.json"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "config", "topics.json.bak"), topics, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	spoil(t, filepath.Join(dir, "config", "topics.json"), 0, "garbage")
	out, _, code = runProgram(t, "liftoff", "store", "check", dir)
	if code != exitFailed || !strings.Contains(out, "PROBLEM queue-") || !strings.Contains(out, "consumequeue/GoldenPlain/0/00000000000000000000:20") ||
		!strings.Contains(out, "PROBLEM config config/topics.json") {
		t.Errorf("damaged: %d\n%s", code, out)
	}
	out, _, code = runProgram(t, "liftoff", "store", "check", dir, "--repair", "--dry-run")
	if code != exitFailed || !strings.Contains(out, `would make queue 0 of topic "GoldenPlain" anew`) || !strings.Contains(out, "would put config/topics.json.bak") {
		t.Errorf("dry run: %d\n%s", code, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "damaged")); err == nil {
		t.Error("a dry run has changed something")
	}
	out, errs, code = runProgram(t, "liftoff", "store", "check", dir, "--repair")
	if code != exitOK || !strings.Contains(out, `makes queue 0 of topic "GoldenPlain" anew`) || !strings.HasSuffix(strings.TrimSpace(out), "notes     1 timer") {
		t.Errorf("repair: %d\n%s%s", code, out, errs)
	}
	out, _, code = runProgram(t, "liftoff", "store", "check", dir, "--json")
	var last struct{ Sound bool }
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || !last.Sound || code != exitOK {
		t.Errorf("as JSON: %d %v\n%s", code, err, out)
	}
}

func TestStoreCheck_RefusesWhatIsNoStoreOrInUse(t *testing.T) {
	t.Parallel()
	check := func(want string, code int, args ...string) {
		t.Helper()
		if _, errs, got := runProgram(t, "liftoff", append([]string{"store", "check"}, args...)...); got != code || !strings.Contains(errs, want) {
			t.Errorf("%v: %d %s", args, got, errs)
		}
	}
	check("cannot find a store", exitFailed, t.TempDir())
	check("cannot find store", exitFailed, filepath.Join(t.TempDir(), "none"))
	check("name the store directory", exitMisused)
	check("--dry-run goes with --repair", exitMisused, t.TempDir(), "--dry-run")
	s := startServer(t)
	check("stop the broker first", exitFailed, filepath.Join(s.data, "store"))
}

func TestStoreCheck_RefusesASizeThatNoFileOfTheLogHas(t *testing.T) {
	t.Parallel()
	dir := goldenStore(t)
	file := filepath.Join(t.TempDir(), "broker.properties")
	list := func() string {
		t.Helper()
		var all strings.Builder
		err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
			if err == nil && !info.IsDir() && info.Name() != "lock" {
				fmt.Fprintln(&all, path, info.Size(), info.ModTime())
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return all.String()
	}
	before := list()
	for _, size := range []string{"", "mappedFileSizeCommitLog=65536\n"} {
		if err := os.WriteFile(file, []byte(size+"mappedFileSizeConsumeQueue=6000\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		given := strings.TrimSuffix(strings.TrimPrefix(size, "mappedFileSizeCommitLog="), "\n")
		if given == "" {
			given = "1073741824"
		}
		want := "cannot check store " + dir + ": its log files are 131072 bytes long, mappedFileSizeCommitLog in " + file + " is " + given + "; correct it, or leave out -c"
		for _, flags := range [][]string{nil, {"--repair"}, {"--repair", "--dry-run"}} {
			out, errs, code := runProgram(t, "liftoff", append([]string{"store", "check", dir, "-c", file}, flags...)...)
			if code != exitFailed || !strings.Contains(errs, want) || out != "" {
				t.Errorf("%q %v: %d\n%s%s", size, flags, code, out, errs)
			}
		}
		if out, errs, code := runProgram(t, "liftoff", "store", "dump", dir, "-c", file); code != exitFailed || !strings.Contains(errs, strings.Replace(want, "check", "print", 1)) {
			t.Errorf("dump with %q: %d\n%s%s", size, code, out, errs)
		}
	}
	if after := list(); after != before {
		t.Error("a refused check has changed files")
	}
}

func TestStoreDump_PrintsWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	dir := goldenStore(t)
	check := func(lines int, want string, args ...string) {
		t.Helper()
		out, errs, code := runProgram(t, "liftoff", append([]string{"store", "dump", dir}, args...)...)
		if code != exitOK || strings.Count(out, "\n") != lines && lines > 0 || !strings.Contains(out, want) {
			t.Errorf("%v: %d %d lines, want %d and %q\n%s%s", args, code, strings.Count(out, "\n"), lines, want, out, errs)
		}
	}
	check(108, "GoldenPlain/0@0")
	check(1, `body="plain-0"`, "--body", "--limit", "1")
	check(1, "GoldenPlain/0@0", "--id", "7F000001000051AF0000000000000000")
	check(1, "GoldenPlain/0@0", "--id", "C000020269074E0E2F2A670A18E50000", "--topic", "GoldenPlain")
	check(2, `"topic":"GoldenPlain"`, "log", "--json", "--from", "0", "--to", "446")
	check(105+3, "GoldenBCQ/0@0 +4", "queues")
	check(2, "GoldenPlain/1@1", "queues", "--topic", "GoldenPlain", "--queue", "1", "--to", "2")
	check(287, "hash", "index")
	check(1, "log offset 0,", "index", "--topic", "GoldenPlain", "--key", "C000020269074E0E2F2A670A18E50000")
	check(12, "due", "timers")
	check(0, "written by RocketMQ", "checkpoint")
	check(0, `"GoldenPlain"`, "config")
}

func TestBrokerDryRun_TellsWhatAStartWouldDo(t *testing.T) {
	t.Parallel()
	dir := goldenStore(t)
	file := filepath.Join(t.TempDir(), "broker.properties")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte("storePathRootDir="+dir+"\nsendMessageThreadPoolNums=8\nlistenPort=0\n"+text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	check := func(code int, want ...string) {
		t.Helper()
		out, errs, got := runProgram(t, "liftoff", "broker", "--dry-run", "-c", file)
		for _, w := range want {
			if !strings.Contains(out+errs, w) {
				t.Errorf("%q is not told:\n%s%s", w, out, errs)
			}
		}
		if got != code {
			t.Errorf("code %d, want %d\n%s%s", got, code, out, errs)
		}
	}
	const sizes = "mappedFileSizeCommitLog=131072\nmappedFileSizeConsumeQueue=6000\nmapperFileSizeBatchConsumeQueue=4600\nmappedFileSizeTimerLog=104000\nmaxHashSlotNum=100\nmaxIndexNum=400\n"
	write(sizes)
	check(exitOK, "sendMessageThreadPoolNums", "last written by Apache RocketMQ, closed", "recovery reads the last", "The way back", "would start")
	write("")
	check(exitFailed, "! commitlog/00000000000000000000 is 131072 bytes long", "would fit with mappedFileSizeCommitLog=131072", "would fit with mappedFileSizeConsumeQueue=6000",
		"would fit with mapperFileSizeBatchConsumeQueue=4600", "timerlog/00000000000000000000: it is 104000 bytes long, mappedFileSizeTimerLog is",
		"would fit with maxHashSlotNum=100", "would fit with maxIndexNum=400", "would not start")
	if out, _, _ := runProgram(t, "liftoff", "broker", "--dry-run", "-c", file); strings.Contains(out, "files of the log from") || strings.Contains(out, "is recovered") || strings.Contains(out, "there is no log") {
		t.Errorf("of a log whose files do not fit more is told than can be known:\n%s", out)
	}
	write("listenPort=nonsense")
	check(exitMisused, "listenPort")
	before, err := os.ReadDir(dir)
	if err != nil || len(before) == 0 {
		t.Fatal(err)
	}
	write("storePathRootDir=" + filepath.Join(t.TempDir(), "new"))
	check(exitOK, "a new store would be made")
}
