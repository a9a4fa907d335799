package interop

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/liftoffmq/liftoff/internal/filter"
	wire "github.com/liftoffmq/liftoff/internal/message"
)

func TestJava4_FiltersBySQL(t *testing.T)             { filtersBySQL(t, java4, "push") }
func TestJava5_FiltersBySQL(t *testing.T)             { filtersBySQL(t, java5, "push") }
func TestJava5_PollsBySQL(t *testing.T)               { filtersBySQL(t, java5, "lite") }
func TestGo_FiltersBySQL(t *testing.T)                { filtersBySQL(t, golang, "push") }
func TestJava5_MovesBetweenBrokersBySQL(t *testing.T) { movesBetweenBrokersBySQL(t, java5) }
func TestJava5_HearsWhatIsWrongWithSQL(t *testing.T)  { hearsWhatIsWrongWithSQL(t, java5) }

var sqlLab = sync.OnceValues(func() (*cluster, error) {
	c, err := newCluster(theLab, setup{settings: []string{"enablePropertyFilter=true"}})
	if err == nil {
		theLab.mu.Lock()
		defer theLab.mu.Unlock()
		theLab.clusters = append(theLab.clusters, c)
	}
	return c, err
})

// sqlCluster is a cluster that filters by SQL.
func sqlCluster(t *testing.T) *cluster {
	t.Helper()
	c, err := sqlLab()
	must(t, err)
	return c
}

// filtersBySQL: a subscription in SQL brings the messages that it is true for and no others, old ones and such as come while it waits.
func filtersBySQL(t *testing.T, c client, op string) {
	t.Parallel()
	cl := sqlCluster(t)
	p := newProducer(t, c, cl)
	topic := p.topic(2)
	wanted := func(sent []message) (of []message) {
		for _, m := range sent {
			if m.tags != "T1" && !strings.HasSuffix(m.keys, "7") {
				of = append(of, m)
			}
		}
		return of
	}
	tagged := func() []message {
		sent := p.fill(topic, 90, "queues", 2)
		for i := range sent {
			sent[i].tags = fmt.Sprint("T", i%3)
		}
		return sent
	}
	acked := wanted(tagged())
	s := startConsumer(t, op, c, cl, topic, uniqueName(t, "group"), "sql", "TAGS IN ('T0', 'T2') AND KEYS NOT ENDSWITH '7'")
	s.wait(len(acked))
	acked = append(acked, wanted(tagged())...)
	got := s.wait(len(acked))
	for i := range got {
		got[i].tags = ""
	}
	for i := range acked {
		acked[i].tags = ""
	}
	exactly(t, acked, got)
}

// hearsWhatIsWrongWithSQL: a consumer with a wrong expression is not started, and is told so with the code that Apache's broker has for
// it; one on a broker that does not filter by SQL is told that.
func hearsWhatIsWrongWithSQL(t *testing.T, c client) {
	t.Parallel()
	start := func(cl *cluster, sql, want string) {
		t.Helper()
		p := newProducer(t, c, cl)
		topic := p.topic(1)
		name := uniqueName(t, "wrong")
		_, err := p.program.call("push", "name", name, "group", name, "namesrv", cl.addrs(), "topic", topic, "sql", sql)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", sql, err)
		}
	}
	for _, sql := range []string{"n >", "n > 'x'", "n = #", "n BETWEEN 2 AND 1"} {
		start(sqlCluster(t), sql, "CODE: 23")
	}
	start(sharedCluster(t), "n > 5", "The broker does not support consumer to filter message by SQL92")
}

// movesBetweenBrokersBySQL: a group's filter is kept in consumerFilter.json, and its bits in the extension of the consume queue, so that
// both brokers read what the other has written.
func movesBetweenBrokersBySQL(t *testing.T, c client) {
	t.Parallel()
	cl := ownCluster(t, setup{broker: apache, settings: []string{"mappedFileSizeCommitLog=1048576", "enablePropertyFilter=true", "enableConsumeQueueExt=true",
		"enableCalcFilterBitMap=true", "mappedFileSizeConsumeQueueExt=4096", "cleanResourceInterval=1000"}})
	p := newProducer(t, c, cl)
	topic, group := p.topic(2), uniqueName(t, "group")
	const sql = "KEYS ENDSWITH '7'"
	wanted := func(sent []message) (of []message) {
		for _, m := range sent {
			if strings.HasSuffix(m.keys, "7") {
				of = append(of, m)
			}
		}
		return of
	}
	var all []message
	for i, k := range []kind{apache, underTest("broker"), apache, underTest("broker")} {
		if i > 0 {
			cl.stopBroker(t, false)
			cl.broker.kind = k
			must(t, cl.startBroker())
		}
		old := newConsumer(t, c, cl, topic, group, "sql", sql)
		var more []message
		must(t, waitFor(soon, func() error {
			answer, err := p.program.call("fill", "name", p.name, "topic", topic, "prefix", uniqueName(t, "turn"), "count", 300, "queues", 2)
			more = wanted(p.messages(answer.Get("a")))
			return err
		}))
		all = append(all, more...)
		exactly(t, more, old.wait(len(more)))
		old.close()
		fresh := newConsumer(t, c, cl, topic, uniqueName(t, "fresh"), "sql", sql)
		exactly(t, all, fresh.wait(len(all)))
		fresh.close()
	}
}

