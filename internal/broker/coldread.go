package broker

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"sync"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// UPDATE_COLD_DATA_FLOW_CTR_CONFIG 2001, REMOVE_COLD_DATA_FLOW_CTR_CONFIG 2002, GET_COLD_DATA_FLOW_CTR_INFO 2003,
// SET_COMMITLOG_READ_MODE 2004.
//
// Behaviour: limits of how much old data groups may read are kept while the broker runs and shown; nothing is held back by them, for who
// reads old messages does not disturb the others here. So the mode of reading changes nothing either.
// Differs from Apache: a limit that is no number is refused, and with it all others of the request.

// coldLimits are bytes a second by group.
type coldLimits struct {
	mu      sync.Mutex // protects the field below
	byGroup map[string]int64
}

func (b *Broker) updateColdLimits(r *remoting.Request) (*remoting.Answer, error) {
	props, err := config.ParseProperties(r.Body)
	if err != nil {
		return nil, fmt.Errorf("string2Properties error: %w", err)
	}
	limits := make(map[string]int64, len(props))
	for _, p := range props {
		n, err := strconv.ParseInt(p.Value, 10, 64)
		if err != nil || n < 0 {
			return nil, protocol.Errorf(protocol.CodeInvalidParameter, "the limit of group %s is %q, which is not a number of bytes", shown(p.Key), shown(p.Value))
		}
		limits[p.Key] = n
	}
	b.cold.mu.Lock()
	defer b.cold.mu.Unlock()
	if b.cold.byGroup == nil {
		b.cold.byGroup = map[string]int64{}
	}
	maps.Copy(b.cold.byGroup, limits)
	return nil, nil
}

func (b *Broker) removeColdLimit(r *remoting.Request) (*remoting.Answer, error) {
	b.cold.mu.Lock()
	defer b.cold.mu.Unlock()
	delete(b.cold.byGroup, string(r.Body))
	return nil, nil
}

func (b *Broker) getColdLimits(*remoting.Request) (*remoting.Answer, error) {
	cfg := b.Config()
	b.cold.mu.Lock()
	limits := maps.Clone(b.cold.byGroup)
	b.cold.mu.Unlock()
	if limits == nil {
		limits = map[string]int64{}
	}
	// Tools show it as it comes, so the order is Apache's.
	data, err := json.Marshal(protocol.ColdReadInfo{ConfigTable: limits, RuntimeTable: map[string]int64{},
		GroupThreshold: unusedNumber(&cfg, "cgColdReadThreshold"), GlobalThreshold: unusedNumber(&cfg, "globalColdReadThreshold")})
	return &remoting.Answer{Body: data}, err
}

// unusedNumber is the value of a key that has no effect.
func unusedNumber(cfg *config.Broker, key string) int64 {
	n, _ := strconv.ParseInt(cfg.Unused(key), 10, 64) // a wrong one was refused when it was set
	return n
}

// Modes of reading. Part of the wire format; do not change.
const (
	readNormal = 0
	readRandom = 1
)

func (b *Broker) setReadMode(r *remoting.Request) (*remoting.Answer, error) {
	var h protocol.ReadModeHeader
	if len(r.Fields) == 0 {
		return nil, protocol.Errorf(protocol.CodeSystemError, "set commitlog readahead mode param error (READ_AHEAD_MODE is missing)")
	}
	if err := r.DecodeFields(&h); err != nil {
		return nil, protocol.Errorf(protocol.CodeSystemError, "set commitlog readahead mode failed (%v)", err)
	}
	if h.Mode != readNormal && h.Mode != readRandom {
		return nil, protocol.Errorf(protocol.CodeInvalidParameter, "set commitlog readahead mode param value error (READ_AHEAD_MODE=%d, possible are %d and %d)", h.Mode, readNormal, readRandom)
	}
	return &remoting.Answer{Remark: fmt.Sprintf("set commitlog readahead mode success, mode: %d (it makes no difference here: files are not mapped into memory)", h.Mode)}, nil
}
