package broker

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckState_RefusesWhatOpenRefuses(t *testing.T) {
	t.Parallel()
	contents := []string{``, `{}`, `null`, `7`, `[]`, `{`, "\x00\x00", `{"dataVersion":7}`, `{"dataVersion":{"counter":1,"stateVersion":0,"timestamp":5}}`,
		`{"offsetTable":{"a":5}}`, `{"offsetTable":{"1":5}}`, `{"offsetTable":{"T@G":{"0":1}}}`, `{"offsetTable":{"T@G":{0:1}}}`, `{"lmqOffsetTable":{"%LMQ%a@G":"x"}}`,
		`{"topicConfigTable":{"T":{"readQueueNums":"x"}}}`, `{"topicConfigTable":{"T":{"readQueueNums":1}}}`, `{"topicConfigTable":{"T":null}}`,
		`{"subscriptionGroupTable":{"G":{"retryMaxTimes":"x"}}}`, `{"subscriptionGroupTable":{"G":7}}`, `{"forbiddenTable":7}`,
		`{"table":7}`, `{"table":{"T@G":{"0":7}}}`, `{"filterDataByTopic":{"T":7}}`, `{"topicQueueMappingInfoMap":{"T":7}}`, `{"messageRequestModeMap":7}`}
	check := func(name, copied string, light bool) {
		t.Helper()
		for _, content := range contents {
			cfg := testConfig(t)
			cfg.LightQueues = light
			dir := filepath.Join(cfg.RootDir, "config")
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
			if copied != "" {
				if err := os.WriteFile(path+".bak", []byte(copied), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			var refused error
			taken := ""
			for _, f := range CheckState(cfg) {
				if f.Err != nil {
					refused = f.Err
				}
				taken += f.Taken
			}
			b, err := Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
			if err == nil {
				err = b.Close()
			} else if refused == nil || refused.Error() != err.Error() {
				t.Errorf("%s %q: refused with %q, the check tells %v", name, content, err, refused)
				continue
			}
			if err == nil && refused != nil {
				t.Errorf("%s %q: the check tells %v, and it is taken", name, content, refused)
			}
			if copied != "" && !strings.HasSuffix(taken, name) && !strings.HasSuffix(taken, name+".bak") {
				t.Errorf("%s %q: taken is %q", name, content, taken)
			}
		}
	}
	for _, f := range stateFiles {
		check(f.name, "", f.name == lightOffsetsFile)
	}
	check("topics.json", `{"topicConfigTable":{}}`, false)
	check(offsetsFile, "", true)
}

func TestCheckAddresses_TellsWhatOpenWouldRefuse(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	if wrong := CheckAddresses(t.Context(), cfg); len(wrong) > 0 {
		t.Errorf("nothing is wrong with it: %v", wrong)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cfg.ListenPort = taken.Addr().(*net.TCPAddr).Port
	cfg.BrokerIP1 = "no.such.host.invalid"
	wrong := CheckAddresses(t.Context(), cfg)
	if len(wrong) != 2 || !strings.Contains(wrong[0].Error(), "address already in use") || !strings.Contains(wrong[1].Error(), "cannot resolve brokerIP1=no.such.host.invalid") {
		t.Errorf("got %q", wrong)
	}
}
