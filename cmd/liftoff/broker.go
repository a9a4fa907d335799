package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/broker"
	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/store"
)

func (p *program) brokerCommand() *cobra.Command {
	var f daemonFlags
	var proxy proxyFlags
	var important, dry bool
	c := &cobra.Command{
		Use:   "broker",
		Short: "Run a broker",
		Args:  noCommand,
		RunE: func(c *cobra.Command, words []string) error {
			file, said, err := proxy.settle(f.file)
			if err != nil {
				return err
			}
			from := config.Sources{File: file, Flags: f.overrides(c), FileSizes: store.FileSizes}
			cfg, notes, err := config.LoadBroker(from)
			notes, err = slices.Concat(strayWords(words), said, notes), misused(err)
			if dry {
				return p.dryRun(c.Context(), cfg, notes, err)
			}
			l, log, err := p.openLog(c.Context(), cfg.Log, notes, err)
			if err != nil {
				return err
			}
			defer l.Close()
			switch {
			case f.print:
				_, err := fmt.Fprint(p.out, cfg.Text())
				return err
			case important:
				_, err := fmt.Fprint(p.out, cfg.Important())
				return err
			}
			doubtAddress(log, cfg)
			ctx, stop := p.untilSignal(c.Context())
			defer stop()
			signals := listenHangups()
			told := p.watch(log, cfg.Metrics, cfg.Export, roleBroker)
			defer told.Close()
			b, err := broker.Open(ctx, cfg, log)
			if err != nil {
				return explainOpen(err, "listenPort, or --port")
			}
			told.Set(roleBroker, b)
			return signals.whileServing(ctx, log, func() { reload(log, from, config.LoadBroker, func(next config.Broker) { b.Reload(next) }) }, func(ctx context.Context) error {
				return runTogether(ctx, b, func(ctx context.Context) {
					if cfg.NamesrvAddr == "" {
						log.Warn("there is no NameServer, so that clients will not find this broker; set namesrvAddr, or -n, or NAMESRV_ADDR")
					} else {
						b.WaitRegistered(ctx)
					}
					p.brokerStarted(cfg, b.Addr())
				})
			})
		},
	}
	f.add(c)
	c.Flags().BoolVarP(&important, "printImportantConfig", "m", false, "print the important settings and exit")
	c.Flags().BoolVar(&dry, "dry-run", false, "say what starting would do to the store directory, and whether it would start, and exit")
	proxy.add(c)
	return c
}

// brokerStarted prints the line that scripts wait for.
func (p *program) brokerStarted(cfg config.Broker, addr *net.TCPAddr) {
	namesrv := ""
	if cfg.NamesrvAddr != "" {
		namesrv = " and name server is " + cfg.NamesrvAddr
	}
	fmt.Fprintf(p.out, "The broker[%s, %s:%d] boot success. serializeType=JSON%s\n", cfg.Name, cfg.BrokerIP1, addr.Port, namesrv)
}

// doubtAddress warns when clients may not reach the broker under the address that they will be told.
func doubtAddress(log *slog.Logger, cfg config.Broker) {
	if ip := net.ParseIP(cfg.BindAddress); ip != nil && ip.IsLoopback() {
		return // nobody else is meant to
	}
	if doubt := config.AddressDoubt(cfg.BrokerIP1); doubt != "" {
		log.Warn(doubt)
	}
}
