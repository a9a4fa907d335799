package broker

import (
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/liftoffmq/liftoff/internal/filter"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/store"
)

// An sqlFilter is an SQL expression that was understood. It does not change.
type sqlFilter struct {
	text   string
	size   int // bytes of memory, about
	expr   *filter.Expr
	filter store.Filter
}

// sqlFilters remembers expressions by their text, understood ones and refused ones, for some clients send theirs with each pull.
// When there are too many it forgets them all; who uses one keeps it.
type sqlFilters struct {
	log *slog.Logger

	mu     sync.RWMutex // protects the fields below
	byText map[string]sqlResult
	size   int // of all, in bytes of memory
}

type sqlResult struct {
	f   *sqlFilter
	err error
}

const (
	sqlFiltersMax     = 1024
	sqlFiltersSizeMax = 32 << 20 // bytes of memory
)

// get makes a filter of an expression. The error says what is wrong with it.
func (s *sqlFilters) get(expression []byte) (*sqlFilter, error) {
	s.mu.RLock()
	r, known := s.byText[string(expression)]
	s.mu.RUnlock()
	if known {
		return r.f, r.err
	}
	if err := checkExpression(len(expression)); err != nil {
		return nil, err
	}
	text := string(expression)
	r.f, r.err = s.parse(text)
	size := len(text)
	if r.f != nil {
		size = r.f.size
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.byText) >= sqlFiltersMax || s.size+size > sqlFiltersSizeMax {
		s.byText, s.size = nil, 0
	}
	if s.byText == nil {
		s.byText = map[string]sqlResult{}
	}
	s.byText[text] = r
	s.size += size
	return r.f, r.err
}

func (s *sqlFilters) parse(text string) (*sqlFilter, error) {
	expr, err := filter.Parse(text)
	if err != nil {
		s.log.Warn("an SQL expression is refused", "expression", shown(text), "err", err)
		return nil, err
	}
	if expr.Ignored() != "" {
		s.log.Warn("the end of an SQL expression is not looked at, as in RocketMQ, for it cannot go on with what stands before", "expression", shown(text), "ignored", shown(expr.Ignored()))
	}
	f := &sqlFilter{text: text, size: len(text) + expr.Size(), expr: expr}
	said := new(atomic.Bool)
	f.filter.Record = func(record []byte) bool {
		r := expr.Eval(message.RecordProperties(record))
		if r == filter.Failed && !said.Load() && said.CompareAndSwap(false, true) {
			s.log.Warn("a message is not delivered because an SQL expression fails for it: a property is not what it is compared with; told once for each expression",
				"expression", shown(text), "msg_properties", shown(strings.ToValidUTF8(string(message.RecordProperties(record)), "?")))
		}
		return r == filter.True
	}
	return f, nil
}

// subscribe is the subscription of an expression of another type than TAG.
func (s *sqlFilters) subscribe(topic, expression, expressionType []byte) (*subscription, error) {
	if string(expressionType) != protocol.ExpressionSQL92 {
		return nil, errExpressionType(string(expressionType))
	}
	f, err := s.get(expression)
	if err != nil {
		return nil, err
	}
	return &subscription{filter: f.filter, size: f.size, SubscriptionData: protocol.SubscriptionData{Topic: string(topic), SubString: f.text, ExpressionType: protocol.ExpressionSQL92}}, nil
}

// errExpressionType says that there are no filters of a type.
type errExpressionType string

func (e errExpressionType) Error() string {
	return "there are no filters of the type " + shown(string(e)) + ", only TAG and SQL92"
}

// checkSQL refuses filters other than tags unless they are enabled.
func (b *Broker) checkSQL(expressionType string) error {
	if b.settings.Load().PropertyFilter {
		return nil
	}
	return protocol.Errorf(protocol.CodeSystemError, "The broker does not support consumer to filter message by %s; set enablePropertyFilter=true on the broker", shown(expressionType))
}