// TestSQL_EvaluatesAsApacheDoes compares the filter with Apache's own: the same expressions are refused, and the others are the
// same for the same properties. Expressions are made at random from the words of the grammar, most of them by its rules.
func TestSQL_EvaluatesAsApacheDoes(t *testing.T) {
	t.Parallel()
	p := programOn(t, java5)
	g := expressions{rand.New(rand.NewPCG(1, 4))}
	const rounds, perRound = 10, 1000
	counts := map[byte]int{}
	for range rounds {
		var cases []string
		var own []string
		var shown [][]string
		for range perRound {
			expression := g.expression()
			words, results, texts := []string{encode64(expression)}, []byte{}, []string{expression}
			e, err := filter.Parse(expression)
			for range 4 {
				props := g.properties()
				words, texts = append(words, encode64(props)), append(texts, props)
				if err == nil {
					results = append(results, "NFTE"[e.Eval([]byte(props))])
				}
			}
			if err != nil {
				results = []byte("X")
			}
			for _, r := range results {
				counts[r]++
			}
			cases, own, shown = append(cases, strings.Join(words, " ")), append(own, string(results)), append(shown, texts)
		}
		answer, err := p.call("evaluate", "case", strings.Join(cases, "\n"))
		must(t, err)
		for i, r := range lines(answer.Get("r")) {
			if r != own[i] {
				t.Errorf("Apache's %s, ours %s: %q with %q", r, own[i], shown[i][0], shown[i][1:])
			}
		}
	}
	t.Logf("%d expressions; results: %d true, %d false, %d null, %d failed; %d refused", rounds*perRound, counts['T'], counts['F'], counts['N'], counts['E'], counts['X'])
	for _, r := range []byte("TFNEX") {
		if counts[r] < rounds*perRound/20 {
			t.Errorf("only %d of %c: the generator has gone wrong", counts[r], r)
		}
	}
}

func encode64(s string) string { return base64.URLEncoding.EncodeToString([]byte(s)) }

// expressions makes expressions and properties at random.
type expressions struct{ *rand.Rand }

func (g expressions) of(choices ...string) string { return choices[g.IntN(len(choices))] }

// expression is mostly right. Some have a word too many, too few or in the wrong place.
func (g expressions) expression() string {
	s := g.condition(3)
	words := strings.Split(s, " ")
	switch g.IntN(16) {
	case 0:
		at := g.IntN(len(words))
		words = append(words[:at], words[at+1:]...)
	case 1:
		at := g.IntN(len(words) + 1)
		words = append(words[:at], append([]string{g.word()}, words[at:]...)...)
	case 2:
		words[g.IntN(len(words))] = g.word()
	}
	return strings.Join(words, g.of(" ", " ", " ", "  ", "\n", " /* * */ ", " -- x\r\n"))
}

func (g expressions) word() string {
	return g.of("NOT", "AND", "or", "BETWEEN", "IN", "IS", "NULL", "TRUE", "false", "CONTAINS", "startsWith", "ENDSWITH", "(", ")", ",", "=", "<>", ">",
		">=", "<", "<=", "+", "-", "*", "/", "#", "'", "''", "'''", "--", "/*", "*/", "!=", "==", "%", "1.", ".", ".5", "1e", "1e5x", "0x1F", "007", "5L", "5l5", "LIKE", "é",
		"_", "$a", "a.b", "a1", "1a", "\u00a0", "\x00", ";", "\"a\"", g.operand())
}

func (g expressions) condition(depth int) string {
	if depth == 0 {
		return g.simple()
	}
	switch g.IntN(9) {
	case 0, 1:
		return g.condition(depth-1) + " " + g.of("AND", "and", "And") + " " + g.condition(depth-1)
	case 2, 3:
		return g.condition(depth-1) + " " + g.of("OR", "or", "oR") + " " + g.condition(depth-1)
	case 4:
		return "( " + g.condition(depth-1) + " )"
	case 5:
		return "NOT ( " + g.condition(depth-1) + " )"
	case 6:
		return "( " + g.condition(depth-1) + " ) " + g.of("=", "<>") + " " + g.of("TRUE", "FALSE", "( "+g.condition(depth-1)+" )", g.operand())
	}
	return g.simple()
}

