package protocol

// UserInfo is a user as AUTH_CREATE_USER 3001 to AUTH_LIST_USER 3005 carry it. UserType is Super or Normal, UserStatus enable or disable; what is
// empty stays as it is, or is the standard.
type UserInfo struct {
	Username   string `json:"username,omitempty"`
	Password   string `json:"password,omitempty"`
	UserType   string `json:"userType,omitempty"`
	UserStatus string `json:"userStatus,omitempty"`
}

// ListUsersHeader is AUTH_LIST_USER 3005: users whose name contains the filter.
type ListUsersHeader struct {
	Filter string `field:"filter,omitempty"`
}

// ACLInfo is what a subject, such as User:alice, may do, as AUTH_CREATE_ACL 3006 to AUTH_LIST_ACL 3010 carry it.
type ACLInfo struct {
	Subject  string       `json:"subject,omitempty"`
	Policies []PolicyInfo `json:"policies"`
}

// PolicyInfo is a list of entries; PolicyType is Custom, the standard, or Default.
type PolicyInfo struct {
	PolicyType string            `json:"policyType,omitempty"`
	Entries    []PolicyEntryInfo `json:"entries"`
}

// PolicyEntryInfo allows or denies actions on a resource, such as Topic:orders, from some addresses or, when there are none, all.
type PolicyEntryInfo struct {
	Resource  string   `json:"resource"`
	Actions   []string `json:"actions"`
	SourceIPs []string `json:"sourceIps"`
	Decision  string   `json:"decision"`
}

// DeleteACLHeader is AUTH_DELETE_ACL 3008: all of a subject, or what it has for one resource.
type DeleteACLHeader struct {
	Subject    string `field:"subject"`
	PolicyType string `field:"policyType,omitempty"`
	Resource   string `field:"resource,omitempty"`
}

// ListACLsHeader is AUTH_LIST_ACL 3010.
type ListACLsHeader struct {
	SubjectFilter  string `field:"subjectFilter,omitempty"`
	ResourceFilter string `field:"resourceFilter,omitempty"`
}

// CheckRocksQueueHeader is CHECK_ROCKSDB_CQ_WRITE_PROGRESS 354: of one topic or, when it is empty, of all, what was stored from a time on.
type CheckRocksQueueHeader struct {
	Topic          string `field:"topic"`
	CheckStoreTime int64  `field:"checkStoreTime"`
}
