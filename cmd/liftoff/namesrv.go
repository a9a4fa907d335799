package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/namesrv"
)

// daemonFlags are the flags that RocketMQ's mqnamesrv and mqbroker share.
type daemonFlags struct {
	file        string
	namesrvAddr string
	print       bool
	port        int
	log         logFlags
	metricsPort int
}

func (f *daemonFlags) add(c *cobra.Command) {
	c.Flags().StringVarP(&f.file, "configFile", "c", "", "properties `FILE`")
	c.Flags().StringVarP(&f.namesrvAddr, "namesrvAddr", "n", "", "NameServers, such as '192.168.0.1:9876;192.168.0.2:9876'")
	c.Flags().BoolVarP(&f.print, "printConfigItem", "p", false, "print all settings and exit")
	c.Flags().IntVar(&f.port, "port", 0, "listen on this `PORT` (listenPort)")
	f.log.add(c)
	metricsPortFlag(c, &f.metricsPort)
}

// overrides are the settings that were given as flags.
func (f *daemonFlags) overrides(c *cobra.Command) map[string]string {
	set := make(map[string]string)
	if c.Flags().Changed("namesrvAddr") && c.Name() != "namesrv" && c.Name() != "mqnamesrv" {
		set["namesrvAddr"] = f.namesrvAddr
	}
	if c.Flags().Changed("port") {
		set["listenPort"] = strconv.Itoa(f.port)
	}
	f.log.overrides(c, set)
	if c.Flags().Changed("metrics-port") {
		set["metricsPromExporterPort"] = strconv.Itoa(f.metricsPort)
	}
	return set
}

func metricsPortFlag(c *cobra.Command, port *int) {
	c.Flags().IntVar(port, "metrics-port", 0, "serve metrics, /healthz and /readyz on this `PORT`, 0 for any (metricsPromExporterPort)")
}

func (p *program) namesrvCommand() *cobra.Command {
	var f daemonFlags
	c := &cobra.Command{
		Use:   "namesrv",
		Short: "Run a NameServer",
		Args:  noCommand,
		RunE: func(c *cobra.Command, words []string) error {
			from := config.Sources{File: f.file, Flags: f.overrides(c)}
			cfg, notes, err := config.LoadNamesrv(from)
			l, log, err := p.openLog(c.Context(), cfg.Log, slices.Concat(strayWords(words), notes), misused(err))
			if err != nil {
				return err
			}
			defer l.Close()
			if f.print {
				_, err := fmt.Fprint(p.out, cfg.Text())
				return err
			}
			ctx, stop := p.untilSignal(c.Context())
			defer stop()
			signals := listenHangups()
			told := p.watch(log, cfg.Metrics, config.DefaultExport(), roleNamesrv)
			defer told.Close()
			server, err := namesrv.Open(cfg, log)
			if err != nil {
				return explainOpen(err, "listenPort, or --port")
			}
			told.Set(roleNamesrv, server)
			p.namesrvStarted(server.Addr())
			return signals.whileServing(ctx, log, func() { reload(log, from, config.LoadNamesrv, func(next config.Namesrv) { server.Reload(next) }) }, server.Run)
		},
	}
	f.add(c)
	return c
}

// namesrvStarted prints the line that scripts wait for.
func (p *program) namesrvStarted(addr net.Addr) {
	fmt.Fprintf(p.out, "The Name Server boot success. serializeType=JSON, address %s\n", showAddr(addr))
}

// showAddr writes an address as RocketMQ does: all addresses of the host are 0.0.0.0.
func showAddr(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return addr.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "0.0.0.0"
	}
	return net.JoinHostPort(host, port)
}

// A daemon serves until its context ends.
type daemon interface {
	Run(ctx context.Context) error
}
