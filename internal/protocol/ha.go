package protocol

// HAStatus is the answer to GET_BROKER_HA_STATUS 907: of a master its slaves, of a slave its link to the master.
type HAStatus struct {
	Master                   bool           `json:"master"`
	MasterCommitLogMaxOffset int64          `json:"masterCommitLogMaxOffset"`
	InSyncSlaveNums          int32          `json:"inSyncSlaveNums"`
	HAConnectionInfo         []HAConnection `json:"haConnectionInfo"`
	HAClientRuntimeInfo      HAClient       `json:"haClientRuntimeInfo"`
}

// HAConnection is a slave as its master sees it.
type HAConnection struct {
	Addr                    string `json:"addr"`
	SlaveAckOffset          int64  `json:"slaveAckOffset"`
	Diff                    int64  `json:"diff"` // bytes of log that it does not have yet
	InSync                  bool   `json:"inSync"`
	TransferredByteInSecond int64  `json:"transferredByteInSecond"`
	TransferFromWhere       int64  `json:"transferFromWhere"`
}

// HAClient is a slave's link to its master. Times are Unix ms.
type HAClient struct {
	MasterAddr              string `json:"masterAddr"`
	TransferredByteInSecond int64  `json:"transferredByteInSecond"`
	MaxOffset               int64  `json:"maxOffset"`
	LastReadTimestamp       int64  `json:"lastReadTimestamp"`
	LastWriteTimestamp      int64  `json:"lastWriteTimestamp"`
	MasterFlushOffset       int64  `json:"masterFlushOffset"`
	Activated               bool   `json:"activated"`
}

// EpochCache is the answer to GET_BROKER_EPOCH_CACHE 1007: which stretch of its log a broker got under which master.
type EpochCache struct {
	ClusterName string  `json:"clusterName"`
	BrokerName  string  `json:"brokerName"`
	BrokerID    int64   `json:"brokerId"`
	EpochList   []Epoch `json:"epochList"`
	MaxOffset   int64   `json:"maxOffset"`
}

// Epoch is one such stretch; the end is not part of it.
type Epoch struct {
	Epoch       int32 `json:"epoch"`
	StartOffset int64 `json:"startOffset"`
	EndOffset   int64 `json:"endOffset"`
}

// MasterFlushOffsetHeader is RESET_MASTER_FLUSH_OFFSET 908.
type MasterFlushOffsetHeader struct {
	MasterFlushOffset int64 `field:"masterFlushOffset,required"`
}
