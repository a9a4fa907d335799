package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// Finding is one thing that a check has found.
type Finding struct {
	Kind    string `json:"kind"`
	Problem bool   `json:"problem"` // false: worth knowing, and nothing is wrong
	File    string `json:"file"`    // from the root of the store on
	At      int64  `json:"at"`      // position in the file, -1: none
	What    string `json:"what"`
	Means   string `json:"means,omitempty"`
	Do      string `json:"do,omitempty"`
}

// Summary is what a check has looked at.
type Summary struct {
	Root  string `json:"root"`
	Clean bool   `json:"clean"` // the last broker on it closed it

	LogFiles   int   `json:"logFiles"`
	LogStart   int64 `json:"logStart"`
	LogEnd     int64 `json:"logEnd"` // behind the last good record
	Records    int64 `json:"records"`
	Bytes      int64 `json:"bytes"` // of records
	OldestTime int64 `json:"oldestTime"`
	NewestTime int64 `json:"newestTime"` // of storing, ms

	Topics       int   `json:"topics"` // that have records
	Queues       int   `json:"queues"`
	QueueFiles   int   `json:"queueFiles"`
	Units        int64 `json:"units"`
	BatchQueues  int   `json:"batchQueues"`
	BatchUnits   int64 `json:"batchUnits"`
	Extensions   int   `json:"extensions"`
	IndexFiles   int   `json:"indexFiles"`
	IndexEntries int64 `json:"indexEntries"`

	Problems map[string]int64 `json:"problems"` // by kind
	Notes    map[string]int64 `json:"notes"`
}

// Sound says whether nothing is wrong.
func (s *Summary) Sound() bool { return len(s.Problems) == 0 }

// foundMax is how many findings of a kind are told of one file, or queue; the rest are counted.
const foundMax = 5

// checker is one run of Check.
type checker struct {
	o      *Offline
	sum    Summary
	found  func(Finding)
	told   map[string]int64 // by kind and place
	extra  map[string]Finding
	queues map[queueKey]*queueView
	known  map[string]bool // topics of the configuration; nil when it cannot be read
	index  indexView
	bad    []Stretch
	gone   map[string]*goneTopic
	total  int64
	topics map[string]bool
	last   queueKey // of the record before
	lastQ  *queueView
	chunk  [2048]place
}

type queueKey struct {
	topic string
	id    int32
}

// goneTopic counts records of a topic or queue without files.
type goneTopic struct {
	records, first int64
}

// Check reads everything in the log, the queues and the index and compares them. It tells what it finds, and how far it is: bytes
// of the log that are done, of all.
func (o *Offline) Check(ctx context.Context, found func(Finding), progress func(done, total int64)) (*Summary, error) {
	c := o.newChecker(found)
	o.plan = plan{}
	if !o.clean {
		c.note(Finding{Kind: "not-closed", File: "abort", At: -1, What: "the last broker did not close the store",
			Means: "it was killed, or the machine stopped; the next start recovers it, as --dry-run of the broker tells"})
	}
	c.knownTopics()
	path := o.view(nil).checkpointPath()
	var failed error
	o.checkpoint, failed = readCheckpoint(o.cfg.FS, path)
	c.logFiles()
	if err := c.loadQueues(ctx); err != nil {
		return nil, err
	}
	c.logIsAway()
	if o.plan.away && len(o.runs) == 0 {
		return &c.sum, nil // there is nothing to compare with
	}
	if err := c.index.open(c); err != nil {
		return nil, err
	}
	defer c.index.close()
	if err := c.log(ctx, progress); err != nil {
		return nil, err
	}
	c.index.finish(c)
	if err := c.finishQueues(ctx); err != nil {
		return nil, err
	}
	c.checkCheckpoint(path, failed)
	c.tellRest()
	c.sum.Topics = len(c.topics)
	return &c.sum, nil
}

