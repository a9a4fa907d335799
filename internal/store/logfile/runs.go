package logfile

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// FileInfo is a file that has a name as a log's.
type FileInfo struct {
	Path    string
	Start   int64
	Size    int64
	ModTime time.Time
}

// List finds the files of some folders that have names as a log's, in the order of their starts.
func List(fs FS, dirs ...string) ([]FileInfo, error) {
	var files []FileInfo
	for _, dir := range dirs {
		entries, err := fs.List(dir)
		if err != nil {
			return nil, fmt.Errorf("cannot list %q: %w", dir, err)
		}
		for _, e := range entries {
			start, err := strconv.ParseInt(e.Name, 10, 64)
			if e.Dir || err != nil || len(e.Name) != 20 || start < 0 {
				continue
			}
			files = append(files, FileInfo{Path: filepath.Join(dir, e.Name), Start: start, Size: e.Size, ModTime: e.ModTime})
		}
	}
	slices.SortStableFunc(files, func(a, b FileInfo) int { return cmp.Compare(a.Start, b.Start) })
	return files, nil
}

// FindSize is the size that most files of some folders with names as a log's have, of those that are multiples of unit; 0 when there is
// none.
func FindSize(fs FS, unit int64, dirs ...string) (int64, error) {
	files, err := List(fs, dirs...)
	if err != nil {
		return 0, err
	}
	count := map[int64]int{}
	best := int64(0)
	for _, f := range files {
		if f.Size == 0 || f.Size%unit != 0 {
			continue
		}
		if count[f.Size]++; count[f.Size] > count[best] || count[f.Size] == count[best] && f.Size > best {
			best = f.Size
		}
	}
	return best, nil
}

// Runs finds the files of a log as Load does, but takes them as they are and changes nothing: runs of files of the size that follow each
// other, in order, each a Log, and those of another size. A log as Load wants it is one run and nothing odd.
func Runs(fs FS, handles *Handles, fileSize int64, dirs ...string) (runs []*Log, odd []FileInfo, err error) {
	files, err := List(fs, dirs...)
	if err != nil {
		return nil, nil, err
	}
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

// PathAt is the path of the file that holds a position, empty when there is none.
func (l *Log) PathAt(off int64) string {
	if s := l.find(off); s != nil {
		return s.path
	}
	return ""
}
