package broker

import (
	"strings"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// CHECK_ROCKSDB_CQ_WRITE_PROGRESS 354, EXPORT_ROCKSDB_CONFIG_TO_JSON 355.
//
// Behaviour: as of an Apache broker whose queues and configuration are in files: there is nothing to check and nothing to export.
// Differs from Apache: what the check has found is in the answer; there it is in the broker's log, and the answer says "in progress".

func (b *Broker) checkRocksQueues(*remoting.Request) (*remoting.Answer, error) {
	return jsonAnswer(protocol.RocksQueueCheck{Result: "It is not CombineConsumeQueueStore, no need check", Status: protocol.RocksCheckOK})
}

func (b *Broker) exportRocksConfig(_ *remoting.Request, h *protocol.ExportRocksConfigHeader) (*remoting.Answer, error) {
	for _, kind := range strings.Split(h.ConfigType, ";") {
		switch strings.ToLower(strings.TrimSpace(kind)) {
		case "", "topics", "subscriptiongroups", "consumeroffsets":
		default:
			return nil, protocol.Errorf(protocol.CodeSystemError, "Unknown config type: %s (possible are topics, subscriptionGroups and consumerOffsets)", shown(kind))
		}
	}
	return &remoting.Answer{Remark: "export done."}, nil
}
