package config

import (
	"fmt"
	"strconv"
	"strings"
)

// oldSizes are sizes of files as RocketMQ spelled them up to 4.5.1, and as it does since. Many examples have the old spelling, which it no
// longer acts on.
var oldSizes = map[string]string{
	"mapedFileSizeCommitLog":    "mappedFileSizeCommitLog",
	"mapedFileSizeConsumeQueue": "mappedFileSizeConsumeQueue",
}

func (k *kind) isOldSize(key string) bool { return k.known(oldSizes[key]) }

// takeOldSizes settles the sizes of files that are given in the old spelling. Files of such a size are those of a RocketMQ that acted on
// it, and are read; else the default counts, as in RocketMQ today, which would not open what was written with another.
func (l *loader) takeOldSizes(s *Store, find func(string, ...string) (map[string]int64, error)) error {
	var files map[string]int64
	for _, key := range sortedKeys(oldSizes) {
		value, given := l.extra[key]
		if !given {
			continue
		}
		if files == nil && find != nil && s.RootDir != "" {
			var err error
			if files, err = find(s.RootDir, s.CommitLogDirs()...); err != nil {
				return err
			}
		}
		l.takeOldSize(key, strings.TrimSpace(value), files[oldSizes[key]])
	}
	return nil
}

// takeOldSize settles one of them; found is how long the files are, 0 when there are none.
func (l *loader) takeOldSize(old, value string, found int64) {
	key := oldSizes[old]
	if _, set := l.origins[key]; set {
		l.notes.info(old, "has no effect: %s, as RocketMQ spells it since 4.5.2, is set and counts", key)
		return
	}
	f := l.kind.fields[key]
	standard := f.text(l.target)
	told, err := strconv.ParseInt(value, 10, 32)
	if key == "mappedFileSizeConsumeQueue" && err == nil {
		told = wholeUnits(told)
	}
	text := strconv.FormatInt(told, 10)
	switch {
	case err == nil && text == standard:
		l.notes.info(old, "has no effect: RocketMQ spells it %s since 4.5.2; the value is the default", key)
	case err == nil && told == found && f.set(l.target, text) == "":
		l.origins[key] = l.origins[old]
		l.notes.warn(old, "%s counts, for the files that are there have that size; RocketMQ does not act on this spelling since 4.5.2 and would not open them: "+
			"set %s=%s", text, key, text)
	default:
		files := fmt.Sprintf("the files that are there are %d bytes long", found)
		if found == 0 {
			files = fmt.Sprintf("there are no files yet; set %s if it is to be another", key)
		}
		l.notes.warn(old, "%s counts, the default: RocketMQ does not act on this spelling since 4.5.2, and %s", standard, files)
	}
}
