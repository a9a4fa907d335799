package config

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"sync"
	"time"
)

// pairFiles is what the files of a certificate and its private key hold.
type pairFiles struct{ chain, key string }

// readPair reads the files of a certificate and its private key, which two settings name.
func (t *TLS) readPair(certKey, certPath, keyKey, keyPath string) (f pairFiles, err error) {
	if f.chain, err = t.read("certificate", certKey, certPath); err == nil {
		f.key, err = t.read("private key", keyKey, keyPath)
	}
	return f, err
}

// read reads a file that a setting names.
func (t *TLS) read(what, setting, path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", t.about(setting, fmt.Errorf("cannot read %s: %w", what, err))
	}
	return string(data), nil
}

// about says of which setting an error is, and where that stands.
func (t *TLS) about(setting string, err error) error {
	if err == nil {
		return nil
	}
	from := t.origins[setting]
	return fmt.Errorf("%s%s: %w", place(from.file, from.line), setting, err)
}

// load makes a certificate of what was read from two files.
func (f pairFiles) load(certPath, keyPath, password string) (tls.Certificate, error) {
	key, err := decryptKey([]byte(f.key), password)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("cannot decrypt private key %q: %w", keyPath, err)
	}
	cert, err := tls.X509KeyPair([]byte(f.chain), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("cannot use certificate %q with private key %q: %w", certPath, keyPath, err)
	}
	if cert.Leaf == nil { // GODEBUG can have it so
		cert.Leaf, err = x509.ParseCertificate(cert.Certificate[0])
	}
	return cert, err
}

// readTrusted reads the file of trusted certificates; none named gives nothing.
func (t *TLS) readTrusted(setting, path string) (string, error) {
	if path == "" {
		return "", nil
	}
	return t.read("trusted certificates", setting, path)
}

// loadTrusted makes a pool of what was read from a file; those of the system when none is named.
func loadTrusted(path, data string) (*x509.CertPool, error) {
	if path == "" {
		return x509.SystemCertPool()
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(data)) {
		return nil, fmt.Errorf("cannot read trusted certificates %q: no certificate in PEM in it", path)
	}
	return pool, nil
}

// decryptKey opens a private key in PEM; one that is not encrypted is returned as it is.
func decryptKey(data []byte, password string) ([]byte, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("no private key in PEM in it")
	}
	//lint:ignore SA1019 such keys are in use, and refusing them would not make them safer
	legacy := x509.IsEncryptedPEMBlock(block)
	if !legacy && block.Type != "ENCRYPTED PRIVATE KEY" {
		return data, nil
	}
	if password == "" {
		return nil, errors.New("it is encrypted and there is no password")
	}
	if legacy {
		//lint:ignore SA1019 see above
		der, err := x509.DecryptPEMBlock(block, []byte(password))
		if err != nil {
			return nil, err
		}
		return pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: der}), nil
	}
	der, err := decryptPKCS8(block.Bytes, password)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// testCertificates gives a certificate for the test mode, one that the client can use: its suites may be for RSA keys only. Each is made
// when the first client needs it.
func testCertificates() func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	usual := sync.OnceValues(func() (*tls.Certificate, error) {
		return selfSigned(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	})
	other := sync.OnceValues(func() (*tls.Certificate, error) {
		return selfSigned(rsa.GenerateKey(rand.Reader, 2048))
	})
	return func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		cert, err := usual()
		if err != nil {
			return nil, err
		}
		nameless := *hello
		nameless.ServerName = "" // no name is right, and none matters
		if nameless.SupportsCertificate(cert) == nil {
			return cert, nil
		}
		return other()
	}
}

// selfSigned makes a certificate with a new key, or tells why there is none.
func selfSigned(key crypto.Signer, err error) (*tls.Certificate, error) {
	if err != nil {
		return nil, fmt.Errorf("cannot make a private key: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: "localhost"},
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore:    now.Add(-24 * time.Hour),
		NotAfter:     now.AddDate(10, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("cannot make a certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
