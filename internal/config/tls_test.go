package config

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
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
	server, err := settings.ServerConfig(slog.New(slog.DiscardHandler))
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
	if server, err := settings.ServerConfig(slog.New(slog.DiscardHandler)); server != nil || err != nil {
		t.Error("disabled and yet there")
	}
	if client, err := settings.ClientConfig(); client != nil || err != nil {
		t.Error("disabled and yet there")
	}
}

// certificateFiles writes a certificate for localhost and its key.
func certificateFiles(t *testing.T) (cert, key string) {
	t.Helper()
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	made := newPair(t, "localhost")
	writeFile(t, cert, made.chain)
	writeFile(t, key, made.key)
	return cert, key
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// newPair makes a certificate of an ECDSA key, for a server or a client, that is trusted by whoever has it.
func newPair(t *testing.T, name string) pairFiles {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return pairOf(t, name, key)
}

func pairOf(t *testing.T, name string, key crypto.Signer) pairFiles {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pairFiles{
		chain: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})),
		key:   string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	}
}

func TestTLS_VerifiesBothSides(t *testing.T) {
	t.Parallel()
	cert, key := certificateFiles(t)
	settings := TLS{Mode: TLSEnforcing, CertPath: cert, KeyPath: key, NeedClientAuth: "REQUIRE", AuthClient: true, TrustCertPath: cert,
		Enable: true, AuthServer: true, ClientTrustCertPath: cert, ClientCertPath: cert, ClientKeyPath: key, Protocols: "TLSv1.2,TLSv1.3"}
	server, err := settings.ServerConfig(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	client, err := settings.ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
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
	stranger, err := newPair(t, "stranger").load("", "", "")
	if err != nil {
		t.Fatal(err)
	}
	client.Certificates = []tls.Certificate{stranger}
	if err := handshake(t, server, client); err == nil {
		t.Error("a client with a certificate that is not trusted is taken")
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
		if _, err := settings.ServerConfig(slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	check("cannot read certificate", TLS{CertPath: "none", KeyPath: key})
	check("cannot read private key", TLS{CertPath: cert, KeyPath: "none"})
	check("no private key in PEM", TLS{CertPath: cert, KeyPath: "tls_test.go"})
	check("cannot read trusted certificates", TLS{CertPath: cert, KeyPath: key, AuthClient: true, TrustCertPath: "none"})
}

func TestTLS_SaysWhichSettingNamesAFileThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	cert, key := certificateFiles(t)
	check := func(text, want string) {
		t.Helper()
		path := brokerFile(t, "tls.test.mode.enable=false\n"+text)
		b, _, err := LoadBroker(Sources{File: path})
		if err != nil {
			t.Fatal(err)
		}
		if _, err = b.TLS.ServerConfig(slog.New(slog.DiscardHandler)); err == nil {
			_, err = b.TLS.ClientConfig()
		}
		if want = path + ":" + want; err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	server := "tls.server.certPath=" + cert + "\ntls.server.keyPath=" + key + "\n"
	check("tls.server.certPath=/none\ntls.server.keyPath="+key, "2: tls.server.certPath: cannot read certificate: open /none")
	check("tls.server.certPath="+cert+"\ntls.server.keyPath=/none", "3: tls.server.keyPath: cannot read private key: open /none")
	check("tls.server.certPath="+key+"\ntls.server.keyPath="+key, "3: tls.server.keyPath: cannot use certificate")
	check(server+"tls.server.authClient=true\ntls.server.trustCertPath=/none", "5: tls.server.trustCertPath: cannot read trusted")
	check(server+"tls.server.authClient=true\ntls.server.trustCertPath="+key, "5: tls.server.trustCertPath: cannot read trusted")
	check(server+"tls.enable=true\ntls.client.certPath=/none\ntls.client.keyPath="+key, "5: tls.client.certPath: cannot read certificate")
	check(server+"tls.enable=true\ntls.client.certPath="+cert+"\ntls.client.keyPath=/none", "6: tls.client.keyPath: cannot read private key")
	check(server+"tls.enable=true\ntls.client.authServer=true\ntls.client.trustCertPath=/none", "6: tls.client.trustCertPath: cannot read trusted")
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
