package interop

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// theLab is made before the first test and closed after the last.
var theLab *lab

func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		// More than there are processors, for the tests mostly wait.
		if err := flag.Set("test.parallel", "4"); err != nil {
			panic(err)
		}
	}
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "liftoff-interop-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if os.Getenv("LIFTOFF_INTEROP_KEEP") != "" {
		fmt.Println("everything is kept in", dir)
	} else {
		defer os.RemoveAll(dir)
	}
	theLab = newLab(dir)
	code := m.Run()
	if err := theLab.close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// A lab is what the tests of one run share: what was built, one cluster, one process for each client.
type lab struct {
	dir     string
	java    func(version string) func() (string, error)
	golang  func() (string, error)
	apache  func(version string) func() (string, error)
	liftoff func() (string, error)
	// javaAdmin is the program on Apache's administration library.
	javaAdmin func() (string, error)

	cluster func() (*cluster, error) // for all tests that neither stop a server nor set it up in a way of their own

	mu       sync.Mutex // protects the fields below
	made     int        // folders given out
	clusters []*cluster // to be ended with the lab
	programs map[client]func() (*program, error)
	running  []*program
}

func newLab(dir string) *lab {
	l := &lab{dir: dir, programs: map[client]func() (*program, error){}}
	java4 := sync.OnceValues(func() (string, error) { return buildJava("4.9.8") })
	java5 := sync.OnceValues(func() (string, error) { return buildJava("5.5.0") })
	l.java = func(version string) func() (string, error) {
		if version == "4.9.8" {
			return java4
		}
		return java5
	}
	l.golang = sync.OnceValues(buildGo)
	l.javaAdmin = sync.OnceValues(buildJavaAdmin)
	apaches := map[string]func() (string, error){}
	for _, version := range []string{apache.version(), apache4.version()} {
		apaches[version] = sync.OnceValues(func() (string, error) { return fetchApache(version) })
	}
	l.apache = func(version string) func() (string, error) { return apaches[version] }
	l.liftoff = sync.OnceValues(func() (string, error) {
		return filepath.Join(dir, "liftoff"), run("..", "go", "build", "-o", filepath.Join(dir, "liftoff"), "./cmd/liftoff")
	})
	l.cluster = sync.OnceValues(func() (*cluster, error) {
		c, err := newCluster(l, setup{})
		if err == nil {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.clusters = append(l.clusters, c)
		}
		return c, err
	})
	return l
}

// folder makes a fresh folder. It is not the test's own, for a shared server outlives the test that started it.
func (l *lab) folder(name string) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.made++
	dir := filepath.Join(l.dir, fmt.Sprintf("%03d-%s", l.made, name))
	return dir, os.Mkdir(dir, 0o755)
}

// program gives the running program on a client, started when it is first asked for.
func (l *lab) program(c client) (*program, error) {
	l.mu.Lock()
	start, ok := l.programs[c]
	if !ok {
		start = sync.OnceValues(func() (*program, error) {
			p, err := startProgram(l, c)
			if err == nil {
				l.mu.Lock()
				defer l.mu.Unlock()
				l.running = append(l.running, p)
			}
			return p, err
		})
		l.programs[c] = start
	}
	l.mu.Unlock()
	return start()
}

func (l *lab) close() error {
	var errs []error
	for _, p := range l.running {
		p.close()
	}
	for _, c := range l.clusters {
		errs = append(errs, c.close())
	}
	return errors.Join(errs...)
}
