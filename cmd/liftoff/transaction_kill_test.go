package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// TestKill_TransactionsKeepTheirDecisions kills the broker with SIGKILL while transactions are begun, committed, rolled back, left
// open and checked. In the end:
//
//   - each transaction whose commit was acknowledged is visible, once;
//   - what was to be rolled back never is;
//   - what was left open is decided by a check, and nothing is visible twice;
//   - a decision that comes again, or another one, after the kill that may have taken the first, changes nothing.
//
// LIFTOFF_KILLS sets how often it is killed.
func TestKill_TransactionsKeepTheirDecisions(t *testing.T) {
	killInEachFlushMode(t, 4, killTransactions)
}

const txProducers = 4

// txFate is what a transaction is to come to, told by its number.
type txFate int64

const (
	fateCommit txFate = iota
	fateRollback
	fateCheckedCommit   // left open
	fateCheckedRollback // the same
	fates
)

// txRun is what the producers know.
type txRun struct {
	addr string

	mu        sync.Mutex     // protects the fields below
	committed map[int64]bool // acknowledged
	rolled    map[int64]bool // the same of those that were rolled back
	again     []txHalf       // ended before the kill; is ended again after it
	next      int64
	count     atomic.Int64
}

// txHalf is a half message that was acknowledged.
type txHalf struct{ n, queueOffset, logOffset int64 }

func killTransactions(t *testing.T, flush string, kills int) {
	v := newVictim(t, append(smallFiles, flush, "flushConsumerOffsetInterval=200", "defaultTopicQueueNums=8", "transactionTimeOut=100",
		"transactionCheckInterval=100", "transactionCheckMax=100000")...)
	run := &txRun{addr: v.addr, committed: map[int64]bool{}, rolled: map[int64]bool{}}
	rng := rand.New(rand.NewPCG(2, uint64(kills)))
	for range kills {
		v.live(func(ctx context.Context, workers *sync.WaitGroup) {
			for range txProducers {
				workers.Go(func() { run.produce(ctx) })
			}
		}, func() {
			want := run.count.Load() + int64(rng.IntN(1500))
			for deadline := time.Now().Add(20 * time.Second); run.count.Load() < want && time.Now().Before(deadline); {
				time.Sleep(time.Millisecond)
			}
		})
	}
	srv := v.start()
	before := run.verify(t)
	srv.stop(t)
	srv = v.start()
	if after := run.verify(t); !maps.Equal(before, after) {
		for n, at := range before {
			if after[n] != at {
				t.Errorf("transaction %d was visible in %v, and in %v after a clean stop", n, at, after[n])
			}
		}
		t.Errorf("%d transactions were visible, and %d after a clean stop", len(before), len(after))
	}
	srv.stop(t)
}

// txClient is a producer's connection.
type txClient struct {
	run  *txRun
	conn *remoting.Conn
}

// Serve answers checks.
func (c *txClient) Serve(r *remoting.Request) {
	if r.Code != protocol.ReqCheckTransactionState {
		return
	}
	var m message.Message
	if err := message.Decode(r.Body, &m); err != nil {
		return
	}
	get := func(name string) int64 {
		v, _ := r.Get(name)
		n, _ := protocol.ParseInt(v)
		return n
	}
	h := txHalf{int64(binary.BigEndian.Uint64(m.Body)), get("tranStateTableOffset"), get("commitLogOffset")}
	_ = r.Conn.Notify(endCall(h, txFate(h.n%int64(fates)).decision(), true))
}
func (*txClient) Flush(*remoting.Conn)  {}
func (*txClient) Closed(*remoting.Conn) {}

func (f txFate) decision() int {
	if f == fateCommit || f == fateCheckedCommit {
		return message.FlagTransactionCommit
	}
	return message.FlagTransactionRollback
}

func endCall(h txHalf, decision int, check bool) *remoting.Call {
	return &remoting.Call{Code: protocol.ReqEndTransaction, Ext: [][2]string{{"producerGroup", "KillTx"}, {"tranStateTableOffset", strconv.FormatInt(h.queueOffset, 10)},
		{"commitLogOffset", strconv.FormatInt(h.logOffset, 10)}, {"commitOrRollback", strconv.Itoa(decision)},
		{"fromTransactionCheck", strconv.FormatBool(check)}, {"msgId", txKey(h.n)}}}
}

func txKey(n int64) string { return fmt.Sprintf("%032X", n) }

// connect makes a producer that the broker can ask.
func (run *txRun) connect(ctx context.Context, id string) (*txClient, error) {
	c := &txClient{run: run}
	conn, err := remoting.Dial(ctx, run.addr, c, remoting.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	c.conn = conn
	body := fmt.Sprintf(`{"clientID":%q,"producerDataSet":[{"groupName":"KillTx"}],"consumerDataSet":[]}`, id)
	if _, err := conn.Call(ctx, &remoting.Call{Code: protocol.ReqHeartBeat, Body: []byte(body)}); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *txClient) close() { _ = c.conn.Close(); <-c.conn.Done() }

// end ends a transaction and says whether that was acknowledged.
func (c *txClient) end(ctx context.Context, h txHalf, decision int) bool {
	r, err := c.conn.Call(ctx, endCall(h, decision, false))
	return err == nil && r.Code == protocol.CodeSuccess
}

// produce begins and ends transactions until the broker is gone.
func (run *txRun) produce(ctx context.Context) {
	c, err := run.connect(ctx, fmt.Sprint("killer-", rand.Int64()))
	if err != nil {
		return
	}
	defer c.close()
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, killInFlight)
	for ctx.Err() == nil {
		slots <- struct{}{}
		run.mu.Lock()
		n := run.next
		run.next++
		var again *txHalf
		if k := len(run.again); k > 0 && n%2 == 0 {
			last := run.again[k-1] // a copy: another takes its place
			again, run.again = &last, run.again[:k-1]
		}
		run.mu.Unlock()
		select {
		case <-c.conn.Done():
			return
		default:
		}
		wg.Go(func() {
			defer func() { <-slots }()
			if again != nil {
				run.endAgain(ctx, c, *again)
			}
			run.one(ctx, c, n)
		})
	}
}

