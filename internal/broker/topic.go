package broker

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// UPDATE_AND_CREATE_TOPIC 17, UPDATE_AND_CREATE_TOPIC_LIST 18, GET_ALL_TOPIC_CONFIG 21, DELETE_TOPIC_IN_BROKER 215,
// GET_TOPIC_CONFIG 351.
//
// Behaviour: a topic that was made, changed or deleted is so on disk when the answer comes, and the NameServers know of what was made or
// changed. Deleting one deletes its messages' queues and the groups' offsets in it, also on disk, and the pop retry topics that belong to
// it. It is made again only when all that is done.
// Differs from Apache: a list with a topic that is there already does not leave out the others; a number of queues
// below 0 or above 65536 is refused.

// checkTopic says why an admin must not make or change a topic so.
func (b *Broker) checkTopic(c *protocol.TopicConfig) error {
	if err := checkTopicName(c.TopicName); err != nil {
		return err
	}
	if err := b.checkNoSystemTopic(c.TopicName); err != nil {
		return err
	}
	for _, n := range []int32{c.ReadQueueNums, c.WriteQueueNums} {
		if n < 0 || n > queuesMax {
			return protocol.Errorf(protocol.CodeInvalidParameter, "The topic[%s] cannot have readQueueNums=%d writeQueueNums=%d, allowed are 0 to %d.",
				c.TopicName, c.ReadQueueNums, c.WriteQueueNums, queuesMax)
		}
	}
	if c.TopicFilterType != protocol.SingleTag && c.TopicFilterType != protocol.MultiTag {
		return protocol.Errorf(protocol.CodeInvalidParameter, "The topic[%s] cannot have topicFilterType=%s, allowed are SINGLE_TAG and MULTI_TAG.",
			c.TopicName, shown(c.TopicFilterType))
	}
	if c.Attributes["+"+attrMessageType] == "MIXED" && !b.settings.Load().MixedMessages {
		return protocol.Errorf(protocol.CodeInvalidParameter, "MIXED message type is not supported. (enableMixedMessageType=false)")
	}
	return nil
}

func (b *Broker) checkNoSystemTopic(name string) error {
	if b.settings.Load().ValidateSystemTopic && b.topics.isSystem(name) {
		return protocol.Errorf(protocol.CodeInvalidParameter, "The topic[%s] is conflict with system topic.", name)
	}
	return nil
}

// updateTopics makes or changes those of the topics that are not so already.
func (b *Broker) updateTopics(r *remoting.Request, configs []*protocol.TopicConfig) (*remoting.Answer, error) {
	var changes []protocol.TopicConfig
	for _, c := range configs {
		if c == nil {
			continue
		}
		if err := b.checkTopic(c); err != nil {
			return nil, err
		}
		if old := b.topics.find(c.TopicName); old == nil || !old.Equal(c) {
			changes = append(changes, *c)
		}
	}
	if len(changes) == 0 {
		return nil, nil
	}
	b.log.Info("request to create or change topics", "topics", len(changes), "first", changes[0].TopicName, "addr", r.Conn.RemoteAddr())
	return nil, b.topics.update(changes...)
}

func (b *Broker) updateTopic(r *remoting.Request, h *protocol.CreateTopicHeader) (*remoting.Answer, error) {
	attributes, err := parseAttributes(h.Attributes)
	if err != nil {
		return nil, err
	}
	return b.updateTopics(r, []*protocol.TopicConfig{{TopicName: h.Topic, ReadQueueNums: h.ReadQueueNums, WriteQueueNums: h.WriteQueueNums,
		Perm: h.Perm, TopicFilterType: h.TopicFilterType, TopicSysFlag: h.TopicSysFlag, Order: h.Order, Attributes: attributes}})
}

func (b *Broker) updateTopicList(r *remoting.Request, body *protocol.CreateTopicListBody) (*remoting.Answer, error) {
	if body.TopicConfigList == nil { // Apache fails inside
		return nil, protocol.Errorf(protocol.CodeSystemError, "the request names no topics: its body has no topicConfigList")
	}
	return b.updateTopics(r, body.TopicConfigList)
}

// pageMax is how many topics or groups one page has at most.
const pageMax = 2000

// pageOf says where a page begins and how many entries it has. It begins anew when the table has changed since the last one.
func pageOf(first *int32, version *string, n *int32, now protocol.DataVersion) (from, count int) {
	count = pageMax
	if n != nil {
		count = min(count, int(*n))
	}
	if first == nil || version == nil {
		return 0, count
	}
	var asked protocol.DataVersion
	if err := fastjson.Unmarshal([]byte(*version), &asked); err != nil || asked != now {
		return 0, count
	}
	return int(*first), count
}

// offPage are the names in a table that are not on the page of n from number first on, in the order of the names.
func offPage[V any](table map[string]V, first, n int) []string {
	names := slices.Sorted(maps.Keys(table))
	first = min(max(first, 0), len(names))
	return slices.Delete(names, first, min(first+max(n, 0), len(names)))
}

