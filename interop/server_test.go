package interop

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A kind says whose server it is.
type kind string

const (
	liftoff kind = "liftoff"
	apache  kind = "apache"
	apache4 kind = "apache4" // the last server of the 4.x line
)

// version is that of Apache's server of this kind, unless LIFTOFF_INTEROP_APACHE names another.
func (k kind) version() string {
	return cmp.Or(os.Getenv("LIFTOFF_INTEROP_APACHE"), map[kind]string{apache: "5.5.0", apache4: "4.9.7"}[k])
}

// underTest says whose NameServer or broker the scenarios run against: Liftoff's, unless LIFTOFF_INTEROP_NAMESRV or
// LIFTOFF_INTEROP_BROKER is "apache".
func underTest(role string) kind {
	if os.Getenv("LIFTOFF_INTEROP_"+strings.ToUpper(role)) == string(apache) {
		return apache
	}
	return liftoff
}

// A server is a NameServer or a broker with a folder and a port that it keeps over restarts.
type server struct {
	lab  *lab
	role string // "namesrv", "broker", or "server" for both in one
	kind kind   // may change between a stop and a start
	dir  string
	port int
	// settings are the lines of its properties file.
	settings    []string
	namesrvPort int // of a "server"
	proc        *process
}

func (s *server) addr() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// start starts the server on its folder and waits until it says that it is there.
func (s *server) start() error {
	conf := filepath.Join(s.dir, s.role+".properties")
	if err := os.WriteFile(conf, []byte(strings.Join(s.settings, "\n")+"\n"), 0o644); err != nil {
		return err
	}
	cmd, err := s.command(conf)
	if err != nil {
		return err
	}
	if s.proc, err = start(s.dir, s.role, "boot success", cmd); err != nil {
		return err
	}
	if err := s.proc.ready(); err != nil {
		s.proc.kill()
		return err
	}
	return nil
}

func (s *server) command(conf string) (*exec.Cmd, error) {
	if s.kind == liftoff {
		binary, err := s.lab.liftoff()
		if err != nil {
			return nil, err
		}
		cmd := exec.Command(binary, s.role, "-c", conf)
		if !slices.ContainsFunc(s.settings, func(line string) bool { return strings.HasPrefix(line, "metricsPromExporterPort=") }) {
			cmd.Args = append(cmd.Args, "--metrics-port", "0")
		}
		if s.role == "server" {
			cmd.Args = append(cmd.Args, "--namesrv-port", fmt.Sprint(s.namesrvPort))
		}
		cmd.Env = append(os.Environ(), "HOME="+s.dir, "ROCKETMQ_HOME="+s.dir)
		return cmd, nil
	}
	jars, err := s.lab.apache(s.kind.version())()
	if err != nil {
		return nil, err
	}
	main := map[string]string{
		"namesrv": "org.apache.rocketmq.namesrv.NamesrvStartup",
		"broker":  "org.apache.rocketmq.broker.BrokerStartup",
	}[s.role]
	logging, err := filepath.Abs("peer")
	if err != nil {
		return nil, err
	}
	if err := logAs4(s.dir, logging); err != nil {
		return nil, err
	}
	cmd := exec.Command("java", append(quickJVM(s.dir, "512m"),
		"-XX:MaxDirectMemorySize=512m",
		"--add-opens=java.base/jdk.internal.ref=ALL-UNNAMED", // for 4.x; later ones export it to themselves
		"--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED",
		"--add-exports=java.base/sun.nio.ch=ALL-UNNAMED",
		"--add-opens=java.base/java.nio=ALL-UNNAMED",
		"-cp", logging+":"+filepath.Join(jars, "*"), main, "-c", conf)...)
	cmd.Env = append(os.Environ(), "ROCKETMQ_HOME="+s.dir)
	return cmd, nil
}

// logAs4 writes the files by which servers of 4.x, whose logging library has another name, log as later ones do.
func logAs4(dir, logging string) error {
	xml, err := os.ReadFile(filepath.Join(logging, "rmq.logback.xml"))
	if err != nil {
		return err
	}
	xml = bytes.ReplaceAll(xml, []byte("org.apache.rocketmq.logging."), nil)
	conf := filepath.Join(dir, "conf")
	return errors.Join(os.MkdirAll(conf, 0o755), os.WriteFile(filepath.Join(conf, "logback_namesrv.xml"), xml, 0o644),
		os.WriteFile(filepath.Join(conf, "logback_broker.xml"), xml, 0o644))
}

