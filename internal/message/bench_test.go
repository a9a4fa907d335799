package message

import "testing"

func benchSample() (*Message, []byte) {
	m := sample()
	m.Topic = "BenchmarkTopic"
	m.Body = make([]byte, 128)
	m.Properties = []byte("UNIQ_KEY\x01C000020269074E0E2F2A670A18E50000\x02WAIT\x01true\x02MSG_REGION\x01DefaultRegion\x02TRACE_ON\x01true\x02CLUSTER\x01DefaultCluster\x02")
	return m, m.AppendRecord(nil, false)
}

func BenchmarkAppendRecord(b *testing.B) {
	m, rec := benchSample()
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	b.SetBytes(int64(len(rec)))
	for b.Loop() {
		buf = m.AppendRecord(buf[:0], false)
	}
}

func BenchmarkDecode(b *testing.B) {
	m, rec := benchSample()
	b.ReportAllocs()
	b.SetBytes(int64(len(rec)))
	for b.Loop() {
		if err := Decode(rec, m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadDispatch(b *testing.B) {
	_, rec := benchSample()
	var d Dispatch
	b.ReportAllocs()
	b.SetBytes(int64(len(rec)))
	for b.Loop() {
		if err := ReadDispatch(rec, &d); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkJavaHash(b *testing.B) {
	key := []byte("BenchmarkTopic#C000020269074E0E2F2A670A18E50000")
	b.ReportAllocs()
	for b.Loop() {
		JavaHash(0, key)
	}
}
