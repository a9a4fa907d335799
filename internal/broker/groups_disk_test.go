package broker

import (
	"os"
	"testing"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// TestPull_NewGroupReadsThoughItsConfigCannotBeWritten puts a folder in the way of the file of changes, as a full disk would be.
func TestPull_NewGroupReadsThoughItsConfigCannotBeWritten(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	if r := call(t, c, protocol.ReqSendMessageV2, sendFields("Full"), []byte("x")); r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	inTheWay := b.groups.file.changesPath()
	if err := os.Mkdir(inTheWay, 0o700); err != nil {
		t.Fatal(err)
	}
	r := call(t, c, protocol.ReqPullMessage, pullFields("Full", 0, 0), nil)
	if err := os.Remove(inTheWay); err != nil {
		t.Fatal(err)
	}
	if r.Code != 0 || len(records(t, r.Body)) != 1 {
		t.Errorf("code %d %s", r.Code, r.Remark)
	}
}
