package config

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// handshake sends a word from client to server.
func handshake(t *testing.T, server, client *tls.Config) error {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	done := make(chan error, 1)
	go func() {
		c, err := tls.Dial("tcp", listener.Addr().String(), client)
		if err == nil {
			_, err = c.Write([]byte("ping"))
			c.Close()
		}
		done <- err
	}()
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	conn.Close()
	if sent := <-done; err == nil && sent == nil && string(got) != "ping" {
		t.Errorf("got %q", got)
	} else {
		err = errors.Join(err, sent)
	}
	return err
}

func TestTLS_TestModeNeedsNoFiles(t *testing.T) {
	t.Parallel()
	settings := defaultTLS()
	settings.Enable = true
	server, err := settings.ServerConfig()
	if err != nil {
		t.Fatal(err)
	}
	client, err := settings.ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	if err := handshake(t, server, client); err != nil {
		t.Error(err)
	}
	settings.Mode, settings.Enable = TLSDisabled, false
	if server, err := settings.ServerConfig(); server != nil || err != nil {
		t.Error("disabled and yet there")
	}
	if client, err := settings.ClientConfig(); client != nil || err != nil {
		t.Error("disabled and yet there")
	}
}

// certificateFiles writes a certificate for localhost and its key.
func certificateFiles(t *testing.T) (cert, key string) {
	t.Helper()
	pair, err := selfSigned()
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]},
		key:  {Type: "PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestTLS_VerifiesBothSides(t *testing.T) {
	t.Parallel()
	cert, key := certificateFiles(t)
	settings := TLS{Mode: TLSEnforcing, CertPath: cert, KeyPath: key, NeedClientAuth: "REQUIRE", AuthClient: true, TrustCertPath: cert,
		Enable: true, AuthServer: true, ClientTrustCertPath: cert, ClientCertPath: cert, ClientKeyPath: key, Protocols: "TLSv1.2,TLSv1.3"}
	server, err := settings.ServerConfig()
	if err != nil {
		t.Fatal(err)
	}
	client, err := settings.ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	if server.ClientAuth != tls.RequireAndVerifyClientCert {
		t.Error(server.ClientAuth)
	}
	server.ClientAuth = tls.RequireAnyClientCert // the test's certificate is one of a server
	client.ServerName = "localhost"
	if err := handshake(t, server, client); err != nil {
		t.Error(err)
	}
	client.ServerName = "elsewhere"
	if err := handshake(t, server, client); err == nil {
		t.Error("a certificate for another name is taken")
	}
	client.InsecureSkipVerify, client.Certificates = true, nil
	if err := handshake(t, server, client); err == nil {
		t.Error("a client without certificate is taken")
	}
}

func TestTLS_SaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	_, _, err := LoadBroker(Sources{File: brokerFile(t, "tls.test.mode.enable=false")})
	var wrong WrongValues
	if !errors.As(err, &wrong) || len(wrong) != 2 || wrong[0].Key != "tls.server.certPath" || wrong[1].Key != "tls.server.keyPath" {
		t.Error(err)
	}
	cert, key := certificateFiles(t)
	check := func(want string, settings TLS) {
		t.Helper()
		settings.Mode = TLSPermissive
		if _, err := settings.ServerConfig(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	check("cannot read certificate", TLS{CertPath: "none", KeyPath: key})
	check("cannot read private key", TLS{CertPath: cert, KeyPath: "none"})
	check("no private key in PEM", TLS{CertPath: cert, KeyPath: "tls_test.go"})
	check("cannot read trusted certificates", TLS{CertPath: cert, KeyPath: key, AuthClient: true, TrustCertPath: "none"})
}

func TestTLS_FileOverridesTheDaemonsFile(t *testing.T) {
	t.Parallel()
	settings := brokerFile(t, "tls.server.certPath=there\ntls.server.mode=enforcing\ntls.server.keyPath=k\nsomething=else")
	path := brokerFile(t, "tls.server.certPath=here\ntls.test.mode.enable=false\ntls.config.file="+settings)
	b, notes, err := LoadBroker(Sources{File: path})
	if err != nil || b.TLS.CertPath != "there" || b.TLS.KeyPath != "k" || b.TLS.Mode != TLSPermissive || len(notes) > 0 {
		t.Errorf("%v, %v, %+v", err, notes, b.TLS)
	}
	if _, _, err = LoadBroker(Sources{File: brokerFile(t, "tls.config.file=/does/not/exist")}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// The keys in testdata/keys were encrypted with "secret" by openssl in the ways that are in use.
func TestDecryptKey(t *testing.T) {
	t.Parallel()
	plain, err := os.ReadFile("testdata/keys/plain.pem")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(plain)
	for _, name := range []string{"aes256-sha256", "aes128-sha1", "des3-sha512", "legacy"} {
		data, err := os.ReadFile("testdata/keys/" + name + ".pem")
		if err != nil {
			t.Fatal(err)
		}
		got, err := decryptKey(data, "secret")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		opened, _ := pem.Decode(got)
		if name != "legacy" && !bytes.Equal(opened.Bytes, block.Bytes) {
			t.Errorf("%s gives another key", name)
		}
		if _, err := decryptKey(data, ""); err == nil || !strings.Contains(err.Error(), "no password") {
			t.Errorf("%s without password: %v", name, err)
		}
	}
	if got, err := decryptKey(plain, ""); err != nil || !bytes.Equal(got, plain) {
		t.Error("a plain key is changed", err)
	}
	old, err := os.ReadFile("testdata/keys/pbes1.pem")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decryptKey(old, "secret"); err == nil || !strings.Contains(err.Error(), "openssl pkcs8 -topk8") {
		t.Error(err)
	}
}

func FuzzDecryptPKCS8(f *testing.F) {
	for _, name := range []string{"aes256-sha256", "des3-sha512", "pbes1"} {
		data, err := os.ReadFile("testdata/keys/" + name + ".pem")
		if err != nil {
			f.Fatal(err)
		}
		block, _ := pem.Decode(data)
		f.Add(block.Bytes)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		_, _ = decryptPKCS8(der, "secret")
	})
}
