package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/store"
	"github.com/liftoffmq/liftoff/internal/store/timer"
)

// dumpFlags say what of a store is printed.
type dumpFlags struct {
	storeFlags
	topic, key, id string
	queue          int
	from, to       string
	body           bool
	limit          int64
}

func (p *program) storeDumpCommand() *cobra.Command {
	var f dumpFlags
	kinds := map[string]func(*storeDump, context.Context) error{
		"log": (*storeDump).log, "queues": (*storeDump).queues, "index": (*storeDump).index,
		"timers": (*storeDump).timers, "checkpoint": (*storeDump).checkpoint, "config": (*storeDump).config,
	}
	c := &cobra.Command{
		Use:   "dump DIR [log|queues|index|timers|checkpoint|config]",
		Short: "Print records, queue units, index entries or state files of a store",
		Long: `Print what is in a store, a line each: the records of the log (which is what is printed when nothing is named), the units of queues, the
entries of the index, the records of the timer log, the checkpoint, or the files of config/.`,
		Example: `  liftoff store dump ~/store --topic orders --from "2026-11-21 10:00:00" --body
  liftoff store dump ~/store --id 7F00000100002A9F0000000000000000 --body
  liftoff store dump ~/store queues --topic orders --json`,
		Args: cobra.RangeArgs(0, 2),
		RunE: func(c *cobra.Command, args []string) error {
			what := "log"
			if len(args) == 2 {
				what = args[1]
			} else if len(args) == 1 && f.file != "" && kinds[args[0]] != nil {
				what, args = args[0], nil
			}
			do := kinds[what]
			if do == nil {
				return misuse{fmt.Errorf("cannot print %q: it must be log, queues, index, timers, checkpoint or config", what)}
			}
			ctx, stop := p.untilSignal(c.Context())
			defer stop()
			if len(args) > 1 {
				args = args[:1]
			}
			o, b, err := p.openStore(&f.storeFlags, args, false)
			if err != nil {
				return err
			}
			if what == "log" || what == "index" {
				if err := f.fits(o, "print"); err != nil {
					return errors.Join(err, o.Close())
				}
			}
			d := &storeDump{p: p, o: o, f: f, left: f.limit, timerCfg: f.timerConfig(o, b)}
			if err = d.ranges(); err == nil {
				err = do(d, ctx)
			}
			return errors.Join(err, o.Close())
		},
	}
	f.add(c)
	fl := c.Flags()
	fl.StringVarP(&f.topic, "topic", "t", "", "only of this `TOPIC`")
	fl.IntVarP(&f.queue, "queue", "q", -1, "only of the queue with this `NUMBER`")
	fl.StringVarP(&f.key, "key", "k", "", "only messages with this `KEY`")
	fl.StringVarP(&f.id, "id", "i", "", "only the message with this `ID`, of the broker or of the client")
	fl.StringVar(&f.from, "from", "", "from this log `OFFSET` or time of storing (2006-01-02 15:04:05) on; of queues the queue offset")
	fl.StringVar(&f.to, "to", "", "before this log `OFFSET` or time of storing")
	fl.BoolVar(&f.body, "body", false, "print bodies, as text or in base64")
	fl.Int64VarP(&f.limit, "limit", "l", 0, "print so many `LINES` at most; 0 for all")
	return c
}

// storeDump is one run of `liftoff store dump`.
type storeDump struct {
	p        *program
	o        *store.Offline
	f        dumpFlags
	timerCfg timer.Config
	left     int64

	fromOffset, toOffset int64 // -1: none
	fromTime, toTime     int64
}

// ranges reads --from and --to.
func (d *storeDump) ranges() (err error) {
	d.fromOffset, d.toOffset = -1, -1
	if d.fromOffset, d.fromTime, err = offsetOrTime("--from", d.f.from); err != nil {
		return err
	}
	d.toOffset, d.toTime, err = offsetOrTime("--to", d.f.to)
	return err
}

// offsetOrTime reads a number or a local time.
func offsetOrTime(flag, text string) (offset, ms int64, err error) {
	if text == "" {
		return -1, 0, nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 {
		return n, 0, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05.000", "2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return -1, t.UnixMilli(), nil
		}
	}
	return 0, 0, misuse{fmt.Errorf("%s=%s is wrong: it must be an offset, or a time such as 2026-01-31 15:04:05", flag, text)}
}

// printed counts a line; it is ErrStop when there have been enough.
func (d *storeDump) printed() error {
	if d.left--; d.f.limit > 0 && d.left <= 0 {
		return store.ErrStop
	}
	return nil
}

