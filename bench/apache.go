//go:build linux

package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

//go:embed pom.xml
var apachePOM []byte

// fetchApache returns the directory with Apache's jars. It asks Maven for them when they are not there yet.
func fetchApache(ctx context.Context, say func(string, ...any)) (string, error) {
	if _, err := exec.LookPath("java"); err != nil {
		return "", fmt.Errorf("cannot run Apache RocketMQ: it needs java on the PATH (or leave it out with --only liftoff): %w", err)
	}
	cache := os.Getenv("XDG_CACHE_HOME")
	if cache == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("cannot find a place to keep Apache's jars: %w", err)
		}
		cache = filepath.Join(home, ".cache")
	}
	jars := filepath.Join(cache, "liftoff-peer", "apache-"+apacheVersion)
	// .complete is left by whoever fetched the whole distribution into the same place.
	done := filepath.Join(jars, ".complete-bench")
	for _, mark := range []string{done, filepath.Join(jars, ".complete")} {
		if _, err := os.Stat(mark); err == nil {
			return jars, nil
		}
	}
	say("fetching Apache RocketMQ %s into %s", apacheVersion, jars)
	if err := os.MkdirAll(jars, 0o755); err != nil {
		return "", fmt.Errorf("cannot keep Apache's jars: %w", err)
	}
	project, err := os.MkdirTemp("", "liftoff-bench-pom-")
	if err != nil {
		return "", fmt.Errorf("cannot write a Maven project: %w", err)
	}
	defer os.RemoveAll(project)
	pom := filepath.Join(project, "pom.xml")
	if err := os.WriteFile(pom, apachePOM, 0o644); err != nil {
		return "", fmt.Errorf("cannot write a Maven project: %w", err)
	}
	mvn := exec.CommandContext(ctx, "mvn", "-q", "-B", "-f", pom, "dependency:copy-dependencies", "-DoutputDirectory="+jars)
	if output, err := mvn.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot fetch Apache RocketMQ with Maven: %w\n%s", err, output[max(len(output)-2000, 0):])
	}
	return jars, os.WriteFile(done, nil, 0o644)
}

// startApache starts Apache's NameServer and broker at the same moment, and returns how long the first message took.
// The JVMs get the collector and the openings of Apache's own start scripts, and a smaller heap that is not touched ahead.
func startApache(jars, heap, dir string, extra ...string) (*server, time.Duration, error) {
	p, err := freePorts()
	if err != nil {
		return nil, 0, err
	}
	properties, err := writeProperties(dir, p, extra...)
	if err != nil {
		return nil, 0, err
	}
	namesrv := filepath.Join(dir, "namesrv.properties")
	if err := os.WriteFile(namesrv, []byte("listenPort="+strconv.Itoa(p.namesrv)+"\n"), 0o644); err != nil {
		return nil, 0, fmt.Errorf("cannot write the NameServer's properties: %w", err)
	}
	s := &server{name: "Apache", addr: "127.0.0.1:" + strconv.Itoa(p.broker), dir: dir}
	begun := time.Now()
	java := func(what, class, file string) error {
		return s.start(what, []string{"ROCKETMQ_HOME=" + dir}, "java", "-XX:-UsePerfData", "-Duser.home="+dir, "-Djava.io.tmpdir="+dir, "-Xms"+heap, "-Xmx"+heap,
			"-XX:+UseG1GC", "-XX:MaxDirectMemorySize=2g", "--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED",
			"--add-exports=java.base/sun.nio.ch=ALL-UNNAMED", "--add-opens=java.base/java.nio=ALL-UNNAMED",
			"-cp", filepath.Join(jars, "*"), class, "-c", file)
	}
	err = errors.Join(java("namesrv", "org.apache.rocketmq.namesrv.NamesrvStartup", namesrv),
		java("broker", "org.apache.rocketmq.broker.BrokerStartup", properties))
	var took time.Duration
	if err == nil {
		took, err = s.firstAccepted(begun)
	}
	if err != nil {
		s.stop()
		return nil, 0, err
	}
	return s, took, nil
}

// javaVersion is the first line of java -version, for the report.
func javaVersion(ctx context.Context) string {
	output, err := exec.CommandContext(ctx, "java", "-version").CombinedOutput()
	if err != nil {
		return "unknown"
	}
	line, _, _ := bytes.Cut(output, []byte("\n"))
	return strings.TrimSpace(string(line))
}
