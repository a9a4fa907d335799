package broker

import (
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// AUTH_CREATE_USER 3001, AUTH_UPDATE_USER 3002, AUTH_DELETE_USER 3003, AUTH_GET_USER 3004, AUTH_LIST_USER 3005, AUTH_CREATE_ACL 3006,
// AUTH_UPDATE_ACL 3007, AUTH_DELETE_ACL 3008, AUTH_GET_ACL 3009, AUTH_LIST_ACL 3010.
//
// Behaviour: as of an Apache broker with the default configuration, which has nowhere to keep users and ACLs: each is refused.
// Differs from Apache: the remark says why.

func noUsers(*Broker, *remoting.Request) (*remoting.Answer, error) {
	return nil, protocol.Errorf(protocol.CodeSystemError, "An system error occurred, please try again later. (This broker keeps no users and ACLs: access control is not served yet)")
}

// namedUser refuses requests that name no user.
func namedUser(_ *Broker, _ *remoting.Request, h *protocol.UserHeader) (*remoting.Answer, error) {
	if h.Username == "" {
		return nil, protocol.Errorf(protocol.CodeInvalidParameter, "The username is blank")
	}
	return noUsers(nil, nil)
}

// deletedUser refuses requests that name no user, in other words.
func deletedUser(_ *Broker, _ *remoting.Request, h *protocol.UserHeader) (*remoting.Answer, error) {
	if h.Username == "" {
		return nil, protocol.Errorf(protocol.CodeNoPermission, "username can not be blank")
	}
	return noUsers(nil, nil)
}

// namedSubject refuses requests that name no subject.
func namedSubject(_ *Broker, _ *remoting.Request, h *protocol.SubjectHeader) (*remoting.Answer, error) {
	if h.Subject == "" {
		return nil, protocol.Errorf(protocol.CodeNoPermission, "The subject is null.")
	}
	return noUsers(nil, nil)
}