func (o *Offline) newChecker(found func(Finding)) *checker {
	return &checker{o: o, found: found, told: map[string]int64{}, extra: map[string]Finding{}, queues: map[queueKey]*queueView{},
		gone: map[string]*goneTopic{}, topics: map[string]bool{},
		sum: Summary{Root: o.cfg.RootDir, Clean: o.clean, LogStart: o.LogStart(), LogEnd: o.LogStart(), Problems: map[string]int64{}, Notes: map[string]int64{}}}
}

func (c *checker) problem(f Finding) {
	f.Problem = true
	c.sum.Problems[f.Kind]++
	c.tell(f)
}

func (c *checker) note(f Finding) {
	c.sum.Notes[f.Kind]++
	c.tell(f)
}

// tell tells the first findings of a kind and place, and keeps the last of the others.
func (c *checker) tell(f Finding) {
	key := f.Kind + " " + f.File
	if strings.HasPrefix(f.File, "consumequeue") || strings.HasPrefix(f.File, "batchconsumequeue") {
		key = f.Kind + " " + filepath.ToSlash(filepath.Dir(f.File))
	}
	if c.told[key]++; c.told[key] > foundMax {
		c.extra[key] = f
		return
	}
	c.found(f)
}

// tellRest tells how many findings were only counted.
func (c *checker) tellRest() {
	for _, key := range slices.Sorted(maps.Keys(c.extra)) {
		f := c.extra[key]
		f.What = fmt.Sprintf("%d more of this kind, the last: %s", c.told[key]-foundMax, f.What)
		c.found(f)
	}
}

// knownTopics reads the names of the topics that there are.
func (c *checker) knownTopics() {
	var file struct {
		Table map[string]any `json:"topicConfigTable"`
	}
	for _, name := range []string{"topics.json", "topics.json.bak"} {
		data, err := os.ReadFile(filepath.Join(c.o.cfg.RootDir, "config", name))
		if err == nil && len(data) > 0 && fastjson.Unmarshal(data, &file) == nil && file.Table != nil {
			c.known = make(map[string]bool, len(file.Table))
			for topic := range file.Table {
				c.known[topic] = true
			}
			return
		}
	}
}

// isKnown says whether a topic has not been deleted, as far as can be told.
func (c *checker) isKnown(topic string) bool {
	return c.known == nil || c.known[topic] || topic == scheduleTopic
}

// logFiles tells of files of the log that Open would refuse.
func (c *checker) logFiles() {
	o := c.o
	for i, run := range o.runs {
		c.sum.LogFiles += run.Len()
		if i > 0 {
			before := o.runs[i-1]
			c.problem(Finding{Kind: "log-file-missing", File: o.name(run.PathAt(run.Start())), At: 0,
				What:  fmt.Sprintf("files are missing before it: the log ends at %d and goes on at %d", before.End(), run.Start()),
				Means: "messages in between are lost, and no broker starts on this store",
				Do:    "bring back the missing files from a copy or from another replica"})
		}
	}
	newest := o.newestCut()
	for i, odd := range o.oddLog {
		if i == len(o.oddLog)-1 && odd.Size == 0 && odd.Start >= o.logFilesEnd() {
			c.note(Finding{Kind: "log-file-size", File: o.name(odd.Path), At: -1, What: "it is empty",
				Means: "it was made and never used", Do: "nothing: the next start removes it"})
			continue
		}
		c.oddLogFile(odd, i == newest)
	}
}

// logIsAway tells that files are missing that a start would miss, too. Without them everything else looks wrong.
func (c *checker) logIsAway() {
	o := c.o
	if len(o.oddLog) > 0 {
		return // which of them count is to be settled first
	}
	s := o.view(nil)
	s.checkpoint = o.checkpoint
	if err := s.logIsAway(o.logFilesEnd(), c.total); err != nil {
		o.plan.away = true
		c.problem(Finding{Kind: "log-file-missing", File: o.name(o.cfg.CommitLogDirs[len(o.cfg.CommitLogDirs)-1]), At: -1, What: err.Error(),
			Means: "no broker starts on this store, and what queues, index and checkpoint tell of the missing messages looks wrong",
			Do:    "bring the files back, or name their folder with -c FILE, which has storePathCommitLog; until then --repair leaves everything as it is"})
	}
}

