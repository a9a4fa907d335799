package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strconv"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// queueView is a queue as its files are, beside the log as it is read.
type queueView struct {
	topic string
	id    int32
	batch bool
	dir   string
	files *logfile.Log // the newest run; nil without a file
	ext   *queueExt

	first, end int64 // numbers of the units that a broker sees
	firstLog   int64 // log offset of the first unit
	reached    int64 // log offset behind the last one
	live       int64 // units that point into the log as it is
	matched    int64 // of which the records were met

	cursor int64   // of a batch queue: the unit that is expected next
	buf    []place // units from bufAt on
	bufAt  int64

	missing      int64 // records without a unit
	missingFirst int64 // log offset of the first
	missingNext  int64 // queue offset of the first
	restarted    int64 // log offset where the queue began anew at 0, its topic had been deleted
	deleted      int64 // records from before that
	rebuild      bool
}

// place is a unit of either kind of queue.
type place struct {
	unit
	base, behind int64 // queue offsets of its messages
	isGood       bool
}

func (v *queueView) unitSize() int64 {
	if v.batch {
		return batchUnitSize
	}
	return unitSize
}

// read reads units from one file, from number n on.
func (v *queueView) read(n int64, dst []place) (int, error) {
	size := v.unitSize()
	perFile := v.files.FileSize() / size
	k := min(int64(len(dst)), perFile-n%perFile)
	b := make([]byte, k*size)
	if _, err := v.files.ReadAt(b, n/perFile*v.files.FileSize()+n%perFile*size); err != nil {
		return 0, err
	}
	for i := range k {
		if v.batch {
			u := readBatchUnit(b[i*size:])
			dst[i] = place{unit{u.logOffset, u.size, u.tagsCode}, u.base, u.behind(), u.good()}
		} else {
			u := readUnit(b[i*size:])
			dst[i] = place{u, n + i, n + i + 1, u.good()}
		}
	}
	return int(k), nil
}

// at reads one unit through a buffer.
func (v *queueView) at(n int64) (place, error) {
	if n < v.bufAt || n >= v.bufAt+int64(len(v.buf)) {
		if cap(v.buf) < queueBuffer {
			v.buf = make([]place, queueBuffer)
		}
		k, err := v.read(n, v.buf[:queueBuffer])
		v.buf, v.bufAt = v.buf[:k], n
		if err != nil {
			return place{}, err
		}
	}
	return v.buf[n-v.bufAt], nil
}

const (
	queueBuffer  = 32   // units of one queue in memory
	queueBuffers = 8192 // queues that may have them at once
)

// queueFile is the file, and the position in it, of a unit.
func (c *checker) queueFile(v *queueView, n int64) (string, int64) {
	perFile := v.files.FileSize() / v.unitSize()
	return c.o.name(v.files.PathAt(n / perFile * v.files.FileSize())), n % perFile * v.unitSize()
}

// loadQueues finds all queues and looks at their units, but not yet at what they point to.
func (c *checker) loadQueues(ctx context.Context) error {
	o := c.o
	s := o.view(nil)
	add := func(dir string, batch bool, size int64, setting string) error {
		return s.eachQueueDir(dir, nil, func(q *Queue) error {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			v := &queueView{topic: q.topic, id: q.id, batch: batch, dir: queueDir(dir, q.topic, q.id)}
			runs, odd, err := logfile.Runs(o.cfg.FS, o.handles, size, v.dir)
			if err != nil {
				return err
			}
			c.oddQueueFiles(v, runs, odd, setting)
			if len(runs) > 0 {
				v.files = runs[len(runs)-1]
				c.sum.QueueFiles += v.files.Len()
				c.units(v)
			}
			key := queueKey{v.topic, v.id}
			if before := c.queues[key]; before != nil && before.files != nil && v.files == nil {
				return nil
			}
			c.queues[key] = v
			return nil
		})
	}
	if err := add(s.consumeQueueDir(), false, o.cfg.ConsumeQueueFileSize, "mappedFileSizeConsumeQueue"); err != nil {
		return err
	}
	if err := add(s.batchQueueDir(), true, o.cfg.BatchConsumeQueueFileSize, "mapperFileSizeBatchConsumeQueue"); err != nil {
		return err
	}
	return c.loadExts(s)
}

