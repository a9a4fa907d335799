package broker

import (
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/statefile"
	"github.com/liftoffmq/liftoff/internal/store"
)

// Offsets are written to consumerOffset.json or, with enableLmq, to lmqConsumerOffset.json; what is in the other stays as it was when the
// setting was switched. What is in the one of the two that was written last counts, so switching puts no group back. Light groups' offsets
// and all in light queues are in the second file alone.
//
// Which was written last is told by the time of its dataVersion, which does not change when files are copied: it grows at each start
// that finds both. Where the times are equal, the files' own count.

// offsetFiles are the paths of the file that offsets are written to and of the other.
func offsetFiles(dir string, light bool) (own, other string) {
	own, other = filepath.Join(dir, offsetsFile), filepath.Join(dir, lightOffsetsFile)
	if light {
		own, other = other, own
	}
	return own, other
}

// offsetsRead is what was found of one file of offsets.
type offsetsRead struct {
	consumerOffsets
	path  string    // the file itself
	taken string    // it, its copy, or "" when there is none
	at    time.Time // when that was written
	why   error     // why not the file itself
}

func readOffsetsFile(path string) (r offsetsRead, err error) {
	c, err := statefile.Read(path, func(data []byte) (err error) {
		r.consumerOffsets, err = readLightOffsets(data)
		return err
	})
	r.path, r.taken, r.why = path, c.Path, c.Why
	if c.Path != "" {
		r.at = modTime(c.Path)
	}
	return r, err
}

func modTime(path string) time.Time {
	st, err := os.Stat(path)
	if err != nil {
		return time.Time{}
	}
	return st.ModTime()
}

// isNewer says whether r was written after other, if both are there, or else whether it is.
func (r *offsetsRead) isNewer(other *offsetsRead) bool {
	mine, others := r.DataVersion.Timestamp, other.DataVersion.Timestamp
	switch {
	case r.taken == "" || other.taken == "":
		return r.taken != ""
	case mine != others:
		return mine > others
	}
	return r.at.After(other.at)
}

// chosenOffsets is what was found of both files.
type chosenOffsets struct {
	own, other offsetsRead
	damaged    error // why the other, which is older, could not be read
	switched   bool  // the other is the newer one
}

// chooseOffsets reads both files. No path of another means that there is but one.
func chooseOffsets(own, other string) (c chosenOffsets, err error) {
	if c.own, err = readOffsetsFile(own); err != nil || other == "" {
		return c, err
	}
	if c.other, err = readOffsetsFile(other); err != nil {
		if c.own.taken == "" || modTime(other).After(c.own.at) {
			return c, err
		}
		c.damaged, c.other = err, offsetsRead{path: other}
	}
	c.switched = c.other.isNewer(&c.own)
	return c, nil
}

// table is the offsets that count.
func (c *chosenOffsets) table() consumerOffsets {
	if !c.switched {
		return c.own.consumerOffsets
	}
	t := c.other.consumerOffsets
	maps.DeleteFunc(t.OffsetTable, func(key string, _ map[int32]int64) bool { return isLightOffset(key) })
	if filepath.Base(c.own.path) == lightOffsetsFile {
		for key, queues := range c.own.OffsetTable {
			if isLightOffset(key) {
				t.OffsetTable[key] = queues
			}
		}
	}
	return t
}

// isLightOffset says whether a key of the table, topic@group, has to do with light queues.
func isLightOffset(key string) bool {
	topic, group, _ := splitTopicAtGroup(key)
	return store.IsLight(topic) || store.IsLight(group)
}

// version is the one to begin with: when there are both files it is later than either's, so that what is written next counts.
func (c *chosenOffsets) version(now int64) protocol.DataVersion {
	switch {
	case c.own.taken == "" && c.other.taken == "":
		return protocol.DataVersion{Timestamp: now}
	case c.other.taken == "":
		return c.own.DataVersion
	case c.switched:
		return c.other.DataVersion.Next(max(now, c.other.DataVersion.Timestamp+1))
	}
	return c.own.DataVersion.Next(max(now, c.own.DataVersion.Timestamp+1))
}

// tell logs which file is used and why.
func (c *chosenOffsets) tell(log *slog.Logger) {
	for _, r := range []*offsetsRead{&c.own, &c.other} {
		tellState(log, r.path, r.taken, r.why)
	}
	if c.damaged != nil {
		log.Warn("the file of offsets for the other setting of enableLmq cannot be read; it is older and not needed", "file", c.other.path,
			"used", c.own.taken, "err", c.damaged)
	}
	used, left := &c.own, &c.other
	if c.switched {
		used, left = left, used
	}
	if c.other.taken == "" {
		return
	}
	log.Info("consumer offsets are read from the file that was written last: there is one for each setting of enableLmq", "used", used.taken,
		"written", used.at, "left", left.taken, "left_written", left.at, "switched", c.switched)
}

// checkOffsets tells of the files of offsets as a start would find them.
func checkOffsets(dir string, light bool) (files []StateFile) {
	c, err := chooseOffsets(offsetFiles(dir, light))
	for _, r := range []*offsetsRead{&c.own, &c.other} {
		if r.path != "" {
			files = append(files, StateFile{Name: filepath.Base(r.path), Taken: r.taken, Why: r.why})
		}
	}
	last := &files[len(files)-1] // of which the error is
	last.Err = adviseState(err)
	if c.damaged != nil {
		last.Why = c.damaged
	}
	return files
}
