package protocol

import (
	"slices"

	"github.com/liftoffmq/liftoff/internal/fastjson"
)

// A static topic has logical queues, whose number and offsets stay while the queues of brokers that hold their messages change. Each
// logical queue is a list of stretches, oldest first, that lie in a queue of a broker each; the last one's broker leads it.

// LogicQueueMappingItem is one stretch of a logical queue. Of its offsets, those from LogicOffset on are StartOffset and further in the
// broker's queue; LogicOffset is -1 as long as the stretch before has not ended.
type LogicQueueMappingItem struct {
	Gen         int32  `json:"gen"`
	QueueID     int32  `json:"queueId"`
	Bname       string `json:"bname"`
	LogicOffset int64  `json:"logicOffset"`
	StartOffset int64  `json:"startOffset"`
	EndOffset   int64  `json:"endOffset"` // excluded; -1 while it grows
	TimeOfStart int64  `json:"timeOfStart"`
	TimeOfEnd   int64  `json:"timeOfEnd"`
}

// HasEnded says whether the stretch does not grow any more.
func (i *LogicQueueMappingItem) HasEnded() bool { return i.EndOffset > i.StartOffset }

// Physical is the offset in the broker's queue of one in the logical queue.
func (i *LogicQueueMappingItem) Physical(static int64) int64 {
	return static - i.LogicOffset + i.StartOffset
}

// Static is the offset in the logical queue of one in the broker's queue.
func (i *LogicQueueMappingItem) Static(physical int64) int64 {
	return i.LogicOffset + max(physical-i.StartOffset, 0)
}

// StaticWithin is Static, but not behind the stretch's end; -1 when it is not known yet.
func (i *LogicQueueMappingItem) StaticWithin(physical int64) int64 {
	if i.LogicOffset < 0 {
		return -1
	}
	if i.EndOffset >= i.StartOffset {
		physical = min(physical, i.EndOffset)
	}
	return i.Static(physical)
}

// StaticEnd is where the stretch ends in the logical queue as far as the mapping knows.
func (i *LogicQueueMappingItem) StaticEnd() int64 {
	return i.LogicOffset + max(i.EndOffset-i.StartOffset, 0)
}

// LogicQueue is the stretches of one logical queue, oldest first.
type LogicQueue []LogicQueueMappingItem

// Leader is the stretch that new messages go to, nil when there is none.
func (q LogicQueue) Leader() *LogicQueueMappingItem {
	if len(q) == 0 {
		return nil
	}
	return &q[len(q)-1]
}

// Find returns the stretch with an offset, the first one for an offset before it; nil when none has begun.
func (q LogicQueue) Find(static int64) *LogicQueueMappingItem {
	var first *LogicQueueMappingItem
	for i := len(q) - 1; i >= 0; i-- {
		if q[i].LogicOffset < 0 {
			continue
		}
		if first = &q[i]; static >= first.LogicOffset {
			return first
		}
	}
	return first
}

// Next returns the stretch behind one, nil when there is none or it has not begun.
func (q LogicQueue) Next(item *LogicQueueMappingItem) *LogicQueueMappingItem {
	at := slices.IndexFunc(q, func(i LogicQueueMappingItem) bool { return i.Gen == item.Gen })
	if at < 0 || at+1 >= len(q) || q[at+1].LogicOffset < 0 {
		return nil
	}
	return &q[at+1]
}

// Check says what is wrong with the list, in Apache's words.
func (q LogicQueue) Check() error {
	lastGen, lastOffset := int32(-1), int64(-1)
	for i := len(q) - 1; i >= 0; i-- {
		item := &q[i]
		switch {
		case item.StartOffset < 0 || item.Gen < 0 || item.QueueID < 0:
			return Errorf(CodeSystemError, "The field is illegal, should not be negative")
		case i < len(q)-1 && item.LogicOffset < 0:
			return Errorf(CodeSystemError, "The non-latest item has negative logic offset")
		case lastGen != -1 && item.Gen >= lastGen:
			return Errorf(CodeSystemError, "The gen does not increase monotonically")
		case item.EndOffset != -1 && item.EndOffset < item.StartOffset:
			return Errorf(CodeSystemError, "The endOffset is smaller than the start offset")
		case lastOffset != -1 && item.LogicOffset != -1 && item.LogicOffset >= lastOffset:
			return Errorf(CodeSystemError, "The base logic offset does not increase monotonically")
		case lastOffset != -1 && item.LogicOffset != -1 && item.StaticEnd() >= lastOffset:
			return Errorf(CodeSystemError, "The max logic offset does not increase monotonically")
		}
		lastGen, lastOffset = item.Gen, item.LogicOffset
	}
	return nil
}

// TopicQueueMappingDetail is what a broker knows of a static topic: the logical queues that it leads or has led. It is the body of
// UPDATE_AND_CREATE_STATIC_TOPIC 513.
type TopicQueueMappingDetail struct {
	TopicQueueMappingInfo
	HostedQueues map[int32]LogicQueue `json:"hostedQueues"`
}

// Info is what NameServers are told: which of the broker's queues lead which logical ones.
func (d *TopicQueueMappingDetail) Info() *TopicQueueMappingInfo {
	info := d.TopicQueueMappingInfo
	info.Dirty, info.CurrIDMap = false, map[int32]int32{}
	for id, queue := range d.HostedQueues {
		if leader := queue.Leader(); leader != nil && leader.Bname == d.Bname {
			info.CurrIDMap[id] = leader.QueueID
		}
	}
	return &info
}

// TopicQueueMappings is the content of topicQueueMapping.json.
type TopicQueueMappings struct {
	DataVersion              DataVersion                         `json:"dataVersion"`
	TopicQueueMappingInfoMap map[string]*TopicQueueMappingDetail `json:"topicQueueMappingInfoMap"`
}

// TopicConfigAndMapping is the answer to GET_TOPIC_CONFIG 351: a topic, and its mapping when it is static and that was asked for.
type TopicConfigAndMapping struct {
	TopicConfig
	MappingDetail *TopicQueueMappingDetail `json:"mappingDetail,omitempty"`
}

// UnmarshalJSON reads both parts; each has its own defaults.
func (t *TopicConfigAndMapping) UnmarshalJSON(data []byte) error {
	var m struct {
		MappingDetail *TopicQueueMappingDetail `json:"mappingDetail"`
	}
	if err := fastjson.Unmarshal(data, &m); err != nil {
		return err
	}
	t.MappingDetail = m.MappingDetail
	return t.TopicConfig.UnmarshalJSON(data)
}

// StaticTopicFields are in each request about a topic's queue. Lo false says that the queue is the broker's own even when the topic is
// static: so brokers ask each other. Bname is the broker's name.
type StaticTopicFields struct {
	Lo    *bool  `field:"lo"`
	Bname string `field:"bname,omitempty"`
}
