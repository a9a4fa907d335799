package broker

import (
	"log/slog"
	"testing"
)

// Who runs a broker and closes it too, as a deferred Close does, closes it twice.
func TestCloseTwice(t *testing.T) {
	b, err := Open(t.Context(), testConfig(t), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
