package config

import (
	"log/slog"
	"strings"
	"testing"
)

func TestFrameMax_IsWarnedAboutWhenTheLargestMessageDoesNotFit(t *testing.T) {
	t.Parallel()
	check := func(what string, notes []Note, err error, want ...string) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		var said []string
		for _, n := range notes {
			if n.Level == slog.LevelWarn {
				said = append(said, n.String())
			}
		}
		if len(want) == 0 && len(said) > 0 || len(want) > 0 && len(said) != 1 {
			t.Errorf("%s: %q", what, said)
			return
		}
		for _, w := range want {
			if !strings.Contains(said[0], w) {
				t.Errorf("%s: %q does not say %q", what, said[0], w)
			}
		}
	}
	load := func(text string) ([]Note, error) {
		_, notes, err := LoadBroker(Sources{File: brokerFile(t, text)})
		return notes, err
	}
	notes, err := load("maxMessageSize=16711680")
	check("it just fits", notes, err)
	notes, err = load("brokerName=a\nmaxMessageSize=16711681")
	check("it just does not", notes, err, "broker.properties:2: maxMessageSize: 16711681 ", "com.rocketmq.remoting.frameMaxLength=16777216", "to 16777217 or more")
	notes, err = load("maxMessageSize=33554432\ncom.rocketmq.remoting.frameMaxLength=40000000")
	check("a larger frame", notes, err)

	b := DefaultBroker()
	_, notes, err = b.With(map[string]string{"maxMessageSize": "33554432"})
	check("changed", notes, err, "maxMessageSize: 33554432 ", "=16777216")
	large, notes, err := b.With(map[string]string{"maxMessageSize": "33554432", "com.rocketmq.remoting.frameMaxLength": "40000000"})
	check("changed with the frame", notes, err)
	_, notes, err = large.With(map[string]string{"com.rocketmq.remoting.frameMaxLength": "20000000"})
	check("the frame changed", notes, err, "=20000000")
	b.MaxMessageSize = 1 << 30
	_, notes, err = b.With(map[string]string{"fileReservedTime": "1"})
	check("something else changed", notes, err)
}
