package protocol

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/liftoffmq/liftoff/internal/fastjson"
)

// Versions that change what a registration's body holds.
const (
	versionV3_0_11 = 37  // older brokers send their topics only
	versionV5_0_0  = 413 // from here on a compressed body ends with the mappings of static topics
)

// RegisterBrokerHeader is REGISTER_BROKER 103.
type RegisterBrokerHeader struct {
	BrokerName   string `field:"brokerName,required"`
	BrokerAddr   string `field:"brokerAddr,required"`
	ClusterName  string `field:"clusterName,required"`
	HAServerAddr string `field:"haServerAddr,required"`
	BrokerID     int64  `field:"brokerId,required"`
	// HeartbeatTimeoutMillis is after how much silence the broker counts as gone; nil leaves it to the NameServer.
	HeartbeatTimeoutMillis *int64 `field:"heartbeatTimeoutMillis"`
	// EnableActingMaster is nil from brokers of before 5.0.
	EnableActingMaster *bool `field:"enableActingMaster"`
	Compressed         bool  `field:"compressed"`
	// BodyCRC32 is of the body as sent; 0 is not checked.
	BodyCRC32 int32 `field:"bodyCrc32"`
}

// RegisterBrokerResponseHeader is the answer to REGISTER_BROKER. Only a slave whose master is known gets the addresses.
// The body is the KVTable of ORDER_TOPIC_CONFIG.
type RegisterBrokerResponseHeader struct {
	HAServerAddr string `field:"haServerAddr,omitempty"`
	MasterAddr   string `field:"masterAddr,omitempty"`
}

// BrokerIdentityHeader names one member of a broker group: UNREGISTER_BROKER 104, QUERY_DATA_VERSION 322.
type BrokerIdentityHeader struct {
	BrokerName  string `field:"brokerName,required"`
	BrokerAddr  string `field:"brokerAddr,required"`
	ClusterName string `field:"clusterName,required"`
	BrokerID    int64  `field:"brokerId,required"`
}

// QueryDataVersionResponseHeader says whether the broker has to register anew. The body is the DataVersion that the
// NameServer has, if any.
type QueryDataVersionResponseHeader struct {
	Changed bool `field:"changed"`
}

// BrokerHeartbeatHeader is BROKER_HEARTBEAT 904. What follows BrokerID is for a controller.
type BrokerHeartbeatHeader struct {
	ClusterName            string `field:"clusterName,required"`
	BrokerAddr             string `field:"brokerAddr,required"`
	BrokerName             string `field:"brokerName,required"`
	BrokerID               *int64 `field:"brokerId"`
	Epoch                  *int32 `field:"epoch"`
	MaxOffset              *int64 `field:"maxOffset"`
	ConfirmOffset          *int64 `field:"confirmOffset"`
	HeartbeatTimeoutMillis *int64 `field:"heartbeatTimeoutMills"`
	ElectionPriority       *int32 `field:"electionPriority"`
}

// MinBrokerIDHeader is NOTIFY_MIN_BROKER_ID_CHANGE 905, from a NameServer to the members of a group.
type MinBrokerIDHeader struct {
	MinBrokerID       *int64  `field:"minBrokerId"`
	BrokerName        *string `field:"brokerName"`
	MinBrokerAddr     *string `field:"minBrokerAddr"`
	OfflineBrokerAddr *string `field:"offlineBrokerAddr"`
	HABrokerAddr      *string `field:"haBrokerAddr"`
}

// RegisteredTopics is what a broker registers: its topics, and which queues of static topics it has.
type RegisteredTopics struct {
	TopicConfigs
	MappingDataVersion         DataVersion                       `json:"mappingDataVersion"`
	TopicQueueMappingDetailMap map[string]any                    `json:"topicQueueMappingDetailMap"`
	TopicQueueMappingInfoMap   map[string]*TopicQueueMappingInfo `json:"topicQueueMappingInfoMap"`
}

