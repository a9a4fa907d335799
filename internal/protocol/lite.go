package protocol

// Lite topics: a parent topic has any number of them, each a light queue. A client subscribes to single ones for its group, which is
// bound to one parent topic, and pops what there is in any of them.

// PopLiteHeader is POP_LITE_MESSAGE 200070.
type PopLiteHeader struct {
	ClientID      string `field:"clientId,required"`
	ConsumerGroup string `field:"consumerGroup,required"`
	Topic         string `field:"topic,required"`
	MaxMsgNum     int32  `field:"maxMsgNum,required"`
	InvisibleTime int64  `field:"invisibleTime,required"`
	PollTime      int64  `field:"pollTime,required"`
	BornTime      int64  `field:"bornTime,required"`
	AttemptID     string `field:"attemptId,omitempty"`
}

// What a client does to its subscriptions. Part of the wire format.
const (
	LitePartialAdd     = "PARTIAL_ADD"
	LitePartialRemove  = "PARTIAL_REMOVE"
	LiteCompleteAdd    = "COMPLETE_ADD"
	LiteCompleteRemove = "COMPLETE_REMOVE"
)

// LiteSubscriptions is the body of LITE_SUBSCRIPTION_CTL 200071.
type LiteSubscriptions struct {
	SubscriptionSet []LiteSubscription `json:"subscriptionSet"`
}

// LiteSubscription is one change of a client's subscriptions to lite topics.
type LiteSubscription struct {
	Action       string            `json:"action"`
	ClientID     string            `json:"clientId"`
	Group        string            `json:"group"`
	Topic        string            `json:"topic"`
	LiteTopicSet []string          `json:"liteTopicSet"`
	OffsetOption *LiteOffsetOption `json:"offsetOption"`
	Version      int64             `json:"version"`
}

// Kinds of LiteOffsetOption, and the values of a policy. Part of the wire format.
const (
	LiteOffsetPolicy    = "POLICY"
	LiteOffsetAt        = "OFFSET"
	LiteOffsetTail      = "TAIL_N"
	LiteOffsetTimestamp = "TIMESTAMP"

	LitePolicyMin = 1
	LitePolicyMax = 2
)

// LiteOffsetOption says where a group begins in a lite topic that a client subscribes to.
type LiteOffsetOption struct {
	Type  string `json:"type"`
	Value int64  `json:"value"`
}

// NotifyUnsubscribeLiteHeader is NOTIFY_UNSUBSCRIBE_LITE 200073, from the broker to a client whose subscription another one has taken.
type NotifyUnsubscribeLiteHeader struct {
	LiteTopic     string `field:"liteTopic"`
	ConsumerGroup string `field:"consumerGroup"`
	ClientID      string `field:"clientId"`
}

// BrokerLiteInfo is the answer to GET_BROKER_LITE_INFO 200074.
type BrokerLiteInfo struct {
	StoreType             string              `json:"storeType"`
	MaxLmqNum             int                 `json:"maxLmqNum"`
	CurrentLmqNum         int                 `json:"currentLmqNum"`
	LiteSubscriptionCount int                 `json:"liteSubscriptionCount"`
	OrderInfoCount        int                 `json:"orderInfoCount"`
	CqTableSize           int                 `json:"cqTableSize"`
	OffsetTableSize       int                 `json:"offsetTableSize"`
	EventMapSize          int                 `json:"eventMapSize"`
	TopicMeta             map[string]int64    `json:"topicMeta"` // minutes that a lite topic outlives its last message, by parent topic
	GroupMeta             map[string][]string `json:"groupMeta"` // groups by parent topic
}

// ParentTopicInfo is the answer to GET_PARENT_TOPIC_INFO 200075.
type ParentTopicInfo struct {
	Topic          string   `json:"topic"`
	TTL            int64    `json:"ttl"`
	Groups         []string `json:"groups"`
	LmqNum         int      `json:"lmqNum"`
	LiteTopicCount int      `json:"liteTopicCount"`
}

// GetLiteTopicInfoHeader is GET_LITE_TOPIC_INFO 200076.
type GetLiteTopicInfoHeader struct {
	ParentTopic string `field:"parentTopic"`
	LiteTopic   string `field:"liteTopic"`
}

// ClientGroup is a client as a member of a group.
type ClientGroup struct {
	ClientID string `json:"clientId"`
	Group    string `json:"group"`
}

// LiteTopicInfo is the answer to it.
type LiteTopicInfo struct {
	ParentTopic      string        `json:"parentTopic"`
	LiteTopic        string        `json:"liteTopic"`
	Subscriber       []ClientGroup `json:"subscriber"`
	TopicOffset      TopicOffset   `json:"topicOffset"`
	ShardingToBroker bool          `json:"shardingToBroker"`
}

// GetLiteClientInfoHeader is GET_LITE_CLIENT_INFO 200077.
type GetLiteClientInfoHeader struct {
	ParentTopic string `field:"parentTopic"`
	Group       string `field:"group"`
	ClientID    string `field:"clientId"`
	MaxCount    *int32 `field:"maxCount"`
}

// LiteClientInfo is the answer to it. A client without subscriptions has the count -1.
type LiteClientInfo struct {
	ParentTopic     string   `json:"parentTopic"`
	Group           string   `json:"group"`
	ClientID        string   `json:"clientId"`
	LastAccessTime  int64    `json:"lastAccessTime"`
	LastConsumeTime int64    `json:"lastConsumeTime"`
	LiteTopicCount  int      `json:"liteTopicCount"`
	LiteTopicSet    []string `json:"liteTopicSet"`
}

// GetLiteGroupInfoHeader is GET_LITE_GROUP_INFO 200078.
type GetLiteGroupInfoHeader struct {
	Group     string `field:"group,required"`
	LiteTopic string `field:"liteTopic"`
	TopK      int32  `field:"topK"`
}

// LiteGroupInfo is the answer to it.
type LiteGroupInfo struct {
	Group                       string         `json:"group"`
	ParentTopic                 string         `json:"parentTopic"`
	LiteTopic                   *string        `json:"liteTopic"`
	EarliestUnconsumedTimestamp int64          `json:"earliestUnconsumedTimestamp"`
	TotalLagCount               int64          `json:"totalLagCount"`
	LiteTopicOffsetWrapper      *OffsetWrapper `json:"liteTopicOffsetWrapper"`
	LagCountTopK                []LiteLag      `json:"lagCountTopK"`
	LagTimestampTopK            []LiteLag      `json:"lagTimestampTopK"`
}

// LiteLag is how far a group is behind in a lite topic.
type LiteLag struct {
	LiteTopic                   string `json:"liteTopic"`
	LagCount                    int64  `json:"lagCount"`
	EarliestUnconsumedTimestamp int64  `json:"earliestUnconsumedTimestamp"`
}

// TriggerLiteDispatchHeader is TRIGGER_LITE_DISPATCH 200079.
type TriggerLiteDispatchHeader struct {
	Group    string `field:"group,required"`
	ClientID string `field:"clientId"`
}
