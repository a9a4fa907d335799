package broker

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
)

// How long a request that makes topics waits for the NameServers. Producers wait 3 s for an answer by default, mqadmin 5 s.
const (
	answerMax   = time.Second             // for one NameServer's answer about one topic
	tellMax     = 2500 * time.Millisecond // for all answers about all topics, and for others who tell of the same
	tellStripes = 16
)

var tellSeed = maphash.MakeSeed()

// tell makes every NameServer that the broker is registered with know topics before it returns, so that who has made one, or has sent its first
// message, finds it at once. The registration with all topics that is due soon is not waited for: making topics one by one would take quadratic
// time. Only static topics wait for it: without their mappings, which nothing else carries, they would be taken for plain ones.
//
// A NameServer that does not answer within answerMax learns of topics with registrations alone until it has answered one: only the topics
// of that second are held up. Who tells of a topic while others do waits for them and tells how it is then, so that the last word is not an
// old one; not for longer than tellMax, though.
func (r *registrar) tell(changed []*protocol.TopicConfig) {
	r.changed()
	if r.cfg.self.BrokerID != protocol.MasterID {
		return
	}
	ctx, servers := r.listening()
	if len(servers) == 0 {
		return
	}
	var plain []string
	for _, c := range changed {
		if _, static := r.cfg.topic(c.TopicName); !static {
			plain = append(plain, c.TopicName)
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, tellMax, fmt.Errorf("telling of %d topics, after others who tell of such, takes longer than %s", len(plain), tellMax))
	defer cancel()
	var wg sync.WaitGroup
	for _, s := range servers {
		wg.Go(func() { r.tellServer(ctx, s, plain) })
	}
	wg.Wait()
	if len(plain) < len(changed) {
		r.awaitKnown(ctx)
	}
}

// tellAll makes every NameServer that the broker is registered with know of a change of all topics before it returns, if they are quick.
func (r *registrar) tellAll() {
	r.changed()
	ctx, servers := r.listening()
	if len(servers) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, tellMax)
	defer cancel()
	r.awaitKnown(ctx)
}

// listening are the NameServers that are worth waiting for, and what ends when the registrar does.
func (r *registrar) listening() (ctx context.Context, servers []*nameServer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.servers {
		if s.listensLocked() {
			servers = append(servers, s)
		}
	}
	return r.ctx, servers
}

func (s *nameServer) listensLocked() bool { return s.standing == registered && !s.deaf }

func (r *registrar) tellServer(ctx context.Context, s *nameServer, topics []string) {
	for _, topic := range topics {
		err := r.tellTopic(ctx, s, topic)
		if errors.Is(err, context.Canceled) {
			return
		}
		if err != nil {
			r.cfg.log.Warn("a name server learns of a topic only with the next registration", "addr", s.addr, "topic", topic, "err", err)
			return
		}
	}
}

// tellTopic tells one NameServer how a topic is now.
func (r *registrar) tellTopic(ctx context.Context, s *nameServer, topic string) error {
	one := s.telling[maphash.String(tellSeed, topic)%tellStripes]
	select {
	case one <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-one }()
	r.mu.Lock()
	listens := s.listensLocked()
	r.mu.Unlock()
	c, _ := r.cfg.topic(topic)
	if !listens || c == nil { // it went deaf, or the topic away, while others were told
		return nil
	}
	began := time.Now()
	within, cancel := context.WithTimeoutCause(ctx, answerMax, fmt.Errorf("no answer within %s", answerMax))
	defer cancel()
	err := r.pool.RegisterTopic(within, s.addr, topic, queueData(r.cfg.self.BrokerName, c, r.cfg.permission()))
	if err != nil && time.Since(began) >= answerMax {
		r.mu.Lock()
		s.deaf = true
		r.movedLocked()
		r.mu.Unlock()
	}
	return err
}

// queueData is a topic as routes have it.
func queueData(broker string, c *protocol.TopicConfig, permission int32) protocol.QueueData {
	perm := c.Perm
	if !permitsAll(permission) {
		perm &= permission
	}
	return protocol.QueueData{BrokerName: broker, ReadQueueNums: c.ReadQueueNums, WriteQueueNums: c.WriteQueueNums, Perm: perm, TopicSysFlag: c.TopicSysFlag}
}