// RegisterBrokerBody is the body of REGISTER_BROKER: JSON, or when compressed a zlib stream of
//
//	length 4, DataVersion JSON | topic count 4, topics | length 4, filter servers JSON | mapping count 4, mappings
//	topic: length 4, "name readQueues writeQueues perm filterType attributes" (attributes are JSON, and may be missing)
//	mapping: length 4, TopicQueueMappingInfo JSON
//
// big-endian. Brokers of before 5.0 leave out the mappings; flags and order are not in a compressed body.
type RegisterBrokerBody struct {
	FilterServerList []string         `json:"filterServerList"`
	Topics           RegisteredTopics `json:"topicConfigSerializeWrapper"`
}

// BodyCRC32 is the sum that a registration carries of its body.
func BodyCRC32(body []byte) int32 { return int32(crc32.ChecksumIEEE(body) & 0x7FFFFFFF) }

// Encode gives the body's bytes.
func (b *RegisterBrokerBody) Encode(compressed bool) ([]byte, error) {
	if !compressed {
		return fastjson.Marshal(b)
	}
	return b.deflate()
}

// DecodeRegisterBrokerBody reads a registration of a broker of a version. A broker without topics sends no body.
func DecodeRegisterBrokerBody(data []byte, compressed bool, version int32) (*RegisterBrokerBody, error) {
	b := &RegisterBrokerBody{}
	if len(data) == 0 {
		return b, nil
	}
	// Apache's 5.5 broker compresses when it is told to, and says that it has not. No JSON begins with this byte.
	compressed = compressed || data[0] == zlibMark
	var err error
	switch {
	case string(data) == "null":
		err = errors.New("the body is null")
	case version < versionV3_0_11:
		err = fastjson.Unmarshal(data, &b.Topics)
	case compressed:
		err = b.inflate(data, version)
	default:
		err = fastjson.Unmarshal(data, b)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the topics of a registration: %w", err)
	}
	return b, nil
}

// A registration of a few hundred kilobytes can inflate to a thousand times as much, and anybody may send one. These bound, in bytes, what it
// may grow to and what its parts may have; a real topic has 40 to 400, with the longest name and all attributes.
const (
	zlibMark      = 0x78
	inflatedMax   = 64 << 20 // half a million topics with names of 100 bytes
	topicLineMax  = 64 << 10
	versionMax    = 64 << 10
	serversMax    = 64 << 10
	mappingMax    = 1 << 20 // 50,000 queues
	inflatingMost = 2
)

// inflating has an element for each registration that is being inflated.
var inflating = make(chan struct{}, inflatingMost)

func (b *RegisterBrokerBody) deflate() ([]byte, error) {
	var out bytes.Buffer
	z, err := zlib.NewWriterLevel(&out, zlib.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("cannot compress a registration: %w", err)
	}
	var buf []byte
	add := func(part []byte) {
		buf = binary.BigEndian.AppendUint32(buf[:0], uint32(len(part)))
		_, _ = z.Write(append(buf, part...)) // into memory
	}
	addJSON := func(v any) {
		part, e := fastjson.Marshal(v)
		err = errors.Join(err, e)
		add(part)
	}
	count := func(n int) { _, _ = z.Write(binary.BigEndian.AppendUint32(nil, uint32(n))) }
	addJSON(b.Topics.DataVersion)
	count(len(b.Topics.TopicConfigTable))
	for _, name := range slices.Sorted(maps.Keys(b.Topics.TopicConfigTable)) {
		text, e := b.Topics.TopicConfigTable[name].line()
		err = errors.Join(err, e)
		add(text)
	}
	servers := b.FilterServerList
	if servers == nil {
		servers = []string{}
	}
	addJSON(servers)
	count(len(b.Topics.TopicQueueMappingInfoMap))
	for _, topic := range slices.Sorted(maps.Keys(b.Topics.TopicQueueMappingInfoMap)) {
		addJSON(b.Topics.TopicQueueMappingInfoMap[topic])
	}
	if err = errors.Join(err, z.Close()); err != nil {
		return nil, fmt.Errorf("cannot compress a registration: %w", err)
	}
	return out.Bytes(), nil
}

