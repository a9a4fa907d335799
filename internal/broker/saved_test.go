package broker

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// setTable is a table of words for tests of saved.
type setTable struct {
	mu    sync.Mutex
	words map[string]bool
	fail  error // of encode
}

func (s *setTable) table() savedTable {
	return savedTable{
		load: func(data []byte) error {
			if !bytes.HasPrefix(data, []byte("words ")) {
				return errors.New("no words")
			}
			for _, w := range strings.Fields(string(data))[1:] {
				s.words[w] = true
			}
			return nil
		},
		apply: func(line []byte) error {
			word, ok := strings.CutPrefix(string(line), "+")
			if !ok {
				return errors.New("no change")
			}
			s.words[word] = true
			return nil
		},
		encode: func() ([]byte, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			text := []byte("words")
			for w := range s.words {
				text = append(append(text, ' '), w...)
			}
			return text, s.fail
		},
	}
}

// add makes a change as the owners of tables do.
func (s *setTable) add(f *saved, word string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := f.add([]byte("+" + word)); err != nil {
		return err
	}
	s.words[word] = true
	return nil
}

func openSet(t *testing.T, path string) (*setTable, *saved) {
	t.Helper()
	s := &setTable{words: map[string]bool{}}
	f, err := openSaved(path, slog.New(slog.DiscardHandler), s.table())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.close() })
	return s, f
}

// copyDir copies the folder of path and returns the copy's path.
func copyDir(t *testing.T, path string) string {
	t.Helper()
	dir := t.TempDir()
	copyState(t, filepath.Dir(path), dir)
	return filepath.Join(dir, filepath.Base(path))
}

// TestSaved_LosesNothingWhereverItIsKilled copies the files while changes are being made and written, and opens the copies.
func TestSaved_LosesNothingWhereverItIsKilled(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "set.json")
	s, f := openSet(t, path)
	if err := s.add(f, "first"); err != nil { // a file without a word counts as damaged in these tests
		t.Fatal(err)
	}
	var writer sync.WaitGroup
	stop := make(chan struct{})
	halt := sync.OnceFunc(func() {
		close(stop)
		writer.Wait()
	})
	defer halt()
	writer.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := f.write(); err != nil {
				t.Error(err)
			}
		}
	})
	for i := range 200 {
		if err := s.add(f, strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
		if i%20 != 0 {
			continue
		}
		dir := t.TempDir()
		copyState(t, filepath.Dir(path), dir)
		again, _ := openSet(t, filepath.Join(dir, "set.json"))
		for j := range i + 1 {
			if !again.words[strconv.Itoa(j)] {
				t.Fatalf("change %d of %d is lost", j, i+1)
			}
		}
	}
	halt()
	if err := f.close(); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(path + ".changes*"); left != nil {
		t.Errorf("after a clean stop there is %q", left)
	}
}

func TestSaved_TornEndIsNotUsed(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"+c", "garbage\n", "\x00\x00\x00\x00\n", "\n"} {
		path := filepath.Join(t.TempDir(), "set.json")
		if err := os.WriteFile(path+".changes", []byte("+a\n+b\n"+end), 0o644); err != nil {
			t.Fatal(err)
		}
		s, f := openSet(t, path)
		if len(s.words) != 2 || !s.words["a"] || !s.words["b"] {
			t.Errorf("%q: %v", end, s.words)
		}
		// What comes after the torn end is not lost with it.
		if err := s.add(f, "d"); err != nil {
			t.Fatal(err)
		}
		if again, _ := openSet(t, copyDir(t, path)); !again.words["d"] || !again.words["b"] {
			t.Errorf("%q, one more added: %v", end, again.words)
		}
	}
}

func TestSaved_GoesOnAfterTheFileCouldNotBeWritten(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "set.json")
	s, f := openSet(t, path)
	s.fail = errors.New("disk is full")
	for i := range 3 {
		if err := s.add(f, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
		if err := f.write(); err == nil {
			t.Fatal("written")
		}
	}
	if again, _ := openSet(t, copyDir(t, path)); len(again.words) != 3 {
		t.Errorf("after a kill there is %v", again.words)
	}
	s.fail = nil
	if err := f.close(); err != nil {
		t.Fatal(err)
	}
	if again, _ := openSet(t, path); len(again.words) != 3 {
		t.Errorf("after a clean stop there is %v", again.words)
	}
}

