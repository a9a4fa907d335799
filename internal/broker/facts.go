package broker

import (
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
)

// propertyFacts are what the broker must know of a message's properties, found in one walk.
type propertyFacts struct {
	uniqKey []byte
	noWait  bool
	rewrite bool // has properties that the broker sets or removes itself

	priority []byte // nil when there is none

	// The message is diverted (divert.go).
	half  bool
	timer bool   // has a time at which it is due, and did not wait for it yet
	delay []byte // its delay level; nil when there is none

	ordered bool // has a sharding key

	lite  []byte // the lite topic that it is for; nil when there is none
	inner bool   // says how many messages it has, as inner batches do
	light []byte // the light queues that it is for too (light.go); nil when there are none
}

// inspect finds them, in place: they are looked at for each message, and too many to be copied.
func (f *propertyFacts) inspect(props []byte) {
	*f = propertyFacts{}
	waited := false
	for name, value := range message.Properties(props) {
		switch len(name) {
		case 4:
			f.noWait = f.noWait || string(name) == message.PropWait && string(value) == "false"
		case 5:
			if string(name) == message.PropDelay && string(value) != "0" {
				f.delay = value
			}
		case 6:
			f.rewrite = f.rewrite || string(name) == message.PropPopCK
		case 7, 10:
			f.rewrite = f.rewrite || string(name) == message.PropCluster || string(name) == message.PropMsgRegion
		case 8:
			switch string(name) {
			case message.PropUniqKey:
				f.uniqKey = value
			case message.PropTraceOn:
				f.rewrite = true
			case message.PropTransactionPrepared:
				f.half = f.half || protocol.IsTrue(value)
			}
		case 12:
			waited = waited || string(name) == message.PropTimerOutMS
			if string(name) == message.PropLiteTopic {
				f.lite = value
			}
		case 9:
			f.inner = f.inner || string(name) == message.PropInnerNum
		case 13:
			f.ordered = f.ordered || string(name) == message.PropShardingKey
		case 18:
			if string(name) == message.PropPriority {
				f.priority = value
			}
		case 20:
			if string(name) == message.PropMultiDispatch {
				f.light = value
			}
		case 24:
			f.rewrite = f.rewrite || string(name) == message.PropMultiQueueOffset
		case 14, 15, 16:
			switch string(name) {
			case message.PropTimerDelaySec, message.PropTimerDelayMS, message.PropTimerDeliverMS:
				f.timer = true
			}
		}
	}
	f.timer = f.timer && !waited
}

// propertyEnd ends a property in the list of them. Part of the format; do not change.
const propertyEnd = 0x02

// endProperties makes the properties from start on end with their separator, which some clients leave out.
func endProperties(arena []byte, start int) []byte {
	if len(arena) > start && arena[len(arena)-1] != propertyEnd {
		arena = append(arena, propertyEnd)
	}
	return arena
}

// withoutBrokerProperties removes what the broker sets itself, for a message that has been through a broker before.
func withoutBrokerProperties(props []byte) []byte {
	return message.AppendPropertiesWithout(make([]byte, 0, len(props)), props,
		message.PropCluster, message.PropMsgRegion, message.PropTraceOn, message.PropPopCK, message.PropMultiQueueOffset)
}
