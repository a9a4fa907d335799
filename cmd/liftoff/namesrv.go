package main

import (
	"fmt"
	"net"
	"slices"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/namesrv"
)

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
