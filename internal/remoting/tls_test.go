package remoting

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"testing"
	"time"
)

func selfSigned(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}} //nolint:gosec // the default version
}

var trusting = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // a test's own certificate

func TestTLS_SharesThePortWithPlainConnections(t *testing.T) {
	t.Parallel()
	s := serve(t, echo{}, Options{TLS: selfSigned(t)})
	body := bytes.Repeat([]byte("0123456789"), 300_000)
	for _, opt := range []Options{{}, {TLS: trusting}} {
		c := dial(t, s, opt)
		for range 3 {
			r, err := c.Call(t.Context(), &Call{Code: 1, Body: body})
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(r.Body, body) {
				t.Errorf("tls %t: body of %d bytes came back as %d", opt.TLS != nil, len(body), len(r.Body))
			}
		}
	}
}

func TestTLS_EnforcingRefusesPlainConnections(t *testing.T) {
	t.Parallel()
	s := serve(t, echo{}, Options{TLS: selfSigned(t), TLSOnly: true})
	if _, err := dial(t, s, Options{}).Call(t.Context(), &Call{Code: 1}); err == nil {
		t.Error("a plain connection was served")
	}
	if _, err := dial(t, s, Options{TLS: trusting}).Call(t.Context(), &Call{Code: 1}); err != nil {
		t.Error(err)
	}
}

func TestServe_ClosesASilentConnection(t *testing.T) {
	t.Parallel()
	s := serve(t, echo{}, Options{IdleTimeout: 200 * time.Millisecond})
	c := dial(t, s, Options{})
	if _, err := c.Call(t.Context(), &Call{Code: 1}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-c.Done():
	case <-time.After(10 * time.Second):
		t.Error("still open")
	}
}

func TestServe_LeavesSilentConnectionsWhenItIsToldTo(t *testing.T) {
	t.Parallel()
	s := serve(t, echo{}, Options{IdleTimeout: -1})
	c := dial(t, s, Options{})
	if _, err := c.Call(t.Context(), &Call{Code: 1}); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		s.closeIdle()
	}
	if _, err := c.Call(t.Context(), &Call{Code: 1}); err != nil {
		t.Error(err)
	}
}

func BenchmarkCall(b *testing.B) {
	s, err := Listen("127.0.0.1:0", echo{}, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	c, err := Dial(b.Context(), s.Addr().String(), nil, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = c.Close(); <-c.Done() }()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Call(b.Context(), &Call{Code: 1, Body: []byte("x")}); err != nil {
			b.Fatal(err)
		}
	}
}