// oddLogFile tells of one file of the log that Open would refuse. cut: it is the newest one, and only too short.
func (c *checker) oddLogFile(odd logfile.FileInfo, cut bool) {
	o, size := c.o, c.o.cfg.CommitLogFileSize
	f := Finding{Kind: "log-file-size", File: o.name(odd.Path), At: -1, What: fmt.Sprintf("it is %d bytes long, mappedFileSizeCommitLog is %d", odd.Size, size)}
	if len(o.runs) > 0 {
		f.What = fmt.Sprintf("it is %d bytes long, the others are %d", odd.Size, size)
	}
	switch {
	case cut:
		if o.assumedSize {
			f.What = fmt.Sprintf("it is %d bytes long and ends amid a message; %d is what such files have by default, -c FILE tells if mappedFileSizeCommitLog was set", odd.Size, size)
		}
		f.Means = "it was cut off; no broker starts on this store, and what is in this file was not looked at"
		f.Do = "run again with --repair: it gives the file its length, and what then is no whole record is cut"
		o.plan.extend = append(o.plan.extend, odd)
		c.problem(f)
		return
	case odd.Size == size:
		f.What = "another file has this part of the log, or some of it, too"
		f.Means, f.Do = "no broker starts on this store", "move one of the two away; -c FILE with storePathCommitLog tells the folders of the log"
	default:
		f.Means = "no broker starts on this store with this size"
		f.Do = "if the size was set for this store on purpose, check with -c FILE, which has mappedFileSizeCommitLog; else bring the file back from a copy"
	}
	o.plan.odd = append(o.plan.odd, odd)
	c.problem(f)
}

// log reads the log and compares queues and index with it.
func (c *checker) log(ctx context.Context, progress func(done, total int64)) error {
	start := c.o.LogStart()
	return c.o.scanLog(ctx, start, logVisit{
		record: func(_ []byte, m *message.Dispatch) error { return c.record(m) },
		bad:    c.badStretch,
		progress: func(off int64) {
			if progress != nil {
				progress(off-start, max(off, c.total)-start)
			}
		},
	})
}

func (c *checker) record(m *message.Dispatch) error {
	s := &c.sum
	s.Records++
	s.Bytes += int64(m.Size)
	s.LogEnd = m.LogOffset + int64(m.Size)
	if s.OldestTime == 0 {
		s.OldestTime = m.StoreTimestamp
	}
	if m.StoreTimestamp < s.NewestTime-1000 {
		file, at := c.o.place(m.LogOffset)
		c.note(Finding{Kind: "time-goes-back", File: file, At: at,
			What:  fmt.Sprintf("it was stored %d ms before the record before it", s.NewestTime-m.StoreTimestamp),
			Means: "the clock was set back; what is searched by time may be missed around here"})
	}
	s.NewestTime = max(s.NewestTime, m.StoreTimestamp)
	if !c.topics[string(m.Topic)] {
		c.topics[string(m.Topic)] = true
	}
	if message.InConsumeQueue(m.SysFlag) {
		if err := c.inQueue(m, m.Topic, m.QueueID, m.QueueOffset, true); err != nil {
			return err
		}
		if inLight(m) {
			for name, at := range lightOffsets(m) {
				if err := c.inQueue(m, name, 0, at, false); err != nil {
					return err
				}
			}
		}
	}
	return c.index.record(c, m)
}

