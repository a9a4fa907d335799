package broker

import (
	"bytes"
	"errors"
	"log/slog"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/statefile"
)

// withOffsets opens the offsets of a folder with or without enableLmq, does something and closes them.
func withOffsets(t *testing.T, dir string, light bool, log *slog.Logger, do func(o *offsets)) {
	t.Helper()
	cfg := testConfig(t)
	cfg.LightQueues = light
	b := &Broker{log: log}
	b.settings.Store(newSettings(cfg, netip.AddrPort{}))
	own, other := offsetFiles(dir, light)
	// Light queues are not there without enableLmq.
	o := newOffsets(own, b)
	o.other, o.endOf = other, func(topic string, _ int32) int64 {
		if strings.HasPrefix(topic, "%LMQ%") && !light {
			return 0
		}
		return math.MaxInt64
	}
	if err := o.open(); err != nil {
		t.Fatal(err)
	}
	do(o)
	if err := o.close(); err != nil {
		t.Fatal(err)
	}
}

func TestOffsets_StayWhenEnableLmqIsSwitched(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var lines bytes.Buffer
	step := func(light bool, want, commit int64) {
		t.Helper()
		withOffsets(t, dir, light, slog.New(slog.NewTextHandler(&lines, nil)), func(o *offsets) {
			if got := o.query("G", "T", 0); got != want {
				t.Errorf("enableLmq=%v: the group is at %d, want %d", light, got, want)
			}
			wantLight := int64(-1)
			if light && want > 10 {
				wantLight = 7
			}
			for _, key := range [][2]string{{"%LMQ%g", "%LMQ%t"}, {"Lites", "%LMQ%$Parent$a"}} {
				if got := o.query(key[0], key[1], 0); got != wantLight {
					t.Errorf("enableLmq=%v: %v is at %d, want %d", light, key, got, wantLight)
				}
				if light {
					o.commit(bytesOf(key[0]), bytesOf(key[1]), 0, 7, anAddr{})
				}
			}
			if commit > 0 {
				o.commit(bytesOf("G"), bytesOf("T"), 0, commit, anAddr{})
			}
		})
		// The files' times say nothing, as after a copy.
		for _, name := range []string{offsetsFile, lightOffsetsFile} {
			when := time.Now()
			if strings.HasPrefix(name, "lmq") == light {
				when = when.Add(-time.Hour)
			}
			if err := os.Chtimes(filepath.Join(dir, name), when, when); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		}
	}
	step(false, -1, 10)
	step(true, 10, 20)
	step(true, 20, 0)
	step(false, 20, 30)
	step(false, 30, 0)
	step(true, 30, 31)
	step(false, 31, 0) // nothing is committed meanwhile
	step(true, 31, 0)
	step(false, 31, 40)
	step(true, 40, 0)
	if !strings.Contains(lines.String(), "consumer offsets are read from the file that was written last") {
		t.Error("nothing of it is in the log")
	}
}

// TestOffsets_OfEqualVersionsAreToldByTheFilesTimes is what a broker leaves that does not make the version later at a start.
func TestOffsets_OfEqualVersionsAreToldByTheFilesTimes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := time.Now()
	write := func(name, offset string, at time.Time) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := statefile.Write(path, []byte(`{"dataVersion":{"counter":1,"stateVersion":0,"timestamp":5},"offsetTable":{"T@G":{0:`+offset+`}}}`)); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		plain, lmq time.Time
		off, on    int64
	}{
		"lmq is newer":   {now.Add(-time.Hour), now, 20, 20},
		"plain is newer": {now, now.Add(-time.Hour), 10, 10},
		"equal":          {now, now, 10, 20},
	} {
		write(offsetsFile, "10", c.plain)
		write(lightOffsetsFile, "20", c.lmq)
		for light, want := range map[bool]int64{false: c.off, true: c.on} {
			withOffsets(t, dir, light, slog.New(slog.DiscardHandler), func(o *offsets) {
				if got := o.query("G", "T", 0); got != want {
					t.Errorf("%s, enableLmq=%v: %d, want %d", name, light, got, want)
				}
			})
		}
	}
}

// TestOffsets_ADamagedFileOfTheOtherSettingMattersWhenItIsNewer and is not looked at when it is older.
func TestOffsets_ADamagedFileOfTheOtherSettingMattersWhenItIsNewer(t *testing.T) {
	t.Parallel()
	for older, refused := range map[bool]bool{true: false, false: true} {
		cfg := testConfig(t)
		dir := filepath.Join(cfg.RootDir, "config")
		withOffsets(t, dir, false, slog.New(slog.DiscardHandler), func(o *offsets) { o.commit(bytesOf("G"), bytesOf("T"), 0, 10, anAddr{}) })
		path, when := filepath.Join(dir, lightOffsetsFile), time.Now().Add(time.Hour)
		if older {
			when = when.Add(-2 * time.Hour)
		}
		if err := errors.Join(os.WriteFile(path, []byte("{"), 0o644), os.Chtimes(path, when, when)); err != nil {
			t.Fatal(err)
		}
		var told error
		for _, f := range CheckState(cfg) {
			told = errors.Join(told, f.Err)
		}
		b, err := Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
		if err == nil {
			defer b.Close()
		}
		if (err != nil) != refused || (told != nil) != refused {
			t.Errorf("older %v: open %v, check %v", older, err, told)
		}
	}
}
