// Package metrics has the names of all metrics and serves what the daemons count: over HTTP as Prometheus reads it, to an OpenTelemetry
// collector, or into the log.
//
// Nothing is kept here. A Source (a broker, a NameServer) is asked for its values when somebody scrapes: it fills a Snapshot. What happens
// too often to be looked up then, it counts in a Histogram or an atomic number of its own.
//
// names.go is the table of all metrics; docs/metrics.md is made from it. Those that begin with rocketmq_ are Apache's, with its units, labels
// and buckets, as its broker serves them with metricsExporterType=PROM; those that begin with liftoff_ are ours.
//
// Goroutines: one that serves HTTP, and with a pprof port another; one that pushes, with metricsExporterType OTLP_GRPC or LOG. Close
// ends them.
package metrics
