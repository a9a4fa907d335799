package config

import (
	"runtime"
	"strconv"
)

// hostDefaults are the values that keys have in Apache's broker when nobody sets them, made of the number of processors. Here they have no
// effect; they are told because tools ask for them.
func hostDefaults() map[string]string {
	cpus := runtime.NumCPU()
	send := min(cpus, 4)
	values := map[string]string{}
	for key, n := range map[string]int{
		"sendMessageThreadPoolNums":         send,
		"putMessageFutureThreadPoolNums":    send,
		"pullMessageThreadPoolNums":         16 + 2*cpus,
		"litePullMessageThreadPoolNums":     16 + 2*cpus,
		"processReplyMessageThreadPoolNums": 16 + 2*cpus,
		"queryMessageThreadPoolNums":        8 + cpus,
		"heartbeatThreadPoolNums":           min(32, cpus),
		"endTransactionThreadPoolNums":      max(8+2*cpus, 4*send),
		"clientCallbackExecutorThreads":     cpus,
	} {
		values[key] = strconv.Itoa(n)
	}
	return values
}

// toldAs are the keys that Apache's answers have under the name of the field instead of the one by which they are set.
var toldAs = map[string]string{
	"brokerContainer":      "isBrokerContainer",
	"inBrokerContainer":    "isInBrokerContainer",
	"scanAvailableNameSrv": "isScanAvailableNameSrv",
}