// line is a topic as a compressed registration has it.
func (t *TopicConfig) line() ([]byte, error) {
	attributes, err := fastjson.Marshal(t.Attributes)
	if t.Attributes == nil {
		attributes = nil
	}
	return fmt.Appendf(nil, "%s %d %d %d %s %s", t.TopicName, t.ReadQueueNums, t.WriteQueueNums, t.Perm, t.TopicFilterType, attributes), err
}

// parseTopicLine is the reverse of line. Attributes with blanks in them are lost, as they are for Apache.
func parseTopicLine(text string) (*TopicConfig, error) {
	parts := strings.SplitN(text, " ", 7) // the seventh is what is lost
	if len(parts) < 5 {
		return nil, fmt.Errorf("a topic of %d parts", len(parts))
	}
	t := NewTopicConfig(parts[0])
	for i, to := range []*int32{&t.ReadQueueNums, &t.WriteQueueNums, &t.Perm} {
		n, err := strconv.ParseInt(parts[1+i], 10, 32)
		if err != nil {
			return nil, fmt.Errorf("topic %q: %w", t.TopicName, err)
		}
		*to = int32(n)
	}
	t.TopicFilterType = parts[4]
	if len(parts) > 5 {
		attributes := map[string]string{}
		if fastjson.Unmarshal([]byte(parts[5]), &attributes) == nil {
			t.Attributes = attributes
		}
	}
	return &t, nil
}

func (b *RegisterBrokerBody) inflate(data []byte, version int32) error {
	inflating <- struct{}{}
	defer func() { <-inflating }()
	z, err := zlib.NewReader(bytes.NewReader(data))
	if err != nil {
		return err
	}
	defer z.Close()
	in := inflater{r: z, left: inflatedMax}
	in.json(&b.Topics.DataVersion, "the DataVersion", versionMax)
	n := in.int()
	b.Topics.TopicConfigTable = make(map[string]*TopicConfig)
	for i := 0; i < n && in.err == nil; i++ {
		text := in.part("a topic", topicLineMax)
		if in.err != nil {
			break
		}
		t, err := parseTopicLine(string(text))
		if err != nil {
			return err
		}
		b.Topics.TopicConfigTable[t.TopicName] = t
	}
	in.json(&b.FilterServerList, "the list of filter servers", serversMax)
	if version >= versionV5_0_0 {
		n = in.int()
		b.Topics.TopicQueueMappingInfoMap = make(map[string]*TopicQueueMappingInfo)
		for i := 0; i < n && in.err == nil; i++ {
			m := &TopicQueueMappingInfo{}
			in.json(m, "a static topic's mapping", mappingMax)
			b.Topics.TopicQueueMappingInfoMap[m.Topic] = m
		}
	}
	return in.err
}

// inflater reads parts until the first error. It allocates for what is there, not for what a length claims.
type inflater struct {
	r    io.Reader
	left int // bytes that may still come
	buf  bytes.Buffer
	err  error
}

func (in *inflater) take(n int) []byte {
	in.buf.Reset()
	if in.left -= n; in.left < 0 && in.err == nil {
		in.err = fmt.Errorf("inflated it has more than %d bytes, which is the limit", inflatedMax)
	}
	if in.err == nil {
		_, in.err = io.CopyN(&in.buf, in.r, int64(n))
	}
	if errors.Is(in.err, io.EOF) {
		in.err = io.ErrUnexpectedEOF
	}
	return in.buf.Bytes()
}

func (in *inflater) int() int {
	b := in.take(4)
	if in.err != nil {
		return 0
	}
	n := int32(binary.BigEndian.Uint32(b))
	if n < 0 {
		in.err = fmt.Errorf("length %d", n)
	}
	return int(n)
}

// part reads a length and as many bytes, at most limit; what says what it is.
func (in *inflater) part(what string, limit int) []byte {
	n := in.int()
	if in.err == nil && n > limit {
		in.err = fmt.Errorf("%s has %d bytes, the limit is %d", what, n, limit)
	}
	if in.err != nil {
		return nil
	}
	return in.take(n)
}

func (in *inflater) json(v any, what string, limit int) {
	b := in.part(what, limit)
	if in.err == nil {
		in.err = fastjson.Unmarshal(b, v)
	}
}
