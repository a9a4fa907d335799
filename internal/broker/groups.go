package broker

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/store"
)

// groups are the broker's subscription groups, kept in config/subscriptionGroup.json. What an admin changed is on disk before the
// answer; a group that a consumer made outlasts a kill.
type groups struct {
	settings *atomic.Pointer[settings]
	log      *slog.Logger
	light    bool // there are groups of light queues; does not change
	file     *saved

	changeMu sync.Mutex // one change at a time, from looking at the table to putting into it

	mu        sync.RWMutex // protects the fields below
	byName    map[string]*group
	forbidden map[string]map[string]int32 // by group and topic; the inner maps do not change
	version   protocol.DataVersion
}

// A group is a group's settings at one moment: nothing in it changes, a change puts another into its place.
type group struct {
	protocol.SubscriptionGroupConfig
	noRead map[string]int32 // groups.forbidden of it
}

// forbidden says whether the group must not read a topic.
func (g *group) forbidden(topic []byte) bool { return g.noRead[string(topic)]&permRead != 0 }

// priorityFactor is how many of a hundred pops take the highest priority first (attribute priority.factor).
func (g *group) priorityFactor() int {
	if n, err := strconv.Atoi(g.Attributes[attrPriorityFactor]); err == nil {
		return n
	}
	return 100
}

// openGroups reads subscriptionGroup.json and adds the groups that every broker has.
func openGroups(path string, b *Broker) (*groups, error) {
	g := &groups{settings: &b.settings, log: b.log, light: b.settings.Load().LightQueues, byName: map[string]*group{}, forbidden: map[string]map[string]int32{}}
	for _, name := range []string{toolsGroup, "FILTERSRV_CONSUMER", "SELF_TEST_C_GROUP", "CID_ONS-HTTP-PROXY", "CID_ONSAPI_PULL",
		"CID_ONSAPI_PERMISSION", "CID_ONSAPI_OWNER", transGroup} {
		g.byName[name] = &group{SubscriptionGroupConfig: protocol.NewSubscriptionGroupConfig(name)}
	}
	var err error
	g.file, err = openSaved(path, g.log, savedTable{load: g.load, apply: g.apply, encode: g.encode})
	if err != nil {
		return nil, err
	}
	if g.version.Timestamp == 0 {
		g.version.Timestamp = time.Now().UnixMilli()
	}
	return g, nil
}

func (g *groups) close() error { return g.file.close() }

func (g *groups) load(data []byte) error {
	var file protocol.SubscriptionGroups
	if err := fastjson.Unmarshal(data, &file); err != nil {
		return err
	}
	if file.ForbiddenTable != nil {
		g.forbidden = file.ForbiddenTable
	}
	for name, c := range file.SubscriptionGroupTable {
		if c != nil {
			c.GroupName = name
			g.byName[name] = &group{SubscriptionGroupConfig: *c, noRead: g.forbidden[name]}
		}
	}
	g.version = file.DataVersion
	return nil
}

// groupChange is a line of subscriptionGroup.json.changes.
type groupChange struct {
	DataVersion protocol.DataVersion              `json:"dataVersion"`
	Group       *protocol.SubscriptionGroupConfig `json:"group,omitempty"`
	Deleted     string                            `json:"deleted,omitempty"`
	Forbidden   *groupForbidden                   `json:"forbidden,omitempty"`
}

type groupForbidden struct {
	Group string `json:"group"`
	Topic string `json:"topic"`
	Bits  int32  `json:"bits"`
}

func (g *groups) apply(line []byte) error {
	var c groupChange
	if err := fastjson.Unmarshal(line, &c); err != nil {
		return err
	}
	if c.Group == nil && c.Deleted == "" && c.Forbidden == nil {
		return fmt.Errorf("cannot read change: nothing in it")
	}
	if !olderThan(c.DataVersion, g.version) { // else the file was written by another broker since
		g.applyLocked(&c)
	}
	return nil
}

// applyLocked makes a change to the table. mu is held.
func (g *groups) applyLocked(c *groupChange) {
	g.version = c.DataVersion
	switch {
	case c.Group != nil:
		name := c.Group.GroupName
		g.byName[name] = &group{SubscriptionGroupConfig: *c.Group, noRead: g.forbidden[name]}
	case c.Deleted != "":
		delete(g.byName, c.Deleted)
		delete(g.forbidden, c.Deleted)
	case c.Forbidden != nil:
		f := c.Forbidden
		bits := maps.Clone(g.forbidden[f.Group])
		if bits == nil {
			bits = map[string]int32{}
		}
		bits[f.Topic] = f.Bits
		if f.Bits == 0 {
			delete(bits, f.Topic)
		}
		g.forbidden[f.Group] = bits
		if len(bits) == 0 {
			delete(g.forbidden, f.Group)
		}
		if old := g.byName[f.Group]; old != nil {
			g.byName[f.Group] = &group{SubscriptionGroupConfig: old.SubscriptionGroupConfig, noRead: bits}
		}
	}
}

func (g *groups) encode() ([]byte, error) {
	g.changeMu.Lock() // a change that is in the file of changes is in the table too
	all := g.all()
	g.changeMu.Unlock()
	return fastjson.MarshalIndent(all)
}

