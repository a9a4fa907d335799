package broker

import (
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// sendFrame is a send as Apache's client makes it.
func sendFrame(ser protocol.Serialization, queue int, body []byte) []byte {
	f := protocol.Begin(nil, protocol.RequestHead(ser, protocol.ReqSendMessageV2, 1, false))
	for _, kv := range sendFields("Bench", "e", fmt.Sprint(queue)) {
		f.Str(kv[0], kv[1])
	}
	return append(f.End(len(body)), body...)
}

// BenchmarkSend sends messages of 128 bytes over a loopback connection and waits for their answers. One iteration is one message;
// what is allocated is the whole broker's, for the client allocates nothing.
func BenchmarkSend(b *testing.B) {
	for _, ser := range []protocol.Serialization{protocol.JSON, protocol.RocketMQ} {
		for _, inFlight := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("%s/inflight=%d", [...]string{"json", "rocketmq"}[ser], inFlight), func(b *testing.B) {
				broker := openTest(b, testConfig(b))
				nc, err := net.Dial("tcp", broker.Addr().String())
				if err != nil {
					b.Fatal(err)
				}
				defer nc.Close()
				var frames []byte
				for i := range inFlight {
					frames = append(frames, sendFrame(ser, i%4, make([]byte, 128))...)
				}
				answer := make([]byte, 64<<10)
				round := func() {
					if _, err := nc.Write(frames); err != nil {
						b.Fatal(err)
					}
					for range inFlight {
						if _, err := io.ReadFull(nc, answer[:4]); err != nil {
							b.Fatal(err)
						}
						n := int(answer[2])<<8 | int(answer[3])
						if _, err := io.ReadFull(nc, answer[:n]); err != nil {
							b.Fatal(err)
						}
					}
				}
				for range 100 {
					round()
				}
				b.ReportAllocs()
				b.ResetTimer()
				for range (b.N + inFlight - 1) / inFlight {
					round()
				}
			})
		}
	}
}

// BenchmarkPull reads a backlog, 32 messages a pull.
func BenchmarkPull(b *testing.B) {
	broker := openTest(b, testConfig(b))
	c := dialTest(b, broker, remoting.Options{})
	const backlog = 32 * 64
	for i := range backlog * 4 {
		if r := call(b, c, protocol.ReqSendMessageV2, sendFields("Bench", "e", fmt.Sprint(i%4)), make([]byte, 128)); r.Code != 0 {
			b.Fatal(r.Code, string(r.Remark))
		}
	}
	nc, err := net.Dial("tcp", broker.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	var frames [][]byte
	for offset := int64(0); offset < backlog; offset += 32 {
		f := protocol.Begin(nil, protocol.RequestHead(protocol.JSON, protocol.ReqPullMessage, 1, false))
		for _, kv := range pullFields("Bench", 0, offset) {
			f.Str(kv[0], kv[1])
		}
		frames = append(frames, f.End(0))
	}
	answer := make([]byte, 64<<10)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range (b.N + 31) / 32 {
		if _, err := nc.Write(frames[i%len(frames)]); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(nc, answer[:4]); err != nil {
			b.Fatal(err)
		}
		n := int(answer[2])<<8 | int(answer[3])
		if _, err := io.ReadFull(nc, answer[:n]); err != nil {
			b.Fatal(err)
		}
	}
}
