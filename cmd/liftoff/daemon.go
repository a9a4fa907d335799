package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"
)

// A daemon serves until its context ends.
type daemon interface {
	Run(ctx context.Context) error
}

// runTogether runs a daemon and, beside it, what is to be done once it runs. It returns when both have ended.
func runTogether(ctx context.Context, d daemon, then func(context.Context)) error {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		then(ctx)
	}()
	err := d.Run(ctx)
	cancel()
	<-done
	return err
}

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
