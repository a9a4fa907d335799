package client

import (
	"context"
	"errors"
	"time"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// ControllerMetadata returns who leads the controllers of which the one at addr is a member, CONTROLLER_GET_METADATA_INFO.
func (p *Pool) ControllerMetadata(ctx context.Context, addr string) (*protocol.ControllerMetadata, error) {
	m, err := answer[protocol.ControllerMetadata](ctx, p, addr, "", &remoting.Call{Code: protocol.ReqControllerGetMetadataInfo})
	return &m, err
}

// controllerLeader returns the address of the controller that decides.
func (p *Pool) controllerLeader(ctx context.Context, addr string) (string, error) {
	m, err := p.ControllerMetadata(ctx, addr)
	if err == nil && m.LeaderAddress == "" {
		err = about("controller "+addr, errors.New("it knows of no leader; most of the controllers have to run to elect one"))
	}
	if err != nil {
		return "", err
	}
	return m.LeaderAddress, nil
}

// SyncStates returns which brokers of the groups named have everything that their master has, CONTROLLER_GET_SYNC_STATE_DATA, from the
// leader of the controllers of which the one at addr is a member.
func (p *Pool) SyncStates(ctx context.Context, addr string, brokers []string) (map[string]*protocol.Replicas, error) {
	leader, err := p.controllerLeader(ctx, addr)
	if err != nil {
		return nil, err
	}
	body, err := fastjson.Marshal(brokers)
	if err != nil {
		return nil, err
	}
	b, err := fetch[protocol.BrokerReplicas](ctx, p, leader, "", &remoting.Call{Code: protocol.ReqControllerGetSyncStateData, Body: body})
	if err != nil {
		return nil, err
	}
	return b.ReplicasInfoTable, nil
}

// ElectMaster lets the leader of the controllers make a broker master, CONTROLLER_ELECT_MASTER.
func (p *Pool) ElectMaster(ctx context.Context, addr string, h protocol.ElectMasterHeader) (*protocol.ElectMasterResponseHeader, *protocol.BrokerMemberGroup, error) {
	leader, err := p.controllerLeader(ctx, addr)
	if err != nil {
		return nil, nil, err
	}
	h.DesignateElect, h.InvokeTime = true, time.Now().UnixMilli()
	r, err := p.ask(ctx, leader, "broker "+h.BrokerName, &remoting.Call{Code: protocol.ReqControllerElectMaster, Header: &h})
	if err != nil {
		return nil, nil, err
	}
	var elected protocol.ElectMasterResponseHeader
	if err := r.DecodeFields(&elected); err != nil {
		return nil, nil, err
	}
	group := new(protocol.BrokerMemberGroup)
	if len(r.Body) > 0 {
		group, err = decode[protocol.BrokerMemberGroup](r, protocol.ReqControllerElectMaster)
	}
	return &elected, group, err
}

// CleanBrokerData makes the leader of the controllers forget brokers, CLEAN_BROKER_DATA.
func (p *Pool) CleanBrokerData(ctx context.Context, addr string, h protocol.CleanBrokerDataHeader) error {
	leader, err := p.controllerLeader(ctx, addr)
	if err != nil {
		return err
	}
	h.InvokeTime = time.Now().UnixMilli()
	return p.do(ctx, leader, "broker "+h.BrokerName, &remoting.Call{Code: protocol.ReqCleanBrokerData, Header: &h})
}

// ControllerConfig returns the configuration of the controller at addr, GET_CONTROLLER_CONFIG.
func (p *Pool) ControllerConfig(ctx context.Context, addr string) (map[string]string, error) {
	return p.properties(ctx, addr, protocol.ReqGetControllerConfig)
}

// UpdateControllerConfig changes keys of the configuration of the controller at addr, UPDATE_CONTROLLER_CONFIG.
func (p *Pool) UpdateControllerConfig(ctx context.Context, addr string, changes map[string]string) error {
	return p.putProperties(ctx, addr, protocol.ReqUpdateControllerConfig, changes)
}
