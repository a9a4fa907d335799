package metrics

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Source is a daemon that has metrics and says whether it is ready to serve.
type Source interface {
	// Metrics adds its series.
	Metrics(s *Snapshot)
	// Ready is nil when clients may be sent here, else why not.
	Ready() error
}

// Config says where and how metrics are served.
type Config struct {
	Log  *slog.Logger
	Host string
	Port int // 0: the system chooses
	// Spare is how many ports above Port are tried when it is taken.
	Spare int
	// Limit is how many series a metric may have; see NewSnapshot.
	Limit int
	// PprofPort serves profiles on the loopback address; 0 does not.
	PprofPort int
}

// Server serves over HTTP what its sources say: /metrics, /healthz (the process lives) and /readyz (it may be sent clients).
type Server struct {
	cfg Config

	mu      sync.Mutex // protects the fields below
	roles   []string   // in the order in which they are asked
	sources map[string]Source

	scraping sync.Mutex // one at a time: a second scraper waits for what the first one makes no cheaper
	ln       net.Listener
	profiles net.Listener
	servers  []*http.Server
	pusher   *pusher // nil when nothing is pushed
	serving  sync.WaitGroup
}

// NewServer makes a server for daemons of these roles, which are not ready until Set gives them.
func NewServer(cfg Config, roles ...string) *Server {
	return &Server{cfg: cfg, roles: roles, sources: make(map[string]Source)}
}

// Limits of what a stranger may do to the listener.
const (
	headerTimeout = 5 * time.Second
	answerTimeout = time.Minute
	headerMax     = 16 << 10
)

// Listen starts to serve. A port that is taken is an error only when the spare ones are, too.
func (s *Server) Listen() error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", s.serveMetrics)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", s.serveReady)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		plain(w, http.StatusOK, "Liftoff\n\n/metrics  for Prometheus; ?name[]=NAME for some only\n/healthz  200 as long as the process lives\n/readyz   200 when clients may be sent here, else 503 and why not\n")
	})
	var err error
	for try := 0; ; try++ {
		port := s.cfg.Port
		if port != 0 {
			port += try
		}
		s.ln, err = net.Listen("tcp", net.JoinHostPort(s.cfg.Host, strconv.Itoa(port)))
		if err == nil {
			break
		}
		if try >= s.cfg.Spare || port == 0 {
			return fmt.Errorf("cannot serve metrics: %w", err)
		}
	}
	s.serve(s.ln, mux, answerTimeout)
	return nil
}

// ListenPprof starts to serve profiles, to this host only. There is no way to do so for others.
func (s *Server) ListenPprof() error {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	var err error
	if s.profiles, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.cfg.PprofPort))); err != nil {
		return fmt.Errorf("cannot serve profiles: %w", err)
	}
	s.serve(s.profiles, mux, 0) // a profile takes as long as is asked for
	return nil
}

func (s *Server) serve(ln net.Listener, h http.Handler, timeout time.Duration) {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: headerTimeout, WriteTimeout: timeout, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: headerMax,
		ErrorLog: slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug)}
	s.servers = append(s.servers, srv)
	s.serving.Go(func() { _ = srv.Serve(ln) })
}

// Addr is where metrics are served; nil when they are not.
func (s *Server) Addr() net.Addr {
	if s.ln == nil {
		return nil
	}
	return s.ln.Addr()
}

// PprofAddr is where profiles are served; nil when they are not.
func (s *Server) PprofAddr() net.Addr {
	if s.profiles == nil {
		return nil
	}
	return s.profiles.Addr()
}

// Set gives the source of a role, or with nil takes it away.
func (s *Server) Set(role string, src Source) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if src == nil {
		delete(s.sources, role)
	} else {
		s.sources[role] = src
	}
}

// Close ends what is served.
func (s *Server) Close() {
	if s.pusher != nil {
		s.pusher.stop()
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for _, srv := range s.servers {
		if srv.Shutdown(ctx) != nil {
			_ = srv.Close()
		}
	}
	s.serving.Wait()
}

// Ready is nil when the daemons of all roles are ready.
func (s *Server) Ready() error {
	var errs []error
	for _, role := range s.roles {
		s.mu.Lock()
		src := s.sources[role]
		s.mu.Unlock()
		err := errors.New("is starting, or stopping")
		if src != nil {
			err = src.Ready()
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", role, err))
		}
	}
	return errors.Join(errs...)
}

// Gather asks all sources for their series.
func (s *Server) Gather() []*Family {
	s.scraping.Lock()
	defer s.scraping.Unlock()
	shot := NewSnapshot(s.cfg.Limit)
	for _, role := range s.roles {
		s.mu.Lock()
		src := s.sources[role]
		s.mu.Unlock()
		if src != nil {
			src.Metrics(shot)
		}
	}
	shot.Common()
	addProcess(shot)
	ready := int64(1)
	if s.Ready() != nil {
		ready = 0
	}
	shot.AddInt(&IsReady, ready)
	return shot.Families()
}

func (s *Server) serveReady(w http.ResponseWriter, _ *http.Request) {
	if err := s.Ready(); err != nil {
		plain(w, http.StatusServiceUnavailable, err.Error()+"\n")
		return
	}
	plain(w, http.StatusOK, "ok\n")
}

func (s *Server) serveMetrics(w http.ResponseWriter, r *http.Request) {
	families := s.Gather()
	if names := r.URL.Query()["name[]"]; len(names) > 0 {
		families = slices.DeleteFunc(families, func(f *Family) bool { return !slices.Contains(names, f.PrometheusName()) })
	}
	openMetrics := strings.Contains(r.Header.Get("Accept"), "application/openmetrics-text")
	kind := textType
	if openMetrics {
		kind = openMetricsType
	}
	w.Header().Set("Content-Type", kind)
	out := io.Writer(w)
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		defer func() { _ = z.Close() }()
		out = z
	}
	_ = writeText(out, families, openMetrics) // it fails only when the scraper has gone
}

func plain(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text)
}
