package protocol

// UserHeader names a user: AUTH_CREATE_USER 3001 to AUTH_GET_USER 3004.
type UserHeader struct {
	Username string `field:"username"`
}

// SubjectHeader names whom an ACL is about: AUTH_CREATE_ACL 3006 to AUTH_GET_ACL 3009.
type SubjectHeader struct {
	Subject string `field:"subject"`
}
