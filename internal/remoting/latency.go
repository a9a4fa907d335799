package remoting

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/liftoffmq/liftoff/internal/metrics"
)

// Asked is what is known of a request that will be answered: enough to say how long that took.
type Asked struct {
	At     int64 // ns, on the clock of this process; requests of one read came at once
	Code   int32
	Oneway bool
	Held   bool // it waited for something to come, as a long poll does
}

// Asked is what must be kept of a request that is not answered through Reply.
func (r *Request) Asked() Asked { return Asked{At: r.at, Code: r.Code, Oneway: r.IsOneway()} }

// Age is how long ago the request came.
func (r *Request) Age() time.Duration { return time.Duration(clock() - r.at) }

// Outcome is how requests went: what was asked, and what was answered.
type Outcome struct {
	Request, Response int32
	Oneway, Held      bool
}

// Latencies count how long requests took, by outcome. They may be used by many connections at once. Counting looks into a map that
// is never changed: a new outcome makes a new one.
type Latencies struct {
	table atomic.Pointer[map[Outcome]*metrics.Histogram]
	mu    sync.Mutex // one that adds an outcome
}

// outcomesMax bounds what strangers with codes of their own can make of us. Further outcomes count as that of request code -1.
const outcomesMax = 2000

// NewLatencies makes an empty one.
func NewLatencies() *Latencies {
	l := new(Latencies)
	l.table.Store(&map[Outcome]*metrics.Histogram{})
	return l
}

// epoch is when the clock of requests began.
var epoch = time.Now()

// clock is the time in ns; only differences mean something. It costs less than time.Now.
func clock() int64 { return int64(time.Since(epoch)) }

// Took counts that n requests which came together were answered now, with the same code.
func (l *Latencies) Took(a Asked, response int32, n int64) {
	if l == nil {
		return
	}
	o := Outcome{a.Code, response, a.Oneway, a.Held}
	h := (*l.table.Load())[o]
	if h == nil {
		h = l.add(o)
	}
	h.ObserveMany((clock()-a.At)/int64(time.Millisecond), n)
}

func (l *Latencies) add(o Outcome) *metrics.Histogram {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := *l.table.Load()
	if len(old) >= outcomesMax {
		o = Outcome{Request: -1}
	}
	if h := old[o]; h != nil {
		return h
	}
	h := metrics.NewHistogram(&metrics.RPCLatency)
	table := maps.Clone(old)
	table[o] = h
	l.table.Store(&table)
	return h
}

// All are the outcomes there were. The map must not be changed.
func (l *Latencies) All() map[Outcome]*metrics.Histogram { return *l.table.Load() }