func (c *checker) loadExts(s *Store) error {
	return s.eachQueueDir(s.queueExtDir(), nil, func(q *Queue) error {
		x := newQueueExt(s, q.topic, q.id)
		v := c.queues[queueKey{q.topic, q.id}]
		runs, odd, err := logfile.Runs(c.o.cfg.FS, c.o.handles, c.o.cfg.ConsumeQueueExtFileSize, x.dir)
		if err != nil {
			return err
		}
		for _, f := range odd {
			c.problem(Finding{Kind: "ext-file-size", File: c.o.name(f.Path), At: -1,
				What:  fmt.Sprintf("it is %d bytes long, the others are %d", f.Size, c.o.cfg.ConsumeQueueExtFileSize),
				Means: "filters by expression look at each message instead", Do: "remove the folder consumequeue_ext; it is made anew for new messages"})
		}
		if len(runs) == 0 || v == nil || v.batch {
			return nil
		}
		x.files = runs[len(runs)-1]
		v.ext = x
		c.sum.Extensions++
		return nil
	})
}

func (c *checker) oddQueueFiles(v *queueView, runs []*logfile.Log, odd []logfile.FileInfo, setting string) {
	for i, f := range odd {
		finding := Finding{Kind: "queue-file-size", File: c.o.name(f.Path), At: -1,
			What: fmt.Sprintf("it is %d bytes long, by %s it should be otherwise", f.Size, setting)}
		if f.Size == 0 && i == len(odd)-1 && (len(runs) == 0 || f.Start >= runs[len(runs)-1].End()) {
			finding.Means, finding.Do = "it was made and never used", "nothing: the next start removes it"
			c.note(finding)
			continue
		}
		v.rebuild = true
		finding.Means, finding.Do = "no broker starts on this store", "--repair makes the queue anew from the log"
		c.problem(finding)
	}
	if len(runs) > 1 {
		v.rebuild = true
		last := runs[len(runs)-1]
		c.problem(Finding{Kind: "queue-file-missing", File: c.o.name(last.PathAt(last.Start())), At: 0,
			What: fmt.Sprintf("files are missing before it: the one before ends at %d", runs[len(runs)-2].End()), Means: "no broker starts on this store",
			Do: "--repair makes the queue anew from the log"})
	}
}

// units looks at all units of a queue, in order.
func (c *checker) units(v *queueView) {
	size := v.unitSize()
	perFile := v.files.FileSize() / size
	number := func(pos int64) int64 { return pos/v.files.FileSize()*perFile + pos%v.files.FileSize()/size }
	v.first, v.firstLog = number(v.files.Start()), math.MaxInt64
	v.end, v.cursor = v.first, v.first
	behind, ended := number(v.files.End()-size+1)+1, false
	if v.files.FileSize() < size {
		return
	}
	var last place
	chunk := c.chunk[:]
	for n := v.first; n < behind; {
		if ended { // most of the newest file was never written
			pos := n/perFile*v.files.FileSize() + n%perFile*size
			data, err := v.files.NextData(pos)
			if err == nil && data >= pos/v.files.FileSize()*v.files.FileSize()+perFile*size {
				n = (n/perFile + 1) * perFile
				continue
			}
			if err == nil {
				n = max(n, number(data))
			}
		}
		k, err := v.read(n, chunk)
		if err != nil {
			file, at := c.queueFile(v, n)
			v.rebuild = true
			c.problem(Finding{Kind: "queue-unreadable", File: file, At: at, What: err.Error(), Means: "consumers of this queue stop here", Do: "look at the disk; --repair makes the queue anew from the log"})
			return
		}
		for i, p := range chunk[:k] {
			at := n + int64(i)
			switch {
			case !p.isGood && !ended:
				ended = true
				v.end = at
			case p.isGood && ended:
				file, pos := c.queueFile(v, at)
				v.rebuild = true
				c.problem(Finding{Kind: "queue-hole", File: file, At: pos, What: fmt.Sprintf("unit %d follows a place that has none, at unit %d", at, v.end),
					Means: fmt.Sprintf("the queue ends at offset %d for consumers, though it goes on", v.end), Do: "--repair makes the queue anew from the log"})
				c.countUnits(v)
				return
			case p.isGood:
				c.unitInOrder(v, at, last, p)
				last = p
				v.end = at + 1
			}
		}
		n += int64(k)
	}
	c.countUnits(v)
}

func (c *checker) countUnits(v *queueView) {
	if v.batch {
		c.sum.BatchQueues++
		c.sum.BatchUnits += v.end - v.first
	} else {
		c.sum.Queues++
		c.sum.Units += v.end - v.first
	}
	c.total = max(c.total, v.reached)
}

