package broker

import (
	"math/rand/v2"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// sendHeader is a send request's header, read in place.
type sendHeader struct {
	group, topic, defaultTopic, properties []byte
	defaultQueues, queueID, sysFlag, flag  int32
	reconsumeTimes, maxReconsume           int32
	bornTimestamp                          int64
	unitMode, batch, hasMaxReconsume       bool

	logicID int32                           // the queue that the client named, of a static topic
	item    *protocol.LogicQueueMappingItem // where that one's messages go; nil where the topic is not static
}

// decodeSend reads the header of either form: one-letter names (310, 320) or long ones (10).
func decodeSend(r *remoting.Request, h *sendHeader) error {
	var have uint16
	const required = 0b1111_0011 // a to h, but for c and d, of which a new topic is made
	h.defaultQueues = 4          // as official clients ask for unless told otherwise
	for i := range r.Fields {
		key, v := r.Fields[i].Key, r.Fields[i].Value
		letter := byte(0)
		if len(key) == 1 {
			letter = key[0]
		} else if r.Code == protocol.ReqSendMessage || r.Code == protocol.ReqSendReplyMessage {
			letter = sendLetter(key)
		}
		ok := true
		switch letter {
		case 'a':
			h.group = v
		case 'b':
			h.topic = v
		case 'c':
			h.defaultTopic = v
		case 'd':
			h.defaultQueues, ok = parseInt32(v)
		case 'e':
			h.queueID, ok = parseInt32(v)
		case 'f':
			h.sysFlag, ok = parseInt32(v)
		case 'g':
			h.bornTimestamp, ok = protocol.ParseInt(v)
		case 'h':
			h.flag, ok = parseInt32(v)
		case 'i':
			h.properties = v
		case 'j':
			h.reconsumeTimes, ok = parseInt32(v)
		case 'k':
			h.unitMode = protocol.IsTrue(v)
		case 'l':
			h.maxReconsume, ok = parseInt32(v)
			h.hasMaxReconsume = ok
		case 'm':
			h.batch = protocol.IsTrue(v)
		default:
			continue
		}
		if !ok {
			if r.IsNull(v) {
				continue
			}
			return errNotNumber(sendNames[letter-'a'], v)
		}
		have |= 1 << (letter - 'a')
	}
	return missingField(have, required, sendNames[:]...)
}

// sendNames are the long names of the letters a, b, c ...
var sendNames = [...]string{"producerGroup", "topic", "defaultTopic", "defaultTopicQueueNums", "queueId", "sysFlag",
	"bornTimestamp", "flag", "properties", "reconsumeTimes", "unitMode", "maxReconsumeTimes", "batch"}

func sendLetter(key []byte) byte {
	for i, n := range sendNames {
		if n == string(key) {
			return byte('a' + i)
		}
	}
	return 0
}

// chooseQueue finds a queue for a send that names none, and says why there is none to send to.
func (h *sendHeader) chooseQueue(t *topic) error {
	if h.queueID < 0 {
		n := t.writeQueues()
		if n == 0 { // Apache fails to divide by it
			return protocol.Errorf(protocol.CodeSystemError, "topic[%s] has no queues to send to, writeQueueNums=%d (the request names none, queueId=%d); give it some with updateTopic",
				t.TopicName, t.WriteQueueNums, h.queueID)
		}
		h.queueID = rand.Int32N(n)
	}
	if h.queueID >= t.queues() { // a dead-letter topic without queues, or one with more than there can be
		return protocol.Errorf(protocol.CodeInvalidParameter, "request queueId[%d] is illegal, topic[%s] has writeQueueNums=%d readQueueNums=%d, of which at most %d are used; change that with updateTopic",
			h.queueID, t.TopicName, t.WriteQueueNums, t.ReadQueueNums, queuesMax)
	}
	return nil
}

// toldID is the queue that the client is told: the one that it named, where the broker's own is another.
func (h *sendHeader) toldID() int32 {
	if h.item != nil {
		return h.logicID
	}
	return h.queueID
}