// endAgain ends a transaction that was ended before a kill: in the other way, which may not count, and in its own.
func (run *txRun) endAgain(ctx context.Context, c *txClient, h txHalf) {
	fate := txFate(h.n % int64(fates))
	run.mu.Lock()
	committed, rolled := run.committed[h.n], run.rolled[h.n]
	run.mu.Unlock()
	switch {
	case committed:
		c.end(ctx, h, message.FlagTransactionRollback)
	case rolled:
		c.end(ctx, h, message.FlagTransactionCommit)
	}
	if c.end(ctx, h, fate.decision()) && fate == fateCommit {
		run.mu.Lock()
		run.committed[h.n] = true
		run.mu.Unlock()
	}
}

// one is one transaction.
func (run *txRun) one(ctx context.Context, c *txClient, n int64) {
	body := make([]byte, 8, 8+rand.IntN(400))
	binary.BigEndian.PutUint64(body, uint64(n))
	body = body[:cap(body)]
	props := message.AppendProperty(nil, message.PropUniqKey, txKey(n))
	props = message.AppendProperty(props, message.PropTransactionPrepared, "true")
	props = message.AppendProperty(props, message.PropProducerGroup, "KillTx")
	r, err := c.conn.Call(ctx, &remoting.Call{Code: protocol.ReqSendMessageV2, Ext: [][2]string{{"a", "KillTx"}, {"b", killTopic}, {"c", "TBW102"}, {"d", "8"},
		{"e", strconv.FormatInt(n%killQueues, 10)}, {"f", "4"}, {"g", strconv.FormatInt(time.Now().UnixMilli(), 10)}, {"h", "0"}, {"i", string(props)}}, Body: body})
	if err != nil || r.Code != protocol.CodeSuccess {
		return
	}
	id, _ := r.Get("msgId")
	_, logOffset, err := message.ParseOffsetID(id)
	v, _ := r.Get("queueOffset")
	offset, _ := protocol.ParseInt(v)
	if err != nil {
		return
	}
	h, fate := txHalf{n, offset, logOffset}, txFate(n%int64(fates))
	if fate == fateCommit || fate == fateRollback {
		acked := c.end(ctx, h, fate.decision())
		run.mu.Lock()
		if acked && fate == fateCommit {
			run.committed[n] = true
		} else if acked {
			run.rolled[n] = true
		}
		if n%8 < 4 || !acked {
			run.again = append(run.again, h)
		}
		run.mu.Unlock()
	}
	run.count.Add(1)
}

// verify waits until nothing is undecided, reads all that is visible, and returns where each transaction's message lies.
func (run *txRun) verify(t *testing.T) map[int64]txPlace {
	t.Helper()
	c, err := run.connect(t.Context(), "verifier")
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	for end := time.Now().Add(60 * time.Second); !run.decided(t, c); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("transactions are undecided after a minute of checks")
		}
	}
	seen, places := map[int64]int{}, map[int64]txPlace{}
	for q := range int32(killQueues) {
		for offset := int64(0); ; {
			next, records, code, remark, err := pullFrom(t.Context(), c.conn, q, offset)
			if err != nil {
				t.Fatal(err)
			}
			if code == protocol.CodePullNotFound || code == protocol.CodePullOffsetMoved && offset == 0 {
				break
			}
			if code != protocol.CodeSuccess {
				t.Fatalf("queue %d at %d: code %d %s", q, offset, code, remark)
			}
			for len(records) > 0 {
				var m message.Message
				if err := message.Decode(records, &m); err != nil {
					t.Fatal(err)
				}
				records = records[m.Size:]
				n := int64(binary.BigEndian.Uint64(m.Body))
				seen[n]++
				places[n] = txPlace{m.QueueID, m.QueueOffset, m.LogOffset}
			}
			offset = next
		}
	}
	t.Logf("%d transactions, %d acknowledged commits, %d visible", run.next, len(run.committed), len(seen))
	for n, times := range seen {
		if fate := txFate(n % int64(fates)); fate.decision() != message.FlagTransactionCommit {
			t.Errorf("transaction %d was rolled back (%d) and is visible", n, fate)
		}
		if times != 1 {
			t.Errorf("transaction %d is visible %d times (fate %d, acknowledged %t)", n, times, n%int64(fates), run.committed[n])
		}
	}
	for n := range run.committed {
		if seen[n] == 0 {
			t.Errorf("transaction %d was committed and is not visible", n)
		}
	}
	return places
}

// txPlace is where a committed message lies.
type txPlace struct {
	queue                  int32
	queueOffset, logOffset int64
}

// decided says whether the position of the checks is at the end of the half messages, and stays there.
func (run *txRun) decided(t *testing.T, c *txClient) bool {
	t.Helper()
	get := func(code int, ext ...[2]string) int64 {
		r, err := c.conn.Call(t.Context(), &remoting.Call{Code: code, Ext: append(ext, [2]string{"topic", "RMQ_SYS_TRANS_HALF_TOPIC"}, [2]string{"queueId", "0"})})
		if err != nil {
			t.Fatal(err)
		}
		v, _ := r.Get("offset")
		n, _ := protocol.ParseInt(v)
		return n
	}
	return get(protocol.ReqGetMaxOffset) == get(protocol.ReqQueryConsumerOffset, [2]string{"consumerGroup", "CID_RMQ_SYS_TRANS"})
}