// unitInOrder compares a unit with the one before it.
func (c *checker) unitInOrder(v *queueView, n int64, last, p place) {
	if p.filler() {
		return
	}
	if v.firstLog == math.MaxInt64 && p.end() <= c.o.logFilesEnd() {
		v.firstLog = p.logOffset
	}
	wrong := ""
	switch {
	case p.logOffset < v.reached:
		wrong = fmt.Sprintf("it points to log offset %d, the one before it to what ends at %d", p.logOffset, v.reached)
	case last.isGood && v.batch && p.base < last.behind:
		wrong = fmt.Sprintf("its messages begin at queue offset %d, those of the one before it end at %d", p.base, last.behind)
	case p.size < message.MinRecordSize:
		wrong = fmt.Sprintf("it speaks of a record of %d bytes, the smallest has %d", p.size, message.MinRecordSize)
	}
	if wrong == "" && last.isGood && v.batch && p.base > last.behind {
		file, at := c.queueFile(v, n)
		c.note(Finding{Kind: "queue-gap", File: file, At: at, What: fmt.Sprintf("queue offsets %d to %d have no message", last.behind, p.base-1)})
	}
	if wrong != "" {
		file, at := c.queueFile(v, n)
		v.rebuild = true
		c.problem(Finding{Kind: "queue-order", File: file, At: at, What: fmt.Sprintf("unit %d: %s", n, wrong),
			Means: "consumers may get other messages, or an error, at this offset", Do: "--repair makes the queue anew from the log"})
	}
	if p.end() <= c.o.logFilesEnd() { // else those behind it would seem to be wrong, not it
		v.reached = p.end()
	}
	if wrong != "" {
		return
	}
	if p.logOffset >= c.o.LogStart() {
		v.live++
	}
}

// inQueue compares a record with the unit that a queue has for it. own: the queue is that of the message's topic.
func (c *checker) inQueue(m *message.Dispatch, topic []byte, id int32, offset int64, own bool) error {
	v := c.lastQ
	if v == nil || c.last.id != id || c.last.topic != string(topic) {
		v = c.queues[queueKey{string(topic), id}]
		if v != nil {
			c.last, c.lastQ = queueKey{v.topic, v.id}, v
		}
	}
	if v == nil || v.files == nil {
		if own {
			c.noQueue(m, topic, id)
		}
		return nil
	}
	if !own && v.end == v.first || m.SysFlag&message.FlagInnerBatch != 0 && !v.batch {
		return nil // light queues were off then
	}
	if offset == 0 && m.LogOffset > v.restarted && v.matched+v.missing+v.deleted > 0 {
		v.restarted = m.LogOffset
	}
	if cap(v.buf) == 0 && c.buffers() {
		c.dropBuffers()
	}
	n := offset
	if v.batch {
		u := batchUnitOf(m, 0)
		offset, n = u.base, v.cursor
		for n < v.end {
			p, err := v.at(n)
			if err != nil {
				return fmt.Errorf("cannot read unit %d of %q: %w", n, v.dir, err)
			}
			if p.base >= offset {
				break
			}
			n++
		}
	}
	if n < v.first || n >= v.end {
		c.noUnit(v, m, offset)
		return nil
	}
	p, err := v.at(n)
	if err != nil {
		return fmt.Errorf("cannot read unit %d of %q: %w", n, v.dir, err)
	}
	switch {
	case p.logOffset == m.LogOffset && p.size == m.Size && p.base == offset:
		v.matched++
		v.cursor = n + 1
		c.tags(v, n, p, m, own)
	case m.LogOffset < v.firstLog && p.end() <= c.o.logFilesEnd():
		v.deleted++ // with its topic, which was made again
	default:
		file, at := c.queueFile(v, n)
		v.rebuild = true
		if !p.filler() && p.logOffset >= c.o.LogStart() {
			v.live-- // it is told here
		}
		what := fmt.Sprintf("unit %d points to %d bytes at log offset %d, the message with this offset is %d bytes at %d", n, p.size, p.logOffset, m.Size, m.LogOffset)
		if p.filler() {
			what = fmt.Sprintf("unit %d is a filler, the message with this offset is at log offset %d", n, m.LogOffset)
		}
		c.problem(Finding{Kind: "queue-unit", File: file, At: at, What: what, Means: "consumers do not get this message", Do: "--repair makes the queue anew from the log"})
	}
	return nil
}