func (b *Broker) getAllTopicConfig(_ *remoting.Request, h *protocol.GetAllTopicConfigHeader) (*remoting.Answer, error) {
	body := protocol.TopicConfigsAndMappings{TopicQueueMappingInfoMap: map[string]any{}}
	body.TopicQueueMappingDetailMap, body.MappingDataVersion = b.topics.mappings.all()
	if body.MappingDataVersion.Timestamp == 0 {
		body.MappingDataVersion.Timestamp = b.started.UnixMilli()
	}
	if h.TopicSeq == nil && h.DataVersion == nil && h.MaxTopicNum == nil {
		body.TopicConfigTable, body.DataVersion = b.topics.all()
	} else {
		from, n := pageOf(h.TopicSeq, h.DataVersion, h.MaxTopicNum, b.topics.dataVersion())
		body.TopicConfigTable, body.DataVersion = b.topics.page(from, n)
	}
	a, err := jsonAnswer(body)
	if err != nil {
		return nil, err
	}
	a.Header = protocol.GetAllTopicConfigResponseHeader{TotalTopicNum: int32(b.topics.count())}
	return a, nil
}

func (b *Broker) getTopicConfig(_ *remoting.Request, h *protocol.GetTopicConfigHeader) (*remoting.Answer, error) {
	t := b.topics.find(h.Topic)
	if t == nil {
		return nil, protocol.Errorf(protocol.CodeTopicNotExist, "No topic in this broker. topic: %s", shown(h.Topic))
	}
	answer := protocol.TopicConfigAndMapping{TopicConfig: t.TopicConfig}
	if h.Lo {
		answer.MappingDetail = t.mapping
	}
	return jsonAnswer(&answer)
}

func (b *Broker) deleteTopic(r *remoting.Request, h *protocol.TopicHeader) (*remoting.Answer, error) {
	if h.Topic == "" {
		return nil, protocol.Errorf(protocol.CodeInvalidParameter, "The specified topic is blank.")
	}
	if err := b.checkNoSystemTopic(h.Topic); err != nil {
		return nil, err
	}
	b.log.Info("request to delete a topic", "topic", h.Topic, "addr", r.Conn.RemoteAddr())
	retries := b.popRetriesOf(h.Topic)
	names := append(slices.Clip(retries), h.Topic) // last, for by its offsets a repeated request finds the others that are left
	defer b.topics.deleting(names...)()
	defer b.topics.file.hold()()
	for _, name := range names {
		if _, err := b.topics.delete(name); err != nil {
			return nil, err
		}
		b.pops.forget(name, "")
		b.counts.forgetTopic(name)
		if err := b.topics.mappings.set(name, nil); err != nil {
			return nil, err
		}
		b.timers.forget(name)
	}
	lites := b.deleteLitesOf(h.Topic)
	undeleted, err := b.deleteMessages(retries...)
	if undeleted == nil { // else its offsets must stay; this writes what was not written just now
		undeleted, err = b.deleteMessages(h.Topic)
	}
	if err = errors.Join(err, undeleted, lites); err != nil {
		return nil, fmt.Errorf("topic %s is deleted, but not all that belonged to it: %w", h.Topic, err)
	}
	return nil, nil
}

// finishDeleting deletes what a kill left of topics that were being deleted: a topic that is made again would have it again.
func (b *Broker) finishDeleting() {
	var err error
	for _, name := range b.topics.halfGone {
		if len(b.store.Queues(name)) > 0 {
			b.log.Info("what is left of a topic that was being deleted at the last stop is deleted", "topic", name)
		}
		err = errors.Join(err, b.topics.mappings.set(name, nil), b.deleteLitesOf(name))
		b.timers.forget(name)
	}
	undeleted, unwritten := b.deleteMessages(b.topics.halfGone...)
	if err = errors.Join(err, undeleted, unwritten); err != nil {
		b.log.Error("cannot delete all that is left of topics that were being deleted at the last stop; repeat deleteTopic", "topics", b.topics.halfGone, "err", err)
	}
}

// popRetriesOf returns the pop retry topics that belong to a topic.
func (b *Broker) popRetriesOf(topic string) (names []string) {
	for _, group := range b.offsets.groupsOf(topic) {
		for _, name := range []string{popRetryTopic(group, topic, popRetryV2), popRetryTopic(group, topic, popRetryV1)} {
			if b.topics.find(name) != nil || len(b.store.Queues(name)) > 0 {
				names = append(names, name)
			}
		}
	}
	return names
}

// deleteMessages removes the offsets in topics that are not there any more, and then their queues: the disk has no such offset left when
// messages can come that begin at 0. While the offsets cannot be written the messages go all the same, for nobody finds them any more.
// The caller keeps the topics from being made meanwhile.
func (b *Broker) deleteMessages(topics ...string) (undeleted, unwritten error) {
	if len(topics) == 0 {
		return nil, nil
	}
	for _, name := range topics {
		b.offsets.removeTopic(name)
	}
	unwritten = b.offsets.writeRemoved()
	return b.store.DeleteTopic(topics...), unwritten
}
