package namesrv

import (
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"sync"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/statefile"
)

// kv is the KV configuration: values by namespace and key. It lies in one file,
//
//	{"configTable":{"ORDER_TOPIC_CONFIG":{"topic":"broker-a:4;broker-b:4"}}}
//
// which is replaced at each change, before the change is answered.
type kv struct {
	path string

	mu     sync.RWMutex // protects the fields below; taken under routes.mu, never the other way round
	tables map[string]map[string]string
}

// kvFile is the content of the file. Part of the format; do not change.
type kvFile struct {
	ConfigTable map[string]map[string]string `json:"configTable"`
}

func (k *kv) open(path string, log *slog.Logger) error {
	k.path = path
	var f kvFile
	c, err := statefile.Read(path, func(data []byte) error {
		f = kvFile{}
		return fastjson.Unmarshal(data, &f)
	})
	if err != nil {
		return statefile.Advise(fmt.Errorf("cannot open the KV configuration: %w", err), filepath.Base(path))
	}
	if c.Why != nil {
		log.Warn("KV configuration read from its backup: it may be older than expected", "path", c.Path, "err", c.Why)
	}
	k.tables = f.ConfigTable
	if k.tables == nil {
		k.tables = make(map[string]map[string]string)
	}
	return nil
}

func (k *kv) get(namespace, key string) (string, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	v, ok := k.tables[namespace][key]
	return v, ok
}

// encoded returns a namespace as a KVTable, nil when it is not there.
func (k *kv) encoded(namespace string) ([]byte, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	t := k.tables[namespace]
	if t == nil {
		return nil, nil
	}
	return fastjson.Marshal(&protocol.KVTable{Table: t})
}

// change changes a copy of one namespace and keeps it when it is on disk.
func (k *kv) change(namespace string, change func(table map[string]string)) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	table := maps.Clone(k.tables[namespace])
	if table == nil {
		table = make(map[string]string)
	}
	change(table)
	tables := maps.Clone(k.tables)
	tables[namespace] = table
	data, err := fastjson.Marshal(&kvFile{tables})
	if err != nil {
		return err
	}
	if err := statefile.Write(k.path, data); err != nil {
		return err
	}
	k.tables = tables
	return nil
}

// changeKV changes an entry and lets routes show it.
func (s *Server) changeKV(namespace, key string, change func(table map[string]string)) (*remoting.Answer, error) {
	if err := s.kv.change(namespace, change); err != nil {
		s.log.Error("KV configuration not changed", "namespace", namespace, "key", key, "err", err)
		return nil, err
	}
	if namespace == protocol.NamespaceOrderTopicConfig {
		s.routes.forgetRoute(key)
	}
	s.log.Info("KV configuration changed", "namespace", namespace, "key", key)
	return nil, nil
}

// PUT_KV_CONFIG 100. Behaviour: sets an entry. Differs from Apache: when it cannot be kept on disk it is refused.
func (s *Server) putKV(_ *remoting.Request, h *protocol.PutKVConfigHeader) (*remoting.Answer, error) {
	return s.changeKV(h.Namespace, h.Key, func(table map[string]string) { table[h.Key] = h.Value })
}

// GET_KV_CONFIG 101. Behaviour: the value of an entry; QUERY_NOT_FOUND when there is none.
func (s *Server) getKV(_ *remoting.Request, h *protocol.KVConfigHeader) (*remoting.Answer, error) {
	v, ok := s.kv.get(h.Namespace, h.Key)
	if !ok {
		return nil, protocol.Errorf(protocol.CodeQueryNotFound, "No config item, Namespace: %s Key: %s", h.Namespace, h.Key)
	}
	return &remoting.Answer{Header: &protocol.GetKVConfigResponseHeader{Value: v}}, nil
}

// DELETE_KV_CONFIG 102. Behaviour: removes an entry; the namespace stays. SUCCESS also when there was none.
func (s *Server) deleteKV(_ *remoting.Request, h *protocol.KVConfigHeader) (*remoting.Answer, error) {
	if _, ok := s.kv.get(h.Namespace, h.Key); !ok {
		return nil, nil
	}
	return s.changeKV(h.Namespace, h.Key, func(table map[string]string) { delete(table, h.Key) })
}

// GET_KVLIST_BY_NAMESPACE 219. Behaviour: all entries of a namespace; QUERY_NOT_FOUND when it never had one.
func (s *Server) listKV(_ *remoting.Request, h *protocol.KVNamespaceHeader) (*remoting.Answer, error) {
	body, err := s.kv.encoded(h.Namespace)
	if err == nil && body == nil {
		err = protocol.Errorf(protocol.CodeQueryNotFound, "No config item, Namespace: %s", h.Namespace)
	}
	return &remoting.Answer{Body: body}, err
}
