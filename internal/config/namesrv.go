package config

import (
	"os"
	"path/filepath"
	"time"
)

// Namesrv is everything a NameServer can be told.
type Namesrv struct {
	Server
	Metrics

	// RocketMQHome is where RocketMQ is installed; shown in the answer to "get namesrv config". Default $ROCKETMQ_HOME.
	RocketMQHome string `prop:"rocketmqHome,restart,local"`
	// KVConfigPath is the file of the KV configuration. Default ~/namesrv/kvConfig.json.
	KVConfigPath string `prop:"kvConfigPath,restart,local"`
	// File is where a change of configuration is kept: the file that it was read from. Default ~/namesrv/namesrv.properties.
	File string `prop:"configStorePath,restart,local"`

	// OrderMessage adds the order of queues, from the KV configuration, to routes. Default false.
	OrderMessage bool `prop:"orderMessageEnable"`
	// ReturnOrderTopics gives the KV configuration of ordered topics to brokers that register. Default true.
	ReturnOrderTopics bool `prop:"returnOrderTopicConfigToBroker"`
	// ScanInterval is the time between two searches for brokers that have gone silent. Default 5 s.
	ScanInterval time.Duration `prop:"scanNotActiveBrokerInterval,ms,long,restart"`
	// SupportActingMaster shows the slave with the least id as master while the master is away, where its broker allows. Default false.
	SupportActingMaster bool `prop:"supportActingMaster"`
	// NotifyMinBrokerID tells the brokers of a group that its least id has changed. Default false.
	NotifyMinBrokerID bool `prop:"notifyMinBrokerIdChanged"`
	// AllTopicList serves the list of all topics. Default true.
	AllTopicList bool `prop:"enableAllTopicList"`
	// TopicList serves the list of a cluster's topics. Default true.
	TopicList bool `prop:"enableTopicList"`
	// WaitForService refuses to give routes for waitSecondsForService after the start. Default false.
	WaitForService bool `prop:"needWaitForService"`
	// WaitSeconds is how long that lasts. Default 45 s.
	//lint:ignore ST1011 it is a duration and the key is called so
	WaitSeconds time.Duration `prop:"waitSecondsForService,s"`
	// DeleteTopicWithRegistration forgets a topic that a broker no longer lists when it registers. Default false.
	DeleteTopicWithRegistration bool `prop:"deleteTopicWithBrokerRegistration"`
	// ConfigBlackList lists the keys that cannot be changed from outside, separated by semicolons.
	ConfigBlackList string `prop:"configBlackList,local"`

	// SharedLog says that a broker in the same process has the log too: its keys cannot be changed at the NameServer. It is no key.
	SharedLog bool

	extra extra // keys without a field that were set
}

// DefaultNamesrv is a NameServer's configuration when nothing is set.
func DefaultNamesrv() Namesrv {
	home := userHome()
	return Namesrv{
		Server:            defaultServer(9876),
		Metrics:           defaultMetrics(metricsPortNamesrv),
		RocketMQHome:      os.Getenv("ROCKETMQ_HOME"),
		KVConfigPath:      filepath.Join(home, "namesrv", "kvConfig.json"),
		File:              filepath.Join(home, "namesrv", "namesrv.properties"),
		ReturnOrderTopics: true,
		ScanInterval:      5 * time.Second,
		AllTopicList:      true,
		TopicList:         true,
		WaitSeconds:       45 * time.Second,
		ConfigBlackList:   "configBlackList;configStorePath;kvConfigPath",
	}
}

// Validate says what is wrong with a configuration; the error is a [WrongValues].
func (n *Namesrv) Validate() error {
	v := &validation{}
	n.Server.validate(v)
	n.Metrics.validate(v)
	v.notEmpty("kvConfigPath", n.KVConfigPath)
	v.notEmpty("configStorePath", n.File)
	v.atLeast("scanNotActiveBrokerInterval", n.ScanInterval.Milliseconds(), 1)
	v.atLeast("waitSecondsForService", int64(n.WaitSeconds/time.Second), 0)
	return v.err()
}
