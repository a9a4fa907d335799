package message

// The bits of a record's system flag. Part of the format; do not change.
const (
	FlagCompressed = 1 << 0 // the body is compressed; FlagCompression says how
	FlagMultiTags  = 1 << 1

	FlagTransaction         = 3 << 2 // mask of the three kinds below; 0 is an ordinary message
	FlagTransactionPrepared = 1 << 2
	FlagTransactionCommit   = 2 << 2
	FlagTransactionRollback = 3 << 2

	FlagBornHostV6  = 1 << 4 // the born host takes 16 + 4 bytes instead of 4 + 4
	FlagStoreHostV6 = 1 << 5 // the same for the store host

	FlagNeedUnwrap = 1 << 6 // with FlagInnerBatch: the body is a batch body, to be unwrapped by the consumer
	FlagInnerBatch = 1 << 7

	FlagCompression     = 7 << 8 // mask; 0 means zlib too, as clients before 5.0 wrote it
	FlagCompressionLZ4  = 1 << 8
	FlagCompressionZstd = 2 << 8
	FlagCompressionZlib = 3 << 8
)

// InConsumeQueue says whether a record with this flag gets a place in its queue: prepared and rolled back records do not.
func InConsumeQueue(sysFlag int32) bool {
	t := sysFlag & FlagTransaction
	return t == 0 || t == FlagTransactionCommit
}
