package config

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// TLSMode says which connections a server takes.
type TLSMode string

// The modes. The words are part of the properties files.
const (
	TLSDisabled   TLSMode = "disabled"   // plain connections only
	TLSPermissive TLSMode = "permissive" // plain and encrypted ones on the same port; the first byte tells
	TLSEnforcing  TLSMode = "enforcing"  // encrypted ones only
)

// TLS says whether and how connections are encrypted. RocketMQ takes these keys from Java's system properties and from the
// file that tls.config.file names; here they may stand in the daemon's own file as well, and that file's word is overridden
// by tls.config.file as RocketMQ does it.
type TLS struct {
	// Mode is disabled, permissive or enforcing. Default permissive.
	Mode TLSMode `prop:"tls.server.mode,restart,local"`
	// ConfigFile may hold the other keys of this table. Default /etc/rocketmq/tls.properties; it need not exist.
	ConfigFile string `prop:"tls.config.file,restart,local"`
	// TestMode uses a certificate made up at the start, which no client can verify, and takes any from the other side. Default true.
	TestMode bool `prop:"tls.test.mode.enable,restart,local"`

	// CertPath is the server's certificate chain, in PEM.
	CertPath string `prop:"tls.server.certPath,restart,local"`
	// KeyPath is its private key, in PEM.
	KeyPath string `prop:"tls.server.keyPath,restart,local"`
	// KeyPassword is the password of the private key.
	KeyPassword string `prop:"tls.server.keyPassword,restart,local"`
	// NeedClientAuth is none, optional or require: whether clients shall show a certificate. Default none.
	NeedClientAuth string `prop:"tls.server.need.client.auth,restart,local"`
	// AuthClient verifies the certificates that clients show. Default false.
	AuthClient bool `prop:"tls.server.authClient,restart,local"`
	// TrustCertPath holds the certificates that those of clients are verified with, in PEM. Default those of the system.
	TrustCertPath string `prop:"tls.server.trustCertPath,restart,local"`

	// Enable encrypts the connections that the daemon itself opens. Default false.
	Enable bool `prop:"tls.enable,restart,local"`
	// UseTLS is another name of tls.enable. Default false.
	UseTLS bool `prop:"useTLS,restart,local"`
	// ClientCertPath is the certificate that is shown on them, in PEM.
	ClientCertPath string `prop:"tls.client.certPath,restart,local"`
	// ClientKeyPath is its private key, in PEM.
	ClientKeyPath string `prop:"tls.client.keyPath,restart,local"`
	// ClientKeyPassword is the password of that key.
	ClientKeyPassword string `prop:"tls.client.keyPassword,restart,local"`
	// AuthServer verifies the certificate of the other side. Default false.
	AuthServer bool `prop:"tls.client.authServer,restart,local"`
	// ClientTrustCertPath holds the certificates that it is verified with, in PEM. Default those of the system.
	ClientTrustCertPath string `prop:"tls.client.trustCertPath,restart,local"`

	// Ciphers lists cipher suites, separated by commas, by their IANA names. Default Go's choice.
	Ciphers string `prop:"tls.ciphers,restart,local"`
	// Protocols lists TLSv1, TLSv1.1, TLSv1.2, TLSv1.3, separated by commas. Default TLSv1.2 and TLSv1.3.
	Protocols string `prop:"tls.protocols,restart,local"`
}

func defaultTLS() TLS {
	return TLS{
		Mode:           TLSPermissive,
		ConfigFile:     "/etc/rocketmq/tls.properties",
		TestMode:       true,
		NeedClientAuth: "none",
	}
}

var clientAuth = map[string]tls.ClientAuthType{
	"none":     tls.NoClientCert,
	"optional": tls.RequestClientCert,
	"require":  tls.RequireAnyClientCert,
}

var tlsVersions = map[string]uint16{
	"TLSv1": tls.VersionTLS10, "TLSv1.1": tls.VersionTLS11, "TLSv1.2": tls.VersionTLS12, "TLSv1.3": tls.VersionTLS13,
}

func (t *TLS) validate(v *validation) {
	v.oneOf("tls.server.mode", string(t.Mode), string(TLSDisabled), string(TLSPermissive), string(TLSEnforcing))
	v.oneOf("tls.server.need.client.auth", strings.ToLower(t.NeedClientAuth), "none", "optional", "require")
	if _, _, err := t.versions(); err != nil {
		v.wrong("tls.protocols", t.Protocols, "of TLSv1, TLSv1.1, TLSv1.2, TLSv1.3, separated by commas")
	}
	if _, err := t.suites(); err != nil {
		v.wrong("tls.ciphers", t.Ciphers, "names of cipher suites separated by commas; "+err.Error())
	}
	if t.Mode != TLSDisabled && !t.TestMode {
		if t.CertPath == "" {
			v.wrong("tls.server.certPath", "", "the file of a certificate when tls.test.mode.enable is false and tls.server.mode is "+string(t.Mode))
		}
		if t.KeyPath == "" {
			v.wrong("tls.server.keyPath", "", "the file of a private key when tls.test.mode.enable is false and tls.server.mode is "+string(t.Mode))
		}
	}
}

