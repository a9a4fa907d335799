package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/liftoffmq/liftoff/internal/broker"
	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/store"
	"github.com/liftoffmq/liftoff/internal/store/timer"
)

// A dry run says what starting a broker with a configuration would do to the store directory that it names, and does nothing. What would
// stop the start is an error, so that a script can ask.
type dryRun struct {
	p     *program
	cfg   config.Broker
	stops []string // what the start would be refused for
}

func (p *program) dryRun(ctx context.Context, cfg config.Broker, notes []config.Note, err error) error {
	d := dryRun{p: p, cfg: cfg}
	d.title("configuration")
	if cfg.File == "" {
		d.line("no file was given (-c): every setting has its default")
	} else {
		d.line("%s", cfg.File)
	}
	d.notes(notes)
	if err != nil {
		return err
	}
	d.line("broker %s of cluster %s, told to clients as %s:%d", cfg.Name, cfg.Cluster, cfg.BrokerIP1, cfg.ListenPort)
	if doubt := config.AddressDoubt(cfg.BrokerIP1); doubt != "" {
		d.line("%s", doubt)
	}
	for _, err := range broker.CheckAddresses(ctx, cfg) {
		d.stop("%v", explainListen(err, "listenPort, or --port"))
	}
	if err := d.store(ctx); err != nil {
		return err
	}
	d.wayBack()
	if len(d.stops) == 0 {
		fmt.Fprintln(p.out, "\nThis broker would start. Nothing was changed.")
		return nil
	}
	return fmt.Errorf("this broker would not start: see above what is marked with !, %d in all; nothing was changed", len(d.stops))
}

func (d *dryRun) title(text string) { fmt.Fprintf(d.p.out, "\n%s\n", text) }

func (d *dryRun) line(format string, args ...any) {
	fmt.Fprintf(d.p.out, "  "+format+"\n", args...)
}

// stop tells what the start would be refused for.
func (d *dryRun) stop(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	d.stops = append(d.stops, text)
	fmt.Fprintf(d.p.out, "! %s\n", text)
}

// notes tells what loading the configuration has to say: keys without effect, unknown ones, values that count as others.
func (d *dryRun) notes(notes []config.Note) {
	quiet := 0
	for _, n := range notes {
		if n.Level < slog.LevelInfo {
			quiet++
			continue
		}
		d.line("%s", n)
	}
	if quiet > 0 {
		d.line("%d keys more have no effect here and need none", quiet)
	}
}

// store tells about the directory.
func (d *dryRun) store(ctx context.Context) error {
	d.title("store")
	root := d.cfg.RootDir
	entries, err := os.ReadDir(root)
	if errors.Is(err, os.ErrNotExist) || err == nil && len(entries) == 0 {
		d.line("%s is not there yet, or empty: a new store would be made", root)
		d.access()
		return nil
	}
	if err != nil {
		d.stop("cannot list %s: %v", root, err)
		return nil
	}
	d.whatIsNotRead(root)
	d.access()
	o, err := store.OpenOffline(offlineConfig(&d.cfg), false)
	if err != nil {
		d.stop("%v", explainLock(err))
		return nil
	}
	defer o.Close()
	out, err := o.Outlook(ctx)
	switch {
	case ctx.Err() != nil:
		return err
	case err != nil:
		d.stop("%v", err)
	default:
		d.files(o, out)
	}
	d.timers()
	d.state()
	return nil
}

// files tells which files there are and which do not fit.
func (d *dryRun) files(o *store.Offline, out store.Outlook) {
	writer, how := "last written by Apache RocketMQ", "closed"
	switch {
	case out.OwnLast:
		writer = "last written by Liftoff"
	case !out.Checkpoint && out.FilesEnd == 0 && len(out.WrongFiles) == 0:
		writer = "never written to"
	case !out.Checkpoint:
		writer = "without a checkpoint, which would tell who wrote to it last"
	}
	if !out.Clean {
		how = "not closed (killed, or running elsewhere)"
	}
	d.line("%s, %s, %s", o.Config().RootDir, writer, how)
	for _, wrong := range out.WrongFiles {
		d.stop("%s", wrong)
	}
	for _, size := range out.Sizes {
		d.line("the files would fit with %s=%d, it is %d", size.Name, size.Found, size.Given)
	}
	if len(out.WrongFiles) == 0 {
		d.line("%d files of the log from %d to %d, %d queues, %d index files", out.LogFiles, out.OldestStart, out.FilesEnd, out.QueueCount, out.IndexFiles)
		d.recovery(o, out)
	}
}

