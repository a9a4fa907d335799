package main

import (
	"errors"
	"log/slog"
	"net"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/metrics"
)

// The roles of a process, as /readyz names them.
const (
	roleBroker  = "broker"
	roleNamesrv = "NameServer"
)

// metricsSpare is how many ports above the standard one are tried, for several brokers on one host.
const metricsSpare = 9

// watch starts what tells of the process: metrics, /healthz and /readyz over HTTP, profiles if wanted. It never keeps a daemon from starting:
// what cannot be listened on is said, and left out. The daemons are not ready until they are set.
func (p *program) watch(log *slog.Logger, cfg config.Metrics, out config.Export, roles ...string) *metrics.Server {
	mc := metrics.Config{Log: log, Host: cfg.MetricsHost, Port: cfg.MetricsPort, Limit: out.MetricsLimit, PprofPort: cfg.PprofPort}
	if !cfg.MetricsPortSet {
		mc.Spare = metricsSpare
	}
	s := metrics.NewServer(mc, roles...)
	if cfg.MetricsExporter != config.ExportDisable {
		err := s.Listen()
		if err != nil && !cfg.MetricsHostSet && cfg.MetricsHost != "127.0.0.1" {
			// brokerIP1 may be an address of a router in front of this host.
			log.Warn("metrics are served on all addresses of this host", "err", err, "because", "metricsPromExporterHost is not set, and brokerIP1 cannot be listened on")
			mc.Host = ""
			s = metrics.NewServer(mc, roles...)
			err = s.Listen()
		}
		switch {
		case err != nil:
			log.Error("there are no metrics, no /healthz and no /readyz", "err", explainListen(err, "metricsPromExporterPort"))
		case cfg.MetricsPort != 0 && s.Addr().(*net.TCPAddr).Port != cfg.MetricsPort:
			log.Warn("metrics are served on another port than usual, which is taken", "addr", s.Addr(), "usual", cfg.MetricsPort, "instead", "set metricsPromExporterPort")
		default:
			log.Info("metrics are served", "url", "http://"+s.Addr().String()+"/metrics")
		}
	}
	if cfg.PprofPort != 0 {
		if err := s.ListenPprof(); err != nil {
			log.Error("there are no profiles", "err", explainListen(err, "pprofPort"))
		} else {
			log.Info("profiles are served to this host", "url", "http://"+s.PprofAddr().String()+"/debug/pprof/")
		}
	}
	if err := push(s, cfg, out); err != nil {
		log.Error("metrics are not sent", "err", err)
	}
	return s
}

// push starts to send metrics to a collector or into the log, where that is wanted.
func push(s *metrics.Server, cfg config.Metrics, out config.Export) error {
	to := metrics.Push{Interval: out.MetricsInterval, Delta: out.MetricsInDelta, Timeout: out.MetricsTimeout, Batch: out.MetricsBatch,
		Target: out.MetricsTarget, Headers: metrics.ParsePairs(out.MetricsHeaders)}
	switch cfg.MetricsExporter {
	case config.ExportOTLP:
		if to.Target == "" {
			return errors.New("metricsExporterType is OTLP_GRPC and metricsGrpcExporterTarget does not say where to")
		}
	case config.ExportLog:
		to.Target, to.Interval = "", out.MetricsLogInterval
	default:
		return nil
	}
	return s.Push(to)
}
