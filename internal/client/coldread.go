package client

import (
	"context"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// ColdReadInfo returns, as JSON, how much groups have read of what is no longer in memory and how much they may, GET_COLD_DATA_FLOW_CTR_INFO; nil
// when the broker at addr does not count it.
func (p *Pool) ColdReadInfo(ctx context.Context, addr string) ([]byte, error) {
	r, err := p.ask(ctx, addr, "", &remoting.Call{Code: protocol.ReqGetColdDataFlowCtrInfo})
	if err != nil {
		return nil, err
	}
	return r.Body, nil
}

// LimitColdReads limits how much of that a group may read, UPDATE_COLD_DATA_FLOW_CTR_CONFIG.
func (p *Pool) LimitColdReads(ctx context.Context, addr, group, limit string) error {
	return p.putProperties(ctx, addr, protocol.ReqUpdateColdDataFlowCtrConfig, map[string]string{group: limit})
}

// UnlimitColdReads takes a group's own limit away, REMOVE_COLD_DATA_FLOW_CTR_CONFIG.
func (p *Pool) UnlimitColdReads(ctx context.Context, addr, group string) error {
	return p.do(ctx, addr, "group "+group, &remoting.Call{Code: protocol.ReqRemoveColdDataFlowCtrConfig, Body: []byte(group)})
}

// SetReadMode says how the commit log is read ahead, 0 as usual, 1 not, SET_COMMITLOG_READ_MODE, and returns what the broker remarks.
func (p *Pool) SetReadMode(ctx context.Context, addr string, mode int32) (string, error) {
	r, err := p.ask(ctx, addr, "", &remoting.Call{Code: protocol.ReqSetCommitLogReadMode, Header: &protocol.ReadModeHeader{Mode: mode}})
	if err != nil {
		return "", err
	}
	return string(r.Remark), nil
}

// SwitchTimerEngine says what keeps timed messages, R or F, SWITCH_TIMER_ENGINE.
func (p *Pool) SwitchTimerEngine(ctx context.Context, addr, engine string) error {
	return p.do(ctx, addr, "", &remoting.Call{Code: protocol.ReqSwitchTimerEngine, Ext: [][2]string{{"E_T", engine}}})
}

// ExportRocksConfig lets the broker at addr write kinds of configuration, separated by semicolons, out of RocksDB into files,
// EXPORT_ROCKSDB_CONFIG_TO_JSON.
func (p *Pool) ExportRocksConfig(ctx context.Context, addr, kinds string) error {
	return p.do(ctx, addr, "", &remoting.Call{Code: protocol.ReqExportRocksDBConfigToJSON, Header: &protocol.ExportRocksConfigHeader{ConfigType: kinds}})
}

// CheckRocksQueues lets the broker at addr compare consume queues in RocksDB with those in files, CHECK_ROCKSDB_CQ_WRITE_PROGRESS.
func (p *Pool) CheckRocksQueues(ctx context.Context, addr string, h *protocol.CheckRocksQueueHeader) (*protocol.RocksQueueCheck, error) {
	return fetch[protocol.RocksQueueCheck](ctx, p, addr, "", &remoting.Call{Code: protocol.ReqCheckRocksDBCQWriteProgress, Header: h})
}