// recovery tells what is read at the start and how long that takes.
func (d *dryRun) recovery(o *store.Offline, out store.Outlook) {
	bytes := max(0, out.LikelyEnd-out.From)
	if out.FilesEnd == 0 {
		d.line("there is no log: nothing is to be recovered")
		return
	}
	if bytes <= 4<<20 {
		d.line("recovery reads the last %s of the log, which takes no time worth speaking of", showBytes(bytes))
	} else if rate := readRate(o.Config().CommitLogDirs); rate > 0 {
		took := time.Duration(float64(bytes) / rate * float64(time.Second)).Round(time.Second)
		d.line("recovery reads up to %s of the log, from %d on: about %s at the %s a second that this disk gave just now", showBytes(bytes), out.From, max(took, time.Second), showBytes(int64(rate)))
	} else {
		d.line("recovery reads up to %s of the log, from %d on", showBytes(bytes), out.From)
	}
	if out.QueuesBehind {
		d.line("the consume queues lack what they had, and are made anew from the whole log")
	}
	if out.IndexAgain {
		d.line("the newest index files are made anew for that part, as Apache's broker does after a kill")
	}
	d.line("whether the files are sound all through, `liftoff store check %s` tells", d.cfg.RootDir)
}

// readRate is how many bytes a second the disk gives, measured on some of the log.
func readRate(dirs []string) float64 {
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) == 0 {
			continue
		}
		f, err := os.Open(filepath.Join(dir, entries[len(entries)-1].Name()))
		if err != nil {
			continue
		}
		defer f.Close()
		buf, began, n := make([]byte, 1<<20), time.Now(), 0
		for n < 64<<20 && time.Since(began) < time.Second {
			k, err := f.ReadAt(buf, int64(n))
			if n += k; err != nil {
				break
			}
		}
		// Each message is decoded, checked and dispatched beside, at some 500 MB a second.
		seconds := time.Since(began).Seconds() + float64(n)/500e6
		if n > 0 {
			return float64(n) / seconds
		}
	}
	return 0
}

// timers tells about timer wheel and log.
func (d *dryRun) timers() {
	cfg := timer.Config{RootDir: d.cfg.RootDir, LogFileSize: int64(d.cfg.TimerLogFileSize), Precision: d.cfg.TimerPrecision}
	sum, err := timer.Inspect(cfg, nil, func(p timer.Problem) {
		switch {
		case p.Note:
			d.line("timerwheel: %s", p.What)
		case d.cfg.TimerWheel && p.At < 0:
			d.stop("%s: %s", p.Path, p.What)
		}
	})
	if err != nil {
		d.line("timers: %v", err)
	} else if sum.Records > 0 {
		d.line("%d timers wait", sum.Waiting)
	}
}

// state tells about the files of config/.
func (d *dryRun) state() {
	for _, f := range broker.CheckState(d.cfg) {
		switch {
		case f.Err != nil:
			d.stop("%v", f.Err)
		case f.Why != nil && f.Taken != "":
			d.line("config/%s cannot be used (%v); its copy, which is older, is taken", f.Name, f.Why)
		case f.Why != nil:
			d.line("config/%s: %v; it counts as if nothing had ever been there", f.Name, f.Why)
		}
	}
}

// access tells what the broker could not write to.
func (d *dryRun) access() {
	refused, more := store.CheckAccess(d.cfg.RootDir, offlineConfig(&d.cfg).CommitLogDirs...)
	for _, err := range refused {
		d.stop("%v", err)
	}
	if more > 0 {
		d.line("and to %d files and folders more", more)
	}
	if len(refused) > 0 {
		d.line("run the broker as the user whom the store belongs to, or give it to this one (%d)", os.Geteuid())
	}
}

// whatIsNotRead tells of data of features that are not there.
func (d *dryRun) whatIsNotRead(root string) {
	for _, part := range []struct{ dir, what string }{
		{"consumequeue_rocksdb", "queues in RocksDB (storeType=defaultRocksDB) are not read; recovery makes them anew from the log, as files"},
		{filepath.Join("compaction", "compactionLog"), "compacted topics are not read from compaction/"},
		{"dledgerlog", "a log of DLedger mode (enableDLegerCommitLog) is not read"},
	} {
		entries, err := os.ReadDir(filepath.Join(root, part.dir))
		if err == nil && len(entries) > 0 {
			d.line("%s: %s", part.dir, part.what)
		}
	}
}

// wayBack tells what it takes to have Apache's broker on the directory again.
func (d *dryRun) wayBack() {
	d.title("what changes on disk, and the way back")
	d.line("Nothing is converted: Liftoff writes the files of RocketMQ in their formats. New are config/*.changes and")
	d.line("config/delayOffset.progress, which are gone after a clean stop, and a mark in checkpoint that RocketMQ passes over.")
	d.line("The way back: stop Liftoff (Ctrl-C, SIGTERM), start RocketMQ's broker on the same directory with the same file.")
	d.line("To be safe, copy config/ before, or keep the output of `liftoff backup`, which works with RocketMQ's broker too.")
}