// buffers says whether too many queues have units in memory. It counts seldom.
func (c *checker) buffers() bool {
	c.index.buffered++
	return c.index.buffered > queueBuffers
}

func (c *checker) dropBuffers() {
	for _, v := range c.queues {
		v.buf = nil
	}
	c.index.buffered = 0
}

// noQueue counts a record whose queue has no files.
func (c *checker) noQueue(m *message.Dispatch, topic []byte, id int32) {
	key := string(topic) + "/" + strconv.Itoa(int(id))
	g := c.gone[key]
	if g == nil {
		if len(c.gone) >= 1<<16 {
			return
		}
		g = &goneTopic{first: m.LogOffset}
		c.gone[key] = g
		if c.queues[queueKey{string(topic), id}] == nil && c.isKnown(string(topic)) && IsQueueName(string(topic)) {
			c.queues[queueKey{string(topic), id}] = &queueView{topic: string(topic), id: id, batch: m.SysFlag&message.FlagInnerBatch != 0}
		}
	}
	if v := c.queues[queueKey{string(topic), id}]; v != nil {
		if m.QueueOffset == 0 && g.records > 0 {
			v.restarted = m.LogOffset
		}
		v.rebuild = v.rebuild || c.isKnown(string(topic)) && !c.isYoung(g.first)
	}
	g.records++
}

// isYoung says whether a message is newer than what the checkpoint of a killed broker speaks of, so that the next start looks at it.
func (c *checker) isYoung(logOffset int64) bool {
	return !c.o.clean && logOffset > c.o.checkpoint.logicsOffset || !c.o.clean && c.o.checkpoint.logicsOffset == 0
}

// noUnit counts a record whose unit is not there.
func (c *checker) noUnit(v *queueView, m *message.Dispatch, offset int64) {
	if m.LogOffset < v.firstLog && v.firstLog != math.MaxInt64 {
		v.deleted++
		return
	}
	if v.missing == 0 {
		v.missingFirst, v.missingNext = m.LogOffset, offset
	}
	v.missing++
	if offset < v.first {
		v.rebuild = true
	}
}

// tags compares what a unit says of a message's tags.
func (c *checker) tags(v *queueView, n int64, p place, m *message.Dispatch, own bool) {
	if !own || v.batch || v.topic == scheduleTopic { // there it is the time of delivery
		return
	}
	want := message.TagsCode(m.Tags)
	code := p.tagsCode
	if isExtAddress(code) {
		file, at := c.queueFile(v, n)
		if v.ext == nil {
			c.problem(Finding{Kind: "ext-entry", File: file, At: at + 12, What: fmt.Sprintf("unit %d points to an extension that is not there", n),
				Means: "filters by tag look at each message instead", Do: "--repair makes the queue anew from the log, without an extension"})
			v.rebuild = true
			return
		}
		var buf [extHead]byte
		e, _, ok := v.ext.read(code, buf[:])
		if !ok || e.storeTime != m.StoreTimestamp {
			c.problem(Finding{Kind: "ext-entry", File: c.o.name(v.ext.dir), At: code - math.MinInt64, What: fmt.Sprintf("the entry of unit %d is damaged", n),
				Means: "filters may pass over this message", Do: "--repair makes the queue anew from the log, without an extension"})
			v.rebuild = true
			return
		}
		code = e.tagsCode
	}
	if code != want {
		file, at := c.queueFile(v, n)
		v.rebuild = true
		c.problem(Finding{Kind: "queue-tags", File: file, At: at + 12, What: fmt.Sprintf("unit %d has tags code %d, the message's is %d", n, code, want),
			Means: "consumers that filter by tag do not get this message", Do: "--repair makes the queue anew from the log"})
	}
}

