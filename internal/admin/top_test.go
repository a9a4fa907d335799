package admin

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestTop_ShowsWhatHappens(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "broker-a", "broker-b")
	c.topic(t, "Busy", 2)
	c.topic(t, "Quiet", 2)
	for i := range 10 {
		c.send(t, c.brokers[i%2], "Busy", int32(i/2%2), "x", nil)
	}
	c.send(t, c.brokers[0], "Quiet", 0, "x", nil)
	c.group(t, c.brokers[0], "G", "Busy")
	if err := c.pool.CommitOffset(t.Context(), c.brokers[0], "G", "Busy", 0, 1); err != nil {
		t.Fatal(err)
	}
	r := tool(t, c, "top", "--once", "--json", "--interval", "100ms")
	if r.err != nil {
		t.Fatal(r.err)
	}
	var s topSample
	if err := json.Unmarshal([]byte(r.out), &s); err != nil {
		t.Fatal(err, r.out)
	}
	if len(s.Brokers) != 2 || s.Brokers[0].Name != "broker-a" || s.Brokers[0].Version == "" || s.Brokers[0].Up < 0 || len(s.Errors) > 0 {
		t.Errorf("brokers are %+v, errors %q", s.Brokers, s.Errors)
	}
	topics := map[string]topTopic{}
	for _, topic := range s.Topics {
		topics[topic.Name] = topic
	}
	if topics["Quiet"].Messages != 1 || topics["Quiet"].Rate != 0 || topics["Busy"].Messages < 5 || topics["Busy"].Groups != 1 || topics["broker-a"].Name != "" {
		t.Errorf("topics are %+v", s.Topics)
	}
	if len(s.Groups) != 1 || s.Groups[0].Name != "G" || s.Groups[0].Lag != 4 || s.Groups[0].Slowest != "Busy" {
		t.Errorf("groups are %+v", s.Groups)
	}
	r = tool(t, c, "top", "--interval", "100ms")
	for _, want := range []string{"BROKER", "broker-b", "TOPIC", "Quiet", "GROUP", "LAG"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("%q is not shown:\n%s", want, r.out)
		}
	}
	if strings.Contains(r.out, "\x1b") {
		t.Error("escapes are printed where there is no terminal")
	}
}

func TestTop_ObeysKeys(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	keys := make(chan byte, 8)
	c := startCluster(t)
	a := &Admin{Out: &out, Err: &out, namesrvAddr: c.addr}
	a.pool, a.names = c.pool, c.names
	v := topView{s: a.topSampler(target{}), o: topOptions{interval: time.Hour, sort: "rate"}, out: &out, keys: keys, size: func() (int, int) { return 60, 12 }}
	for _, key := range []byte("nl-x") {
		keys <- key
	}
	keys <- 'q'
	if err := v.loop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if v.o.sort != "lag" || v.o.interval != 30*time.Minute {
		t.Errorf("sorted by %s every %s", v.o.sort, v.o.interval)
	}
	v.last = &topSample{Groups: []topGroup{{Name: "slow\x1b[2J", Lag: 5_000_000, Behind: -1}}}
	out.Reset()
	v.paint()
	if got := out.String(); !strings.Contains(got, "slow?[2J") || !strings.Contains(got, "5000.0k") || strings.Count(got, "\r\n") >= 12 {
		t.Errorf("painted %q", got)
	}
}
