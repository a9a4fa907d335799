package broker

import (
	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// NOTIFY_MIN_BROKER_ID_CHANGE 905, EXCHANGE_BROKER_HA_INFO 906, GET_BROKER_HA_STATUS 907, RESET_MASTER_FLUSH_OFFSET 908,
// GET_BROKER_EPOCH_CACHE 1007, NOTIFY_BROKER_ROLE_CHANGED 1008.
//
// Behaviour: as of an Apache broker without slaves and without a controller. A master tells where its slaves would copy from and what it
// had when it started; what it is told of other brokers changes nothing, and is logged.

func (b *Broker) notifyMinBrokerID(r *remoting.Request, h *protocol.NotifyMinBrokerIDHeader) (*remoting.Answer, error) {
	b.log.Info("the smallest id of this broker's name is another", "broker_id", h.MinBrokerID, "broker_addr", h.MinBrokerAddr, "gone", h.OfflineBrokerAddr,
		"addr", r.Conn.RemoteAddr())
	return nil, nil
}

func (b *Broker) exchangeHAInfo(_ *remoting.Request, h *protocol.HAInfoHeader) (*remoting.Answer, error) {
	if h.MasterHAAddress != nil || b.settings.Load().ID != protocol.MasterID {
		return nil, nil
	}
	c := &b.registrar.cfg
	return &remoting.Answer{Header: &protocol.HAInfoHeader{MasterAddress: &c.self.BrokerAddr, MasterHAAddress: &c.haAddr, MasterFlushOffset: &b.beganAt}}, nil
}

func (b *Broker) getHAStatus(*remoting.Request) (*remoting.Answer, error) {
	return jsonAnswer(protocol.HARuntimeInfo{
		Connections:              []protocol.HAConnectionInfo{},
		Master:                   b.settings.Load().BrokerRole != config.Slave,
		MasterCommitLogMaxOffset: b.store.Stats().Appended,
	})
}

func (b *Broker) resetMasterFlushOffset(r *remoting.Request) (*remoting.Answer, error) {
	if b.settings.Load().ID == protocol.MasterID {
		return nil, nil
	}
	return nil, r.DecodeFields(new(protocol.ResetMasterFlushOffsetHeader))
}

func (b *Broker) getEpochCache(*remoting.Request) (*remoting.Answer, error) {
	return nil, protocol.Errorf(protocol.CodeSystemError, "this request only for controllerMode (enableControllerMode=false)")
}

func (b *Broker) notifyRoleChanged(r *remoting.Request, h *protocol.NotifyRoleChangedHeader) (*remoting.Answer, error) {
	b.log.Warn("a controller tells of a master, but this broker has no controller (enableControllerMode=false)", "master", h.MasterAddress,
		"epoch", h.MasterEpoch, "addr", r.Conn.RemoteAddr())
	return nil, nil
}
