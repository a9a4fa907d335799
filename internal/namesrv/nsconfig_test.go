package namesrv

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/logging"
	"github.com/liftoffmq/liftoff/internal/protocol"
)

func TestReload_SaysWhatCountsNow(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l, err := logging.Open(logging.Options{Out: &out})
	if err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(t)
	s, err := Open(cfg, l.Logger())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	next := cfg
	next.ScanInterval, next.TopicList, next.Log.Level = time.Hour, false, "warn"
	changes := s.Reload(next)
	if got, want := fmt.Sprint(changes), "[{enableTopicList true false false} {logLevel info warn false} {scanNotActiveBrokerInterval 5000 3600000 true}]"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if set := s.cfg.Load(); set.TopicList || set.ScanInterval != cfg.ScanInterval {
		t.Errorf("%+v", set)
	}
	p := dial(t, s)
	text := string(p.call(protocol.ReqGetNamesrvConfig, nil, nil).Body)
	for _, want := range []string{"logLevel=warn", "scanNotActiveBrokerInterval=3600000", "enableTopicList=false"} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("%s is not in\n%s", want, text)
		}
	}
	p.ok(protocol.ReqUpdateNamesrvConfig, nil, []byte("logLevel=debug\n"))
	if logging.LevelName(l.Level()) != "debug" {
		t.Error(l.Level())
	}
}
