package interop

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestJava5_EndsTransactions(t *testing.T)    { endsTransactions(t, java5) }
func TestJava4_EndsTransactions(t *testing.T)    { endsTransactions(t, java4) }
func TestGo_EndsTransactions(t *testing.T)       { endsTransactions(t, golang) }
func TestJava5_ChecksTransactions(t *testing.T)  { checksTransactions(t, java5) }
func TestJava5_GivesTransactionsUp(t *testing.T) { givesTransactionsUp(t, java5) }
func TestJava5_TransactionsRestart(t *testing.T) { transactionsRestart(t, java5) }
func TestJava5_TransactionsMove(t *testing.T)    { transactionsMove(t, java5) }

// transactional are the settings of a broker that checks soon.
func transactional(settings ...string) []string {
	return append([]string{"transactionTimeOut=1500", "transactionCheckInterval=1500"}, settings...)
}

// newTransactional starts a producer of transactions; of what a plain producer is asked it can do nothing.
func newTransactional(t *testing.T, c client, cl *cluster, group string) *producer {
	t.Helper()
	p := &producer{t: t, program: programOn(t, c), cluster: cl, name: uniqueName(t, "transactional")}
	p.ask("transactions", "group", group, "namesrv", cl.addrs())
	t.Cleanup(func() { p.program.call("transactions.close", "name", p.name) })
	return p
}

// begin sends a message whose local transaction ends as told, and whose nth check is answered with the nth word of the plan.
func (p *producer) begin(topic, key, local, plan string, more ...any) url.Values {
	p.t.Helper()
	answer := p.ask("transactions.send", append([]any{"topic", topic, "keys", key, "tags", "T", "body", encoded("body of " + key), "p.local", local, "p.plan", plan}, more...)...)
	if answer.Get("status") != "SEND_OK" || answer.Get("state") != local || answer.Get("transactionId") != answer.Get("msgId") {
		p.t.Fatalf("the transaction %s was answered with %v", key, answer)
	}
	return answer
}

// A check is one question that a producer has heard.
type check struct {
	key   string
	times int
	at    int64
	body  string
}

// checks gives what a producer was asked about keys that begin with a prefix.
func (p *producer) checks(prefix string) (all []check) {
	p.t.Helper()
	for _, line := range lines(p.ask("transactions.checks").Get("c")) {
		f, err := url.ParseQuery(line)
		if err != nil {
			p.t.Fatal(err)
		}
		times, _ := strconv.Atoi(f.Get("times"))
		at, _ := strconv.ParseInt(f.Get("at"), 10, 64)
		if strings.HasPrefix(f.Get("key"), prefix) {
			all = append(all, check{f.Get("key"), times, at, f.Get("body")})
		}
	}
	return all
}

// only checks that just these keys came, each once and with its body.
func only(t *testing.T, got []message, keys ...string) {
	t.Helper()
	var all []string
	for _, m := range got {
		all = append(all, m.keys)
		if m.body != "body of "+m.keys {
			t.Errorf("%s came with the body %q", m.keys, m.body)
		}
	}
	slices.Sort(all)
	slices.Sort(keys)
	if !slices.Equal(all, keys) {
		t.Errorf("the messages %v came, not %v", all, keys)
	}
}

// endsTransactions: what is committed comes, what is rolled back does not.
func endsTransactions(t *testing.T, c client) {
	t.Parallel()
	cl := sharedCluster(t)
	topic := newProducer(t, c, cl).topic(4)
	p := newTransactional(t, c, cl, uniqueName(t, "group"))
	s := newConsumer(t, c, cl, topic, uniqueName(t, "consumers"))
	var want []string
	for i := range 40 {
		key, local := fmt.Sprint("key", i), "COMMIT_MESSAGE"
		if i%2 == 1 {
			local = "ROLLBACK_MESSAGE"
		} else {
			want = append(want, key)
		}
		p.begin(topic, key, local, "UNKNOW", "p.CHECK_IMMUNITY_TIME_IN_SECONDS", 100)
	}
	only(t, s.wait(len(want)), want...)
	s.look(len(want)+1, 300*time.Millisecond)
	only(t, s.seen, want...)
	inOrder(t, s.seen)
}

// checksTransactions: producers are asked as often and not before they must be, another one of the group when the first has gone, and
// what they say counts.
func checksTransactions(t *testing.T, c client) {
	t.Parallel()
	cl := ownCluster(t, setup{settings: transactional()})
	topic := newProducer(t, c, cl).topic(4)
	group := uniqueName(t, "group")
	first, second := newTransactional(t, c, cl, group), newTransactional(t, c, cl, group)
	s := newConsumer(t, c, cl, topic, uniqueName(t, "consumers"))
	begin := time.Now().UnixMilli()
	second.begin(topic, "hello", "COMMIT_MESSAGE", "UNKNOW") // a producer that has sent nothing is not known to the broker
	first.begin(topic, "committed", "UNKNOW", "COMMIT_MESSAGE")
	first.begin(topic, "rolled back", "UNKNOW", "UNKNOW ROLLBACK_MESSAGE")
	first.begin(topic, "thrice", "UNKNOW", "UNKNOW UNKNOW COMMIT_MESSAGE")
	first.begin(topic, "immune", "UNKNOW", "COMMIT_MESSAGE", "p.CHECK_IMMUNITY_TIME_IN_SECONDS", 4)
	must(t, waitFor(soon, func() error {
		if n := len(first.checks("")) + len(second.checks("")); n < 2 {
			return fmt.Errorf("%d checks", n)
		}
		return nil
	}))
	heard := first.checks("")
	first.ask("transactions.close")
	s.wait(4)
	s.look(5, time.Second)
	only(t, s.seen, "hello", "committed", "thrice", "immune")
	got := map[string][]int{}
	for _, c := range append(heard, second.checks("")...) {
		got[c.key] = append(got[c.key], c.times)
		least := int64(1500)
		if c.key == "immune" {
			least = 4000
		}
		if c.at-begin < least || c.body != "body of "+c.key {
			t.Errorf("%s was asked about after %d ms, with the body %q", c.key, c.at-begin, c.body)
		}
	}
	for key, want := range map[string][]int{"committed": {1}, "rolled back": {1, 2}, "thrice": {1, 2, 3}, "immune": {1}} {
		if slices.Sort(got[key]); !slices.Equal(got[key], want) {
			t.Errorf("%s was asked about %v times, not %v", key, got[key], want)
		}
	}
	if len(second.checks("")) == 0 {
		t.Error("the second producer was never asked")
	}
}

