package admin

import (
	"strconv"
	"strings"
)

// Traces are what clients say they did with a message, as the trace topic holds it: records that end in 0x02, of fields that are separated by
// 0x01. Newer clients put more fields behind those that older ones write. Times are Unix ms, costs ms.
//
//	Pub             time region group topic id tags keys store-host body-length cost type [offset-id] success [client]
//	SubBefore       time region group request id retries keys
//	SubAfter        request id cost success keys code [time group]
//	EndTransaction  time region group topic id tags keys store-host type transaction state from-check
//	Recall          time region group topic id success
const (
	traceFields  = "\x01"
	traceRecords = "\x02"
	defaultTrace = "RMQ_SYS_TRACE_TOPIC"
)

// clientTrace is one thing that a client did with a message.
type clientTrace struct {
	Time    int64  `json:"time"` // Unix ms
	Kind    string `json:"kind"` // Pub, SubBefore, SubAfter, EndTransaction or Recall
	Group   string `json:"group"`
	Host    string `json:"host"`             // where the trace came from
	CostMS  int64  `json:"costMs,omitempty"` // how long it took
	Success bool   `json:"success"`
	State   string `json:"state,omitempty"` // of a transaction
	Retries int    `json:"retries,omitempty"`
	request string // joins the two records of one consumption
}

// readTraces reads what the body of a message of the trace topic, which came from a host, says about the message with an id. What is not
// understood is left out.
func readTraces(body, id, host string) []clientTrace {
	var all []clientTrace
	for record := range strings.SplitSeq(body, traceRecords) {
		f := strings.Split(record, traceFields)
		field := func(n int) string {
			if n < len(f) {
				return f[n]
			}
			return ""
		}
		number := func(n int) int64 {
			v, _ := strconv.ParseInt(field(n), 10, 64)
			return v
		}
		t := clientTrace{Kind: field(0), Time: number(1), Group: field(3), Host: host, Success: true}
		about := field(5)
		switch t.Kind {
		case "Pub":
			t.CostMS = number(10)
			if len(f) > 13 {
				t.Success = field(13) == "true"
			} else {
				t.Success = field(12) == "true"
			}
		case "SubBefore":
			t.Retries, t.request = int(number(6)), field(4)
		case "SubAfter":
			about = field(2)
			t.Time, t.Group, t.CostMS, t.Success, t.request = number(7), field(8), number(3), field(4) == "true", field(1)
		case "EndTransaction":
			t.State = field(11)
		case "Recall":
			t.Success = field(6) == "true"
		default:
			continue
		}
		if about == id {
			all = append(all, t)
		}
	}
	return all
}

// joinTraces makes one of the two records that a consumption has: the first has the time of its begin and the number of the try, the
// second how it went.
func joinTraces(all []clientTrace) []clientTrace {
	after := make(map[string]clientTrace)
	for _, t := range all {
		if t.Kind == "SubAfter" {
			after[t.request] = t
		}
	}
	var joined []clientTrace
	for _, t := range all {
		switch end, ended := after[t.request]; {
		case t.Kind == "SubBefore" && ended:
			end.Time, end.Group, end.Retries = t.Time, t.Group, t.Retries
			joined = append(joined, end)
			after[t.request] = clientTrace{Kind: "joined"}
		case t.Kind != "SubAfter":
			joined = append(joined, t)
		}
	}
	for _, t := range all { // the beginning may be gone
		if end := after[t.request]; t.Kind == "SubAfter" && end.Kind == "SubAfter" {
			joined = append(joined, t)
		}
	}
	return joined
}