// dumpedRecord is a record as a line of JSON.
type dumpedRecord struct {
	LogOffset      int64             `json:"logOffset"`
	Size           int32             `json:"size"`
	Topic          string            `json:"topic"`
	QueueID        int32             `json:"queueId"`
	QueueOffset    int64             `json:"queueOffset"`
	MsgID          string            `json:"msgId"`
	StoreTime      int64             `json:"storeTimestamp"`
	StoreHost      string            `json:"storeHost"`
	BornTime       int64             `json:"bornTimestamp"`
	BornHost       string            `json:"bornHost"`
	SysFlag        int32             `json:"sysFlag"`
	Flag           int32             `json:"flag"`
	ReconsumeTimes int32             `json:"reconsumeTimes,omitempty"`
	Prepared       int64             `json:"preparedTransactionOffset,omitempty"`
	BodySize       int               `json:"bodySize"`
	BodyCRC        uint32            `json:"bodyCRC"`
	Properties     map[string]string `json:"properties"`
	Body           *string           `json:"body,omitempty"`
	BodyBase64     *string           `json:"bodyBase64,omitempty"`
}

// log prints records.
func (d *storeDump) log(ctx context.Context) error {
	if host, off, err := message.ParseOffsetID(d.f.id); d.f.id != "" && err == nil {
		if rec, _, err := d.o.RecordAt(off); err == nil {
			var full message.Message
			if err := message.Decode(rec, &full); err == nil && full.StoreHost == host {
				d.record(&full)
				return nil
			}
		}
	}
	from := max(d.fromOffset, d.o.LogStart())
	var full message.Message
	return d.o.Records(ctx, from, func(rec []byte, m *message.Dispatch) error {
		if d.toOffset >= 0 && m.LogOffset >= d.toOffset {
			return store.ErrStop
		}
		if !d.wants(m) {
			return nil
		}
		if err := message.Decode(rec, &full); err != nil {
			return fmt.Errorf("cannot read record at %d: %w", m.LogOffset, err)
		}
		d.record(&full)
		return d.printed()
	}, func(bad store.Stretch) error {
		if d.toOffset >= 0 && bad.From >= d.toOffset {
			return store.ErrStop
		}
		fmt.Fprintf(d.p.err, "log offset %d to %d: no good record: %v\n", bad.From, bad.To, bad.Why)
		return nil
	})
}

// wants says whether a record is asked for.
func (d *storeDump) wants(m *message.Dispatch) bool {
	switch {
	case d.f.topic != "" && string(m.Topic) != d.f.topic,
		d.f.queue >= 0 && m.QueueID != int32(d.f.queue),
		d.fromTime > 0 && m.StoreTimestamp < d.fromTime,
		d.toTime > 0 && m.StoreTimestamp >= d.toTime,
		d.f.id != "" && string(m.UniqKey) != d.f.id:
		return false
	}
	if d.f.key == "" || string(m.UniqKey) == d.f.key {
		return true
	}
	for key := range strings.SplitSeq(string(m.Keys), " ") {
		if key == d.f.key {
			return true
		}
	}
	return false
}

func (d *storeDump) record(m *message.Message) {
	out := dumpedRecord{LogOffset: m.LogOffset, Size: m.Size, Topic: m.Topic, QueueID: m.QueueID, QueueOffset: m.QueueOffset,
		MsgID: string(message.AppendOffsetID(nil, m.StoreHost, m.LogOffset)), StoreTime: m.StoreTimestamp, StoreHost: m.StoreHost.String(),
		BornTime: m.BornTimestamp, BornHost: m.BornHost.String(), SysFlag: m.SysFlag, Flag: m.Flag, ReconsumeTimes: m.ReconsumeTimes,
		Prepared: m.PreparedTransactionOffset, BodySize: len(m.Body), BodyCRC: m.BodyCRC, Properties: message.ParseProperties(m.Properties)}
	if d.f.body {
		text := string(m.Body)
		if utf8.ValidString(text) {
			out.Body = &text
		} else {
			text = base64.StdEncoding.EncodeToString(m.Body)
			out.BodyBase64 = &text
		}
	}
	if d.f.json {
		jsonLine(d.p.out, out)
		return
	}
	fmt.Fprintf(d.p.out, "%d %d bytes %s %s/%d@%d id=%s from=%s sysFlag=%#x", out.LogOffset, out.Size, showMS(out.StoreTime), out.Topic, out.QueueID, out.QueueOffset, out.MsgID, out.BornHost, out.SysFlag)
	for name, value := range message.Properties(m.Properties) {
		fmt.Fprintf(d.p.out, " %s=%q", name, value)
	}
	if out.Body != nil {
		fmt.Fprintf(d.p.out, " body=%q", *out.Body)
	} else if out.BodyBase64 != nil {
		fmt.Fprintf(d.p.out, " body(base64)=%s", *out.BodyBase64)
	} else {
		fmt.Fprintf(d.p.out, " body=%d bytes", out.BodySize)
	}
	fmt.Fprintln(d.p.out)
}

