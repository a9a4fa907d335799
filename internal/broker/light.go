package broker

import (
	"bytes"
	"strings"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/store"
)

// Light queues (LMQ), which the store explains. With enableLmq every topic whose name begins with %LMQ% is there, with one queue and
// without settings, and every such group with the defaults; neither is in any list. Where a light group is in a light queue is kept
// in a table of its own in config/lmqConsumerOffset.json, which then stands for consumerOffset.json (offsetfiles.go).

// lightTopic is the topic of a light queue.
func lightTopic(name string, open func(topic string, id int32) *store.Queue) *topic {
	c := protocol.NewTopicConfig(name)
	c.ReadQueueNums, c.WriteQueueNums, c.Perm = 1, 1, permRead|permWrite
	return newTopic(c, open)
}

func lightGroup(name string) *group {
	return &group{SubscriptionGroupConfig: protocol.NewSubscriptionGroupConfig(name)}
}

// addLight has a message be put into the light queues that it names, with commas between them.
func (b *Broker) addLight(cfg *settings, light []byte, p *store.Put) error {
	p.Light = nil
	if !cfg.LightQueues || !store.AllowsLight(p.Queue.Topic()) {
		return nil
	}
	names := strings.Split(string(light), ",")
	queues := make([]*store.Queue, len(names))
	for i, name := range names {
		if !store.IsLight(name) {
			continue
		}
		if !store.IsQueueName(name) {
			return protocol.Errorf(protocol.CodeMessageIllegal, "the message is illegal: there can be no light queue %q (%s), its name is that of a folder", shown(name), message.PropMultiDispatch)
		}
		if err := b.checkLightQuota(cfg, name); err != nil {
			return err
		}
		queues[i] = b.store.Queue(name, 0)
	}
	p.Light = queues
	return nil
}

// addLite has a message for a lite topic be found in the light queue of that name under its topic. The queue's name is part of the
// format; do not change.
func (h *sendHeader) addLite(f *propertyFacts, t *topic) {
	f.light = []byte(store.LitePrefix + t.TopicName + "$" + string(f.lite))
	h.properties = message.SetProperty(h.properties, message.PropMultiDispatch, f.light)
}

// lightOffset is the offset that a record has in a light queue, which it names.
func lightOffset(rec []byte, queue string) int64 {
	var m message.Message
	if message.Decode(rec, &m) == nil {
		names, _ := message.Property(m.Properties, message.PropMultiDispatch)
		offsets, _ := message.Property(m.Properties, message.PropMultiQueueOffset)
		for more := true; more; {
			var name, offset []byte
			name, names, more = bytes.Cut(names, []byte{','})
			offset, offsets, _ = bytes.Cut(offsets, []byte{','})
			if n, ok := protocol.ParseInt(offset); ok && string(name) == queue {
				return n
			}
		}
	}
	return message.QueueOffsetOf(rec)
}

// checkLightQuota says whether there can be one more light queue.
func (b *Broker) checkLightQuota(cfg *settings, name string) error {
	if !cfg.LightQuota || !cfg.MultiDispatch || b.store.LightQueues() < cfg.LightQueuesMax {
		return nil
	}
	if q := b.store.FindQueue(name, 0); q != nil && q.MaxOffset() > 0 {
		return nil
	}
	return protocol.Errorf(protocol.CodeLmqQuotaExceeded, "[LMQ_CONSUME_QUEUE_NUM_EXCEEDED]lmq consume queue num exceeded. There are %d (maxLmqConsumeQueueNum=%d), and %s is not one of them",
		b.store.LightQueues(), cfg.LightQueuesMax, shown(name))
}

// lightOffsets is the content of lmqConsumerOffset.json: consumerOffset.json and the offsets of light groups, by topic@group.
type lightOffsets struct {
	consumerOffsets
	LmqOffsetTable map[string]int64 `json:"lmqOffsetTable"`
}

// withLight takes the light groups' offsets out of the table.
func (c consumerOffsets) withLight() lightOffsets {
	all := lightOffsets{consumerOffsets: c, LmqOffsetTable: map[string]int64{}}
	for key, queues := range c.OffsetTable {
		if _, group, _ := splitTopicAtGroup(key); store.IsLight(group) {
			if offset, ok := queues[0]; ok {
				all.LmqOffsetTable[key] = offset
			}
			delete(c.OffsetTable, key)
			delete(c.GroupTopicMap, group)
		}
	}
	return all
}

// readLightOffsets is the table as consumerOffset.json has it.
func readLightOffsets(data []byte) (consumerOffsets, error) {
	var file lightOffsets
	if err := fastjson.Unmarshal(data, &file); err != nil {
		return consumerOffsets{}, err
	}
	if file.OffsetTable == nil {
		file.OffsetTable = map[string]map[int32]int64{}
	}
	for key, offset := range file.LmqOffsetTable {
		file.OffsetTable[key] = map[int32]int64{0: offset}
	}
	return file.consumerOffsets, nil
}
