package client

import (
	"context"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// CreateUser adds a user at the broker at addr, AUTH_CREATE_USER.
func (p *Pool) CreateUser(ctx context.Context, addr string, u *protocol.UserInfo) error {
	return p.tell(ctx, addr, "user "+u.Username, &remoting.Call{Code: protocol.ReqAuthCreateUser, Header: &protocol.UserHeader{Username: u.Username}}, u)
}

// UpdateUser changes what u says of a user, AUTH_UPDATE_USER.
func (p *Pool) UpdateUser(ctx context.Context, addr string, u *protocol.UserInfo) error {
	return p.tell(ctx, addr, "user "+u.Username, &remoting.Call{Code: protocol.ReqAuthUpdateUser, Header: &protocol.UserHeader{Username: u.Username}}, u)
}

// DeleteUser removes a user, AUTH_DELETE_USER.
func (p *Pool) DeleteUser(ctx context.Context, addr, name string) error {
	return p.do(ctx, addr, "user "+name, &remoting.Call{Code: protocol.ReqAuthDeleteUser, Header: &protocol.UserHeader{Username: name}})
}

// User returns a user, nil when there is none of that name, AUTH_GET_USER.
func (p *Pool) User(ctx context.Context, addr, name string) (*protocol.UserInfo, error) {
	return maybe[protocol.UserInfo](ctx, p, addr, "user "+name, &remoting.Call{Code: protocol.ReqAuthGetUser, Header: &protocol.UserHeader{Username: name}})
}

// Users returns the users whose name contains filter, AUTH_LIST_USER.
func (p *Pool) Users(ctx context.Context, addr, filter string) ([]*protocol.UserInfo, error) {
	l, err := maybe[[]*protocol.UserInfo](ctx, p, addr, "", &remoting.Call{Code: protocol.ReqAuthListUser, Header: &protocol.ListUsersHeader{Filter: filter}})
	if err != nil || l == nil {
		return nil, err
	}
	return *l, nil
}

// CreateACL adds to what a subject may do at the broker at addr, AUTH_CREATE_ACL.
func (p *Pool) CreateACL(ctx context.Context, addr string, a *protocol.ACLInfo) error {
	return p.tell(ctx, addr, "ACL of "+a.Subject, &remoting.Call{Code: protocol.ReqAuthCreateACL, Header: &protocol.SubjectHeader{Subject: a.Subject}}, a)
}

// UpdateACL replaces what a subject may do with the resources of a, AUTH_UPDATE_ACL.
func (p *Pool) UpdateACL(ctx context.Context, addr string, a *protocol.ACLInfo) error {
	return p.tell(ctx, addr, "ACL of "+a.Subject, &remoting.Call{Code: protocol.ReqAuthUpdateACL, Header: &protocol.SubjectHeader{Subject: a.Subject}}, a)
}

// DeleteACL removes what a subject may do with a resource or, when it is empty, with all, AUTH_DELETE_ACL.
func (p *Pool) DeleteACL(ctx context.Context, addr, subject, resource string) error {
	return p.do(ctx, addr, "ACL of "+subject, &remoting.Call{Code: protocol.ReqAuthDeleteACL, Header: &protocol.DeleteACLHeader{Subject: subject, Resource: resource}})
}

// ACL returns what a subject may do, nil when nothing was said of it, AUTH_GET_ACL.
func (p *Pool) ACL(ctx context.Context, addr, subject string) (*protocol.ACLInfo, error) {
	return maybe[protocol.ACLInfo](ctx, p, addr, "ACL of "+subject, &remoting.Call{Code: protocol.ReqAuthGetACL, Header: &protocol.SubjectHeader{Subject: subject}})
}

// ACLs returns what subjects may do with resources, both filtered, AUTH_LIST_ACL.
func (p *Pool) ACLs(ctx context.Context, addr, subject, resource string) ([]*protocol.ACLInfo, error) {
	l, err := maybe[[]*protocol.ACLInfo](ctx, p, addr, "", &remoting.Call{Code: protocol.ReqAuthListACL,
		Header: &protocol.ListACLsHeader{SubjectFilter: subject, ResourceFilter: resource}})
	if err != nil || l == nil {
		return nil, err
	}
	return *l, nil
}

// maybe is fetch for answers that may have no body: then it returns nil.
func maybe[T any](ctx context.Context, p *Pool, addr, subject string, call *remoting.Call) (*T, error) {
	r, err := p.ask(ctx, addr, subject, call)
	if err != nil || len(r.Body) == 0 || string(r.Body) == "null" {
		return nil, err
	}
	v, err := decode[T](r, call.Code)
	return v, about(subject, err)
}
