package protocol

import (
	"maps"

	"github.com/liftoffmq/liftoff/internal/fastjson"
)

// What may be done with a topic, and through brokerPermission with a broker. Part of the format; do not change.
const (
	PermInherit = 1 << 0 // topics may be made after this one
	PermWrite   = 1 << 1
	PermRead    = 1 << 2
)

// DataVersion says how old a broker's table of something is. NameServers and slaves compare it with what they have.
type DataVersion struct {
	StateVersion int64 `json:"stateVersion"`
	Timestamp    int64 `json:"timestamp"` // Unix milliseconds of the last change
	Counter      int64 `json:"counter"`   // changes since the table was first made
}

// Next returns the version after one more change, at a time in Unix milliseconds.
func (v DataVersion) Next(now int64) DataVersion {
	return DataVersion{StateVersion: v.StateVersion, Timestamp: now, Counter: v.Counter + 1}
}

// Kinds of topic by how many tags a message of it may have.
const (
	SingleTag = "SINGLE_TAG"
	MultiTag  = "MULTI_TAG"
)

// TopicConfig is a topic as a broker has it. Also part of the format of topics.json.
type TopicConfig struct {
	TopicName       string            `json:"topicName"`
	ReadQueueNums   int32             `json:"readQueueNums"`
	WriteQueueNums  int32             `json:"writeQueueNums"`
	Perm            int32             `json:"perm"`
	TopicFilterType string            `json:"topicFilterType"`
	TopicSysFlag    int32             `json:"topicSysFlag"`
	Order           bool              `json:"order"`
	Attributes      map[string]string `json:"attributes"`
}

// NewTopicConfig is a topic of which only the name is known.
func NewTopicConfig(name string) TopicConfig {
	return TopicConfig{TopicName: name, ReadQueueNums: 16, WriteQueueNums: 16, Perm: PermRead | PermWrite,
		TopicFilterType: SingleTag, Attributes: map[string]string{}}
}

// UnmarshalJSON reads a topic; what is not there is as in NewTopicConfig.
func (t *TopicConfig) UnmarshalJSON(data []byte) error {
	type plain TopicConfig
	p := plain(NewTopicConfig(""))
	err := fastjson.Unmarshal(data, &p)
	*t = TopicConfig(p)
	return err
}

// Equal says whether both are the same topic with the same settings.
func (t *TopicConfig) Equal(o *TopicConfig) bool {
	return t.TopicName == o.TopicName && t.ReadQueueNums == o.ReadQueueNums && t.WriteQueueNums == o.WriteQueueNums &&
		t.Perm == o.Perm && t.TopicFilterType == o.TopicFilterType && t.TopicSysFlag == o.TopicSysFlag && t.Order == o.Order &&
		maps.Equal(t.Attributes, o.Attributes)
}

// TopicConfigs is the table of a broker's topics: the content of topics.json, and part of a registration.
type TopicConfigs struct {
	DataVersion      DataVersion             `json:"dataVersion"`
	TopicConfigTable map[string]*TopicConfig `json:"topicConfigTable"`
}

// TopicConfigsAndMappings is the answer to GET_ALL_TOPIC_CONFIG and the topics of a registration. The mappings belong to
// static topics.
type TopicConfigsAndMappings struct {
	TopicConfigs
	MappingDataVersion         DataVersion                         `json:"mappingDataVersion"`
	TopicQueueMappingDetailMap map[string]*TopicQueueMappingDetail `json:"topicQueueMappingDetailMap"`
	TopicQueueMappingInfoMap   map[string]any                      `json:"topicQueueMappingInfoMap"`
}

// MessageQueue names one queue of a topic on one broker.
type MessageQueue struct {
	Topic      string `json:"topic"`
	BrokerName string `json:"brokerName"`
	QueueID    int32  `json:"queueId"`
}

// CreateTopicHeader is UPDATE_AND_CREATE_TOPIC 17. Attributes is "+key=value,-key".
type CreateTopicHeader struct {
	Topic           string `field:"topic,required"`
	DefaultTopic    string `field:"defaultTopic,required"`
	ReadQueueNums   int32  `field:"readQueueNums,required"`
	WriteQueueNums  int32  `field:"writeQueueNums,required"`
	Perm            int32  `field:"perm,required"`
	TopicFilterType string `field:"topicFilterType,required"`
	TopicSysFlag    int32  `field:"topicSysFlag"`
	Order           bool   `field:"order"`
	Attributes      string `field:"attributes,omitempty"`
	Force           bool   `field:"force,omitempty"`
}

// CreateTopicListBody is the body of UPDATE_AND_CREATE_TOPIC_LIST 18. The keys of attributes begin with + or -.
type CreateTopicListBody struct {
	TopicConfigList []*TopicConfig `json:"topicConfigList"`
}

// TopicHeader names a topic: DELETE_TOPIC_IN_BROKER 215, GET_TOPIC_CONFIG 351, GET_TOPIC_STATS_INFO 202,
// QUERY_TOPIC_CONSUME_BY_WHO 300.
type TopicHeader struct {
	Topic string `field:"topic,required"`
}

// GetTopicConfigHeader is GET_TOPIC_CONFIG 351. With Lo a static topic's mapping is asked for too.
type GetTopicConfigHeader struct {
	Topic string `field:"topic,required"`
	Lo    bool   `field:"lo"`
}

// GetAllTopicConfigHeader is GET_ALL_TOPIC_CONFIG 21. Without fields all topics are meant; else MaxTopicNum topics in the
// order of their names from number TopicSeq on, or from the first when DataVersion is no longer the broker's.
type GetAllTopicConfigHeader struct {
	TopicSeq    *int32  `field:"topicSeq"`
	DataVersion *string `field:"dataVersion"`
	MaxTopicNum *int32  `field:"maxTopicNum"`
}

// GetAllTopicConfigResponseHeader says how many topics there are in all.
type GetAllTopicConfigResponseHeader struct {
	TotalTopicNum int32 `field:"totalTopicNum"`
}

// TopicList is a body that lists topics: 305, 343.
type TopicList struct {
	TopicList  []string `json:"topicList"`
	BrokerAddr *string  `json:"brokerAddr"`
}
