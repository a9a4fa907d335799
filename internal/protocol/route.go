package protocol

import "strings"

// MasterID is the broker id of a master; slaves have greater ones. Part of the format; do not change.
const MasterID = 0

// Topics and names that have a meaning of their own for a NameServer. Part of the format; do not change.
const (
	TopicAutoCreate           = "TBW102" // there while brokers make topics on their first message
	TopicSyncMemberPrefix     = "rmq_sys_SYNC_BROKER_MEMBER_"
	NamespaceOrderTopicConfig = "ORDER_TOPIC_CONFIG" // KV namespace of "brokerName:queues;..." by topic
	FieldZoneName             = "__ZONE_NAME"        // in a registration: the zone of the broker; in a route query: of the client
	FieldZoneMode             = "__ZONE_MODE"        // "true" in a route query: brokers of the client's zone only
)

// Flags of a topic. Part of the format; do not change.
const (
	TopicFlagUnit    = 1 << 0
	TopicFlagUnitSub = 1 << 1
)

// NoRoute begins the remark of a route query that found nothing; the topic follows. Clients and scripts look for it.
const NoRoute = "No topic route info in name server for the topic: "

// FAQ ends remarks as Apache's do.
const FAQ = "\nSee https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details."

// GetRouteInfoHeader is GET_ROUTEINFO_BY_TOPIC 105.
type GetRouteInfoHeader struct {
	Topic string `field:"topic,required"`
	// AcceptStandardJSONOnly asks for quoted map keys, which is what versions from V4_9_4 on get anyway.
	AcceptStandardJSONOnly bool `field:"acceptStandardJsonOnly,omitempty"`
}

// BrokerData is a broker group: a master and its slaves by broker id.
type BrokerData struct {
	BrokerAddrs        map[int64]string `json:"brokerAddrs"`
	BrokerName         string           `json:"brokerName"`
	Cluster            string           `json:"cluster"`
	EnableActingMaster bool             `json:"enableActingMaster"`
	ZoneName           string           `json:"zoneName,omitempty"`
}

// Pick returns the address of the member to ask: the master, else the one with the least id.
func (b *BrokerData) Pick() string {
	least, addr := int64(-1), ""
	for id, a := range b.BrokerAddrs {
		if least < 0 || id < least {
			least, addr = id, a
		}
	}
	return addr
}

// QueueData is how many queues a topic has on a broker group.
type QueueData struct {
	BrokerName     string `json:"brokerName"`
	Perm           int32  `json:"perm"`
	ReadQueueNums  int32  `json:"readQueueNums"`
	TopicSysFlag   int32  `json:"topicSysFlag"`
	WriteQueueNums int32  `json:"writeQueueNums"`
}

// TopicQueueMappingInfo says which queues of a static topic are on a broker.
type TopicQueueMappingInfo struct {
	Bname       string          `json:"bname"`
	CurrIDMap   map[int32]int32 `json:"currIdMap"` // logical queue to the broker's own
	Dirty       bool            `json:"dirty"`
	Epoch       int64           `json:"epoch"`
	Scope       string          `json:"scope"`
	Topic       string          `json:"topic"`
	TotalQueues int32           `json:"totalQueues"`
}

// TopicRoute is the answer to GET_ROUTEINFO_BY_TOPIC: where a topic is.
type TopicRoute struct {
	BrokerDatas []*BrokerData `json:"brokerDatas"`
	// FilterServerTable is by broker address. Filter servers were taken out of RocketMQ; old brokers may still name some.
	FilterServerTable map[string][]string `json:"filterServerTable"`
	OrderTopicConf    string              `json:"orderTopicConf,omitempty"`
	QueueDatas        []QueueData         `json:"queueDatas"`
	// TopicQueueMappingByBroker is nil but for static topics.
	TopicQueueMappingByBroker map[string]*TopicQueueMappingInfo `json:"topicQueueMappingByBroker"`
}

// ClusterInfo is the answer to GET_BROKER_CLUSTER_INFO 106.
type ClusterInfo struct {
	BrokerAddrTable  map[string]*BrokerData `json:"brokerAddrTable"`  // by broker name
	ClusterAddrTable map[string][]string    `json:"clusterAddrTable"` // broker names by cluster
}

// BrokerMemberGroupHeader is GET_BROKER_MEMBER_GROUP 901.
type BrokerMemberGroupHeader struct {
	ClusterName string `field:"clusterName,required"`
	BrokerName  string `field:"brokerName,required"`
}

// BrokerMemberGroup is a broker group's members by id.
type BrokerMemberGroup struct {
	BrokerAddrs map[int64]string `json:"brokerAddrs"`
	BrokerName  string           `json:"brokerName"`
	Cluster     string           `json:"cluster"`
}

// BrokerMemberGroupBody is the answer to GET_BROKER_MEMBER_GROUP.
type BrokerMemberGroupBody struct {
	BrokerMemberGroup *BrokerMemberGroup `json:"brokerMemberGroup"`
}

// BrokerNameHeader names a broker group: WIPE_WRITE_PERM_OF_BROKER 205, ADD_WRITE_PERM_OF_BROKER 327.
type BrokerNameHeader struct {
	BrokerName string `field:"brokerName,required"`
}

// WipeWritePermResponseHeader says how many topics 205 has changed.
type WipeWritePermResponseHeader struct {
	WipeTopicCount int32 `field:"wipeTopicCount"`
}

// AddWritePermResponseHeader says how many topics 327 has changed.
type AddWritePermResponseHeader struct {
	AddTopicCount int32 `field:"addTopicCount"`
}

// DeleteTopicInNamesrvHeader is DELETE_TOPIC_IN_NAMESRV 216: everywhere, or in one cluster.
type DeleteTopicInNamesrvHeader struct {
	Topic       string `field:"topic,required"`
	ClusterName string `field:"clusterName,omitempty"`
}

// ClusterHeader is GET_TOPICS_BY_CLUSTER 224.
type ClusterHeader struct {
	Cluster string `field:"cluster,required"`
}

// IsSyncMemberTopic is true for the topics over which the members of a group agree; their route is never changed to let
// a slave act as master.
func IsSyncMemberTopic(topic string) bool { return strings.HasPrefix(topic, TopicSyncMemberPrefix) }
