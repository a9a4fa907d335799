package client

import (
	"context"
	"maps"
	"slices"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// RuntimeInfo returns what the broker at addr says of itself, GET_BROKER_RUNTIME_INFO.
func (p *Pool) RuntimeInfo(ctx context.Context, addr string) (map[string]string, error) {
	t, err := fetch[protocol.KVTable](ctx, p, addr, "", &remoting.Call{Code: protocol.ReqGetBrokerRuntimeInfo})
	if err != nil {
		return nil, err
	}
	return t.Table, nil
}

// BrokerConfig returns the configuration of the broker at addr, GET_BROKER_CONFIG.
func (p *Pool) BrokerConfig(ctx context.Context, addr string) (map[string]string, error) {
	return p.properties(ctx, addr, protocol.ReqGetBrokerConfig)
}

// UpdateBrokerConfig changes keys of the configuration of the broker at addr, UPDATE_BROKER_CONFIG.
func (p *Pool) UpdateBrokerConfig(ctx context.Context, addr string, changes map[string]string) error {
	return p.putProperties(ctx, addr, protocol.ReqUpdateBrokerConfig, changes)
}

// NamesrvConfig returns the configuration of the NameServer at addr, GET_NAMESRV_CONFIG.
func (p *Pool) NamesrvConfig(ctx context.Context, addr string) (map[string]string, error) {
	return p.properties(ctx, addr, protocol.ReqGetNamesrvConfig)
}

// UpdateNamesrvConfig changes keys of the configuration of the NameServer at addr, UPDATE_NAMESRV_CONFIG.
func (p *Pool) UpdateNamesrvConfig(ctx context.Context, addr string, changes map[string]string) error {
	return p.putProperties(ctx, addr, protocol.ReqUpdateNamesrvConfig, changes)
}

// properties asks for a configuration.
func (p *Pool) properties(ctx context.Context, addr string, code int) (map[string]string, error) {
	r, err := p.ask(ctx, addr, "", &remoting.Call{Code: code})
	if err != nil {
		return nil, err
	}
	list, err := config.ParseProperties(r.Body)
	if err != nil {
		return nil, about("the answer to "+protocol.RequestName(code), err)
	}
	all := make(map[string]string, len(list))
	for _, one := range list {
		all[one.Key] = one.Value
	}
	return all, nil
}

// putProperties changes keys of a configuration.
func (p *Pool) putProperties(ctx context.Context, addr string, code int, changes map[string]string) error {
	var body []byte
	for _, key := range slices.Sorted(maps.Keys(changes)) {
		body = config.AppendProperty(body, key, changes[key])
	}
	return p.do(ctx, addr, "", &remoting.Call{Code: code, Body: body})
}

// CleanExpiredConsumeQueue removes consume queue files whose messages are gone, CLEAN_EXPIRED_CONSUMEQUEUE.
func (p *Pool) CleanExpiredConsumeQueue(ctx context.Context, addr string) error {
	return p.do(ctx, addr, "", &remoting.Call{Code: protocol.ReqCleanExpiredConsumeQueue})
}

// CleanUnusedTopic removes the consume queues of topics that the broker at addr does not have, CLEAN_UNUSED_TOPIC.
func (p *Pool) CleanUnusedTopic(ctx context.Context, addr string) error {
	return p.do(ctx, addr, "", &remoting.Call{Code: protocol.ReqCleanUnusedTopic})
}

// DeleteExpiredCommitLog removes commit log files that are old enough, at any hour, DELETE_EXPIRED_COMMITLOG.
func (p *Pool) DeleteExpiredCommitLog(ctx context.Context, addr string) error {
	return p.do(ctx, addr, "", &remoting.Call{Code: protocol.ReqDeleteExpiredCommitLog})
}

// PopRollback brings what is popped back into the revive log, POP_ROLLBACK.
func (p *Pool) PopRollback(ctx context.Context, addr string) error {
	return p.do(ctx, addr, "", &remoting.Call{Code: protocol.ReqPopRollback})
}

// Producers returns the producers that are connected to the broker at addr, by group, GET_ALL_PRODUCER_INFO.
func (p *Pool) Producers(ctx context.Context, addr string) (map[string][]protocol.ProducerInfo, error) {
	t, err := fetch[protocol.ProducerTable](ctx, p, addr, "", &remoting.Call{Code: protocol.ReqGetAllProducerInfo})
	if err != nil {
		return nil, err
	}
	return t.Data, nil
}

// HAStatus returns how the broker at addr is replicated, GET_BROKER_HA_STATUS.
func (p *Pool) HAStatus(ctx context.Context, addr string) (*protocol.HAStatus, error) {
	return fetch[protocol.HAStatus](ctx, p, addr, "", &remoting.Call{Code: protocol.ReqGetBrokerHAStatus})
}

// EpochCache returns which stretches of its log the broker at addr got under which master, GET_BROKER_EPOCH_CACHE.
func (p *Pool) EpochCache(ctx context.Context, addr string) (*protocol.EpochCache, error) {
	return fetch[protocol.EpochCache](ctx, p, addr, "", &remoting.Call{Code: protocol.ReqGetBrokerEpochCache})
}

// ResetMasterFlushOffset tells the slave at addr how far its master has flushed, RESET_MASTER_FLUSH_OFFSET.
func (p *Pool) ResetMasterFlushOffset(ctx context.Context, addr string, offset int64) error {
	return p.do(ctx, addr, "", &remoting.Call{Code: protocol.ReqResetMasterFlushOffset, Header: &protocol.MasterFlushOffsetHeader{MasterFlushOffset: offset}})
}

// AddBroker lets the container at addr start the broker that a file on its machine configures, ADD_BROKER.
func (p *Pool) AddBroker(ctx context.Context, addr, configPath string) error {
	return p.do(ctx, addr, "broker of "+configPath, &remoting.Call{Code: protocol.ReqAddBroker, Header: &protocol.AddBrokerHeader{ConfigPath: configPath}})
}

// RemoveBroker lets the container at addr stop a broker, REMOVE_BROKER.
func (p *Pool) RemoveBroker(ctx context.Context, addr string, h protocol.RemoveBrokerHeader) error {
	return p.do(ctx, addr, "broker "+h.BrokerName, &remoting.Call{Code: protocol.ReqRemoveBroker, Header: &h})
}

// WipeWritePerm takes the right to be written to from a broker in the NameServer at addr, and returns how many topics that changes,
// WIPE_WRITE_PERM_OF_BROKER.
func (p *Pool) WipeWritePerm(ctx context.Context, addr, broker string) (topics int32, err error) {
	h, err := answer[protocol.WipeWritePermResponseHeader](ctx, p, addr, "broker "+broker, &remoting.Call{Code: protocol.ReqWipeWritePermOfBroker,
		Header: &protocol.BrokerNameHeader{BrokerName: broker}})
	return h.WipeTopicCount, err
}

// AddWritePerm gives it back, ADD_WRITE_PERM_OF_BROKER.
func (p *Pool) AddWritePerm(ctx context.Context, addr, broker string) (topics int32, err error) {
	h, err := answer[protocol.AddWritePermResponseHeader](ctx, p, addr, "broker "+broker, &remoting.Call{Code: protocol.ReqAddWritePermOfBroker,
		Header: &protocol.BrokerNameHeader{BrokerName: broker}})
	return h.AddTopicCount, err
}

// Counters that BrokerStats can be asked for: of a topic, what is put; of "topic@group", what is read.
const (
	TopicPutNums = "TOPIC_PUT_NUMS"
	GroupGetNums = "GROUP_GET_NUMS"
)

// BrokerStats returns how one of a broker's counters grows, VIEW_BROKER_STATS_DATA. One that there is none of is an error.
func (p *Pool) BrokerStats(ctx context.Context, addr, name, key string) (*protocol.BrokerStatsData, error) {
	return fetch[protocol.BrokerStatsData](ctx, p, addr, name+" of "+key, &remoting.Call{Code: protocol.ReqViewBrokerStatsData,
		Header: &protocol.ViewBrokerStatsHeader{StatsName: name, StatsKey: key}})
}
