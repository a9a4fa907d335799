package broker

import (
	"strings"
	"testing"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

func TestBatchQueue_TakesBatchesAsOneRecord(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	b := openOnce(t, cfg)
	c := dialTest(t, b, remoting.Options{})
	if r := call(t, c, protocol.ReqUpdateAndCreateTopic, createFields("T", "attributes", "+queue.type=BatchCQ"), nil); r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	batch := func(n int) (body []byte) {
		for range n {
			body = message.AppendToBatch(body, message.BatchEntry{Body: []byte("m"), Properties: []byte("TAGS\x01A\x02")})
		}
		return body
	}
	send := func(code, n int, properties string) *remoting.Response {
		body := []byte("single")
		if n > 0 {
			body = batch(n)
		}
		return call(t, c, code, sendFields("T", "i", properties), body)
	}
	check := func(r *remoting.Response, wantCode int32, wantRemark, wantOffset string, inner bool) {
		t.Helper()
		offset, _ := r.Get("queueOffset")
		id, _ := r.Get("batchUniqId")
		if r.Code != wantCode || !strings.HasPrefix(string(r.Remark), wantRemark) || string(offset) != wantOffset || (len(id) > 0) != inner {
			t.Errorf("%d %s, offset %s, batchUniqId %s; want %d %s %s", r.Code, r.Remark, offset, id, wantCode, wantRemark, wantOffset)
		}
	}
	const props = "UNIQ_KEY\x01C00002023AED4E0E2F2A6716EC120000\x02WAIT\x01true"
	check(send(protocol.ReqSendBatchMessage, 4, props), 0, "", "0", true)
	check(send(protocol.ReqSendMessageV2, 0, props), 0, "", "4", false)
	check(send(protocol.ReqSendMessageV2, 0, props+"\x02INNER_NUM\x0177"), 13, "the message is illegal: it has the property INNER_NUM", "", false)
	check(send(protocol.ReqSendBatchMessage, 3, props+"\x02INNER_NUM\x0177\x02INNER_BASE\x0177\x02"), 0, "", "5", true)
	check(send(protocol.ReqSendBatchMessage, 2, ""), 0, "", "8", false) // old clients: each is a record
	check(call(t, c, protocol.ReqSendMessageV2, sendFields("T", "f", "192"), []byte("m")), 13, "the message is illegal: the message is an inner batch", "", false)
	check(call(t, c, protocol.ReqSendMessageV2, sendFields("Plain", "f", "192"), []byte("m")), 13, "the message is illegal: the message is an inner batch", "", false)
	check(send(protocol.ReqSendBatchMessage, 32768, props), 13, "the message is illegal: the batch has 32768 messages", "", false)

	look := func() {
		t.Helper()
		c := dialTest(t, b, remoting.Options{})
		var got []string
		r := call(t, c, protocol.ReqPullMessage, pullFields("T", 0, 0), nil)
		for _, m := range records(t, r.Body) {
			num, _ := message.Property(m.Properties, message.PropInnerNum)
			base, _ := message.Property(m.Properties, message.PropInnerBase)
			got = append(got, string(num)+"@"+string(base))
		}
		next, _ := r.Get("nextBeginOffset")
		end, _ := r.Get("maxOffset")
		if want := "4@0 @ 3@5 @ @"; strings.Join(got, " ") != want || string(next) != "10" || string(end) != "10" {
			t.Errorf("%v, next %s, max %s", got, next, end)
		}
		r = call(t, c, protocol.ReqPullMessage, pullFields("T", 0, 0, "maxMsgNums", "4"), nil)
		if next, _ := r.Get("nextBeginOffset"); string(next) != "4" {
			t.Errorf("four messages end before %s", next)
		}
		for code, want := range map[int]string{protocol.ReqGetMaxOffset: "10", protocol.ReqGetMinOffset: "0"} {
			r := call(t, c, code, [][2]string{{"topic", "T"}, {"queueId", "0"}}, nil)
			if got, _ := r.Get("offset"); string(got) != want {
				t.Errorf("code %d: %s", code, got)
			}
		}
	}
	look()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = openTest(t, cfg)
	look()
}

func TestBatchQueue_WhatIsPoppedComesApartWhenItComesAgain(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	if r := call(t, c, protocol.ReqUpdateAndCreateTopic, createFields("T", "attributes", "+queue.type=BatchCQ"), nil); r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	var batch []byte
	for _, text := range []string{"a", "b", "c"} {
		batch = message.AppendToBatch(batch, message.BatchEntry{Body: []byte(text), Properties: []byte("TAGS\x01" + text + "\x02")})
	}
	const props = "UNIQ_KEY\x01C00002023AED4E0E2F2A6716EC120000\x02WAIT\x01true"
	for range 2 {
		if r := call(t, c, protocol.ReqSendBatchMessage, sendFields("T", "i", props), batch); r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
	}
	first := pop(t, c, "T", "invisibleTime", "500")
	if len(first) != 2 || first[1].QueueOffset != 3 {
		t.Fatalf("%d records", len(first))
	}
	ack(t, c, "T", first[0])
	var again []popDelivery
	for len(again) < 3 {
		more := pop(t, c, "T", "pollTime", "10000")
		if len(more) == 0 {
			t.Fatal("they do not come again")
		}
		again = append(again, more...)
	}
	for i, d := range again {
		tag, _ := message.Property(d.Properties, message.PropTags)
		if want := string(rune('a' + i)); string(d.Body) != want || string(tag) != want || d.SysFlag&message.FlagInnerBatch != 0 || d.ReconsumeTimes != 1 {
			t.Errorf("%q with tag %s, flags %d, tries %d", d.Body, tag, d.SysFlag, d.ReconsumeTimes)
		}
	}
	ack(t, c, "T", again...)
	await(t, "the consumer offset", func() bool { return b.offsets.query("Poppers", "T", 0) == 6 })
}
