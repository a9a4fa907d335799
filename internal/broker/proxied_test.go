package broker

import (
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"testing"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// balancer is what passes one connection on to a broker, with a PROXY header in front. It returns its own address.
func balancer(t *testing.T, b *Broker, header string) (listens string, socket func() string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	dialed := make(chan string, 1)
	go func() {
		client, err := l.Accept()
		if err != nil {
			return
		}
		defer client.Close()
		server, err := net.Dial("tcp", b.Addr().String())
		if err != nil {
			return
		}
		defer server.Close()
		dialed <- server.LocalAddr().String()
		_, _ = server.Write([]byte(header))
		go func() {
			_, _ = io.Copy(client, server)
			_ = client.Close()
		}()
		_, _ = io.Copy(server, client)
	}()
	return l.Addr().String(), func() string { return <-dialed }
}

// TestProxyHeader_IsWhatOperatorsSee: in the lists of connections a client has its own address; messages have the balancer's, as in Apache.
func TestProxyHeader_IsWhatOperatorsSee(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	addr, socket := balancer(t, b, "PROXY TCP4 192.0.2.7 192.0.2.8 4711 10911\r\n")
	c, err := remoting.Dial(t.Context(), addr, nil, remoting.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(); <-c.Done() })
	beat := `{"clientID":"me","producerDataSet":[{"groupName":"Producer"}],"consumerDataSet":[{"groupName":"Consumer","consumeType":"CONSUME_PASSIVELY",` +
		`"messageModel":"CLUSTERING","consumeFromWhere":"CONSUME_FROM_LAST_OFFSET","subscriptionDataSet":[]}]}`
	if r := call(t, c, protocol.ReqHeartBeat, nil, []byte(beat)); r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	if r := call(t, c, protocol.ReqSendMessageV2, sendFields("T"), []byte("x")); r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	for code, key := range map[int]string{protocol.ReqGetProducerConnectionList: "producerGroup", protocol.ReqGetConsumerConnectionList: "consumerGroup"} {
		r := call(t, c, code, [][2]string{{"producerGroup", "Producer"}, {"consumerGroup", "Consumer"}}, nil)
		var list struct{ ConnectionSet []protocol.Connection }
		if err := json.Unmarshal(r.Body, &list); err != nil || len(list.ConnectionSet) != 1 || list.ConnectionSet[0].ClientAddr != "192.0.2.7:4711" {
			t.Errorf("%s: %s, %v", key, r.Body, err)
		}
	}
	from := socket()
	if all := b.clients.allProducers()["Producer"]; len(all) != 1 || all[0].RemoteIP != "/"+from {
		t.Errorf("producers: %+v, want %s", all, from)
	}
	await(t, "the message to be seen", func() bool { return b.store.Queue("T", 0).MaxOffset() == 1 })
	r := call(t, dialTest(t, b, remoting.Options{}), protocol.ReqPullMessage, pullFields("T", 0, 0), nil)
	if list := records(t, r.Body); len(list) != 1 || list[0].BornHost.String() != from {
		t.Errorf("%d %s: %d messages, born at %s, want %s", r.Code, r.Remark, len(list), list[0].BornHost, from)
	}
}
