package message

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// golden is the store that Apache's broker wrote; its README is beside it.
const golden = "../store/testdata/golden"

// goldenLog returns the whole log, whose files follow one another without a gap.
func goldenLog(t testing.TB) []byte {
	t.Helper()
	files, err := filepath.Glob(golden + "/store/commitlog/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden commit log: %v", err)
	}
	var log []byte
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		log = append(log, b...)
	}
	return log
}

// goldenRecords cuts the log into its records, and tells where blanks are.
func goldenRecords(t testing.TB) (records [][]byte, blanks map[int]int) {
	t.Helper()
	log := goldenLog(t)
	blanks = map[int]int{}
	for at := 0; ; {
		size, kind := Peek(log[at:])
		switch kind {
		case Record:
			records = append(records, log[at:at+size])
		case Blank:
			blanks[at] = size
		case Bad:
			return records, blanks
		}
		at += size
	}
}

func TestGolden_RecordsAreReadAndWrittenEqual(t *testing.T) {
	t.Parallel()
	log := goldenLog(t)
	table, err := os.ReadFile(golden + "/expected-messages.tsv")
	if err != nil {
		t.Fatal(err)
	}
	records, blanks := goldenRecords(t)
	rows := strings.Split(strings.TrimSpace(string(table)), "\n")[1:]
	var m Message
	var d Dispatch
	for _, row := range rows {
		col := strings.Split(row, "\t")
		if col[0] == "#BLANK" {
			at, _ := strconv.Atoi(col[3])
			size, _ := strconv.Atoi(col[4])
			if blanks[at] != size {
				t.Errorf("blank at %d has %d bytes, want %d", at, blanks[at], size)
			}
			if got := AppendBlank(nil, int32(size)); !bytes.Equal(got, log[at:at+8]) {
				t.Errorf("blank at %d written as %x, want %x", at, got, log[at:at+8])
			}
			continue
		}
		rec := records[0]
		records = records[1:]
		if err := Decode(rec, &m); err != nil {
			t.Fatalf("record %s: %v", col[3], err)
		}
		if err := m.CheckBody(); err != nil {
			t.Errorf("record %s: %v", col[3], err)
		}
		sum := sha256.Sum256(m.Body)
		keys, _ := Property(m.Properties, PropKeys)
		tags, _ := Property(m.Properties, PropTags)
		magic := "daa320a7"
		for i, got := range map[int]any{
			0: m.Topic, 1: m.QueueID, 2: m.QueueOffset, 3: m.LogOffset, 4: m.Size, 5: m.Flag, 7: m.BornTimestamp,
			8: m.StoreTimestamp, 9: "/" + m.BornHost.String(), 10: "/" + m.StoreHost.String(), 11: m.ReconsumeTimes,
			12: m.PreparedTransactionOffset, 13: m.BodyCRC, 14: string(keys), 15: string(tags),
			16: sortedProperties(m.Properties), 21: m.SysFlag, 22: len(m.Body), 23: hex.EncodeToString(sum[:]), 24: magic,
			20: string(AppendOffsetID(nil, m.StoreHost, m.LogOffset)),
		} {
			if fmt.Sprint(got) != unescape(col[i]) {
				t.Errorf("record %s column %d: got %v, want %s", col[3], i, got, col[i])
			}
		}
		if got := m.AppendRecord(nil, false); !bytes.Equal(got, rec) {
			t.Errorf("record %s is written differently:\n got %x\nwant %x", col[3], got, rec)
		}
		if got := m.RecordSize(false); got != len(rec) {
			t.Errorf("record %s: size %d, want %d", col[3], got, len(rec))
		}
		if err := ReadDispatch(log[m.LogOffset:], &d); err != nil {
			t.Fatalf("record %s: %v", col[3], err)
		}
		uniq, _ := Property(m.Properties, PropUniqKey)
		if string(d.Topic) != m.Topic || d.Size != m.Size || d.QueueID != m.QueueID || d.QueueOffset != m.QueueOffset ||
			d.LogOffset != m.LogOffset || d.StoreTimestamp != m.StoreTimestamp || d.SysFlag != m.SysFlag ||
			d.PreparedTransactionOffset != m.PreparedTransactionOffset || !bytes.Equal(d.Keys, keys) ||
			!bytes.Equal(d.Tags, tags) || !bytes.Equal(d.UniqKey, uniq) || d.CheckBody() != nil {
			t.Errorf("record %s: dispatch differs: %+v", col[3], d)
		}
		if host, off, err := ParseOffsetID(col[20]); err != nil || host != m.StoreHost || off != m.LogOffset {
			t.Errorf("id %s: got %v %d %v", col[20], host, off, err)
		}
	}
	if len(records) != 0 {
		t.Errorf("%d records more than expected", len(records))
	}
}

// TestGolden_TornRecordsAreRefused cuts real records at every byte.
func TestGolden_TornRecordsAreRefused(t *testing.T) {
	t.Parallel()
	records, _ := goldenRecords(t)
	var m Message
	var d Dispatch
	for _, rec := range records[:20] {
		for n := range len(rec) {
			if err := Decode(rec[:n], &m); !errors.Is(err, ErrDamaged) {
				t.Fatalf("Decode of %d of %d bytes: %v", n, len(rec), err)
			}
			if err := ReadDispatch(rec[:n:n], &d); !errors.Is(err, ErrDamaged) {
				t.Fatalf("ReadDispatch of %d of %d bytes: %v", n, len(rec), err)
			}
		}
	}
}

func sortedProperties(props []byte) string {
	var all []string
	for name, value := range ParseProperties(props) {
		all = append(all, name+"="+value)
	}
	slices.Sort(all)
	return strings.Join(all, ";")
}

func unescape(s string) string {
	return strings.NewReplacer(`\\`, `\`, `\t`, "\t", `\n`, "\n", `\x01`, "\x01", `\x02`, "\x02").Replace(s)
}
