// Package config reads the .properties files of RocketMQ into structs, and writes them back.
//
// There is one struct a daemon, [Broker] and [Namesrv]. A key that Liftoff acts on is a field tagged with RocketMQ's
// name of it; a key that RocketMQ knows and that has no effect here is a row in keys.go that says why. [DefaultBroker] and
// [DefaultNamesrv] are the only places with defaults, the Validate methods the only ones with rules.
//
// A field's tag is `prop:"key[,option...]"`. Options:
//
//	ms, s, h    the unit of a time.Duration in the file
//	long        a number of 64 bits (int64 fields are that anyway); without it 32, as in RocketMQ
//	restart     a change takes effect at the next start
//	local       cannot be changed by a request, only where the process runs
//	important   printed by `mqbroker -m`
//
// A configuration is a value: [Broker.With] and [Namesrv.With] return a changed copy, so a daemon keeps its present
// one behind an atomic pointer and nobody sees half a change.
//
// Wrong values stop, unknown keys warn: loading returns an error that lists every wrong value with file and line, and notes on
// everything else that an operator should hear.
package config
