package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFrameMax_LetsLargeMessagesThrough: with the default limit the connection of the send would be closed.
func TestFrameMax_LetsLargeMessagesThrough(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "broker.properties")
	if err := os.WriteFile(file, []byte("maxMessageSize=20000000\ncom.rocketmq.remoting.frameMaxLength=24000000\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := startServer(t, "-c", file)
	large := strings.Repeat("0123456789abcdef", 17<<20/16)
	if _, errs, code := s.call(t, "send", "--topic", "large", large); code != exitOK {
		t.Fatal(errs)
	}
	out, errs, code := s.call(t, "consume", "--topic", "large")
	if got := bodies(out); code != exitOK || len(got) != 1 || got[0] != large {
		t.Errorf("%d, %d messages of it, %d bytes: %s", code, len(got), len(out), errs)
	}
	if strings.Contains(s.err.String(), "does not fit") {
		t.Error(s.err)
	}
}
