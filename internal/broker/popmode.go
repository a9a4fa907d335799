package broker

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/statefile"
)

// SET_MESSAGE_REQUEST_MODE 401, GET_ALL_MESSAGE_REQUEST_MODE 402, POP_ROLLBACK 200056.
//
// Behaviour: an admin decides by topic and group whether consumers that ask for their assignment (400) pull or pop. It is on disk
// before the answer, in config/messageRequestMode.json. POP_ROLLBACK, which brings what is in flight from RocksDB back into the
// revive log, has nothing to do: it never left it.

// requestModes are what was decided.
type requestModes struct {
	path string

	mu    sync.Mutex // protects the field below, and the file
	table map[string]map[string]*protocol.RequestMode
}

func openRequestModes(path string, b *Broker) (*requestModes, error) {
	m := &requestModes{path: path, table: map[string]map[string]*protocol.RequestMode{}}
	err := readState(path, b.log, func(data []byte) error {
		var file protocol.RequestModes
		if err := fastjson.Unmarshal(data, &file); err != nil {
			return err
		}
		if file.ByTopic != nil {
			m.table = file.ByTopic
		}
		return nil
	})
	return m, err
}

// find returns what was decided, nil when nothing was.
func (m *requestModes) find(topic, group string) *protocol.RequestMode {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.table[topic][group]
}

func (m *requestModes) all() ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return fastjson.Marshal(protocol.RequestModes{ByTopic: m.table})
}

// set keeps a decision, on disk too.
func (m *requestModes) set(mode *protocol.RequestMode) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	groups := within(m.table, mode.Topic)
	old := groups[mode.ConsumerGroup]
	groups[mode.ConsumerGroup] = mode
	data, err := fastjson.MarshalIndent(protocol.RequestModes{ByTopic: m.table})
	if err == nil {
		err = statefile.Write(m.path, data)
	}
	if err != nil {
		if groups[mode.ConsumerGroup] = old; old == nil {
			delete(groups, mode.ConsumerGroup)
		}
		return fmt.Errorf("cannot keep message request mode: %w", err)
	}
	return nil
}

func (b *Broker) setRequestMode(r *remoting.Request) (*remoting.Answer, error) {
	mode := &protocol.RequestMode{Mode: modePull}
	if err := fastjson.Unmarshal(r.Body, mode); err != nil {
		return nil, err
	}
	switch {
	case mode.Mode != modePull && mode.Mode != modePop:
		return nil, protocol.Errorf(protocol.CodeInvalidParameter, "the mode is %q, possible are PULL and POP", shown(mode.Mode))
	case strings.HasPrefix(mode.Topic, retryPrefix):
		return nil, protocol.Errorf(protocol.CodeNoPermission, "retry topic is not allowed to set mode")
	case b.topics.find(mode.Topic) == nil:
		return nil, protocol.Errorf(protocol.CodeTopicNotExist, "topic[%s] not exist", shown(mode.Topic))
	case b.groups.get([]byte(mode.ConsumerGroup)) == nil:
		return nil, protocol.Errorf(protocol.CodeSubscriptionGroupNotExist, "subscription group does not exist: %s (%s)", shown(mode.ConsumerGroup), whyNoGroup(b.settings.Load(), mode.ConsumerGroup))
	}
	if err := b.modes.set(mode); err != nil {
		return nil, err
	}
	b.log.Info("message request mode was set", "topic", mode.Topic, "group", mode.ConsumerGroup, "mode", mode.Mode, "share_queues", mode.PopShareQueueNum, "addr", r.Conn.RemoteAddr())
	return nil, nil
}

func (b *Broker) getRequestModes(*remoting.Request) (*remoting.Answer, error) {
	body, err := b.modes.all()
	if err != nil {
		return nil, errors.New("cannot encode message request modes: " + err.Error())
	}
	return &remoting.Answer{Body: body}, nil
}

func (b *Broker) popRollback(*remoting.Request) (*remoting.Answer, error) { return nil, nil }

// Modes of consuming. Part of the wire format.
const (
	modePull = "PULL"
	modePop  = "POP"
)

// modeOf is how a group consumes a topic.
func (b *Broker) modeOf(topic, group string) protocol.RequestMode {
	if m := b.modes.find(topic, group); m != nil {
		return *m
	}
	cfg := b.settings.Load()
	m := protocol.RequestMode{Topic: topic, ConsumerGroup: group, Mode: cfg.RequestMode}
	if strings.HasPrefix(topic, retryPrefix) {
		m.Mode = modePull
	}
	if m.Mode == modePop {
		m.PopShareQueueNum = int32(cfg.PopShareQueues)
	}
	return m
}
