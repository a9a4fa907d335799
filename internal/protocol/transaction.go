package protocol

// ResumeCheckHalfHeader is RESUME_CHECK_HALF_MESSAGE 323. MsgID is an offset id.
type ResumeCheckHalfHeader struct {
	Topic string `field:"topic"`
	MsgID string `field:"msgId"`
}
