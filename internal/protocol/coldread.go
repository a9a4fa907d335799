package protocol

// ColdReadInfo is the answer to GET_COLD_DATA_FLOW_CTR_INFO 2003: limits by group, what groups have read of late, and the limits of
// groups that have none of their own and of all groups together. All are bytes.
type ColdReadInfo struct {
	RuntimeTable    map[string]int64 `json:"runtimeTable"`
	ConfigTable     map[string]int64 `json:"configTable"`
	GroupThreshold  int64            `json:"cgColdReadThreshold"`
	GlobalThreshold int64            `json:"globalColdReadThreshold"`
	GlobalAcc       int64            `json:"globalAcc"`
}

// ReadModeHeader is SET_COMMITLOG_READ_MODE 2004.
type ReadModeHeader struct {
	Mode int32 `field:"READ_AHEAD_MODE,required"`
}
