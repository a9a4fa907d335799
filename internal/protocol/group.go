package protocol

import (
	"encoding/json"

	"github.com/liftoffmq/liftoff/internal/fastjson"
)

// GroupRetryPolicy says when a group's failed messages come again. The policies themselves are kept as they came.
type GroupRetryPolicy struct {
	Type                   string          `json:"type"`
	ExponentialRetryPolicy json.RawMessage `json:"exponentialRetryPolicy,omitempty"`
	CustomizedRetryPolicy  json.RawMessage `json:"customizedRetryPolicy,omitempty"`
}

// SubscriptionGroupConfig is a subscription group as a broker has it. Also part of the format of subscriptionGroup.json.
type SubscriptionGroupConfig struct {
	GroupName                      string            `json:"groupName"`
	ConsumeEnable                  bool              `json:"consumeEnable"`
	ConsumeFromMinEnable           bool              `json:"consumeFromMinEnable"`
	ConsumeBroadcastEnable         bool              `json:"consumeBroadcastEnable"`
	ConsumeMessageOrderly          bool              `json:"consumeMessageOrderly"`
	RetryQueueNums                 int32             `json:"retryQueueNums"`
	RetryMaxTimes                  int32             `json:"retryMaxTimes"`
	GroupRetryPolicy               GroupRetryPolicy  `json:"groupRetryPolicy"`
	BrokerID                       int64             `json:"brokerId"`
	WhichBrokerWhenConsumeSlowly   int64             `json:"whichBrokerWhenConsumeSlowly"`
	NotifyConsumerIDsChangedEnable bool              `json:"notifyConsumerIdsChangedEnable"`
	GroupSysFlag                   int32             `json:"groupSysFlag"`
	ConsumeTimeoutMinute           int32             `json:"consumeTimeoutMinute"`
	SubscriptionDataSet            json.RawMessage   `json:"subscriptionDataSet,omitempty"`
	Attributes                     map[string]string `json:"attributes"`
}

// NewSubscriptionGroupConfig is a group of which only the name is known.
func NewSubscriptionGroupConfig(name string) SubscriptionGroupConfig {
	return SubscriptionGroupConfig{GroupName: name, ConsumeEnable: true, ConsumeFromMinEnable: true, ConsumeBroadcastEnable: true,
		RetryQueueNums: 1, RetryMaxTimes: 16, GroupRetryPolicy: GroupRetryPolicy{Type: "CUSTOMIZED"}, WhichBrokerWhenConsumeSlowly: 1,
		NotifyConsumerIDsChangedEnable: true, ConsumeTimeoutMinute: 15, Attributes: map[string]string{}}
}

// UnmarshalJSON reads a group; what is not there is as in NewSubscriptionGroupConfig.
func (g *SubscriptionGroupConfig) UnmarshalJSON(data []byte) error {
	type plain SubscriptionGroupConfig
	p := plain(NewSubscriptionGroupConfig(""))
	err := fastjson.Unmarshal(data, &p)
	*g = SubscriptionGroupConfig(p)
	return err
}

// SubscriptionGroups is the table of a broker's groups: the content of subscriptionGroup.json, and the answer to
// GET_ALL_SUBSCRIPTIONGROUP_CONFIG 201. ForbiddenTable has, by group and topic, the bits of what is forbidden.
type SubscriptionGroups struct {
	DataVersion            DataVersion                         `json:"dataVersion"`
	ForbiddenTable         map[string]map[string]int32         `json:"forbiddenTable"`
	SubscriptionGroupTable map[string]*SubscriptionGroupConfig `json:"subscriptionGroupTable"`
}

// SubscriptionGroupList is the body of UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST 225.
type SubscriptionGroupList struct {
	GroupConfigList []*SubscriptionGroupConfig `json:"groupConfigList"`
}

// GetAllSubscriptionGroupHeader is GET_ALL_SUBSCRIPTIONGROUP_CONFIG 201; see GetAllTopicConfigHeader.
type GetAllSubscriptionGroupHeader struct {
	GroupSeq    *int32  `field:"groupSeq"`
	DataVersion *string `field:"dataVersion"`
	MaxGroupNum *int32  `field:"maxGroupNum"`
}

// GetAllSubscriptionGroupResponseHeader says how many groups there are in all.
type GetAllSubscriptionGroupResponseHeader struct {
	TotalGroupNum int32 `field:"totalGroupNum"`
}

// DeleteSubscriptionGroupHeader is DELETE_SUBSCRIPTIONGROUP 207.
type DeleteSubscriptionGroupHeader struct {
	GroupName   string `field:"groupName,required"`
	CleanOffset bool   `field:"cleanOffset,omitempty"`
}

// GroupHeader names a group: GET_SUBSCRIPTIONGROUP_CONFIG 352, QUERY_TOPICS_BY_CONSUMER 343.
type GroupHeader struct {
	Group string `field:"group,required"`
}

// UpdateGroupForbiddenHeader is UPDATE_AND_GET_GROUP_FORBIDDEN 353. Without Readable it only asks.
type UpdateGroupForbiddenHeader struct {
	Group    string `field:"group,required"`
	Topic    string `field:"topic,required"`
	Readable *bool  `field:"readable"`
}

// GroupForbidden is the answer to UPDATE_AND_GET_GROUP_FORBIDDEN.
type GroupForbidden struct {
	Topic    string `json:"topic"`
	Group    string `json:"group"`
	Readable bool   `json:"readable"`
}

// GroupList is a body that lists groups: the answer to QUERY_TOPIC_CONSUME_BY_WHO 300.
type GroupList struct {
	GroupList []string `json:"groupList"`
}
