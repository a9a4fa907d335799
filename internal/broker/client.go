package broker

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// HEART_BEAT 34, UNREGISTER_CLIENT 35, GET_CONSUMER_LIST_BY_GROUP 38, CHECK_CLIENT_CONFIG 46, GET_CONSUMER_CONNECTION_LIST 203,
// GET_PRODUCER_CONNECTION_LIST 204, GET_ALL_PRODUCER_INFO 328.
//
// Behaviour: a heartbeat makes a client known to its groups, makes the groups and their retry topics if they are not there and may be
// made, and is answered with whether the client had better tell its subscriptions the next time.
// Differs from Apache: a client that leaves out its subscriptions (version 2) is asked for them when this broker has none of its
// group, as after a restart.

func (b *Broker) heartBeat(r *remoting.Request) (*remoting.Answer, error) {
	var hb protocol.HeartbeatData
	if err := fastjson.Unmarshal(r.Body, &hb); err != nil {
		return nil, fmt.Errorf("cannot read heartbeat: %w", err)
	}
	who := client{id: hb.ClientID, conn: r.Conn, language: r.Language, version: r.Version}
	v2 := hb.HeartbeatFingerprint != 0
	tellSubs := !v2
	for _, d := range hb.ConsumerDataSet {
		if d == nil || d.ConsumeType == protocol.ConsumeActively && b.settings.Load().RejectPullConsumers {
			continue
		}
		g := b.groups.get([]byte(d.GroupName))
		if g == nil {
			continue // as Apache does; its pulls are refused with the reason
		}
		begun, withoutSub := time.Now(), v2 && hb.WithoutSub
		refused := refuseLong(d)
		b.makeRetryTopic(g, d, withoutSub)
		stale := b.clients.registerConsumer(registration{ConsumerData: d, who: who, fingerprint: hb.HeartbeatFingerprint,
			withoutSub: withoutSub, notify: g.NotifyConsumerIDsChangedEnable, refused: refused})
		if !withoutSub {
			b.filters.register(d.GroupName, slices.DeleteFunc(d.SubscriptionDataSet, func(s *protocol.SubscriptionData) bool { return s != nil && refused[s.Topic] != nil }))
		}
		tellSubs = tellSubs || stale
		b.counts.registered(false, time.Since(begun))
	}
	for _, d := range hb.ProducerDataSet {
		if d != nil {
			begun := time.Now()
			b.clients.registerProducer(d.GroupName, who)
			b.counts.registered(true, time.Since(begun))
		}
	}
	return &remoting.Answer{Ext: [][2]string{{protocol.HeartbeatV2Field, "true"}, {protocol.HeartbeatSubField, strconv.FormatBool(tellSubs)}}}, nil
}

// makeRetryTopic makes sure that a consumer's group has the topic that its failed messages go to. It is ordered if one is that the
// group consumes.
func (b *Broker) makeRetryTopic(g *group, d *protocol.ConsumerData, withoutSub bool) {
	name := retryPrefix + d.GroupName
	if withoutSub && b.topics.find(name) != nil {
		return // what it subscribes to is not known here
	}
	order := false
	for _, s := range d.SubscriptionDataSet {
		if s != nil {
			t := b.topics.find(s.Topic)
			order = order || t != nil && t.Order
		}
	}
	flag := int32(0)
	if d.UnitMode {
		flag = protocol.TopicFlagUnitSub
	}
	if _, err := b.topics.createRetry(name, g.RetryQueueNums, order, flag); err != nil {
		b.log.Error("retry topic could not be created", "topic", name, "err", err)
	}
}

func (b *Broker) unregisterClient(r *remoting.Request, h *protocol.UnregisterClientHeader) (*remoting.Answer, error) {
	if h.ProducerGroup != nil {
		b.clients.unregisterProducer(*h.ProducerGroup, r.Conn)
	}
	if h.ConsumerGroup != nil {
		g := b.groups.find(*h.ConsumerGroup)
		b.clients.unregisterConsumer(*h.ConsumerGroup, r.Conn, g == nil || g.NotifyConsumerIDsChangedEnable)
	}
	return nil, nil
}

func (b *Broker) getConsumerList(_ *remoting.Request, h *protocol.ConsumerGroupHeader) (*remoting.Answer, error) {
	ids := b.clients.consumerIDs(h.ConsumerGroup)
	if len(ids) == 0 {
		return nil, protocol.Errorf(protocol.CodeSystemError, "no consumer for this group, %s", shown(h.ConsumerGroup))
	}
	return jsonAnswer(protocol.ConsumerList{ConsumerIDList: ids})
}

func (b *Broker) checkClientConfig(_ *remoting.Request, body *protocol.CheckClientBody) (*remoting.Answer, error) {
	s := body.SubscriptionData
	if s == nil || s.IsTag() {
		return nil, nil
	}
	if err := b.checkSQL(s.ExpressionType); err != nil {
		return nil, err
	}
	if _, err := b.sql.subscribe(nil, []byte(s.SubString), []byte(s.ExpressionType)); err != nil {
		return nil, protocol.Errorf(protocol.CodeSubscriptionParseFailed, "Invalid MessageSelector. %v", err)
	}
	return nil, nil
}

func (b *Broker) getConsumerConnections(_ *remoting.Request, h *protocol.ConsumerGroupHeader) (*remoting.Answer, error) {
	body, ok := b.clients.consumerConnections(h.ConsumerGroup)
	if !ok {
		return nil, protocol.Errorf(protocol.CodeConsumerNotOnline, "the consumer group[%s] not online", shown(h.ConsumerGroup))
	}
	return jsonAnswer(body)
}

func (b *Broker) getProducerConnections(_ *remoting.Request, h *protocol.ProducerGroupHeader) (*remoting.Answer, error) {
	list, ok := b.clients.producerConnections(h.ProducerGroup)
	if !ok {
		return nil, protocol.Errorf(protocol.CodeSystemError, "the producer group[%s] not exist", shown(h.ProducerGroup))
	}
	return jsonAnswer(protocol.ProducerConnection{ConnectionSet: list})
}

func (b *Broker) getAllProducers(*remoting.Request) (*remoting.Answer, error) {
	return jsonAnswer(protocol.ProducerTable{Data: b.clients.allProducers()})
}