// queues prints units.
func (d *storeDump) queues(ctx context.Context) error {
	return d.o.Units(ctx, d.f.topic, func(u store.QueueUnit) error {
		if d.f.queue >= 0 && u.QueueID != int32(d.f.queue) || d.fromOffset > u.Offset || d.toOffset >= 0 && u.Offset >= d.toOffset {
			return nil
		}
		switch {
		case d.f.json:
			jsonLine(d.p.out, u)
		case u.Filler:
			fmt.Fprintf(d.p.out, "%s/%d@%d no message\n", u.Topic, u.QueueID, u.Offset)
		case u.Count > 0:
			fmt.Fprintf(d.p.out, "%s/%d@%d +%d log offset %d, %d bytes, tags code %d\n", u.Topic, u.QueueID, u.Offset, u.Count, u.LogOffset, u.Size, u.TagsCode)
		default:
			fmt.Fprintf(d.p.out, "%s/%d@%d log offset %d, %d bytes, tags code %d\n", u.Topic, u.QueueID, u.Offset, u.LogOffset, u.Size, u.TagsCode)
		}
		return d.printed()
	})
}

// index prints entries; with --topic and --key those that such a message would have.
func (d *storeDump) index(ctx context.Context) error {
	if (d.f.key == "") != (d.f.topic == "") {
		return misuse{errors.New("an index has hashes of topic and key together: give both --topic and --key, or neither")}
	}
	hash := store.IndexHash(d.f.topic, d.f.key)
	return d.o.IndexEntries(ctx, func(e store.IndexItem) error {
		if d.f.key != "" && e.Hash != hash || d.fromOffset > e.LogOffset || d.toOffset >= 0 && e.LogOffset >= d.toOffset ||
			d.fromTime > e.StoreTime || d.toTime > 0 && e.StoreTime >= d.toTime {
			return nil
		}
		if d.f.json {
			jsonLine(d.p.out, e)
		} else {
			fmt.Fprintf(d.p.out, "%s %d hash %d, log offset %d, %s, before it %d\n", e.File, e.Number, e.Hash, e.LogOffset, showMS(e.StoreTime), e.Prev)
		}
		return d.printed()
	})
}

// timers prints the records of the timer log.
func (d *storeDump) timers(context.Context) error {
	_, err := timer.Inspect(d.timerCfg, func(r timer.Record) error {
		if d.fromTime > r.Due || d.toTime > 0 && r.Due >= d.toTime {
			return nil
		}
		if d.f.json {
			jsonLine(d.p.out, r)
		} else {
			kind := ""
			if r.Roll {
				kind = " roll"
			}
			if r.Delete {
				kind += " takes another away"
			}
			fmt.Fprintf(d.p.out, "%d due %s, added %s, log offset %d, %d bytes, before it %d%s\n", r.Position, showMS(r.Due), showMS(r.Added), r.LogOffset, r.Size, r.Prev, kind)
		}
		return d.printed()
	}, func(p timer.Problem) { fmt.Fprintf(d.p.err, "%s: %s\n", p.Path, p.What) })
	if errors.Is(err, store.ErrStop) {
		return nil
	}
	return err
}

// checkpoint prints the file checkpoint.
func (d *storeDump) checkpoint(context.Context) error {
	c, err := d.o.Checkpoint()
	if err != nil {
		return err
	}
	if d.f.json {
		jsonLine(d.p.out, c)
		return nil
	}
	who := "RocketMQ"
	if c.Liftoff {
		who = "Liftoff"
	}
	fmt.Fprintf(d.p.out, "log written to %s\nqueues to %s, log offset %d\nindex files full to %s\nmaster flushed to %d, confirmed to %d\nwritten by %s\n",
		showMS(c.LogTime), showMS(c.QueueTime), c.QueueOffset, showMS(c.IndexTime), c.MasterOffset, c.Confirmed, who)
	return nil
}

// config prints the files of config/ as JSON that everyone can read.
func (d *storeDump) config(context.Context) error {
	dir := filepath.Join(d.o.Config().RootDir, "config")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("cannot list %q: %w", dir, err)
	}
	for _, e := range entries {
		if e.IsDir() || !strings.HasSuffix(e.Name(), ".json") {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return fmt.Errorf("cannot read %q: %w", e.Name(), err)
		}
		plain, err := fastjson.Standard(data)
		if err != nil {
			fmt.Fprintf(d.p.err, "config/%s: %v\n", e.Name(), err)
			continue
		}
		if d.f.json {
			jsonLine(d.p.out, map[string]any{"file": e.Name(), "content": json.RawMessage(plain)})
			continue
		}
		fmt.Fprintf(d.p.out, "%s\n%s\n", e.Name(), indent(plain))
	}
	return nil
}

func indent(data []byte) []byte {
	var v json.RawMessage = data
	out, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return data
	}
	return out
}
