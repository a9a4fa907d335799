package namesrv

import (
	"cmp"
	"hash/maphash"
	"maps"
	"slices"
	"time"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// silenceMax is after how much silence a broker counts as gone that does not say so itself.
const silenceMax = 2 * time.Minute

// REGISTER_BROKER 103.
//
// Behaviour: the broker's address is put into its group, and the topics in the body are put on the group, if the broker is
// its master; without a master, those of the slave with the least id count, and without the right to write when the broker
// allows a slave to act as master. Topics that the body does not list stay, unless
// deleteTopicWithBrokerRegistration. Queues are only changed when the version of the broker's topics has changed, or the
// topic is new to the group: that is why the write permission stays away after 205.
// An address that the group has under another id moves. Of two addresses with one id the one with the lower
// dataVersion.stateVersion is ignored.
// A registration with exactly one topic is an update, and refused from a broker that is not known yet.
func (s *Server) registerBroker(r *remoting.Request, h *protocol.RegisterBrokerHeader) (*remoting.Answer, error) {
	if h.BodyCRC32 != 0 && protocol.BodyCRC32(r.Body) != h.BodyCRC32 {
		s.log.Warn("registration refused: crc32 of its body is wrong", "broker", h.BrokerName, "addr", r.Conn.RemoteAddr())
		return nil, protocol.Errorf(protocol.CodeSystemError, "crc32 not match")
	}
	cfg := s.cfg.Load()
	sum := s.sum(r)
	if again, answer := s.routes.again(h, sum, r.Conn, time.Now()); again {
		return s.registered(cfg, &answer)
	}
	body, err := protocol.DecodeRegisterBrokerBody(r.Body, h.Compressed, r.Version)
	if err != nil {
		return nil, err
	}
	zone, _ := r.Get(protocol.FieldZoneName)
	done := s.routes.register(&registration{RegisterBrokerHeader: h, zone: string(zone), body: body, sum: sum, conn: r.Conn, now: time.Now()}, cfg)
	r.Conn.State = brokerConn{}
	if done.refused != "" {
		s.log.Warn("registration refused: "+done.refused, "broker", h.BrokerName, "broker_id", h.BrokerID, "broker_addr", h.BrokerAddr)
		if done.err != nil {
			return nil, done.err
		}
		return &remoting.Answer{Header: &protocol.RegisterBrokerResponseHeader{}}, nil
	}
	if done.rival != "" {
		s.log.Warn("two brokers have the same name and id and take each other's place, so that clients reach now one, now the other: give each a brokerName of its own",
			"broker", h.BrokerName, "broker_id", h.BrokerID, "broker_addr", h.BrokerAddr, "other_addr", done.rival, "cluster", h.ClusterName)
	}
	if done.came {
		s.log.Info("broker registered", "broker", h.BrokerName, "broker_id", h.BrokerID, "broker_addr", h.BrokerAddr, "cluster", h.ClusterName, "topics", len(body.Topics.TopicConfigTable))
		s.wakeScan()
	}
	s.notify(done.notice)
	return s.registered(cfg, &done.answer)
}

// registered is the answer to a broker that is taken.
func (s *Server) registered(cfg *config.Namesrv, h *protocol.RegisterBrokerResponseHeader) (a *remoting.Answer, err error) {
	a = &remoting.Answer{Header: h}
	if cfg.ReturnOrderTopics {
		a.Body, err = s.kv.encoded(protocol.NamespaceOrderTopicConfig)
	}
	return a, err
}

// sum is of all that a registration says. It is for finding out that a broker says the same again, as it mostly does: to read
// ten thousand topics each 30 s, to find that nothing is new, is the most that an idle NameServer would do.
func (s *Server) sum(r *remoting.Request) uint64 {
	var h maphash.Hash
	h.SetSeed(s.seed)
	for _, f := range r.Fields {
		maphash.WriteComparable(&h, len(f.Key))
		_, _ = h.Write(f.Key)
		maphash.WriteComparable(&h, len(f.Value))
		_, _ = h.Write(f.Value)
	}
	maphash.WriteComparable(&h, r.Version)
	_, _ = h.Write(r.Body)
	return h.Sum64()
}

// again takes a registration that says what the broker has said before, over the same connection, when there is nothing
// else to do for it than to note that it lives.
func (r *routes) again(h *protocol.RegisterBrokerHeader, sum uint64, conn *remoting.Conn, now time.Time) (bool, protocol.RegisterBrokerResponseHeader) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.live[brokerKey{h.ClusterName, h.BrokerAddr}]
	if l == nil || l.sum != sum || l.conn != conn {
		return false, protocol.RegisterBrokerResponseHeader{}
	}
	g := r.groups[h.BrokerName]
	acting := h.EnableActingMaster != nil && *h.EnableActingMaster
	if g == nil || g.incomplete || g.acting != acting || g.addrs[h.BrokerID] != h.BrokerAddr || g.decides(h) != l.decided || l.decided && g.decidedBy != l.key {
		return false, protocol.RegisterBrokerResponseHeader{}
	}
	l.seen = now
	if h.BrokerID == protocol.MasterID {
		return true, protocol.RegisterBrokerResponseHeader{}
	}
	return true, r.masterLocked(g, h.ClusterName)
}