// givesTransactionsUp: after the last check the half message goes to TRANS_CHECK_MAX_TIME_TOPIC.
func givesTransactionsUp(t *testing.T, c client) {
	t.Parallel()
	cl := ownCluster(t, setup{settings: transactional("transactionTimeOut=500", "transactionCheckInterval=500", "transactionCheckMax=2")})
	plain := newProducer(t, c, cl)
	topic := plain.topic(1)
	p := newTransactional(t, c, cl, uniqueName(t, "group"))
	p.begin(topic, "never", "UNKNOW", "UNKNOW")
	must(t, waitFor(soon, func() error {
		answer, err := p.program.call("queues", "name", plain.name, "topic", "TRANS_CHECK_MAX_TIME_TOPIC")
		if err == nil && answer.Get("q") == "" {
			err = fmt.Errorf("the topic is not there")
		}
		return err
	}))
	s := newConsumer(t, c, cl, "TRANS_CHECK_MAX_TIME_TOPIC", uniqueName(t, "consumers"), "from", "FIRST_OFFSET")
	only(t, s.wait(1), "never")
	if n := len(p.checks("")); n != 2 {
		t.Errorf("%d checks before it was given up, not 2", n)
	}
}

// transactionsRestart: undecided transactions outlive a stop and a kill of the broker, decided ones stay decided.
func transactionsRestart(t *testing.T, c client) {
	t.Parallel()
	cl := ownCluster(t, setup{settings: []string{"transactionTimeOut=700", "transactionCheckInterval=700"}})
	topic := newProducer(t, c, cl).topic(4)
	p := newTransactional(t, c, cl, uniqueName(t, "group"))
	s := newConsumer(t, c, cl, topic, uniqueName(t, "consumers"))
	for i, kill := range []bool{false, true} {
		key := func(what string) string { return fmt.Sprint(what, i) }
		p.begin(topic, key("committed"), "COMMIT_MESSAGE", "COMMIT_MESSAGE")
		p.begin(topic, key("rolled back"), "ROLLBACK_MESSAGE", "ROLLBACK_MESSAGE")
		p.begin(topic, key("later"), "UNKNOW", "UNKNOW UNKNOW COMMIT_MESSAGE")
		p.begin(topic, key("never"), "UNKNOW", "UNKNOW UNKNOW ROLLBACK_MESSAGE")
		s.wait(2*i + 1)
		cl.restartBroker(t, kill)
		s.wait(2*i + 2)
	}
	only(t, s.seen, "committed0", "later0", "committed1", "later1")
	for _, c := range p.checks("") {
		if strings.HasPrefix(c.key, "committed") || strings.HasPrefix(c.key, "rolled back") {
			t.Errorf("%s was asked about", c.key)
		}
	}
}

// transactionsMove: undecided transactions move with the store, and those that are decided are not asked about by the other broker.
func transactionsMove(t *testing.T, c client) {
	t.Parallel()
	cl := ownCluster(t, setup{broker: apache, settings: transactional("transactionOpBatchInterval=100")})
	topic := newProducer(t, c, cl).topic(4)
	p := newTransactional(t, c, cl, uniqueName(t, "group"))
	s := newConsumer(t, c, cl, topic, uniqueName(t, "consumers"))
	var want []string
	for i, k := range []kind{apache, underTest("broker"), apache} {
		if i > 0 {
			cl.stopBroker(t, false)
			cl.broker.kind = k
			must(t, cl.startBroker())
			s.wait(len(want)) // what was left undecided is decided here
		}
		if i == 2 {
			break
		}
		key := func(what string) string { return fmt.Sprint(what, i) }
		begin := func(key, local, plan string) {
			must(t, waitFor(soon, func() error {
				_, err := p.program.call("transactions.send", "name", p.name, "topic", topic, "keys", key, "body", encoded("body of "+key),
					"p.local", local, "p.plan", plan)
				return err
			}))
		}
		begin(key("committed"), "COMMIT_MESSAGE", "COMMIT_MESSAGE")
		begin(key("rolled back"), "ROLLBACK_MESSAGE", "ROLLBACK_MESSAGE")
		begin(key("later"), "UNKNOW", "UNKNOW UNKNOW COMMIT_MESSAGE")
		begin(key("never"), "UNKNOW", "UNKNOW UNKNOW ROLLBACK_MESSAGE")
		want = append(want, key("committed"), key("later"))
		s.wait(len(want) - 1)
		must(t, waitFor(soon, func() error { // it has been asked about once here
			if len(p.checks(key("later"))) == 0 {
				return fmt.Errorf("%s was not asked about", key("later"))
			}
			return nil
		}))
	}
	s.look(len(want)+1, 3*time.Second)
	only(t, s.seen, want...)
	for _, c := range p.checks("") {
		if strings.HasPrefix(c.key, "committed") || strings.HasPrefix(c.key, "rolled back") {
			t.Errorf("%s was asked about", c.key)
		}
	}
}
