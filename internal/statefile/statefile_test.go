package statefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var errNotMine = errors.New("not a state")

// state is the tests' kind of content.
func state(data []byte) error {
	if !strings.HasPrefix(string(data), "state ") {
		return errNotMine
	}
	return nil
}

func read(t *testing.T, path string) Content {
	t.Helper()
	c, err := Read(path, state)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestWrite_KeepsThePreviousAsBak(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "config", "topics.json")
	if c := read(t, path); c.Path != "" || c.Data != nil || c.Why != nil {
		t.Errorf("before the first write: %+v", c)
	}
	for _, content := range []string{"state 1", "state 2", "state 3"} {
		if err := Write(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		if c := read(t, path); string(c.Data) != content || c.Path != path || c.Why != nil {
			t.Errorf("got %+v, want %s", c, content)
		}
	}
	if bak, err := os.ReadFile(path + ".bak"); string(bak) != "state 2" {
		t.Errorf("bak is %q, %v", bak, err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 2 {
		t.Errorf("%d files, %v", len(left), err)
	}
}

func TestRead_FallsBackToBakAndSaysWhy(t *testing.T) {
	t.Parallel()
	check := func(name string, damage func(path string), why error) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "f")
		put(t, path, "state new")
		put(t, path+".bak", "state old")
		damage(path)
		c := read(t, path)
		if string(c.Data) != "state old" || c.Path != path+".bak" || !errors.Is(c.Why, why) {
			t.Errorf("%s: %+v", name, c)
		}
	}
	check("missing", func(path string) { os.Remove(path) }, fs.ErrNotExist)
	check("empty", func(path string) { put(t, path, "") }, errEmpty)
	check("damaged", func(path string) { put(t, path, "\x00\x00\x00") }, errNotMine)
}

func TestRead_FailsWhenNothingIsUsable(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	fails := func(name, want string) {
		t.Helper()
		_, err := Read(path, state)
		var damaged *Damaged
		if got := Advise(err).Error(); !errors.As(err, &damaged) || damaged.Path != path || strings.ReplaceAll(got, path, "F") != want {
			t.Errorf("%s: %s, want\n%s", name, got, want)
		}
	}
	put(t, path, "junk")
	fails("no bak", `cannot read "F": not a state; there is no usable .bak. Put a copy of the file back, or move it away to start without these data`)
	put(t, path+".bak", "")
	fails("empty bak", `cannot read "F": not a state; there is no usable .bak. Put a copy of the file back, or move it away to start without these data`)
	put(t, path+".bak", "junk")
	fails("damaged bak", `cannot read "F": not a state; nor its .bak, "F.bak": not a state. Put a copy of the file back, or move both away to start without these data`)
	if err := Advise(errNotMine, "f"); err != errNotMine {
		t.Error(err)
	}
	os.Remove(path)
	fails("only a damaged bak", `cannot read "F": there is no such file; nor its .bak, "F.bak": not a state. Put a copy of the file back, or move both away to start without these data`)
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	put(t, path+".bak", "state old")
	if c, err := Read(path, state); err == nil {
		t.Errorf("unreadable: took the older %+v", c)
	}
}

func TestRead_TakesAnEmptyFileWithoutBakForNone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	put(t, path, "")
	if c := read(t, path); c.Path != "" || !errors.Is(c.Why, errEmpty) {
		t.Errorf("got %+v", c)
	}
}

// killed does the first n steps, then the process is gone. half makes the last of them stop in its middle where it can.
type killed struct {
	left int
	half bool
	done []string
}

func (k *killed) step(name string, whole, half func() error) error {
	if k.left == 0 {
		if k.half && half != nil {
			_ = half()
		}
		panic(k)
	}
	k.left--
	k.done = append(k.done, name)
	return whole()
}

func (k *killed) writeSynced(path string, data []byte, mode fs.FileMode) error {
	return k.step("write", func() error { return disk{}.writeSynced(path, data, mode) },
		func() error { return os.WriteFile(path, data[:len(data)/2], 0o644) })
}
func (k *killed) link(from, to string) error {
	return k.step("link", func() error { return disk{}.link(from, to) }, nil)
}
func (k *killed) rename(from, to string) error {
	return k.step("rename to "+filepath.Base(to), func() error { return disk{}.rename(from, to) }, nil)
}
func (k *killed) syncDir(dir string) error {
	return k.step("sync folder", func() error { return disk{}.syncDir(dir) }, nil)
}