// finishQueues tells what the log has shown of queues as a whole.
func (c *checker) finishQueues(ctx context.Context) error {
	for key, g := range c.gone {
		topic := key[:len(key)-len(filepath.Base(key))-1]
		f := Finding{File: "consumequeue/" + key, At: -1, What: fmt.Sprintf("%d messages, the first at log offset %d, are in no queue", g.records, g.first)}
		if c.isYoung(g.first) {
			f.Kind, f.Means, f.Do = "queue-behind", "the broker was killed before their queue was written", "nothing: the next start makes it"
			c.note(f)
		} else if c.isKnown(topic) {
			f.Kind, f.Means, f.Do = "queue-missing", "consumers do not see them", "--repair makes the queue anew from the log"
			c.problem(f)
		} else {
			f.Kind, f.Means = "topic-deleted", "their topic was deleted; they go with their file of the log"
			c.note(f)
		}
	}
	for _, v := range c.queues {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if err := c.finishQueue(ctx, v); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) finishQueue(ctx context.Context, v *queueView) error {
	if v.files == nil {
		if v.rebuild {
			c.o.plan.queues = append(c.o.plan.queues, v)
		}
		return nil
	}
	file, at := c.queueFile(v, max(v.first, v.end-1))
	if v.missing > 0 {
		f := Finding{Kind: "queue-behind", File: file, At: at, What: fmt.Sprintf("%d messages from queue offset %d on (log offset %d) are not in it", v.missing, v.missingNext, v.missingFirst)}
		if !v.rebuild && c.isYoung(v.missingFirst) && v.missingFirst >= v.reached {
			f.Means, f.Do = "the broker was killed before they were written here", "nothing: the next start puts them there"
			c.note(f)
			c.o.plan.behind = append(c.o.plan.behind, v)
		} else if !v.rebuild {
			f.Means, f.Do = "consumers do not see them", "--repair makes the queue anew from the log"
			v.rebuild = true
			c.problem(f)
		}
	}
	if v.deleted > 0 {
		c.note(Finding{Kind: "topic-deleted", File: file, At: -1, What: fmt.Sprintf("%d messages of before the topic was deleted and made again", v.deleted),
			Means: "consumers do not see them; they go with their file of the log"})
	}
	if v.live != v.matched {
		if err := c.unmatched(ctx, v); err != nil {
			return err
		}
	}
	if v.rebuild {
		c.o.plan.queues = append(c.o.plan.queues, v)
	}
	return nil
}

// unmatched finds the units to which no record belongs. They are few, or the queue is wrong as a whole.
func (c *checker) unmatched(ctx context.Context, v *queueView) error {
	left := v.live - v.matched
	for n := v.first; n < v.end && left > 0; n++ {
		if n%1024 == 0 {
			if err := context.Cause(ctx); err != nil {
				return err
			}
		}
		p, err := v.at(n)
		if err != nil {
			return fmt.Errorf("cannot read unit %d of %q: %w", n, v.dir, err)
		}
		if !p.isGood || p.filler() || p.logOffset < c.o.LogStart() {
			continue
		}
		f := Finding{Kind: "queue-unit", Means: "consumers get nothing at this offset", Do: "--repair makes the queue anew from the log"}
		f.File, f.At = c.queueFile(v, n)
		switch {
		case p.logOffset >= c.sum.LogEnd:
			f.Kind = "queue-ahead"
			f.What = fmt.Sprintf("units from %d on point to log offset %d and further, the log ends at %d", n, p.logOffset, c.sum.LogEnd)
			f.Means = "the end of the log is lost, or the queue's end was left by a recovery; the next start cuts it"
			v.rebuild = true
			c.problem(f)
			return nil
		case c.isBad(p.logOffset):
			left--
			f.Kind, f.What, f.Do = "queue-unit-of-damage", fmt.Sprintf("unit %d points to the damaged part of the log at %d", n, p.logOffset), ""
			c.note(f)
			continue
		}
		why := c.misfit(v, p)
		if why == nil {
			continue
		}
		left--
		v.rebuild = true
		f.What = fmt.Sprintf("unit %d points to %d bytes at log offset %d: %v", n, p.size, p.logOffset, why)
		c.problem(f)
	}
	return nil
}

// misfit says why a unit does not fit to what it points to.
func (c *checker) misfit(v *queueView, p place) error {
	rec, m, err := c.o.RecordAt(p.logOffset)
	if err != nil {
		return err
	}
	if int(p.size) != len(rec) {
		return fmt.Errorf("the record there has %d", len(rec))
	}
	if v.topic == string(m.Topic) && v.id == m.QueueID {
		if base := batchUnitOf(m, 0).base; v.batch && base != p.base || !v.batch && m.QueueOffset != p.base {
			return fmt.Errorf("the message there has the offset %d", m.QueueOffset)
		}
		return nil
	}
	for name, at := range lightOffsets(m) {
		if string(name) == v.topic && at == p.base {
			return nil
		}
	}
	return errors.New("the message there is of " + strconv.Quote(string(m.Topic)) + " queue " + strconv.Itoa(int(m.QueueID)))
}