// badStretch tells of a part of the log that has no good record.
func (c *checker) badStretch(bad Stretch) error {
	o := c.o
	file, at := o.place(bad.From)
	f := Finding{File: file, At: at}
	switch {
	case bad.Dirt == bad.From && bad.Tail:
		return nil // the log's end
	case bad.Dirt == bad.From:
		f.Kind, f.What = "log-hole", fmt.Sprintf("%d bytes of zeros, then the log goes on at %d", bad.To-bad.From, bad.To)
		f.Means = "messages that were there are lost, a disk or a power cut took them; recovery may end the log here"
		f.Do = "bring the file back from a copy or from another replica; nothing here can make them again"
		c.bad = append(c.bad, bad)
	case bad.Tail:
		f.Kind, f.What = "log-tail", fmt.Sprintf("%d bytes behind the last good record (log offset %d) are no record: %v", bad.Dirt-bad.From, bad.From, bad.Why)
		f.Means = "the last write was torn, or the last messages were damaged; recovery ends the log here"
		f.Do = "nothing if the broker was killed or the power cut: the next start cuts it; --repair does it now and keeps the bytes in damaged/"
		o.plan.tail = &bad
	default:
		what, size := o.describe(bad)
		f.Kind, f.What = "log-record", fmt.Sprintf("log offset %d: %v", bad.From, bad.Why)
		if what != "" {
			f.What += ", " + what
		}
		if size == 0 || bad.From+size != bad.To {
			f.What += fmt.Sprintf("; the next good record begins %d bytes later", bad.To-bad.From)
		}
		f.Means = "what is here is lost or changed; consumers get an error or skip it, and a recovery that comes across it ends the log here"
		f.Do = "bring the file back from a copy or from another replica; --repair leaves it as it is and keeps what follows"
		c.bad = append(c.bad, bad)
	}
	o.plan.damaged = o.plan.damaged || !bad.Tail
	c.problem(f)
	return nil
}

// isBad says whether a log offset lies in damage that was told.
func (c *checker) isBad(off int64) bool {
	_, found := slices.BinarySearchFunc(c.bad, off, func(b Stretch, off int64) int {
		switch {
		case b.To <= off:
			return -1
		case b.From > off:
			return 1
		}
		return 0
	})
	return found
}

// checkCheckpoint compares the checkpoint with the log. failed is why it could not be read.
func (c *checker) checkCheckpoint(path string, failed error) {
	o, cp := c.o, c.o.checkpoint
	f := Finding{Kind: "checkpoint", File: "checkpoint", At: 0, Do: "nothing: the next start writes it anew; --repair does it now"}
	if file, errOpen := o.cfg.FS.Open(path); errors.Is(errOpen, fs.ErrNotExist) {
		if c.sum.Records > 0 {
			f.What, f.Means = "there is none", "the next start reads more of the log than it must"
			c.note(f)
		}
		return
	} else if errOpen == nil {
		file.Close()
	}
	switch {
	case failed != nil:
		f.What, f.Means = failed.Error(), "the next start reads more of the log than it must"
	case cp.logicsOffset > 0 && cp.logicsOffset >= c.sum.LogEnd:
		f.At = 40
		f.What = fmt.Sprintf("it says that queues are durable up to log offset %d, the log ends at %d", cp.logicsOffset, c.sum.LogEnd)
		f.Means = "the end of the log is lost, or the checkpoint is of another store"
	case cp.logicsOffset > 0 && cp.logicsOffset >= c.sum.LogStart && !c.isBad(cp.logicsOffset):
		if _, _, err := o.RecordAt(cp.logicsOffset); err == nil {
			return
		}
		if !cp.ours && cp.logicsOffset > c.sum.LogStart {
			return // Apache's may be the offset behind a record
		}
		f.At = 40
		f.What = fmt.Sprintf("no record begins at log offset %d, of which it says that it is in the queues", cp.logicsOffset)
		f.Means = "the next start does not trust it and reads more of the log"
	default:
		return
	}
	o.plan.checkpoint = true
	c.problem(f)
}
