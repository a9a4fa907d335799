package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/store"
	"github.com/liftoffmq/liftoff/internal/store/timer"
)

func (p *program) storeCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "store",
		Short: "Check, repair and print a store directory",
		Long:  "Check, repair and print the directory that a broker keeps its messages in, of Liftoff or of RocketMQ. No broker may run on it meanwhile.",
		Args:  noCommand,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(p.storeCheckCommand(), p.storeDumpCommand())
	return c
}

// storeFlags are the flags that the store commands share.
type storeFlags struct {
	file string
	json bool
}

func (f *storeFlags) add(c *cobra.Command) {
	c.Flags().StringVarP(&f.file, "config", "c", "", "properties `FILE` of the broker; without it file sizes are taken from the files")
	c.Flags().BoolVar(&f.json, "json", false, "print lines of JSON")
}

// openStore opens the directory that is named, or that the configuration names.
func (p *program) openStore(f *storeFlags, args []string, change bool) (*store.Offline, config.Broker, error) {
	b := config.DefaultBroker()
	if f.file != "" {
		var err error
		from := config.Sources{File: f.file, FileSizes: store.FileSizes}
		if len(args) > 0 {
			from.Flags = map[string]string{"storePathRootDir": args[0]}
		}
		if b, _, err = config.LoadBroker(from); err != nil {
			return nil, b, misuse{err}
		}
	}
	switch {
	case len(args) > 0:
		b.RootDir = args[0]
	case f.file == "":
		return nil, b, misuse{errors.New("name the store directory, or the broker's properties file with -c")}
	}
	if _, err := os.Stat(b.RootDir); err != nil {
		return nil, b, fmt.Errorf("cannot find store %q: %w", b.RootDir, err)
	}
	cfg := offlineConfig(&b)
	if f.file == "" {
		cfg.CommitLogFileSize, cfg.ConsumeQueueFileSize, cfg.BatchConsumeQueueFileSize, cfg.ConsumeQueueExtFileSize = 0, 0, 0, 0
		cfg.MaxHashSlotNum, cfg.MaxIndexNum = 0, 0
	}
	o, err := store.OpenOffline(cfg, change)
	if locked := new(store.Locked); errors.As(err, &locked) {
		err = fmt.Errorf("%w\nstop the broker first; what a running broker has, admin commands and its metrics tell", err)
	}
	return o, b, err
}

// fits refuses a configuration with which the log of a store looks ruined.
func (f *storeFlags) fits(o *store.Offline, do string) error {
	cfg, found := o.Config(), o.WrongLogSize()
	if found == 0 {
		return nil
	}
	return fmt.Errorf("cannot %s store %s: its log files are %d bytes long, mappedFileSizeCommitLog in %s is %d; correct it, or leave out -c",
		do, cfg.RootDir, found, f.file, cfg.CommitLogFileSize)
}

// timerConfig is what is known of the timers' files; without a configuration they tell it themselves.
func (f *storeFlags) timerConfig(o *store.Offline, b config.Broker) timer.Config {
	cfg := timer.Config{RootDir: o.Config().RootDir}
	if f.file != "" {
		cfg.LogFileSize, cfg.Precision = int64(b.TimerLogFileSize), b.TimerPrecision
	}
	return cfg
}

// offlineConfig is what a configuration says about the files.
func offlineConfig(b *config.Broker) store.Config {
	c := store.DefaultConfig(b.RootDir)
	if b.CommitLogDir != "" {
		c.CommitLogDirs = b.CommitLogDirs()
	}
	c.CommitLogFileSize = int64(b.CommitLogFileSize)
	c.ConsumeQueueFileSize, c.BatchConsumeQueueFileSize = int64(b.ConsumeQueueFileSize), int64(b.BatchQueueFileSize)
	c.ConsumeQueueExt, c.ConsumeQueueExtFileSize = b.QueueExt, int64(b.QueueExtFileSize)
	c.CheckCRCOnRecover, c.ForceVerifyPropCRC = true, b.VerifyPropCRC
	c.MessageIndexEnable, c.MaxHashSlotNum, c.MaxIndexNum = b.Index, b.IndexSlots, b.IndexEntries
	if levels, err := b.DelayDurations(); err == nil {
		c.DelayLevels = levels
	}
	return c
}