// quickJVM are the flags of a Java process that starts fast and leaves nothing outside its folder.
func quickJVM(home, heap string) []string {
	return []string{"-XX:-UsePerfData", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Xmx" + heap, "-Duser.home=" + home, "-Djava.io.tmpdir=" + home}
}

func (s *server) kill() {
	if s.proc != nil {
		s.proc.kill()
	}
}

// alarm says what the server said that no server may say. Apache's may: it is not ours to mend.
func (s *server) alarm() error {
	if s.proc == nil || s.kind != liftoff {
		return nil
	}
	s.proc.out.mu.Lock()
	defer s.proc.out.mu.Unlock()
	if s.proc.out.alarm == "" {
		return nil
	}
	return fmt.Errorf("the %s in %s said %q:\n%s", s.role, s.dir, s.proc.out.alarm, s.proc.out.tail)
}

// A setup says how a cluster differs from the usual one: one NameServer, one broker, each of the kind under test.
type setup struct {
	namesrvs []kind
	broker   kind
	settings []string // more lines of the broker's properties file
}

// A cluster is one broker, registered with its NameServers.
type cluster struct {
	namesrvs []*server
	broker   *server
}

func newCluster(l *lab, how setup) (*cluster, error) {
	if how.broker == "" {
		how.broker = underTest("broker")
	}
	if how.namesrvs == nil {
		how.namesrvs = []kind{underTest("namesrv")}
	}
	c := &cluster{}
	for _, k := range how.namesrvs {
		n, err := newNamesrv(l, k)
		if err != nil {
			c.close()
			return nil, err
		}
		c.namesrvs = append(c.namesrvs, n)
	}
	err := c.addBroker(l, how)
	if err != nil {
		c.close()
	}
	return c, err
}

func newNamesrv(l *lab, k kind) (*server, error) {
	dir, err := l.folder("namesrv-" + string(k))
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	n := &server{lab: l, role: "namesrv", kind: k, dir: dir, port: port}
	n.settings = []string{
		fmt.Sprint("listenPort=", port),
		"kvConfigPath=" + filepath.Join(dir, "kvConfig.json"),
		"configStorePath=" + filepath.Join(dir, "namesrv-own.properties"),
	}
	return n, n.start()
}

func (c *cluster) addBroker(l *lab, how setup) error {
	dir, err := l.folder("broker-" + string(how.broker))
	if err != nil {
		return err
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	c.broker = &server{lab: l, role: "broker", kind: how.broker, dir: dir, port: port}
	c.broker.settings = append(brokerSettings(dir, port, c.addrs()), how.settings...)
	return c.startBroker()
}

// startBroker starts the broker and waits until each NameServer knows it.
func (c *cluster) startBroker() error {
	if err := c.broker.start(); err != nil {
		return err
	}
	if c.broker.kind == liftoff && slices.Contains(c.broker.settings, "brokerRole=SLAVE") {
		return nil // it copies nothing yet, and so does not register
	}
	for _, n := range c.namesrvs {
		if err := waitFor(30*time.Second, func() error { return n.knows(c.broker) }); err != nil {
			return fmt.Errorf("the broker says it is there: %w", err)
		}
	}
	return nil
}

// knows asks a NameServer for its brokers.
func (s *server) knows(broker *server) error {
	const getBrokerClusterInfo = 106
	body, err := ask(s.addr(), getBrokerClusterInfo)
	if err == nil && !bytes.Contains(body, []byte(`"`+broker.addr()+`"`)) {
		err = fmt.Errorf("the NameServer does not list the broker at %s: %s", broker.addr(), body)
	}
	return err
}

// newOneProcess starts liftoff server: NameServer and broker in one process.
func newOneProcess(l *lab) (*cluster, error) {
	dir, err := l.folder("server")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	namesrvPort, err := freePort()
	if err != nil {
		return nil, err
	}
	broker := &server{lab: l, role: "server", kind: liftoff, dir: dir, port: port, namesrvPort: namesrvPort}
	namesrv := &server{lab: l, role: "namesrv", kind: liftoff, dir: dir, port: namesrvPort}
	broker.settings = brokerSettings(dir, port, namesrv.addr())
	c := &cluster{namesrvs: []*server{namesrv}, broker: broker}
	if err := c.startBroker(); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func brokerSettings(dir string, port int, namesrvs string) []string {
	return []string{
		"brokerClusterName=DefaultCluster",
		"brokerName=broker-a",
		"brokerId=0",
		"brokerIP1=127.0.0.1",
		"namesrvAddr=" + namesrvs,
		fmt.Sprint("listenPort=", port),
		"storePathRootDir=" + filepath.Join(dir, "store"),
		"mappedFileSizeCommitLog=33554432",
		"waitTimeMillsInSendQueue=10000", // a busy machine is no reason to refuse
	}
}

// addrs gives the NameServers as clients and brokers want them.
func (c *cluster) addrs() string {
	var all []string
	for _, n := range c.namesrvs {
		all = append(all, n.addr())
	}
	return strings.Join(all, ";")
}

// close ends all servers and says what they said that no server may say.
func (c *cluster) close() error {
	var errs []error
	for _, s := range append([]*server{c.broker}, c.namesrvs...) {
		if s != nil {
			s.kill()
			errs = append(errs, s.alarm())
		}
	}
	return errors.Join(errs...)
}

// closeAfter ends the cluster with the test.
func (c *cluster) closeAfter(t *testing.T) {
	t.Cleanup(func() {
		if err := c.close(); err != nil {
			t.Error(err)
		}
	})
}

// cluster gives a test a cluster of its own.
func ownCluster(t *testing.T, how setup) *cluster {
	t.Helper()
	c, err := newCluster(theLab, how)
	must(t, err)
	c.closeAfter(t)
	tellWhenFailed(t, c)
	return c
}

// sharedCluster gives a test the cluster that is there for all.
func sharedCluster(t *testing.T) *cluster {
	t.Helper()
	c, err := theLab.cluster()
	must(t, err)
	tellWhenFailed(t, c)
	return c
}

func tellWhenFailed(t *testing.T, c *cluster) {
	t.Cleanup(func() {
		if t.Failed() {
			for _, s := range append([]*server{c.broker}, c.namesrvs...) {
				if s.proc != nil {
					t.Logf("the last that the %s said (%s):\n%s", s.role, s.dir, s.proc.out)
				}
			}
		}
	})
}

// stopBroker stops the broker with SIGTERM, or kills it.
func (c *cluster) stopBroker(t *testing.T, kill bool) {
	t.Helper()
	if kill {
		c.broker.kill()
	} else {
		stop(t, c.broker)
	}
	must(t, c.broker.alarm())
}

// stop stops a server with SIGTERM and tells how long that took.
func stop(t *testing.T, s *server) {
	t.Helper()
	begin := time.Now()
	if err := s.proc.stop(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s's %s stopped within %v", s.kind, s.role, time.Since(begin))
}

// restartBroker stops the broker with SIGTERM, or kills it, and starts it again.
func (c *cluster) restartBroker(t *testing.T, kill bool) {
	t.Helper()
	c.stopBroker(t, kill)
	must(t, c.startBroker())
}

// ports are those given out, for a port is free again for others the moment it was tried.
var ports sync.Map

// freePort finds a port P of which P-2 (for old clients) and P+1 (for slaves) are free too, below the range from which
// the system takes ports for outgoing connections.
func freePort() (int, error) {
	for range 200 {
		p := 12000 + 4*rand.IntN(4500)
		if _, taken := ports.LoadOrStore(p, true); taken {
			continue
		}
		if free(p-2) && free(p) && free(p+1) {
			return p, nil
		}
	}
	return 0, errors.New("no free port")
}

func free(port int) bool {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	l.Close()
	return true
}

// ask makes one remoting request without parameters and gives the answer's body.
func ask(addr string, code int) ([]byte, error) {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	header := fmt.Sprintf(`{"code":%d,"flag":0,"language":"GO","opaque":1,"version":0}`, code)
	frame := binary.BigEndian.AppendUint32(nil, uint32(4+len(header)))
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(header)))
	if _, err := conn.Write(append(frame, header...)); err != nil {
		return nil, err
	}
	var sizes [8]byte
	if _, err := io.ReadFull(conn, sizes[:]); err != nil {
		return nil, err
	}
	total, headerLength := binary.BigEndian.Uint32(sizes[:]), binary.BigEndian.Uint32(sizes[4:])&0xffffff
	if total > 1<<20 || headerLength+4 > total {
		return nil, fmt.Errorf("an answer of %d bytes with a header of %d", total, headerLength)
	}
	rest := make([]byte, total-4)
	if _, err := io.ReadFull(conn, rest); err != nil {
		return nil, err
	}
	var answer struct {
		Code   int
		Remark string
	}
	if err := json.Unmarshal(rest[:headerLength], &answer); err != nil {
		return nil, err
	}
	if answer.Code != 0 {
		return nil, fmt.Errorf("answered with code %d: %s", answer.Code, answer.Remark)
	}
	return rest[headerLength:], nil
}

// waitFor tries something again and again until it succeeds, and gives the last error when the time is up.
func waitFor(most time.Duration, try func() error) error {
	for end := time.Now().Add(most); ; time.Sleep(50 * time.Millisecond) {
		err := try()
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}