// decides says whether the topics of a group are those of this member: of the master, or without one of the slave with the
// least id, if that knows of acting masters.
func (g *group) decides(h *protocol.RegisterBrokerHeader) bool {
	return h.BrokerID == protocol.MasterID || h.EnableActingMaster != nil && h.BrokerID == g.minID()
}

// brokerConn is the State of a connection over which a broker has registered.
type brokerConn struct{}

// registration is one REGISTER_BROKER.
type registration struct {
	*protocol.RegisterBrokerHeader
	zone string
	body *protocol.RegisterBrokerBody
	sum  uint64 // see Server.sum
	conn *remoting.Conn
	now  time.Time
}

func (g *registration) key() brokerKey { return brokerKey{g.ClusterName, g.BrokerAddr} }

// registered is what came of it.
type registered struct {
	refused string          // why, for the log
	err     *protocol.Error // what the broker is told then; nil is SUCCESS
	came    bool            // it was not there before
	rival   string          // the address in whose place it came, which had come in its place
	answer  protocol.RegisterBrokerResponseHeader
	notice  *notice
}

func (r *routes) register(reg *registration, cfg *config.Namesrv) (out registered) {
	r.mu.Lock()
	defer r.mu.Unlock()
	g, known := r.groups[reg.BrokerName]
	if !known {
		g = &group{name: reg.BrokerName, cluster: reg.ClusterName, addrs: make(map[int64]string), topics: make(map[string]*topic)}
	}
	least := g.minID()
	moved := g.move(reg.BrokerAddr, reg.BrokerID)
	if out.refused, out.err = r.refusalLocked(g, reg); out.refused != "" {
		if moved {
			r.settleLocked(g, "its address registered under another id", reg.now)
		}
		return out
	}

	// From here on the broker is taken.
	acting := reg.EnableActingMaster != nil && *reg.EnableActingMaster
	old := g.addrs[reg.BrokerID]
	if old != "" && old != reg.BrokerAddr {
		delete(r.live, brokerKey{reg.ClusterName, old})
		if g.ousted[reg.BrokerID] == reg.BrokerAddr {
			out.rival = old
		}
		if g.ousted == nil {
			g.ousted = make(map[int64]string)
		}
		g.ousted[reg.BrokerID] = old
	}
	changed := moved || old != reg.BrokerAddr || g.acting != acting || g.zone != reg.zone
	first := old == ""
	r.groups[g.name] = g
	g.acting, g.zone, g.addrs[reg.BrokerID] = acting, reg.zone, reg.BrokerAddr
	if r.clusters[reg.ClusterName] == nil {
		r.clusters[reg.ClusterName] = make(map[string]struct{})
	}
	r.clusters[reg.ClusterName][g.name] = struct{}{}
	r.gone.groupBack(g.name)

	decided := g.decides(reg.RegisterBrokerHeader)
	if decided {
		g.decidedBy = reg.key()
		before := r.live[reg.key()]
		r.takeTopicsLocked(g, &takeTopics{
			topics:  &reg.body.Topics,
			all:     first || before == nil || before.version != reg.body.Topics.DataVersion,
			noWrite: reg.BrokerID != protocol.MasterID && acting,
			exactly: cfg.DeleteTopicWithRegistration && len(reg.body.Topics.TopicQueueMappingInfoMap) == 0,
		})
	}
	filtersChanged, came := r.setLiveLocked(reg, decided)
	if changed || filtersChanged {
		r.forgetRoutesOfLocked(g)
	}
	out.came = came
	if reg.BrokerID != protocol.MasterID {
		out.answer = r.masterLocked(g, reg.ClusterName)
	}
	if reg.BrokerID < least && cfg.NotifyMinBrokerID {
		out.notice = newNotice(g, "", reg.HAServerAddr)
	}
	return out
}