func (g expressions) simple() string {
	switch g.IntN(14) {
	case 0, 1, 2:
		return g.operand() + " " + g.of(">", ">=", "<", "<=") + " " + g.operand()
	case 3, 4, 5:
		return g.operand() + " " + g.of("=", "<>") + " " + g.of(g.operand(), g.text(), "TRUE", "FALSE")
	case 6:
		return g.operand() + " IS " + g.of("", "NOT ") + "NULL"
	case 7, 8:
		return g.operand() + " " + g.of("", "NOT ") + "BETWEEN " + g.operand() + " AND " + g.operand()
	case 9, 10:
		list := []string{g.text()}
		for range g.IntN(7) {
			list = append(list, g.text())
		}
		return g.of("a", "b", "c", "( a )", "+ a", "- a", "5", "a", "b", "c", "a", "b", "c") + " " + g.of("", "NOT ") + "IN ( " + strings.Join(list, " , ") + " )"
	case 11, 12:
		return g.of("a", "b", "c", g.operand()) + " " + g.of("", "NOT ") + g.of("CONTAINS", "STARTSWITH", "ENDSWITH") + " " + g.text()
	}
	return g.of("TRUE", "FALSE", "NULL", "a", "b", "NOT a", "TRUE", "FALSE", "NULL", "a", "b", "NOT a", g.text())
}

func (g expressions) operand() string {
	switch g.IntN(60) {
	default:
		return g.of("a", "b", "c", "A", "_x", "$")
	case 0, 1, 2, 3, 4, 5, 6, 7, 8, 9:
		return g.of("", "- ") + g.of("5", "7", "5L", "10", "3000000000", "5.0", "5.5", "1e3")
	case 10, 11, 12, 13, 14:
		return g.of("- a", "( a )", "+ b", "- ( a = 5 )")
	case 15, 16:
		return g.of("", "", "", "- ", "+ ", "- - ", "NOT ") + g.of("0", "1", "5", "7", "10", "5L", "2147483647", "2147483648", "3000000000l", "9223372036854775807", "9223372036854775808",
			"99999999999999999999999", "0", "00", "007")
	case 17, 18:
		return g.of("", "", "", "- ", "+ ") + g.of("0.0", "5.0", "5.5", ".5", "5.", "1e3", "1.E-3", "1e400", "1e-400", "4.9e-324", "2e-324", "1.7976931348623157e308", "9.007199254740993e15", "0e5", "1E+2")
	case 19:
		return g.of("TRUE", "FALSE", "NULL", g.text(), g.of("a", "b")+" = 5")
	}
}

func (g expressions) text() string {
	return g.of("'a'", "'5'", "''", "'it''s'", "'''", "'5.0'", "'TRUE'", "'true'", "'中文'", "'文'", "'ab'", "'b'", "'😀'", "' '", "'-- x'", "'/* x'")
}

// properties are those of a message, in the form of a record.
func (g expressions) properties() string {
	props := wire.AppendProperty(nil, "WAIT", "true")
	for _, name := range []string{"a", "b", "c", "A", "_x", "$"} {
		if g.IntN(5) > 0 {
			props = wire.AppendProperty(props, name, g.of("5", "5", "1", "7", "10", "-5", "+5", "0", "-0", "-0.0", "0.0", "007", "5.0", "5.5", "5.", ".5", ".", "5L", "5d", "5F", "1e3", "1e", "1e400", "-1e400",
				"1e-400", "0x5", "0x1p3", "0x1.8p1f", "0x.p1", "0x1.p-1d", "0x1p", "NaN", "-NaN", "Infinity", "-Infinity", "+Infinity", "infinity", "nan", " 5 ", " 5", "\t5.5\n", "5 5", "1_000", "true", "TRUE",
				"tRuE", "false", "yes", "a", "ab", "it's", "中文", "文", "😀", "٥", "５", "৫", "𝟓", "-٥", "٥.٥", "2147483647", "2147483648", "-2147483648", "-2147483649", "3000000000", "9223372036854775807",
				"9223372036854775808", "-9223372036854775808", "-9223372036854775809", "9007199254740993", "9007199254740993.0", "4.9e-324", "2.4703282292062327e-324", "+", "-", "--5", "+-5", "d", "f", "e5", "0x", "5e5e5",
				"NaNd", "Infinityf", "\u00a05", "TAGS", strings.Repeat("9", 40), strings.Repeat("9", 400), "0."+strings.Repeat("0", 400)+"1"))
		}
	}
	return string(props)
}