func TestSaved_RefusesChangesThatItCannotKeep(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "set.json")
	s, f := openSet(t, path)
	if err := s.add(f, "a"); err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	_ = f.changes.Close() // as if the disk were gone
	f.mu.Unlock()
	if err := s.add(f, "b"); err == nil {
		t.Fatal("taken")
	}
	if err := s.add(f, "b"); err == nil {
		t.Fatal("taken behind a torn line")
	}
	if again, _ := openSet(t, copyDir(t, path)); again.words["b"] || !again.words["a"] {
		t.Errorf("after a kill there is %v", again.words)
	}
}

// TestSaved_KeepsChangesMadeBeforeOneFailsWhileTheFileIsWritten is a disk that fills between the snapshot and the end of the write.
func TestSaved_KeepsChangesMadeBeforeOneFailsWhileTheFileIsWritten(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "set.json")
	s, f := openSet(t, path)
	if err := s.add(f, "early"); err != nil {
		t.Fatal(err)
	}
	encode := f.encode
	f.encode = func() ([]byte, error) {
		data, err := encode()
		if err := s.add(f, "late"); err != nil {
			t.Error(err)
		}
		f.mu.Lock()
		_ = f.changes.Close() // as if the disk were full
		f.mu.Unlock()
		if s.add(f, "torn") == nil {
			t.Error("a change that cannot be kept was taken")
		}
		return data, err
	}
	if err := f.write(); err != nil {
		t.Fatal(err)
	}
	if again, _ := openSet(t, copyDir(t, path)); !again.words["early"] || !again.words["late"] || again.words["torn"] {
		t.Errorf("after a kill there is %v", again.words)
	}
}

func TestSaved_TakesChangesAgainOnceItsFileCanBeMade(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "set.json")
	s, f := openSet(t, path)
	if err := os.Mkdir(f.changesPath(), 0o755); err != nil { // in the way
		t.Fatal(err)
	}
	if err := s.add(f, "refused"); err == nil || !strings.Contains(err.Error(), f.changesPath()) {
		t.Errorf("a change that cannot be kept: %v", err)
	}
	if err := os.Remove(f.changesPath()); err != nil {
		t.Fatal(err)
	}
	if err := s.add(f, "kept"); err != nil {
		t.Fatal("afterwards:", err)
	}
	if again, _ := openSet(t, copyDir(t, path)); !again.words["kept"] || again.words["refused"] {
		t.Errorf("read %v", again.words)
	}
}

// TestSaved_TakesAwayWhatAnyStopHasLeft opens what a kill or a full disk can leave: a clean stop leaves the file alone.
func TestSaved_TakesAwayWhatAnyStopHasLeft(t *testing.T) {
	t.Parallel()
	const none = "none"
	for _, old := range []string{none, "", "+a\n"} {
		for _, changes := range []string{none, "", "+b\n"} {
			for _, more := range []bool{false, true} {
				path := filepath.Join(t.TempDir(), "set.json")
				files := map[string]string{path: "words first", path + ".changes.old": old, path + ".changes": changes}
				for name, text := range files {
					if text == none {
						continue
					}
					if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				s, f := openSet(t, path)
				if more {
					if err := s.add(f, "c"); err != nil {
						t.Fatal(err)
					}
				}
				if err := f.close(); err != nil {
					t.Fatal(err)
				}
				if left, _ := filepath.Glob(path + ".changes*"); left != nil {
					t.Errorf("%q, %q, more %t: after a clean stop there is %q", old, changes, more, left)
				}
				again, _ := openSet(t, path)
				if !again.words["first"] || again.words["a"] != (old == "+a\n") || again.words["b"] != (changes == "+b\n") || again.words["c"] != more {
					t.Errorf("%q, %q, more %t: read %v", old, changes, more, again.words)
				}
			}
		}
	}
}