// move takes an address out of the group that is there under another id.
func (g *group) move(addr string, id int64) (moved bool) {
	n := len(g.addrs)
	elsewhere := func(have int64, a string) bool { return a == addr && have != id }
	maps.DeleteFunc(g.addrs, elsewhere)
	maps.DeleteFunc(g.ousted, elsewhere) // who has taken another id fights with nobody
	return len(g.addrs) < n
}

// refusalLocked says why a registration is not taken. A broker that lost against another's address is told SUCCESS: so
// Apache does it, and it is the controller's work to tell it what it is.
func (r *routes) refusalLocked(g *group, reg *registration) (string, *protocol.Error) {
	have, taken := g.addrs[reg.BrokerID]
	if taken && have != reg.BrokerAddr {
		l := r.live[brokerKey{reg.ClusterName, have}]
		if l != nil && l.version.StateVersion > reg.body.Topics.DataVersion.StateVersion {
			delete(r.live, reg.key())
			return "its id is taken by " + have + ", which is newer", nil
		}
	}
	if !taken && len(reg.body.Topics.TopicConfigTable) == 1 {
		return "a single topic of a broker that is not registered", protocol.Errorf(protocol.CodeSystemError,
			"register broker failed: a registration with one topic is an update, and %s (%s) is not registered here yet", reg.BrokerName, reg.BrokerAddr)
	}
	return "", nil
}

// takeTopics is what of a registration concerns topics.
type takeTopics struct {
	topics  *protocol.RegisteredTopics
	all     bool // also those that are there already
	noWrite bool // clear the right to write
	exactly bool // forget those that are not in it
}

func (r *routes) takeTopicsLocked(g *group, take *takeTopics) {
	if take.exactly {
		for name, t := range g.topics {
			if _, there := take.topics.TopicConfigTable[name]; !there {
				r.dropQueueLocked(g, t)
				r.gone.topicDeleted(name, "its broker "+g.name+" registered without it (deleteTopicWithBrokerRegistration)")
			}
		}
	}
	for name, c := range take.topics.TopicConfigTable {
		if c == nil {
			continue
		}
		name = cmp.Or(c.TopicName, name)
		if _, there := g.topics[name]; there && !take.all {
			continue
		}
		q := protocol.QueueData{BrokerName: g.name, Perm: c.Perm, ReadQueueNums: c.ReadQueueNums, WriteQueueNums: c.WriteQueueNums, TopicSysFlag: c.TopicSysFlag}
		if take.noWrite {
			q.Perm &^= protocol.PermWrite
		}
		r.setQueueLocked(g, name, q)
	}
	g.incomplete = false
	for name, m := range take.topics.TopicQueueMappingInfoMap {
		t := r.topics[name]
		if t == nil || m == nil || !take.all && t.mappings[m.Bname] != nil {
			continue
		}
		if t.mappings == nil {
			t.mappings = make(map[string]*protocol.TopicQueueMappingInfo)
		}
		t.mappings[m.Bname] = m
		r.forgetRouteLocked(t)
	}
}

// setLiveLocked notes that the broker lives.
func (r *routes) setLiveLocked(reg *registration, decided bool) (filtersChanged, came bool) {
	l := &live{key: reg.key(), name: reg.BrokerName, seen: reg.now, timeout: silenceMax, version: reg.body.Topics.DataVersion, conn: reg.conn,
		haAddr: reg.HAServerAddr, sum: reg.sum, decided: decided}
	if reg.HeartbeatTimeoutMillis != nil {
		// Out of a range that makes sense it would overflow or never end.
		l.timeout = time.Duration(min(max(*reg.HeartbeatTimeoutMillis, 0), int64(24*time.Hour/time.Millisecond))) * time.Millisecond
	}
	before := r.live[l.key]
	if before != nil {
		l.filters = before.filters
	}
	if reg.body.FilterServerList != nil {
		filtersChanged = !slices.Equal(l.filters, reg.body.FilterServerList)
		l.filters = reg.body.FilterServerList
	}
	r.live[l.key] = l
	return filtersChanged, before == nil
}

// masterLocked is where a slave finds its master, if that lives.
func (r *routes) masterLocked(g *group, cluster string) (h protocol.RegisterBrokerResponseHeader) {
	addr, there := g.addrs[protocol.MasterID]
	if !there {
		return h
	}
	if l := r.live[brokerKey{cluster, addr}]; l != nil {
		h.MasterAddr, h.HAServerAddr = addr, l.haAddr
	}
	return h
}

