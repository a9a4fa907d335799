package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/broker"
	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/namesrv"
	"github.com/liftoffmq/liftoff/internal/store"
)

// serverFlags are the flags of `liftoff server`.
type serverFlags struct {
	data        string
	file        string
	bind        string
	namesrvPort int
	brokerPort  int
	log         logFlags
	metricsPort int
}

func (p *program) serverCommand() *cobra.Command {
	var f serverFlags
	c := &cobra.Command{
		Use:   "server",
		Short: "Run NameServer and broker in one process",
		Long:  "Run NameServer and broker in one process: everything that clients need, with its data in one folder.",
		Args:  noCommand,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := p.untilSignal(c.Context())
			defer stop()
			return p.serve(ctx, c, f)
		},
	}
	c.Flags().StringVar(&f.data, "data", "liftoff-data", "`FOLDER` that keeps everything")
	c.Flags().StringVarP(&f.file, "config", "c", "", "properties `FILE` of the broker")
	c.Flags().StringVar(&f.bind, "bind", "", "listen on this `ADDRESS` only, such as 127.0.0.1 (default all)")
	c.Flags().IntVar(&f.namesrvPort, "namesrv-port", 9876, "`PORT` of the NameServer; 0 for any")
	c.Flags().IntVar(&f.brokerPort, "broker-port", 10911, "`PORT` of the broker; 0 for any")
	f.log.add(c)
	metricsPortFlag(c, &f.metricsPort)
	return c
}

// load makes the configurations of both daemons; c says which flags were given.
func (f *serverFlags) load(c *cobra.Command) (config.Namesrv, config.Broker, []config.Note, error) {
	given := c.Flags().Changed
	data, err := filepath.Abs(f.data)
	if err != nil {
		return config.Namesrv{}, config.Broker{}, nil, fmt.Errorf("cannot find folder %q: %w", f.data, err)
	}
	if err := checkFolder(data); err != nil {
		return config.Namesrv{}, config.Broker{}, nil, fmt.Errorf("cannot keep data in --data %q: %w", f.data, err)
	}
	own := map[string]string{
		"listenPort":      strconv.Itoa(f.namesrvPort),
		"kvConfigPath":    filepath.Join(data, "namesrv", "kvConfig.json"),
		"configStorePath": filepath.Join(data, "namesrv", "namesrv.properties"),
	}
	// Changes from outside are kept in the folder, and count at the next start.
	file, kept := f.file, filepath.Join(data, "broker.properties")
	if file == "" && exists(kept) {
		file = kept
	}
	// What the file says about the broker counts, unless a flag says otherwise.
	set, standard := make(map[string]string), map[string]string{"storePathRootDir": filepath.Join(data, "store"), "brokerName": "broker-a"}
	if given("broker-port") {
		set["listenPort"] = strconv.Itoa(f.brokerPort)
	}
	if given("metrics-port") {
		set["metricsPromExporterPort"] = strconv.Itoa(f.metricsPort)
	}
	if given("bind") {
		own["bindAddress"], set["bindAddress"] = f.bind, f.bind
	}
	if given("data") {
		set["storePathRootDir"] = standard["storePathRootDir"]
	}
	f.log.overrides(c, set)
	b, notes, err := config.LoadBroker(config.Sources{Defaults: standard, File: file, Flags: set, OwnNamesrv: own["listenPort"], FileSizes: store.FileSizes})
	if err != nil {
		return config.Namesrv{}, b, notes, err
	}
	if b.File == "" {
		b.File = kept
	}
	if _, set := own["bindAddress"]; !set {
		own["bindAddress"] = b.BindAddress
	}
	file = own["configStorePath"]
	if !exists(file) {
		file = ""
	}
	n, more, err := config.LoadNamesrv(config.Sources{File: file, Flags: own})
	n.Log, n.SharedLog = b.Log, true
	n.FrameMax = max(n.FrameMax, b.FrameMax) // as one process has one in RocketMQ
	return n, b, append(notes, more...), err
}

