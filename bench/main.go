//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"syscall"
	"time"
)

// options are the flags, after the presets --quick and --guard have set what was not given.
type options struct {
	quick, guard, json bool
	only               string
	run                *regexp.Regexp
	warmup             time.Duration
	time               time.Duration
	rounds             int
	dir                string
	heap               string
	liftoff            string
	writeEach          bool
	keys               string
}

func main() {
	// Servers get a signal when the thread that started them ends; this one ends with the program.
	runtime.LockOSThread()
	// The generator's threads wait in the kernel without telling Go; others need places to run as well.
	runtime.GOMAXPROCS(max(runtime.NumCPU(), 4))
	o, err := readOptions()
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		err = run(ctx, o)
		stop()
	}
	if errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func readOptions() (options, error) {
	var o options
	var pattern string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.BoolVar(&o.quick, "quick", false, "some five minutes: fewer scenarios, shorter rounds")
	f.BoolVar(&o.guard, "guard", false, "the shortest comparison; ends with 1 when a bar is missed by more than a factor of four")
	f.BoolVar(&o.json, "json", false, "print JSON, with every round, instead of the table")
	f.StringVar(&o.only, "only", "", "measure one server: apache or liftoff")
	f.StringVar(&pattern, "run", "", "measure only the scenarios whose name matches this regular expression")
	f.DurationVar(&o.warmup, "warmup", 0, "load on Apache before each kind of load is measured (30s; quick 12s, guard 8s)")
	f.DurationVar(&o.time, "time", 0, "length of a round (4s; quick 2s, guard 1s)")
	f.IntVar(&o.rounds, "rounds", 0, "rounds of each scenario and server, medians are shown (3; quick 2)")
	f.StringVar(&o.dir, "dir", "", "where the stores lie; matters for SYNC_FLUSH (the system's temporary directory)")
	f.StringVar(&o.heap, "heap", "1g", "heap of each of Apache's processes")
	f.StringVar(&o.liftoff, "liftoff", "", "measure this liftoff program instead of building it")
	f.BoolVar(&o.writeEach, "write-each", false, "send each request with a write of its own, even when several are due at once")
	f.StringVar(&o.keys, "keys", "", "give each message this KEYS property too")
	if err := f.Parse(os.Args[1:]); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("cannot understand %q: it takes only flags", f.Arg(0))
	}
	if o.only != "" && o.only != "apache" && o.only != "liftoff" {
		return o, fmt.Errorf("cannot measure only %q: apache or liftoff", o.only)
	}
	var err error
	if o.run, err = regexp.Compile(pattern); err != nil {
		return o, fmt.Errorf("cannot read --run: %w", err)
	}
	preset := options{warmup: 30 * time.Second, time: 4 * time.Second, rounds: 3}
	switch {
	case o.guard:
		preset = options{warmup: 8 * time.Second, time: time.Second, rounds: 3}
	case o.quick:
		preset = options{warmup: 12 * time.Second, time: 2 * time.Second, rounds: 2}
	}
	if o.warmup == 0 {
		o.warmup = preset.warmup
	}
	if o.time == 0 {
		o.time = preset.time
	}
	if o.rounds == 0 {
		o.rounds = preset.rounds
	}
	return o, nil
}

func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%6.1fs  "+format+"\n", append([]any{clock().Seconds()}, args...)...)
}

// run measures everything and prints the report.
func run(ctx context.Context, o options) (err error) {
	dir, err := os.MkdirTemp(o.dir, "liftoff-bench-")
	if err != nil {
		return fmt.Errorf("cannot make a directory for the stores: %w", err)
	}
	defer os.RemoveAll(dir)
	b := &bench{options: o, dir: dir}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	begun := time.Now()
	defer b.stopAll()
	steps := []func(context.Context) error{
		b.measureStart, b.measureIdle, b.measureSends, b.measureBatches, b.measureTransactions, b.measureBacklog, b.measureFilter, b.measurePops,
		b.measureQuiet, b.measureLoaded, b.measureConnections, b.measureTopics, b.measureTimers, b.measureSync,
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	b.report.Seconds = time.Since(begun).Seconds()
	verdicts := b.report.judge()
	if o.json {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		err = out.Encode(struct {
			*report
			Bars []verdict `json:"bars"`
		}{&b.report, verdicts})
	} else {
		_, err = os.Stdout.WriteString(b.report.text(verdicts))
	}
	if o.guard {
		err = errors.Join(err, guard(verdicts))
	}
	return err
}

// guard fails for bars that are missed by more than guardFactor. It is there to notice that something became several times
// slower, on machines where a run disturbed by others is off by a factor of two; the full run judges the bars themselves.
func guard(verdicts []verdict) error {
	var missed error
	for _, v := range verdicts {
		if v.Margin < 1/guardFactor {
			missed = errors.Join(missed, fmt.Errorf("%s: %s, the bar is %s", v.What, v.Found, v.Bar))
		}
	}
	return missed
}

const guardFactor = 4.0

// A bench is one run: what is measured, on what, and what came out so far.
type bench struct {
	options
	dir    string
	sides  []*side
	report report
}

// A side is one of the two servers with what it takes to start it.
type side struct {
	name    string
	program string // the jars' directory, or the binary
	running *server
	starts  int
	started int // directories made
	rounds  int // rounds run, for names of groups
}

func (b *bench) prepare(ctx context.Context) error {
	b.report.describeMachine(b.dir, b.options)
	if b.only != "liftoff" {
		jars, err := fetchApache(ctx, say)
		if err != nil {
			return err
		}
		b.sides = append(b.sides, &side{name: "Apache", program: jars, starts: 1})
		b.report.Java = javaVersion(ctx)
	}
	if b.only != "apache" {
		program := b.liftoff
		b.report.Liftoff = program
		if program == "" {
			b.report.Liftoff = liftoffVersion(ctx)
			say("building Liftoff")
			var err error
			if program, err = buildLiftoff(ctx, b.dir); err != nil {
				return err
			}
		} else if path, err := filepath.Abs(program); err == nil {
			program = path
		}
		b.sides = append(b.sides, &side{name: "Liftoff", program: program, starts: 5})
	}
	return nil
}

// start starts a side's server with a new, empty store.
func (b *bench) start(s *side, extra ...string) (time.Duration, error) {
	s.started++
	dir := filepath.Join(b.dir, fmt.Sprintf("%s-%d", s.name, s.started))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return 0, fmt.Errorf("cannot make a directory for a store: %w", err)
	}
	var took time.Duration
	var err error
	if s.name == "Apache" {
		s.running, took, err = startApache(s.program, b.heap, dir, extra...)
	} else {
		s.running, took, err = startLiftoff(s.program, dir, extra...)
	}
	return took, err
}

func (b *bench) stopAll() {
	for _, s := range b.sides {
		if s.running != nil {
			s.running.stop()
			s.running = nil
		}
	}
}

// wants says whether a scenario is to be measured.
func (b *bench) wants(name string) bool { return b.run.MatchString(name) }
