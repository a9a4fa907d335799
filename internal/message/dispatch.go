package message

import (
	"bytes"
	"encoding/binary"
)

// Dispatch is what the consume queues, the index and waiting consumers need of a record. Slices are parts of the record.
type Dispatch struct {
	Size                      int32
	QueueID                   int32
	SysFlag                   int32
	BodyCRC                   uint32
	QueueOffset               int64
	LogOffset                 int64
	StoreTimestamp            int64
	PreparedTransactionOffset int64

	Topic      []byte
	Body       []byte
	Properties []byte

	// Values of the properties of these names; nil where there is none.
	UniqKey       []byte
	Keys          []byte
	Tags          []byte
	Delay         []byte
	InnerNum      []byte
	InnerBase     []byte
	MultiDispatch []byte
	MultiOffset   []byte
}

// ReadDispatch reads the record that begins at rec, which may be followed by others: d.Size says where it ends. It is the
// hottest code of dispatch and recovery, so it allocates nothing and passes over the properties once.
func ReadDispatch(rec []byte, d *Dispatch) error {
	be := binary.BigEndian
	var l layout
	if err := l.measure(rec); err != nil {
		return err
	}
	rec = rec[:l.size:l.size]
	d.Size = int32(l.size)
	d.QueueID = int32(be.Uint32(rec[atQueueID:]))
	d.SysFlag = int32(be.Uint32(rec[atSysFlag:]))
	d.BodyCRC = be.Uint32(rec[atBodyCRC:])
	d.QueueOffset = int64(be.Uint64(rec[atQueueOffset:]))
	d.LogOffset = int64(be.Uint64(rec[atLogOffset:]))
	d.StoreTimestamp = int64(be.Uint64(rec[l.storeTime:]))
	d.PreparedTransactionOffset = int64(be.Uint64(rec[l.reconsume+4:]))
	d.Topic = rec[l.topic:l.topicEnd]
	d.Body = rec[l.body:l.bodyEnd]
	d.Properties = rec[l.props:]
	d.UniqKey, d.Keys, d.Tags, d.Delay = nil, nil, nil, nil
	d.InnerNum, d.InnerBase, d.MultiDispatch, d.MultiOffset = nil, nil, nil, nil

	// What nextProperty does, in the order that is fastest here: names are short, so they are walked byte by byte.
	for props, at := d.Properties, 0; at < len(props); {
		begin := at
		for at < len(props) && props[at] != nameEnd && props[at] != valueEnd {
			at++
		}
		if at == len(props) || props[at] == valueEnd {
			at++
			continue
		}
		name := props[begin:at]
		value := props[at+1:]
		if n := bytes.IndexByte(value, valueEnd); n >= 0 {
			value = value[:n]
		}
		at += 1 + len(value) + 1
		if len(value) == 0 {
			continue
		}
		switch string(name) {
		case PropUniqKey:
			d.UniqKey = value
		case PropKeys:
			d.Keys = value
		case PropTags:
			d.Tags = value
		case PropDelay:
			d.Delay = value
		case PropInnerNum:
			d.InnerNum = value
		case PropInnerBase:
			d.InnerBase = value
		case PropMultiDispatch:
			d.MultiDispatch = value
		case PropMultiQueueOffset:
			d.MultiOffset = value
		}
	}
	return nil
}

// RecordProperties is the part of a record that holds its properties, nil if the record is damaged.
func RecordProperties(rec []byte) []byte {
	var l layout
	if l.measure(rec) != nil {
		return nil
	}
	return rec[l.props:l.size]
}

// CheckBody compares the body with the CRC that the record was stored with.
func (d *Dispatch) CheckBody() error {
	return checkBody(d.Body, d.BodyCRC)
}
