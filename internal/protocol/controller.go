package protocol

// ControllerMetadata is the answer to CONTROLLER_GET_METADATA_INFO 1005. Peers is "host:port;host:port".
type ControllerMetadata struct {
	Group         string `field:"group" json:"group"`
	LeaderID      string `field:"controllerLeaderId" json:"controllerLeaderId"`
	LeaderAddress string `field:"controllerLeaderAddress" json:"controllerLeaderAddress"`
	IsLeader      bool   `field:"isLeader" json:"isLeader"`
	Peers         string `field:"peers" json:"peers"`
}

// ElectMasterHeader is CONTROLLER_ELECT_MASTER 1002. With DesignateElect the broker of that id is wanted.
type ElectMasterHeader struct {
	ClusterName    string `field:"clusterName,required"`
	BrokerName     string `field:"brokerName,required"`
	BrokerID       int64  `field:"brokerId,required"`
	DesignateElect bool   `field:"designateElect,required"`
	InvokeTime     int64  `field:"invokeTime"` // Unix ms
}

// ElectMasterResponseHeader is the answer to CONTROLLER_ELECT_MASTER; its body is a [BrokerMemberGroup].
type ElectMasterResponseHeader struct {
	MasterBrokerID    int64  `field:"masterBrokerId" json:"masterBrokerId"`
	MasterAddress     string `field:"masterAddress" json:"masterAddress"`
	MasterEpoch       int32  `field:"masterEpoch" json:"masterEpoch"`
	SyncStateSetEpoch int32  `field:"syncStateSetEpoch" json:"syncStateSetEpoch"`
}

// CleanBrokerDataHeader is CLEAN_BROKER_DATA 1011. BrokerIDs is "1;2;3", all when it is empty.
type CleanBrokerDataHeader struct {
	ClusterName       string `field:"clusterName,omitempty"`
	BrokerName        string `field:"brokerName,required"`
	BrokerIDs         string `field:"brokerControllerIdsToClean,omitempty"`
	CleanLivingBroker bool   `field:"isCleanLivingBroker"`
	InvokeTime        int64  `field:"invokeTime"` // Unix ms
}

// BrokerReplicas is the answer to CONTROLLER_GET_SYNC_STATE_DATA 1006, by broker name.
type BrokerReplicas struct {
	ReplicasInfoTable map[string]*Replicas `json:"replicasInfoTable"`
}

// Replicas is a broker group as a controller sees it. What is not known, such as the master of a group that has none, is nil.
type Replicas struct {
	MasterBrokerID    *int64    `json:"masterBrokerId"`
	MasterAddress     *string   `json:"masterAddress"`
	MasterEpoch       *int32    `json:"masterEpoch"`
	SyncStateSetEpoch *int32    `json:"syncStateSetEpoch"`
	InSyncReplicas    []Replica `json:"inSyncReplicas"`
	NotInSyncReplicas []Replica `json:"notInSyncReplicas"`
}

// Replica is one broker of a group.
type Replica struct {
	BrokerName    string `json:"brokerName"`
	BrokerID      int64  `json:"brokerId"`
	BrokerAddress string `json:"brokerAddress"`
	Alive         bool   `json:"alive"`
}
