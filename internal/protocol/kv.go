package protocol

// PutKVConfigHeader is PUT_KV_CONFIG 100.
type PutKVConfigHeader struct {
	Namespace string `field:"namespace,required"`
	Key       string `field:"key,required"`
	Value     string `field:"value,required"`
}

// KVConfigHeader names an entry: GET_KV_CONFIG 101, DELETE_KV_CONFIG 102.
type KVConfigHeader struct {
	Namespace string `field:"namespace,required"`
	Key       string `field:"key,required"`
}

// GetKVConfigResponseHeader is the answer to GET_KV_CONFIG.
type GetKVConfigResponseHeader struct {
	Value string `field:"value"`
}

// KVNamespaceHeader is GET_KVLIST_BY_NAMESPACE 219.
type KVNamespaceHeader struct {
	Namespace string `field:"namespace,required"`
}

// KVTable is a body of keys and values: a namespace of the KV configuration, a broker's runtime information.
type KVTable struct {
	Table map[string]string `json:"table"`
}