func (p *program) storeCheckCommand() *cobra.Command {
	var f storeFlags
	var repair, dry bool
	c := &cobra.Command{
		Use:   "check [DIR]",
		Short: "Check every file of a store, and repair what can be",
		Long: `Check every file of a store against every other: the log record by record, the queues, the index, the timers, the checkpoint and config/.
Nothing is changed without --repair, which makes anew from the log what can be made from it and puts what it replaces into DIR/damaged.
It ends with code 1 when something is wrong.`,
		Example: "  liftoff store check ~/store\n  liftoff store check -c broker.properties --repair --dry-run",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if dry && !repair {
				return misuse{errors.New("--dry-run goes with --repair; without it nothing is changed anyway")}
			}
			ctx, stop := p.untilSignal(c.Context())
			defer stop()
			o, b, err := p.openStore(&f, args, repair && !dry)
			if err != nil {
				return err
			}
			if err := f.fits(o, "check"); err != nil {
				return errors.Join(err, o.Close())
			}
			k := storeCheck{p: p, o: o, json: f.json, timerCfg: f.timerConfig(o, b)}
			return errors.Join(k.run(ctx, repair, dry), o.Close())
		},
	}
	f.add(c)
	c.Flags().BoolVar(&repair, "repair", false, "repair what can be repaired")
	c.Flags().BoolVar(&dry, "dry-run", false, "with --repair: say what would be done, and do nothing")
	return c
}

// storeCheck is one run of `liftoff store check`.
type storeCheck struct {
	p        *program
	o        *store.Offline
	json     bool
	timerCfg timer.Config

	problems int
	config   []string // the files of config/ that are damaged, and have a copy that is not
	wheel    bool     // to be made anew
	timers   timer.Inspected
}

func (k *storeCheck) run(ctx context.Context, repair, dry bool) error {
	sum, err := k.check(ctx)
	if err != nil {
		return err
	}
	k.summary(sum)
	if repair {
		if err := k.repair(ctx, dry); err != nil {
			return err
		}
		if !dry && k.problems > 0 {
			k.problems = 0
			if !k.json {
				fmt.Fprintln(k.p.out, "\nchecked again:")
			}
			if sum, err = k.check(ctx); err != nil {
				return err
			}
			k.summary(sum)
		}
	}
	if k.problems > 0 {
		return fmt.Errorf("the store %s has problems: %d", k.o.Config().RootDir, k.problems)
	}
	return nil
}

// check looks at everything.
func (k *storeCheck) check(ctx context.Context) (*store.Summary, error) {
	bar := newProgress(k.p.err)
	defer bar.clear()
	k.config, k.wheel = nil, false
	sum, err := k.o.Check(ctx, func(f store.Finding) { bar.clear(); k.found(f) }, bar.bytes)
	if err != nil {
		return nil, err
	}
	counted := func(f store.Finding) {
		bar.clear()
		into := sum.Notes
		if f.Problem {
			into = sum.Problems
		}
		if into[f.Kind]++; into[f.Kind] <= 10 {
			k.found(f)
		}
	}
	if err := k.checkTimers(counted); err != nil {
		return nil, err
	}
	k.checkConfig(counted)
	k.problems = 0
	for _, n := range sum.Problems {
		k.problems += int(n)
	}
	return sum, nil
}

// checkTimers looks at the timer wheel and its log.
func (k *storeCheck) checkTimers(found func(store.Finding)) (err error) {
	k.timers, err = timer.Inspect(k.timerCfg, nil, func(w timer.Problem) {
		f := store.Finding{Kind: "timer", Problem: !w.Note, File: k.name(w.Path), At: w.At, What: w.What,
			Means: "delayed messages may not be delivered when they are due", Do: "bring the file back from a copy; messages that wait are in the topic rmq_sys_wheel_timer still"}
		if w.Wheel && !w.Note {
			k.wheel = true
			f.Do = "--repair puts the wheel aside, the next start makes it anew from timerlog"
		}
		if w.Note {
			f.Means, f.Do = "", ""
		}
		found(f)
	})
	return err
}

func (k *storeCheck) name(path string) string {
	if rel, err := filepath.Rel(k.o.Config().RootDir, path); err == nil {
		return filepath.ToSlash(rel)
	}
	return path
}

// found prints one finding.
func (k *storeCheck) found(f store.Finding) {
	if k.json {
		k.line(struct {
			Finding store.Finding `json:"finding"`
		}{f})
		return
	}
	word := "note   "
	if f.Problem {
		word = "PROBLEM"
	}
	at := f.File
	if f.At >= 0 {
		at = fmt.Sprintf("%s:%d", f.File, f.At)
	}
	text := fmt.Sprintf("%s %s %s: %s", word, f.Kind, at, f.What)
	if f.Means != "" {
		text += "; it means: " + f.Means
	}
	if f.Do != "" {
		text += "; do: " + f.Do
	}
	fmt.Fprintln(k.p.out, text)
}

// line prints one line of JSON.
func (k *storeCheck) line(v any) { jsonLine(k.p.out, v) }

