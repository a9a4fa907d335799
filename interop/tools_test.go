package interop

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// An absence is something that the machine would have to bring and does not.
type absence struct {
	what string
	err  error
}

func (a *absence) Error() string { return fmt.Sprintf("%s: %v", a.what, a.err) }
func (a *absence) Unwrap() error { return a.err }

// must ends the test at an error. What is merely absent skips it, unless LIFTOFF_REQUIRE_INTEROP says that all must be there.
func must(t *testing.T, err error) {
	t.Helper()
	var a *absence
	switch {
	case err == nil:
	case errors.As(err, &a) && os.Getenv("LIFTOFF_REQUIRE_INTEROP") == "":
		t.Skipf("skipped for want of %v", err)
	default:
		t.Fatal(err)
	}
}

// tool finds a program on the PATH.
func tool(name string) error {
	if _, err := exec.LookPath(name); err != nil {
		return &absence{name, err}
	}
	return nil
}

// run runs a build tool to its end. What it says is told only when it fails.
func run(dir string, name string, args ...string) error {
	if err := tool(name); err != nil {
		return err
	}
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot run %s %v: %w\n%s", name, args, err, out)
	}
	return nil
}

// cached gives the folder that make filled, once for all runs with the same inputs: files, or folders with all that is in
// them. It lies in the user's cache folder.
func cached(name string, inputs []string, make func(dir string) error) (string, error) {
	sum := sha256.New()
	for _, input := range inputs {
		err := filepath.WalkDir(input, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			fmt.Fprintf(sum, "%s %d\n%s", path, len(content), content)
			return err
		})
		if err != nil {
			return "", err
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cache = filepath.Join(cache, "liftoff-interop")
	done := filepath.Join(cache, fmt.Sprintf("%s-%.6x", name, sum.Sum(nil)))
	if _, err := os.Stat(done); err == nil {
		return done, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(cache, name+"-unfinished-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	if err := make(dir); err != nil {
		return "", err
	}
	if err := os.Rename(dir, done); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return done, nil
}

// buildJava builds the Java program on one version of the client.
func buildJava(version string) (string, error) {
	if err := errors.Join(tool("java"), tool("javac"), tool("mvn")); err != nil {
		return "", err
	}
	return maven("java-"+version, "javaclient", "-Drocketmq="+version)
}

// buildJavaAdmin builds the Java program on the administration library.
func buildJavaAdmin() (string, error) {
	if err := errors.Join(tool("java"), tool("javac"), tool("mvn")); err != nil {
		return "", err
	}
	return maven("admin", "javaadmin")
}

// maven builds what is in a folder: classes in classes, what they need in lib.
func maven(name, folder string, properties ...string) (string, error) {
	pomFile := filepath.Join(folder, "pom.xml")
	return cached(name, []string{pomFile, filepath.Join(folder, "src")}, func(dir string) error {
		pom := append([]string{"-q", "-B", "-f", pomFile, "-Dout=" + dir}, properties...)
		lib := "-DoutputDirectory=" + filepath.Join(dir, "lib")
		if err := run(".", "mvn", append(pom, "dependency:copy-dependencies", lib)...); err != nil {
			return &absence{"what Maven would have to fetch", err}
		}
		return run(".", "mvn", append(pom, "compile")...)
	})
}

// buildGo builds the program on the Go client.
func buildGo() (string, error) {
	if err := run("goclient", "go", "mod", "download"); err != nil {
		return "", &absence{"the modules of the Go client", err}
	}
	return cached("go", []string{"goclient"}, func(dir string) error {
		return run("goclient", "go", "build", "-o", filepath.Join(dir, "goclient"), ".")
	})
}

// fetchApache fetches Apache's NameServer and broker of one version.
func fetchApache(version string) (string, error) {
	if err := errors.Join(tool("java"), tool("mvn")); err != nil {
		return "", err
	}
	return cached("apache-"+version, []string{"peer/pom.xml"}, func(dir string) error {
		err := run(".", "mvn", "-q", "-B", "-f", "peer/pom.xml", "-Drocketmq="+version, "dependency:copy-dependencies", "-DoutputDirectory="+dir)
		if err != nil {
			return &absence{"what Maven would have to fetch", err}
		}
		return nil
	})
}
