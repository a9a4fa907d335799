package protocol

// RocksCheckOK is the status of a check that has found nothing. Part of the wire format; do not change.
const RocksCheckOK = 0

// RocksQueueCheck is the answer to CHECK_ROCKSDB_CQ_WRITE_PROGRESS 354.
type RocksQueueCheck struct {
	Result string `json:"checkResult,omitempty"`
	Status int    `json:"checkStatus"`
}

// ExportRocksConfigHeader is EXPORT_ROCKSDB_CONFIG_TO_JSON 355: kinds of configuration, separated by semicolons.
type ExportRocksConfigHeader struct {
	ConfigType string `field:"configType,required"`
}