func jsonLine(w io.Writer, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		data = fmt.Appendf(nil, `{"error":%q}`, err)
	}
	fmt.Fprintf(w, "%s\n", data)
}

// summary prints what was looked at.
func (k *storeCheck) summary(s *store.Summary) {
	if k.json {
		type timers struct {
			Files   int   `json:"files"`
			Records int64 `json:"records"`
			Waiting int64 `json:"waiting"`
		}
		k.line(struct {
			Summary *store.Summary `json:"summary"`
			Timer   timers         `json:"timer"`
			Sound   bool           `json:"sound"`
		}{s, timers{k.timers.LogFiles, k.timers.Records, k.timers.Waiting}, s.Sound()})
		return
	}
	cfg := k.o.Config()
	fmt.Fprintln(k.p.out)
	w := tabwriter.NewWriter(k.p.out, 0, 8, 2, ' ', 0)
	row := func(what, format string, args ...any) { fmt.Fprintf(w, "%s\t%s\n", what, fmt.Sprintf(format, args...)) }
	state := "closed by its last broker"
	if !s.Clean {
		state = "not closed: its last broker was killed"
	}
	row("store", "%s, %s", s.Root, state)
	row("log", "%d files of %s, %d records, %s, from %d to %d", s.LogFiles, showBytes(cfg.CommitLogFileSize), s.Records, showBytes(s.Bytes), s.LogStart, s.LogEnd)
	if s.Records > 0 {
		row("stored", "%s to %s, in %d topics", showMS(s.OldestTime), showMS(s.NewestTime), s.Topics)
	}
	row("queues", "%d with %d units, %d of batches with %d units, in %d files; %d extensions", s.Queues, s.Units, s.BatchQueues, s.BatchUnits, s.QueueFiles, s.Extensions)
	row("index", "%d files, %d entries (%d slots, %d entries a file)", s.IndexFiles, s.IndexEntries, cfg.MaxHashSlotNum, cfg.MaxIndexNum)
	row("timers", "%d files, %d records, %d messages wait", k.timers.LogFiles, k.timers.Records, k.timers.Waiting)
	if s.Sound() {
		row("problems", "none")
	}
	for _, kind := range slices.Sorted(maps.Keys(s.Problems)) {
		row("problems", "%d %s", s.Problems[kind], kind)
	}
	for _, kind := range slices.Sorted(maps.Keys(s.Notes)) {
		row("notes", "%d %s", s.Notes[kind], kind)
	}
	w.Flush()
}

// repair repairs what the check has found.
func (k *storeCheck) repair(ctx context.Context, dry bool) error {
	bar := newProgress(k.p.err)
	defer bar.clear()
	steps := 0
	tell := func(step string) {
		steps++
		bar.clear()
		if k.json {
			k.line(struct {
				Repair string `json:"repair"`
			}{step})
		} else {
			fmt.Fprintln(k.p.out, step)
		}
	}
	if !k.json {
		fmt.Fprintln(k.p.out)
	}
	for {
		again, err := k.o.Repair(ctx, dry, tell, bar.bytes)
		if err != nil {
			return err
		}
		if !again {
			break
		}
		if _, err := k.o.Check(ctx, func(store.Finding) {}, bar.bytes); err != nil {
			return err
		}
	}
	if err := k.repairTimers(dry, tell); err != nil {
		return err
	}
	if err := k.repairConfig(dry, tell); err != nil {
		return err
	}
	if steps == 0 && !k.json {
		fmt.Fprintln(k.p.out, "there is nothing to repair from the log")
	}
	return nil
}

func (k *storeCheck) repairTimers(dry bool, tell func(string)) error {
	switch {
	case !k.wheel:
		return nil
	case dry:
		tell("would put timerwheel aside, the next start makes it anew from timerlog")
		return nil
	}
	to := filepath.Join(k.o.Config().RootDir, "damaged", "timerwheel."+time.Now().Format("20060102150405"))
	if err := timer.RemoveWheel(k.timerCfg, to); err != nil {
		return err
	}
	tell("put timerwheel aside, the next start makes it anew from timerlog")
	return nil
}

// showBytes writes a number of bytes for people.
func showBytes(n int64) string {
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB"}
	v, i := float64(n), 0
	for v >= 1024 && i < len(units)-1 {
		v /= 1024
		i++
	}
	if i == 0 || v == float64(int64(v)) {
		return fmt.Sprintf("%.0f %s", v, units[i])
	}
	return fmt.Sprintf("%.1f %s", v, units[i])
}

// showMS writes a time for people.
func showMS(ms int64) string { return time.UnixMilli(ms).Format("2006-01-02 15:04:05.000") }
