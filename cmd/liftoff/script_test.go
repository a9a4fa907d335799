package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestScripts_TakeTheCommandLinesOfRocketMQ(t *testing.T) {
	t.Parallel()
	check := func(code int, name, line string, want ...string) {
		t.Helper()
		out, errs, got := runProgram(t, name, strings.Fields(line)...)
		for _, w := range want {
			if got != code || !strings.Contains("\n"+out+errs, w) {
				t.Errorf("%s %s ends with %d and prints no %q but\n%s%s", name, line, got, w, out, errs)
			}
		}
	}
	file := filepath.Join(t.TempDir(), "broker.conf")
	if err := os.WriteFile(file, []byte("brokerName=filed\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	check(exitOK, "mqbroker", "-n localhost:9876 autoCreateTopicEnable=false start -p", "\nnamesrvAddr=localhost:9876\n", "\nautoCreateTopicEnable=true\n",
		`level=WARN msg="autoCreateTopicEnable: has no effect on the command line, in RocketMQ neither; put it into the properties file`,
		`level=WARN msg="start: has no effect`)
	check(exitOK, "mqnamesrv", "-printConfigItem x=secret", "\nlistenPort=9876\n", `level=WARN msg="x: has no effect on the command line`)
	if _, errs, _ := runProgram(t, "mqnamesrv", "-p", "x=secret"); strings.Contains(errs, "secret") {
		t.Error(errs)
	}
	check(exitOK, "mqbroker", "-namesrvAddr 1.2.3.4:9876 -configFile "+file+" -printConfigItem", "\nnamesrvAddr=1.2.3.4:9876\n", "\nbrokerName=filed\n")
	check(exitOK, "mqbroker", "-namesrvAddr=1.2.3.4:9876 -p", "\nnamesrvAddr=1.2.3.4:9876\n")
	check(exitOK, "mqbroker", "-pc "+file, "\nbrokerName=filed\n")
	check(exitOK, "mqbroker", "--enable-proxy -pc rmq-proxy.json -pm local -n a:1 -p", "\nnamesrvAddr=a:1\n", "nothing serves clients over gRPC", "-pc rmq-proxy.json: is not read")
	check(exitOK, "mqbroker", "-bc="+file+" --enable-proxy -c other.conf -p", "\nbrokerName=filed\n", "-c other.conf: does not count beside -bc")
	check(exitMisused, "mqbroker", "--enable-proxy -pm cluster", "runs a proxy and no broker in RocketMQ")
	check(exitMisused, "mqbroker", "--enable-proxy -pm both", "-pm both is wrong: it must be local or cluster")
	check(exitMisused, "mqbroker", "--proxyConfigPath x -p", "belong to --enable-proxy")
	check(exitMisused, "/opt/mqcontroller", "-c controller.conf", "liftoff: there is no controller yet")
	check(exitMisused, "mqbrokercontainer.exe", "-c container.conf", "liftoff: there are no broker containers yet")
	check(exitMisused, "mqproxy", "-pc rmq-proxy.json -pm local", "liftoff: there is no proxy yet")
	check(exitMisused, "mqproxy", "", "liftoff: there is no proxy yet")
	check(exitMisused, "liftoff", "broker autoCreateTopicEnable=true -p", `cannot make sense of "autoCreateTopicEnable=true"`)
}

// What RocketMQ 5.5.0 makes of these lines was seen at its own startup class.
func TestScripts_ReadOptionsAsRocketMQDoes(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "broker.conf")
	if err := os.WriteFile(file, []byte("brokerName=filed\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	check := func(want string, args ...string) {
		t.Helper()
		if out, errs, code := runProgram(t, "mqbroker", append(args, "--printConfigItem")...); code != exitOK || !strings.Contains("\n"+out, "\n"+want+"\n") {
			t.Errorf("mqbroker %q ends with %d and prints no %q but\n%s%s", args, code, want, out, errs)
		}
	}
	refused := func(want string, args ...string) {
		t.Helper()
		if out, errs, code := runProgram(t, "mqbroker", args...); code != exitMisused || out != "" || !strings.Contains(errs, want) || !strings.Contains(errs, "; see mqbroker --help") {
			t.Errorf("mqbroker %q ends with %d:\n%s%s", args, code, out, errs)
		}
	}
	for _, args := range [][]string{{"-n", "x:1"}, {"-nx:1"}, {"-n=x:1"}, {"--n", "x:1"}, {"-namesrvAddr", "x:1"}, {"-namesrvAddr=x:1"}, {"-namesrvAddrx:1"}, {"-names", "x:1"}, {"-na=x:1"},
		{"--names=x:1"}, {"-n", `"x:1"`}, {"-n", "x:1", "-n", "y:1"}, {"-n", "x:1", "--namesrvAddr", "y:1"}, {"-n", "x:1", "y:1"}, {"-pn", "x:1"}, {"-pmnx:1"}} {
		check("namesrvAddr=x:1", args...)
	}
	for _, args := range [][]string{{"-c", file}, {"-c" + file}, {"-config", file}, {"--configF=" + file}, {"-configFile" + file}, {"-n", "", "-c", file}, {"-c", file, "--namesrvAddr="}, {"-pc", file}, {"-c", file, "-"}} {
		check("brokerName=filed", args...)
	}
	check("brokerName=filed", "--enable-proxy", "-bc", file)
	check("brokerName=filed", "--enable-proxy", "--brokerC", file)
	refused("cannot tell which option pr is: --printConfigItem or --printImportantConfig", "-pr")
	refused("-n lacks its value", "-n", "-p")
	refused("-n lacks its value", "-p", "-n")
	refused("-pc lacks its value", "-pc", "--")
	for _, args := range [][]string{{"-foo"}, {"--foo"}, {"-NAMESRVADDR", "x:1"}, {"-po", "1"}} {
		refused("unknown", args...)
	}
	if out, errs, code := runProgram(t, "mqnamesrv", "--p", "-c", file); code != exitOK || !strings.Contains(out, "\nlistenPort=9876\n") {
		t.Errorf("%d %s%s", code, out, errs)
	}
	if out, _, code := runProgram(t, "mqbroker", "-he"); code != exitOK || !strings.Contains(out, "mqbroker [flags]") {
		t.Errorf("%d %s", code, out)
	}
	if _, errs, _ := runProgram(t, "mqbroker", "-port", "0", "--log-level", "loud", "--", "-n"); !strings.Contains(errs, "logLevel=loud") {
		t.Error(errs)
	}
}

func TestScripts_ProxyTakesTheBrokersFileOfTheInstallation(t *testing.T) {
	home := t.TempDir()
	t.Setenv("ROCKETMQ_HOME", home)
	if err := os.Mkdir(filepath.Join(home, "conf"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "conf", "broker.conf"), []byte("brokerName=installed\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, errs, code := runProgram(t, "mqbroker", "--enable-proxy", "-p"); code != exitOK || !strings.Contains(out, "\nbrokerName=installed\n") || !strings.Contains(errs, "without -c takes "+home) {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
	if out, _, code := runProgram(t, "mqbroker", "-p"); code != exitOK || strings.Contains(out, "installed") {
		t.Errorf("%d\n%s", code, out)
	}
}

func TestScripts_BrokerStartsWithTheProxysFlags(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "broker.conf")
	if err := os.WriteFile(file, []byte("brokerName=a\nbindAddress=127.0.0.1\nstorePathRootDir="+dir+"/store\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, errs := newOutput(), newOutput()
	ctx, cancel := context.WithCancel(context.Background())
	p := &program{name: "mqbroker", in: strings.NewReader(""), out: out, err: errs, exit: func(int) { t.Error("it ended at once") }}
	ended := make(chan int, 1)
	go func() {
		ended <- p.run(ctx, []string{"-c", file, "--enable-proxy", "-pc", "rmq-proxy.json", "--port", "0", "--metrics-port", "0", "autoCreateTopicEnable=true"})
	}()
	defer func() {
		cancel()
		if code := <-ended; code != exitOK {
			t.Errorf("it ended with %d:\n%s", code, errs)
		}
	}()
	out.wait(t, `The broker\[a, 127\.0\.0\.1:\d+\] boot success`)
	errs.wait(t, "there is no proxy here yet")
}
