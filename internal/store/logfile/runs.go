package logfile

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
)

// Odd is a file of a log that Load would not take.
type Odd struct {
	Path  string
	Start int64
	Size  int64
}

// FindSize is the size that most files of some folders with names as a log's have, of those that are multiples of unit; 0 when there is
// none.
func FindSize(fs FS, unit int64, dirs ...string) (int64, error) {
	count := map[int64]int{}
	best := int64(0)
	for _, dir := range dirs {
		files, err := listLog(fs, dir)
		if err != nil {
			return 0, err
		}
		for _, f := range files {
			if f.Size == 0 || f.Size%unit != 0 {
				continue
			}
			if count[f.Size]++; count[f.Size] > count[best] || count[f.Size] == count[best] && f.Size > best {
				best = f.Size
			}
		}
	}
	return best, nil
}

// Runs finds the files of a log as Load does, but takes them as they are and changes nothing: runs of files of the size that follow each
// other, in order, each a Log, and those of another size. A log as Load wants it is one run and nothing odd.
func Runs(fs FS, handles *Handles, fileSize int64, dirs ...string) (runs []*Log, odd []Odd, err error) {
	var files []Odd
	for _, dir := range dirs {
		more, err := listLog(fs, dir)
		if err != nil {
			return nil, nil, err
		}
		files = append(files, more...)
	}
	slices.SortStableFunc(files, func(a, b Odd) int { return int(min(1, max(-1, a.Start-b.Start))) })
	var run *Log
	for _, f := range files {
		if f.Size != fileSize || f.Start > 1<<62 || run != nil && f.Start < run.End() {
			odd = append(odd, f)
			continue
		}
		if run == nil || f.Start != run.End() {
			run = NewLog(fs, handles, fileSize, dirs...)
			runs = append(runs, run)
		}
		run.segments = append(run.segments, &segment{fs: fs, path: f.Path, start: f.Start})
	}
	return runs, odd, nil
}

// listLog lists the files in dir that have names as a log's.
func listLog(fs FS, dir string) ([]Odd, error) {
	entries, err := fs.List(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot list %q: %w", dir, err)
	}
	var files []Odd
	for _, e := range entries {
		start, err := strconv.ParseInt(e.Name, 10, 64)
		if e.Dir || err != nil || len(e.Name) != 20 || start < 0 {
			continue
		}
		files = append(files, Odd{Path: filepath.Join(dir, e.Name), Start: start, Size: e.Size})
	}
	return files, nil
}

// PathAt is the path of the file that holds a position, empty when there is none.
func (l *Log) PathAt(off int64) string {
	if s := l.find(off); s != nil {
		return s.path
	}
	return ""
}
