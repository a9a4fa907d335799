package config

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// renewed is a server whose files a test replaces; they are read at each handshake.
type renewed struct {
	*testing.T
	settings TLS
	server   *tls.Config
	log      bytes.Buffer
}

func newRenewed(t *testing.T, settings TLS, every time.Duration) *renewed {
	t.Helper()
	dir := t.TempDir()
	settings.Mode = TLSEnforcing
	settings.CertPath, settings.KeyPath, settings.TrustCertPath = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "trusted.pem")
	r := &renewed{T: t, settings: settings}
	r.put(newPair(t, "first"))
	writeFile(t, settings.TrustCertPath, newPair(t, "nobody").chain)
	var err error
	if r.server, err = r.settings.watchFiles(slog.New(slog.NewTextHandler(&r.log, nil)), every); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *renewed) put(f pairFiles) {
	r.Helper()
	writeFile(r.T, r.settings.CertPath, f.chain)
	writeFile(r.T, r.settings.KeyPath, f.key)
}

// shows looks at the certificate that a client gets, and at how often the log has said something.
func (r *renewed) shows(want string, said int, text string) {
	r.Helper()
	var got string
	client := &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error {
		got = s.PeerCertificates[0].Subject.CommonName
		return nil
	}}
	if err := handshake(r.T, r.server, client); err != nil || got != want {
		r.Errorf("the certificate of %q, want %q (%v)", got, want, err)
	}
	if n := strings.Count(r.log.String(), "\n"); n != said || !strings.Contains(r.log.String(), text) {
		r.Errorf("%d lines logged, want %d with %q:\n%s", n, said, text, &r.log)
	}
}

func TestTLS_TakesOverARenewedCertificate(t *testing.T) {
	t.Parallel()
	r := newRenewed(t, TLS{}, 0)
	r.shows("first", 0, "")
	second := newPair(t, "second")
	writeFile(t, r.settings.CertPath, second.chain)
	r.shows("first", 1, "private key does not match")
	r.shows("first", 1, "")
	if err := os.Remove(r.settings.KeyPath); err != nil {
		t.Fatal(err)
	}
	r.shows("first", 2, "cannot read private key")
	r.shows("first", 2, "")
	writeFile(t, r.settings.KeyPath, second.key)
	r.shows("second", 3, "subject=\"CN=second\"")
	writeFile(t, r.settings.CertPath, "rubbish")
	r.shows("second", 4, "failed to find any PEM data")
	r.put(second)
	r.shows("second", 5, "")

	// Unlike RocketMQ: a new certificate for the key that there was.
	pair, err := second.load("", "", "")
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, r.settings.CertPath, pairOf(t, "third", pair.PrivateKey.(crypto.Signer)).chain)
	r.shows("third", 6, "subject=\"CN=third\"")
}

func TestTLS_TakesOverOtherTrustedCertificates(t *testing.T) {
	t.Parallel()
	r := newRenewed(t, TLS{NeedClientAuth: "require", AuthClient: true}, 0)
	own := newPair(t, "client")
	cert, err := own.load("", "", "")
	if err != nil {
		t.Fatal(err)
	}
	// With a cache, for what was trusted once must not be so for ever.
	client := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{cert}, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	if handshake(t, r.server, client) == nil {
		t.Error("a client that is not trusted is taken")
	}
	writeFile(t, r.settings.TrustCertPath, own.chain)
	for range 2 {
		if err := handshake(t, r.server, client); err != nil {
			t.Error(err)
		}
	}
	writeFile(t, r.settings.TrustCertPath, "rubbish")
	if err := handshake(t, r.server, client); err != nil || !strings.Contains(r.log.String(), "no certificate in PEM") {
		t.Errorf("%v\n%s", err, &r.log)
	}
	writeFile(t, r.settings.TrustCertPath, newPair(t, "another").chain)
	if handshake(t, r.server, client) == nil {
		t.Error("a client that is not trusted any more is taken")
	}
}

func TestTLS_ReadsItsFilesOnceASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRenewed(t, TLS{}, time.Second)
		check := func(want string) {
			t.Helper()
			c, err := r.server.GetConfigForClient(nil)
			if err != nil || c.Certificates[0].Leaf.Subject.CommonName != want {
				t.Errorf("%v, want %s", err, want)
			}
		}
		time.Sleep(time.Second)
		check("first")
		r.put(newPair(t, "second"))
		check("first")
		time.Sleep(time.Second - 1)
		check("first")
		time.Sleep(time.Nanosecond)
		check("second")
	})
}