// all returns every group, which must not be changed, what is forbidden, and the table's version.
func (g *groups) all() protocol.SubscriptionGroups {
	g.mu.RLock()
	defer g.mu.RUnlock()
	all := protocol.SubscriptionGroups{DataVersion: g.version, ForbiddenTable: maps.Clone(g.forbidden),
		SubscriptionGroupTable: make(map[string]*protocol.SubscriptionGroupConfig, len(g.byName))}
	for name, group := range g.byName {
		all.SubscriptionGroupTable[name] = &group.SubscriptionGroupConfig
	}
	return all
}

// page returns of all only at most n groups in the order of their names from number first on.
func (g *groups) page(first, n int) protocol.SubscriptionGroups {
	all := g.all()
	for _, name := range offPage(all.SubscriptionGroupTable, first, n) {
		delete(all.SubscriptionGroupTable, name)
		delete(all.ForbiddenTable, name)
	}
	return all
}

// dataVersion is the table's version.
func (g *groups) dataVersion() protocol.DataVersion {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.version
}

// find finds a group, nil when there is none. It copies no name.
func (g *groups) find(name string) *group { return g.findBytes([]byte(name)) }

func (g *groups) findBytes(name []byte) *group {
	g.mu.RLock()
	found := g.byName[string(name)]
	g.mu.RUnlock()
	if found == nil && g.light && store.IsLight(name) {
		return lightGroup(string(name))
	}
	return found
}

// count returns how many groups there are.
func (g *groups) count() int {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return len(g.byName)
}

// get finds a group for a consumer that asks for it, and makes it when that is allowed; nil when there is none.
func (g *groups) get(name []byte) *group {
	if found := g.findBytes(name); found != nil {
		return found
	}
	return g.create(string(name))
}

func (g *groups) create(name string) *group {
	if !g.settings.Load().AutoCreateGroup && !strings.HasPrefix(name, sysGroups) || checkGroupName(name) != nil {
		return nil
	}
	g.changeMu.Lock()
	defer g.changeMu.Unlock()
	if found := g.find(name); found != nil {
		return found
	}
	c := protocol.NewSubscriptionGroupConfig(name)
	change := &groupChange{Group: &c}
	if _, err := g.changeLocked(change); err != nil {
		// A full disk must not keep consumers from reading. The group has nothing but defaults: should it not get to the disk
		// later either, it is made again when it is asked for.
		g.log.Error("subscription group is in memory only", "group", name, "err", err)
		g.mu.Lock()
		g.applyLocked(change)
		g.mu.Unlock()
		return g.find(name)
	}
	g.log.Info("subscription group created for a consumer", "group", name)
	return g.find(name)
}

// changeLocked keeps a change and makes it, and returns what to give to file.sync. changeMu is held.
func (g *groups) changeLocked(c *groupChange) (int64, error) {
	c.DataVersion = g.version.Next(max(time.Now().UnixMilli(), g.version.Timestamp)) // never back, for apply goes by it
	line, err := fastjson.Marshal(c)
	if err != nil {
		return 0, err
	}
	added, err := g.file.add(line)
	if err != nil {
		return 0, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.applyLocked(c)
	return added, nil
}

// update makes or changes groups for an admin. The keys of their attributes begin with + or -. Either all are changed and on disk, or
// none is.
func (g *groups) update(configs ...protocol.SubscriptionGroupConfig) error {
	last, err := g.updateAll(configs)
	if err != nil {
		return err
	}
	return g.file.sync(last)
}

func (g *groups) updateAll(configs []protocol.SubscriptionGroupConfig) (last int64, err error) {
	g.changeMu.Lock()
	defer g.changeMu.Unlock()
	if g.light { // they are there anyway, and have no settings
		configs = slices.DeleteFunc(configs, func(c protocol.SubscriptionGroupConfig) bool { return store.IsLight(c.GroupName) })
	}
	for i := range configs {
		c := &configs[i]
		var current map[string]string
		old := g.find(c.GroupName)
		if old != nil {
			current = old.Attributes
		}
		if c.Attributes, err = alterAttributes(old == nil, groupAttribute, current, c.Attributes); err != nil {
			return 0, err
		}
	}
	for i := range configs {
		if last, err = g.changeLocked(&groupChange{Group: &configs[i]}); err != nil {
			return 0, err
		}
		g.log.Info("subscription group created or changed", "group", configs[i].GroupName, "config", configs[i])
	}
	return last, nil
}

// delete removes a group, on disk too, and says whether it was there.
func (g *groups) delete(name string) (bool, error) {
	added, err := func() (int64, error) {
		g.changeMu.Lock()
		defer g.changeMu.Unlock()
		if g.find(name) == nil {
			return 0, nil
		}
		return g.changeLocked(&groupChange{Deleted: name})
	}()
	if err != nil || added == 0 {
		return false, err
	}
	g.log.Info("subscription group deleted", "group", name)
	return true, g.file.sync(added)
}

// readable says whether the group may read the topic.
func (g *groups) readable(group, topic string) bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.forbidden[group][topic]&permRead == 0
}

// setReadable says whether the group may read the topic from now on.
func (g *groups) setReadable(group, topic string, readable bool) error {
	added, err := func() (int64, error) {
		g.changeMu.Lock()
		defer g.changeMu.Unlock()
		bits := g.forbidden[group][topic]
		if readable {
			bits &^= permRead
		} else {
			bits |= permRead
		}
		return g.changeLocked(&groupChange{Forbidden: &groupForbidden{Group: group, Topic: topic, Bits: bits}})
	}()
	if err != nil {
		return err
	}
	g.log.Info("reading a topic was forbidden to a group or allowed", "group", group, "topic", topic, "readable", readable)
	return g.file.sync(added)
}