// ServerConfig is what connections that come in are encrypted with; nil when TLS is disabled.
func (t *TLS) ServerConfig() (*tls.Config, error) {
	if t.Mode == TLSDisabled {
		return nil, nil
	}
	c, err := t.base()
	if err != nil {
		return nil, err
	}
	if t.TestMode {
		made := sync.OnceValues(selfSigned)
		c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return made() }
		c.ClientAuth = tls.RequestClientCert
		return c, nil
	}
	cert, err := loadPair(t.CertPath, t.KeyPath, t.KeyPassword)
	if err != nil {
		return nil, err
	}
	c.Certificates = []tls.Certificate{cert}
	c.ClientAuth = clientAuth[strings.ToLower(t.NeedClientAuth)]
	if t.AuthClient {
		if c.ClientCAs, err = loadPool(t.TrustCertPath); err != nil {
			return nil, err
		}
		switch c.ClientAuth {
		case tls.RequestClientCert:
			c.ClientAuth = tls.VerifyClientCertIfGiven
		case tls.RequireAnyClientCert:
			c.ClientAuth = tls.RequireAndVerifyClientCert
		}
	}
	return c, nil
}

// ClientConfig is what connections that the daemon opens are encrypted with; nil when they are not.
func (t *TLS) ClientConfig() (*tls.Config, error) {
	if !t.Enable && !t.UseTLS {
		return nil, nil
	}
	c, err := t.base()
	if err != nil {
		return nil, err
	}
	c.InsecureSkipVerify = t.TestMode || !t.AuthServer
	if t.TestMode {
		return c, nil
	}
	if t.ClientCertPath != "" || t.ClientKeyPath != "" {
		cert, err := loadPair(t.ClientCertPath, t.ClientKeyPath, t.ClientKeyPassword)
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{cert}
	}
	if t.AuthServer {
		if c.RootCAs, err = loadPool(t.ClientTrustCertPath); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (t *TLS) base() (*tls.Config, error) {
	low, high, err := t.versions()
	if err != nil {
		return nil, err
	}
	suites, err := t.suites()
	if err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: low, MaxVersion: high, CipherSuites: suites}, nil
}

func (t *TLS) versions() (low, high uint16, err error) {
	if t.Protocols == "" {
		return tls.VersionTLS12, tls.VersionTLS13, nil
	}
	for name := range strings.SplitSeq(t.Protocols, ",") {
		version, known := tlsVersions[strings.TrimSpace(name)]
		if !known {
			return 0, 0, fmt.Errorf("unknown TLS protocol %q", name)
		}
		low, high = min(cmp.Or(low, version), version), max(high, version)
	}
	return low, high, nil
}

func (t *TLS) suites() ([]uint16, error) {
	if t.Ciphers == "" {
		return nil, nil
	}
	known := make(map[string]uint16)
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		known[s.Name] = s.ID
	}
	var ids []uint16
	for name := range strings.SplitSeq(t.Ciphers, ",") {
		name = strings.TrimSpace(name)
		id, ok := known[name]
		if !ok {
			return nil, fmt.Errorf("%q is not one that Go has", name)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func loadPool(path string) (*x509.CertPool, error) {
	if path == "" {
		return x509.SystemCertPool()
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read trusted certificates: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("cannot read trusted certificates %q: no certificate in PEM in it", path)
	}
	return pool, nil
}

func loadPair(certPath, keyPath, password string) (tls.Certificate, error) {
	chain, err := os.ReadFile(certPath)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("cannot read certificate: %w", err)
	}
	key, err := os.ReadFile(keyPath)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("cannot read private key: %w", err)
	}
	if key, err = decryptKey(key, password); err != nil {
		return tls.Certificate{}, fmt.Errorf("cannot decrypt private key %q: %w", keyPath, err)
	}
	cert, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("cannot use certificate %q with private key %q: %w", certPath, keyPath, err)
	}
	return cert, nil
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

// selfSigned makes a certificate for the test mode. It is made when the first client asks for it.
func selfSigned() (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
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
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("cannot make a certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
