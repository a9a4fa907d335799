package protocol

import (
	"strconv"
	"time"

	"github.com/liftoffmq/liftoff/internal/fastjson"
)

// How a group's consumers share messages, and how they get them. Part of the wire format; do not change.
const (
	Broadcasting      = "BROADCASTING"
	Clustering        = "CLUSTERING"
	ConsumeActively   = "CONSUME_ACTIVELY"  // pull consumers
	ConsumePassively  = "CONSUME_PASSIVELY" // push consumers
	SubscribeAll      = "*"
	ExpressionTag     = "TAG"
	ExpressionSQL92   = "SQL92"
	HeartbeatV2Field  = "IS_SUPPORT_HEART_BEAT_V2"
	HeartbeatSubField = "IS_SUB_CHANGE"
)

// HeartbeatData is the body of HEART_BEAT 34. With a HeartbeatFingerprint it is version 2: WithoutSub then says that the
// subscriptions are left out because they are the ones of the fingerprint.
type HeartbeatData struct {
	ClientID             string          `json:"clientID"`
	ProducerDataSet      []*ProducerData `json:"producerDataSet"`
	ConsumerDataSet      []*ConsumerData `json:"consumerDataSet"`
	HeartbeatFingerprint int32           `json:"heartbeatFingerprint"`
	WithoutSub           bool            `json:"withoutSub"`
}

// ProducerData names a producer group of a client.
type ProducerData struct {
	GroupName string `json:"groupName"`
}

// ConsumerData is a consumer of a client.
type ConsumerData struct {
	GroupName           string              `json:"groupName"`
	ConsumeType         string              `json:"consumeType"`
	MessageModel        string              `json:"messageModel"`
	ConsumeFromWhere    string              `json:"consumeFromWhere"`
	SubscriptionDataSet []*SubscriptionData `json:"subscriptionDataSet"`
	UnitMode            bool                `json:"unitMode"`
}

// The names of enums by their number, which clients in C++ write instead. Part of the wire format; do not change.
var (
	consumeTypes  = []string{ConsumeActively, ConsumePassively, "CONSUME_POP"}
	messageModels = []string{Broadcasting, Clustering, "LITE_SELECTIVE"}
	fromWheres    = []string{"CONSUME_FROM_LAST_OFFSET", "CONSUME_FROM_LAST_OFFSET_AND_FROM_MIN_WHEN_BOOT_FIRST", "CONSUME_FROM_MIN_OFFSET",
		"CONSUME_FROM_MAX_OFFSET", "CONSUME_FROM_FIRST_OFFSET", "CONSUME_FROM_TIMESTAMP"}
)

// nameOf returns the name of an enum's value that may be given as its number.
func nameOf(value string, names []string) string {
	if n, err := strconv.ParseUint(value, 10, 8); err == nil && int(n) < len(names) {
		return names[n]
	}
	return value
}

// UnmarshalJSON reads a consumer, whose enums may be numbers.
func (d *ConsumerData) UnmarshalJSON(data []byte) error {
	type plain ConsumerData
	err := fastjson.Unmarshal(data, (*plain)(d))
	d.ConsumeType, d.MessageModel = nameOf(d.ConsumeType, consumeTypes), nameOf(d.MessageModel, messageModels)
	d.ConsumeFromWhere = nameOf(d.ConsumeFromWhere, fromWheres)
	return err
}

// SubscriptionData is what a consumer wants of one topic. CodeSet holds the hashes of TagsSet.
type SubscriptionData struct {
	ClassFilterMode bool     `json:"classFilterMode"`
	Topic           string   `json:"topic"`
	SubString       string   `json:"subString"`
	TagsSet         []string `json:"tagsSet"`
	CodeSet         []int32  `json:"codeSet"`
	SubVersion      int64    `json:"subVersion"`
	ExpressionType  string   `json:"expressionType"`
}

