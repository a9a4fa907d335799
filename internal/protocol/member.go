package protocol

// NotifyMinBrokerIDHeader is NOTIFY_MIN_BROKER_ID_CHANGE 905.
type NotifyMinBrokerIDHeader struct {
	MinBrokerID       int64  `field:"minBrokerId,required"`
	BrokerName        string `field:"brokerName"`
	MinBrokerAddr     string `field:"minBrokerAddr"`
	OfflineBrokerAddr string `field:"offlineBrokerAddr"`
	HABrokerAddr      string `field:"haBrokerAddr"`
}

// HAInfoHeader is EXCHANGE_BROKER_HA_INFO 906, and its answer. With an address it tells of a master, without it asks for one.
type HAInfoHeader struct {
	MasterHAAddress   *string `field:"masterHaAddress,omitempty"`
	MasterFlushOffset *int64  `field:"masterFlushOffset,omitempty"`
	MasterAddress     *string `field:"masterAddress,omitempty"`
}

// ResetMasterFlushOffsetHeader is RESET_MASTER_FLUSH_OFFSET 908.
type ResetMasterFlushOffsetHeader struct {
	MasterFlushOffset int64 `field:"masterFlushOffset,required"`
}

// NotifyRoleChangedHeader is NOTIFY_BROKER_ROLE_CHANGED 1008.
type NotifyRoleChangedHeader struct {
	MasterAddress     string `field:"masterAddress"`
	MasterEpoch       int32  `field:"masterEpoch"`
	SyncStateSetEpoch int32  `field:"syncStateSetEpoch"`
	MasterBrokerID    int64  `field:"masterBrokerId"`
}

// HARuntimeInfo is the answer to GET_BROKER_HA_STATUS 907: of a master who copies from it, of a slave what it copies.
type HARuntimeInfo struct {
	Client                   HAClientInfo       `json:"haClientRuntimeInfo"`
	Connections              []HAConnectionInfo `json:"haConnectionInfo"`
	InSyncSlaveNums          int                `json:"inSyncSlaveNums"`
	Master                   bool               `json:"master"`
	MasterCommitLogMaxOffset int64              `json:"masterCommitLogMaxOffset"`
}

// HAClientInfo is how far a slave is. Times are ms.
type HAClientInfo struct {
	Activated               bool   `json:"activated,omitempty"`
	LastReadTimestamp       int64  `json:"lastReadTimestamp"`
	LastWriteTimestamp      int64  `json:"lastWriteTimestamp"`
	MasterAddr              string `json:"masterAddr,omitempty"`
	MasterFlushOffset       int64  `json:"masterFlushOffset"`
	MaxOffset               int64  `json:"maxOffset"`
	TransferredByteInSecond int64  `json:"transferredByteInSecond"`
}

// HAConnectionInfo is one slave of a master.
type HAConnectionInfo struct {
	Addr                    string `json:"addr"`
	Diff                    int64  `json:"diff"`
	InSync                  bool   `json:"inSync"`
	SlaveAckOffset          int64  `json:"slaveAckOffset"`
	TransferFromWhere       int64  `json:"transferFromWhere"`
	TransferredByteInSecond int64  `json:"transferredByteInSecond"`
}