func TestWrite_KilledBetweenAnyTwoStepsLosesNothing(t *testing.T) {
	t.Parallel()
	check := func(name string, before map[string]string) {
		t.Helper()
		for _, half := range []bool{false, true} {
			for n := 0; ; n++ {
				path := filepath.Join(t.TempDir(), "f")
				for suffix, content := range before {
					put(t, path+suffix, content)
				}
				k := &killed{left: n, half: half}
				finished := func() bool {
					defer func() { _ = recover() }()
					if err := write(k, path, []byte("state new")); err != nil {
						t.Fatal(err)
					}
					return true
				}()
				c := read(t, path)
				got := string(c.Data)
				if got != "state new" && got != "state old" {
					t.Errorf("%s, killed behind %v: read %q from %q, %v", name, k.done, got, c.Path, c.Why)
				}
				if finished && got != "state new" {
					t.Errorf("%s, finished: read %q", name, got)
				}
				// The next start writes as if nothing had been.
				if err := Write(path, []byte("state next")); err != nil {
					t.Fatal(err)
				}
				if c := read(t, path); string(c.Data) != "state next" {
					t.Errorf("%s, killed behind %v: then read %q", name, k.done, c.Data)
				}
				if finished {
					break
				}
			}
		}
	}
	check("good file", map[string]string{"": "state old"})
	check("good file and bak", map[string]string{"": "state old", ".bak": "state older"})
	check("only a bak", map[string]string{".bak": "state old"})
	check("damaged file and bak", map[string]string{"": "junk", ".bak": "state old"})
	check("empty file and bak", map[string]string{"": "", ".bak": "state old"})
	check("left over temporaries", map[string]string{"": "state old", ".tmp": "longer junk", ".bak.tmp": "junk"})
}

func TestWrite_DoesItsStepsInTheOrderThatAPowerCutNeeds(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	put(t, path, "state old")
	k := &killed{left: 100}
	if err := write(k, path, []byte("state new")); err != nil {
		t.Fatal(err)
	}
	want := []string{"write", "link", "rename to f", "sync folder", "rename to f.bak"}
	if !reflect.DeepEqual(k.done, want) {
		t.Errorf("got %v, want %v", k.done, want)
	}
}

// failing makes one step fail.
type failing struct {
	disk
	at string
}

var errDisk = errors.New("disk")

func (f failing) writeSynced(path string, data []byte, mode fs.FileMode) error {
	if f.at == "write" {
		return errDisk
	}
	return f.disk.writeSynced(path, data, mode)
}

func (f failing) rename(from, to string) error {
	if f.at == "rename" {
		return errDisk
	}
	return f.disk.rename(from, to)
}

func (f failing) syncDir(dir string) error {
	if f.at == "sync" {
		return errDisk
	}
	return f.disk.syncDir(dir)
}

func TestWrite_TellsAFailedStep(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"write", "rename", "sync"} {
		path := filepath.Join(t.TempDir(), "f")
		put(t, path, "state old")
		if err := write(failing{at: at}, path, []byte("state new")); !errors.Is(err, errDisk) {
			t.Errorf("%s: %v", at, err)
		}
		if c := read(t, path); !strings.HasPrefix(string(c.Data), "state ") {
			t.Errorf("%s: %+v", at, c)
		}
	}
}

func TestWrite_KeepsPermissionsAndLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	target, link, other := filepath.Join(dir, "etc", "broker.conf"), filepath.Join(dir, "conf", "broker.conf"), filepath.Join(dir, "conf", "link")
	for _, d := range []string{"etc", "conf"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	put(t, target, "state 1")
	put(t, target+".tmp", "left over")
	if err := errors.Join(os.Chmod(target, 0o600), os.Symlink("../etc/broker.conf", other), os.Symlink(other, link)); err != nil {
		t.Fatal(err)
	}
	for _, content := range []string{"state 2", "state 3"} {
		if err := Write(link, []byte(content)); err != nil {
			t.Fatal(err)
		}
		if c := read(t, link); string(c.Data) != content {
			t.Errorf("read %+v, want %s", c, content)
		}
		if st, err := os.Lstat(link); err != nil || st.Mode()&fs.ModeSymlink == 0 {
			t.Errorf("the link is %v, %v", st.Mode(), err)
		}
		for _, path := range []string{target, target + ".bak"} {
			if st, err := os.Lstat(path); err != nil || st.Mode() != 0o600 {
				t.Errorf("%s: %v, %v", path, st, err)
			}
		}
	}
	if err := os.Remove(target); err != nil {
		t.Fatal(err)
	}
	if c := read(t, link); string(c.Data) != "state 2" {
		t.Errorf("with a link to nothing: %+v", c)
	}
	if err := Write(link, []byte("state 4")); err != nil {
		t.Fatal(err)
	}
	if c := read(t, target); string(c.Data) != "state 4" {
		t.Errorf("written through a link to nothing: %+v", c)
	}
}
