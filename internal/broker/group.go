package broker

import (
	"fmt"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// UPDATE_AND_CREATE_SUBSCRIPTIONGROUP 200, GET_ALL_SUBSCRIPTIONGROUP_CONFIG 201, DELETE_SUBSCRIPTIONGROUP 207,
// UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST 225, GET_SUBSCRIPTIONGROUP_CONFIG 352, UPDATE_AND_GET_GROUP_FORBIDDEN 353.
//
// Behaviour: a group that was made, changed or deleted, with its offsets or without, is so on disk when the answer comes. Asking for one
// group makes it if consumers may do that.
// Differs from Apache: allowing one topic to a group again leaves what else is forbidden to it.

func (b *Broker) updateGroups(r *remoting.Request, configs []*protocol.SubscriptionGroupConfig) (*remoting.Answer, error) {
	var changes []protocol.SubscriptionGroupConfig
	for _, c := range configs {
		if c == nil {
			continue
		}
		if err := checkGroupName(c.GroupName); err != nil {
			return nil, err
		}
		changes = append(changes, *c)
	}
	if len(changes) == 0 {
		return nil, nil
	}
	b.log.Info("request to create or change subscription groups", "groups", len(changes), "first", changes[0].GroupName, "addr", r.Conn.RemoteAddr())
	return nil, b.groups.update(changes...)
}

func (b *Broker) updateGroup(r *remoting.Request, body *protocol.SubscriptionGroupConfig) (*remoting.Answer, error) {
	return b.updateGroups(r, []*protocol.SubscriptionGroupConfig{body})
}

func (b *Broker) updateGroupList(r *remoting.Request, body *protocol.SubscriptionGroupList) (*remoting.Answer, error) {
	if body.GroupConfigList == nil { // Apache fails inside
		return nil, protocol.Errorf(protocol.CodeSystemError, "the request names no groups: its body has no groupConfigList")
	}
	return b.updateGroups(r, body.GroupConfigList)
}

func (b *Broker) getAllGroups(_ *remoting.Request, h *protocol.GetAllSubscriptionGroupHeader) (*remoting.Answer, error) {
	var body protocol.SubscriptionGroups
	if h.GroupSeq == nil && h.DataVersion == nil && h.MaxGroupNum == nil {
		body = b.groups.all()
	} else {
		from, n := pageOf(h.GroupSeq, h.DataVersion, h.MaxGroupNum, b.groups.dataVersion())
		body = b.groups.page(from, n)
	}
	a, err := jsonAnswer(body)
	if err != nil {
		return nil, err
	}
	a.Header = protocol.GetAllSubscriptionGroupResponseHeader{TotalGroupNum: int32(b.groups.count())}
	return a, nil
}

func (b *Broker) getGroup(_ *remoting.Request, h *protocol.GroupHeader) (*remoting.Answer, error) {
	g := b.groups.get([]byte(h.Group))
	if g == nil {
		return nil, protocol.Errorf(protocol.CodeSubscriptionGroupNotExist, "No group in this broker")
	}
	return jsonAnswer(&g.SubscriptionGroupConfig)
}

func (b *Broker) deleteGroup(r *remoting.Request, h *protocol.DeleteSubscriptionGroupHeader) (*remoting.Answer, error) {
	b.log.Info("request to delete a subscription group", "group", h.GroupName, "offsets_too", h.CleanOffset, "addr", r.Conn.RemoteAddr())
	g := b.groups.find(h.GroupName)
	if _, err := b.groups.delete(h.GroupName); err != nil {
		return nil, err
	}
	b.pops.forget("", h.GroupName)
	b.lites.forgetGroup(h.GroupName)
	b.counts.forgetGroup(h.GroupName)
	if h.CleanOffset || g != nil && g.liteBound() != "" {
		b.offsets.removeGroup(h.GroupName)
		if err := b.offsets.writeRemoved(); err != nil {
			return nil, fmt.Errorf("group %s is deleted, but not all that belonged to it: %w", h.GroupName, err)
		}
	}
	return nil, nil
}

func (b *Broker) updateGroupForbidden(_ *remoting.Request, h *protocol.UpdateGroupForbiddenHeader) (*remoting.Answer, error) {
	if h.Readable != nil {
		if err := b.groups.setReadable(h.Group, h.Topic, *h.Readable); err != nil {
			return nil, err
		}
	}
	return jsonAnswer(protocol.GroupForbidden{Group: h.Group, Topic: h.Topic, Readable: b.groups.readable(h.Group, h.Topic)})
}
