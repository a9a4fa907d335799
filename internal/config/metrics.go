package config

import "time"

// The values of metricsExporterType.
const (
	ExportDisable = "DISABLE"
	ExportProm    = "PROM"
	ExportOTLP    = "OTLP_GRPC"
	ExportLog     = "LOG"
)

// Metrics is how a broker or a NameServer tells what it does.
type Metrics struct {
	// MetricsExporter is how metrics leave: PROM, to be fetched over HTTP; OTLP_GRPC, sent to a collector; LOG, written into the log; DISABLE.
	// With all but DISABLE /metrics, /healthz and /readyz are served. Default PROM.
	MetricsExporter string `prop:"metricsExporterType,restart"`
	// MetricsPort is the port of HTTP; 0 lets the system choose one. Where it is not set and the default is taken, the next ones are tried;
	// where it is set and taken, the daemon says so and goes on without. Default 5557 for a broker, 5547 for a NameServer.
	MetricsPort int `prop:"metricsPromExporterPort,restart"`
	// MetricsHost is the address of HTTP. Default 127.0.0.1; brokerIP1 when metricsExporterType is set and this is not, as in RocketMQ.
	MetricsHost string `prop:"metricsPromExporterHost,restart"`
	// PprofPort serves profiles of the process, to this host only, under /debug/pprof/; a key of Liftoff's own. Default 0, nowhere.
	PprofPort int `prop:"pprofPort,restart,local"`

	// MetricsPortSet is true when the port was not left to us; MetricsHostSet the same of the host.
	MetricsPortSet, MetricsHostSet bool
}

// Export is how a broker's metrics are labelled and where they are sent.
type Export struct {
	// MetricsLabels are further labels of every series: name:value,name:value.
	MetricsLabels string `prop:"metricsLabel,restart"`
	// MetricsInDelta sends what was counted since the last time instead of since the start. Default false.
	MetricsInDelta bool `prop:"metricsInDelta,restart"`
	// MetricsTarget is the collector: http://host:port, or https://.
	MetricsTarget string `prop:"metricsGrpcExporterTarget,restart"`
	// MetricsHeaders are sent along: name:value,name:value.
	MetricsHeaders string `prop:"metricsGrpcExporterHeader,restart"`
	// MetricsTimeout is how long one sending may take. Default 3 s.
	MetricsTimeout time.Duration `prop:"metricGrpcExporterTimeOutInMills,ms,long,restart"`
	// MetricsInterval is the time between two of them. Default 1 min.
	MetricsInterval time.Duration `prop:"metricGrpcExporterIntervalInMills,ms,long,restart"`
	// MetricsBatch is how many values are sent at once. Default 1000.
	MetricsBatch int `prop:"metricsExportBatchMaxDataPoints,restart"`
	// MetricsLogInterval is the time between two writings into the log. Default 10 s.
	MetricsLogInterval time.Duration `prop:"metricLoggingExporterIntervalInMills,ms,long,restart"`
	// MetricsLimit is how many series each metric may have; the others are added up in one. Default 50000.
	MetricsLimit int `prop:"metricsOtelCardinalityLimit,restart"`
	// MetricsRequests exports what was sent and consumed. Default true.
	MetricsRequests bool `prop:"enableRequestMetrics"`
	// MetricsLag exports how far consumers are behind, and dead letters. Default true.
	MetricsLag bool `prop:"enableLagAndDlqMetrics"`
	// LiteLagMessages exports how many messages groups have left in lite topics, together for each parent topic. Default false.
	LiteLagMessages bool `prop:"liteLagCountMetricsEnable"`
	// LiteLagLatency exports how old the oldest of them is, as far as liteLagLatencyCollectEnable has it remembered. Default false.
	LiteLagLatency bool `prop:"liteLagLatencyMetricsEnable"`
	// MetricsRemoting exports the times of requests. Default true.
	MetricsRemoting bool `prop:"enableRemotingMetrics"`
	// EstimateLag counts of what a group has not consumed only what its tags want, about. Default true.
	EstimateLag bool `prop:"estimateAccumulation"`
	// MetricsStats exports numbers of topics and groups. Default true.
	MetricsStats bool `prop:"enableStatsMetrics"`
	// MetricsConnections exports who is connected. Default true.
	MetricsConnections bool `prop:"enableConnectionMetrics"`
	// MetricsTransactions exports transactions. Default true.
	MetricsTransactions bool `prop:"enableTransactionMetrics"`
	// MetricsStore exports the store and its timers. Default true.
	MetricsStore bool `prop:"enableMessageStoreMetrics"`
	// MetricsPop exports what is popped. Default true.
	MetricsPop bool `prop:"enablePopMetrics"`
}

// Ports of HTTP; so many above them are tried when one is taken.
const (
	metricsPortBroker  = 5557
	metricsPortNamesrv = 5547
	metricsHost        = "127.0.0.1"
)

func defaultMetrics(port int) Metrics {
	return Metrics{MetricsExporter: ExportProm, MetricsPort: port, MetricsHost: metricsHost}
}

// DefaultExport is how metrics are exported when nothing is set.
func DefaultExport() Export {
	return Export{
		MetricsTimeout:      3 * time.Second,
		MetricsInterval:     time.Minute,
		MetricsBatch:        1000,
		MetricsLogInterval:  10 * time.Second,
		MetricsRequests:     true,
		MetricsLag:          true,
		MetricsRemoting:     true,
		EstimateLag:         true,
		MetricsLimit:        50_000,
		MetricsStats:        true,
		MetricsConnections:  true,
		MetricsTransactions: true,
		MetricsStore:        true,
		MetricsPop:          true,
	}
}

func (m *Metrics) validate(v *validation) {
	v.oneOf("metricsExporterType", m.MetricsExporter, ExportDisable, ExportProm, ExportOTLP, ExportLog)
	v.within("metricsPromExporterPort", int64(m.MetricsPort), 0, 65535)
	v.within("pprofPort", int64(m.PprofPort), 0, 65535)
}

func (e *Export) validate(v *validation) {
	v.atLeast("metricGrpcExporterTimeOutInMills", e.MetricsTimeout.Milliseconds(), 1)
	v.atLeast("metricGrpcExporterIntervalInMills", e.MetricsInterval.Milliseconds(), 1)
	v.atLeast("metricLoggingExporterIntervalInMills", e.MetricsLogInterval.Milliseconds(), 1)
	v.atLeast("metricsExportBatchMaxDataPoints", int64(e.MetricsBatch), 1)
	v.atLeast("metricsOtelCardinalityLimit", int64(e.MetricsLimit), 1)
}

// settle makes blanks in the host what they mean: the address that clients are told, once metrics were asked for.
func (m *Metrics) settle(set map[string]origin, told string) {
	_, asked := set["metricsExporterType"]
	_, m.MetricsHostSet = set["metricsPromExporterHost"]
	_, m.MetricsPortSet = set["metricsPromExporterPort"]
	if m.MetricsHost == "" || asked && !m.MetricsHostSet {
		m.MetricsHost = told
	}
}
