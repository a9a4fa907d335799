package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// writeCertificate puts a certificate and its key into two files.
func writeCertificate(t *testing.T, name, certPath, keyPath string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{certPath: {Type: "CERTIFICATE", Bytes: cert}, keyPath: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestServer_BothDaemonsTakeOverARenewedCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key, conf := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "namesrv", "namesrv.properties")
	writeCertificate(t, "old", cert, key)
	if err := os.Mkdir(filepath.Dir(conf), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(conf, []byte("tls.test.mode.enable=false\ntls.server.certPath="+cert+"\ntls.server.keyPath="+key+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := startServer(t, "--data", dir, "-c", conf) // the NameServer reads the same file: it is where its own is
	shown := func(addr string) string {
		t.Helper()
		c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	for _, addr := range []string{s.namesrv, s.broker} {
		if got := shown(addr); got != "old" {
			t.Errorf("%s shows %s", addr, got)
		}
	}
	writeCertificate(t, "new", cert, key)
	for _, addr := range []string{s.namesrv, s.broker} {
		for end := time.Now().Add(20 * time.Second); shown(addr) != "new"; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s still shows the old certificate", addr)
			}
		}
	}
	s.err.wait(t, `they have changed.*subject=(CN=new|"CN=new")`)
}
