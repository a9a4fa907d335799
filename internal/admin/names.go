package admin

// Names of the system. Part of the wire format; do not change.
const (
	lightPrefix = "%LMQ%" // of light queues

	toolsGroup = "TOOLS_CONSUMER" // in whose name messages are looked at
)
