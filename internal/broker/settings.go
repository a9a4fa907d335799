package broker

import (
	"net/netip"
	"strconv"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/store"
)

// settings is the configuration of the moment, with what is derived from it. It is replaced as a whole.
type settings struct {
	config.Broker
	syncFlush  bool
	traceOn    string
	properties []byte         // added to each stored message
	storeHost  netip.AddrPort // in each record
	idHost     []byte         // the same in message ids
}

func newSettings(cfg config.Broker, host netip.AddrPort) *settings {
	s := &settings{Broker: cfg, storeHost: host, idHost: message.OffsetIDHost(host), syncFlush: cfg.FlushDiskType == config.SyncFlush, traceOn: strconv.FormatBool(cfg.TraceOn)}
	s.properties = message.AppendProperty(s.properties, message.PropMsgRegion, []byte(cfg.RegionID))
	s.properties = message.AppendProperty(s.properties, message.PropTraceOn, []byte(s.traceOn))
	s.properties = message.AppendProperty(s.properties, message.PropCluster, []byte(cfg.Cluster))
	return s
}

// wait is the mark that messages wait for; noWait is for one that says that it does not wait for the disk.
func (s *settings) wait(noWait bool) store.Level {
	if s.syncFlush && !noWait {
		return store.Flushed
	}
	return store.Written
}
