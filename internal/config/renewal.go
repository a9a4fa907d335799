package config

import (
	"crypto/tls"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// A certificate is renewed every few weeks, and a server that had to be started anew for that would one day serve an expired one. So the
// files are read again when a client says hello: nothing runs while none does, and however many come, the files are read only
// so often. What they hold is compared, not their times, which a copy may keep.

// serverFiles is what the files of a server hold.
type serverFiles struct {
	pairFiles
	trusted string // empty when clients are not verified
}

func (t *TLS) readFiles() (f serverFiles, err error) {
	if f.pairFiles, err = t.readPair("tls.server.certPath", t.CertPath, "tls.server.keyPath", t.KeyPath); err != nil || !t.AuthClient {
		return f, err
	}
	f.trusted, err = t.readTrusted("tls.server.trustCertPath", t.TrustCertPath)
	return f, err
}

// renewal takes over the files of a server when they have changed.
type renewal struct {
	settings TLS
	log      *slog.Logger
	every    time.Duration // the files are read once in it at most
	inForce  atomic.Pointer[tls.Config]

	mu     sync.Mutex // protects the fields below; held while the files are read, and nobody waits for it
	readAt time.Time
	seen   serverFiles // what was read last, whether it could be used or not
	wrong  string      // what was wrong then, and logged; empty when nothing was
}

// watchFiles is a configuration whose certificates are those that the files hold when a connection is made. Session tickets are its
// own, so they outlive a change; whoever comes with one must still have a certificate that is trusted.
func (t *TLS) watchFiles(log *slog.Logger, every time.Duration) (*tls.Config, error) {
	files, err := t.readFiles()
	if err != nil {
		return nil, err
	}
	c, err := t.withFiles(files)
	if err != nil {
		return nil, err
	}
	r := &renewal{settings: *t, log: log, every: every, readAt: time.Now(), seen: files}
	r.inForce.Store(c)
	c = c.Clone()
	c.GetConfigForClient = r.forClient
	return c, nil
}

// forClient never fails: what was in force stays so until there is something better.
func (r *renewal) forClient(*tls.ClientHelloInfo) (*tls.Config, error) {
	if r.mu.TryLock() {
		defer r.mu.Unlock()
		if time.Since(r.readAt) >= r.every {
			r.lookLocked()
			r.readAt = time.Now()
		}
	}
	return r.inForce.Load(), nil
}

func (r *renewal) lookLocked() {
	files, err := r.settings.readFiles()
	if err == nil {
		if files == r.seen {
			return
		}
		r.seen = files
		var c *tls.Config
		if c, err = r.settings.withFiles(files); err == nil {
			r.inForce.Store(c)
			r.wrong = ""
			leaf := c.Certificates[0].Leaf
			r.log.Info("TLS certificate and trusted certificates read again: they have changed, and count for connections from now on",
				"file", r.settings.CertPath, "subject", leaf.Subject.String(), "not_after", leaf.NotAfter)
			return
		}
	}
	if err.Error() == r.wrong {
		return
	}
	r.wrong = err.Error()
	leaf := r.inForce.Load().Certificates[0].Leaf
	r.log.Warn("TLS files have changed and cannot be used, those from before stay in force: replace all that belong together",
		"err", err, "subject", leaf.Subject.String(), "not_after", leaf.NotAfter)
}