// checkFolder says why a folder can neither be there nor be made.
func checkFolder(path string) error {
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil && !st.IsDir():
		return errors.New("it is a file and not a folder")
	}
	return err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// serve runs both daemons until ctx ends: the NameServer begins first and ends last, so that the broker can take its leave.
func (p *program) serve(ctx context.Context, c *cobra.Command, f serverFlags) error {
	namesrvConfig, brokerConfig, notes, err := f.load(c)
	l, log, err := p.openLog(ctx, brokerConfig.Log, notes, misused(err))
	if err != nil {
		return err
	}
	defer l.Close()
	signals := listenHangups()
	doubtAddress(log, brokerConfig)
	told := p.watch(log, brokerConfig.Metrics, brokerConfig.Export, roleNamesrv, roleBroker)
	defer told.Close()
	names, err := namesrv.Open(namesrvConfig, log)
	if err != nil {
		return explainOpen(err, "--namesrv-port")
	}
	told.Set(roleNamesrv, names)
	end, cancel := context.WithCancel(context.WithoutCancel(ctx))
	namesEnded := make(chan error, 1)
	ctx, stopBroker := context.WithCancel(ctx)
	defer stopBroker()
	go func() {
		err := names.Run(end)
		stopBroker() // a broker without the NameServer of its process is of no use
		namesEnded <- err
	}()
	p.namesrvStarted(names.Addr())
	brokerConfig.NamesrvAddr = reach(names.Addr())

	b, err := broker.Open(ctx, brokerConfig, log)
	if err != nil {
		err = explainOpen(err, "--broker-port")
	} else {
		told.Set(roleBroker, b)
		reload := func() {
			n, br, notes, err := f.load(c)
			tell(ctx, log, notes)
			if err != nil {
				reloadRefused(log, err)
				return
			}
			names.Reload(n)
			br.NamesrvAddr = brokerConfig.NamesrvAddr
			b.Reload(br)
		}
		err = signals.whileServing(ctx, log, reload, func(ctx context.Context) error {
			return runTogether(ctx, b, func(ctx context.Context) {
				b.WaitRegistered(ctx)
				if ctx.Err() == nil {
					p.brokerStarted(brokerConfig, b.Addr())
					p.welcome(names.Addr(), b.Addr(), told.Addr(), brokerConfig)
				}
			})
		})
	}
	cancel()
	return errors.Join(err, <-namesEnded)
}

// reach is an address under which this host reaches what it listens on.
func reach(addr net.Addr) string {
	tcp := addr.(*net.TCPAddr)
	host := tcp.IP.String()
	if tcp.IP.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, strconv.Itoa(tcp.Port))
}

// welcome says what listens where and what to try next.
func (p *program) welcome(names net.Addr, broker *net.TCPAddr, metrics net.Addr, cfg config.Broker) {
	self := p.calledAs()
	local := reach(names)
	_, port, _ := net.SplitHostPort(local)
	flag := ""
	if local != "127.0.0.1:9876" {
		flag = " -n " + local
	}
	served := "not served"
	if metrics != nil {
		served = "http://" + reach(metrics) + "/metrics"
	}
	fmt.Fprintf(p.out, `
Liftoff %s is ready for clients of RocketMQ.

  NameServer  %-21s what clients are given: %s
  Broker      %-21s %s, reached by clients at %s:%d
  Metrics     %s
  Data        %s

Try it, each in a terminal of its own:

  %s consume --topic hello --follow%s
  %s send --topic hello%s "Hello, world"

Ctrl-C ends it; the data stay.

`, version(), showAddr(names), net.JoinHostPort(strings.Trim(cfg.BrokerIP1, "[]"), port), showAddr(broker), cfg.Name, cfg.BrokerIP1, broker.Port,
		served, cfg.RootDir, self, flag, self, flag)
}

// calledAs is how to call the program again.
func (p *program) calledAs() string {
	if exe, err := os.Executable(); err == nil && strings.Contains(exe, "go-build") {
		return "go run ./cmd/liftoff"
	}
	return p.name
}