// UnmarshalJSON reads a subscription; one without a version is new, one without a type filters by tags.
func (s *SubscriptionData) UnmarshalJSON(data []byte) error {
	type plain SubscriptionData
	p := plain{TagsSet: []string{}, CodeSet: []int32{}, SubVersion: time.Now().UnixMilli(), ExpressionType: ExpressionTag}
	err := fastjson.Unmarshal(data, &p)
	*s = SubscriptionData(p)
	return err
}

// IsTag says whether the subscription filters by tags, or not at all.
func (s *SubscriptionData) IsTag() bool {
	return s.ExpressionType == "" || s.ExpressionType == ExpressionTag
}

// UnregisterClientHeader is UNREGISTER_CLIENT 35.
type UnregisterClientHeader struct {
	ClientID      string  `field:"clientID,required"`
	ProducerGroup *string `field:"producerGroup"`
	ConsumerGroup *string `field:"consumerGroup"`
}

// ConsumerGroupHeader names a consumer group: GET_CONSUMER_LIST_BY_GROUP 38, NOTIFY_CONSUMER_IDS_CHANGED 40,
// GET_CONSUMER_CONNECTION_LIST 203.
type ConsumerGroupHeader struct {
	ConsumerGroup string `field:"consumerGroup,required"`
}

// ConsumerList is the answer to GET_CONSUMER_LIST_BY_GROUP 38.
type ConsumerList struct {
	ConsumerIDList []string `json:"consumerIdList"`
}

// CheckClientBody is the body of CHECK_CLIENT_CONFIG 46.
type CheckClientBody struct {
	ClientID         string            `json:"clientId"`
	Group            string            `json:"group"`
	SubscriptionData *SubscriptionData `json:"subscriptionData"`
	Namespace        *string           `json:"namespace"`
}

// Connection is a client as admins see it.
type Connection struct {
	ClientID   string `json:"clientId"`
	ClientAddr string `json:"clientAddr"`
	Language   string `json:"language"`
	Version    int32  `json:"version"`
}

// ConsumerConnection is the answer to GET_CONSUMER_CONNECTION_LIST 203.
type ConsumerConnection struct {
	ConnectionSet     []Connection                 `json:"connectionSet"`
	SubscriptionTable map[string]*SubscriptionData `json:"subscriptionTable"`
	ConsumeType       string                       `json:"consumeType"`
	MessageModel      string                       `json:"messageModel"`
	ConsumeFromWhere  string                       `json:"consumeFromWhere"`
	// Differences are consumers of the group that subscribe differently, and so lose messages. Apache has nothing of the kind.
	Differences []SubscriptionDifference `json:"subscriptionDifferences,omitempty"`
}

// SubscriptionDifference is two consumers that subscribe to one topic differently. An expression is empty when one does not subscribe
// to the topic at all.
type SubscriptionDifference struct {
	Topic           string `json:"topic"`
	ClientID        string `json:"clientId"`
	Expression      string `json:"expression,omitempty"`
	OtherClientID   string `json:"otherClientId"`
	OtherExpression string `json:"otherExpression,omitempty"`
}

// ProducerGroupHeader is GET_PRODUCER_CONNECTION_LIST 204.
type ProducerGroupHeader struct {
	ProducerGroup string `field:"producerGroup,required"`
}

// ProducerConnection is the answer to GET_PRODUCER_CONNECTION_LIST 204.
type ProducerConnection struct {
	ConnectionSet []Connection `json:"connectionSet"`
}

// ProducerTable is the answer to GET_ALL_PRODUCER_INFO 328, by group.
type ProducerTable struct {
	Data map[string][]ProducerInfo `json:"data"`
}

// ProducerInfo is one client of a producer group.
type ProducerInfo struct {
	ClientID            string `json:"clientId"`
	RemoteIP            string `json:"remoteIP"`
	Language            string `json:"language"`
	Version             int32  `json:"version"`
	LastUpdateTimestamp int64  `json:"lastUpdateTimestamp"`
}