// forgetRoutesOfLocked is for a change of the group that all its topics' routes show.
func (r *routes) forgetRoutesOfLocked(g *group) {
	for _, t := range g.topics {
		r.forgetRouteLocked(t)
	}
}

// UNREGISTER_BROKER 104.
//
// Behaviour: the broker is taken off its group, and a group without members off all topics, before the answer. Differs from
// Apache, which answers first and does it a moment later.
func (s *Server) unregisterBroker(_ *remoting.Request, h *protocol.BrokerIdentityHeader) (*remoting.Answer, error) {
	s.remove(brokerKey{h.ClusterName, h.BrokerAddr}, h.BrokerName, "unregistered", nil)
	return nil, nil
}

// remove takes a broker off the tables. With only set, it does so if that is still what is known of it.
func (s *Server) remove(key brokerKey, name, why string, only func(*live) bool) {
	done := s.routes.remove(key, name, why, only, s.cfg.Load().NotifyMinBrokerID)
	if done.gone {
		s.log.Info("broker gone: "+why, "broker", name, "broker_addr", key.addr, "cluster", key.cluster, "left_in_group", done.left)
	}
	s.notify(done.notice)
}

// removed is what came of taking a broker off.
type removed struct {
	gone   bool // it was there
	left   int  // members of its group that are
	notice *notice
}

func (r *routes) remove(key brokerKey, name, why string, only func(*live) bool, notify bool) (out removed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l := r.live[key]; only != nil && (l == nil || !only(l)) {
		return out
	}
	delete(r.live, key)
	g := r.groups[name]
	if g == nil {
		return out
	}
	least := g.minID()
	for id, addr := range g.addrs {
		if addr != key.addr {
			continue
		}
		delete(g.addrs, id)
		out.gone = true
		if id == least && notify && g.acting && len(g.addrs) > 0 {
			out.notice = newNotice(g, key.addr, "")
		}
	}
	out.left = len(g.addrs)
	r.settleLocked(g, key.addr+" "+why, time.Now())
	return out
}

// settleLocked brings a group's topics in line with its members after one has left.
func (r *routes) settleLocked(g *group, why string, now time.Time) {
	if r.groups[g.name] != g {
		return // it never was taken in
	}
	if len(g.addrs) > 0 {
		if _, master := g.addrs[protocol.MasterID]; !master && g.acting {
			for _, t := range g.topics {
				t.queueOn(g.name).Perm &^= protocol.PermWrite
			}
		}
		r.forgetRoutesOfLocked(g)
		return
	}
	delete(r.groups, g.name)
	for cluster, names := range r.clusters {
		delete(names, g.name)
		if len(names) == 0 {
			delete(r.clusters, cluster)
		}
	}
	topics := maps.Clone(g.topics)
	for _, t := range topics {
		mapping := t.mappings[g.name]
		r.dropQueueLocked(g, t)
		if mapping != nil {
			t.mappings[g.name] = mapping // a static topic has the queues that are there too while they cannot be reached
		}
	}
	r.gone.groupGone(g.name, why, topics, now)
}

// QUERY_DATA_VERSION 322.
//
// Behaviour: says whether the version differs from what the broker registered last, which it always does for one that is
// not registered. Counts as a sign of life.
func (s *Server) queryDataVersion(r *remoting.Request, h *protocol.BrokerIdentityHeader) (*remoting.Answer, error) {
	var theirs *protocol.DataVersion
	if len(r.Body) > 0 {
		if err := fastjson.Unmarshal(r.Body, &theirs); err != nil {
			return nil, err
		}
	}
	ours, known := s.routes.touch(brokerKey{h.ClusterName, h.BrokerAddr}, time.Now())
	if !known {
		return &remoting.Answer{Header: &protocol.QueryDataVersionResponseHeader{Changed: true}}, nil
	}
	a := &remoting.Answer{Header: &protocol.QueryDataVersionResponseHeader{Changed: theirs == nil || *theirs != ours}}
	var err error
	a.Body, err = fastjson.Marshal(ours)
	return a, err
}

// BROKER_HEARTBEAT 904. Behaviour: a sign of life; from a broker that is not registered it does nothing.
func (s *Server) brokerHeartbeat(_ *remoting.Request, h *protocol.BrokerHeartbeatHeader) (*remoting.Answer, error) {
	s.routes.touch(brokerKey{h.ClusterName, h.BrokerAddr}, time.Now())
	return nil, nil
}
