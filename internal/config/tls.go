package config

import (
	"cmp"
	"crypto/rsa"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
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

	// CertPath is the server's certificate chain, in PEM. When this file, that of the key or tls.server.trustCertPath is replaced, connections
	// that are made from then on get the new ones, without a start; files that do not go together change nothing, and the log says so.
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

	// Ciphers lists cipher suites, separated by commas, by their IANA names. A version of TLS that has none in the list is not offered; those of
	// TLS 1.3 come all together, so a list with one of them allows the others too. Default Go's choice.
	Ciphers string `prop:"tls.ciphers,restart,local"`
	// Protocols lists TLSv1, TLSv1.1, TLSv1.2, TLSv1.3, separated by commas. Default TLSv1.2 and TLSv1.3.
	Protocols string `prop:"tls.protocols,restart,local"`

	origins map[string]origin // where the keys of this table were set
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
	suites, err := t.suites()
	if err != nil {
		v.wrong("tls.ciphers", t.Ciphers, "names of cipher suites separated by commas; "+err.Error())
	}
	if _, _, err := t.protocols(); err != nil {
		v.wrong("tls.protocols", t.Protocols, "of TLSv1, TLSv1.1, TLSv1.2, TLSv1.3, separated by commas")
	} else if _, _, err := t.versions(suites); err != nil {
		v.wrong("tls.ciphers", t.Ciphers, "a list with a suite that tls.protocols="+t.Protocols+" has")
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

// advise tells which suites are offered beside those that are named: Go has all of TLS 1.3 or none, as the library that RocketMQ's
// servers use.
func (t *TLS) advise(n *notes) {
	named, err := t.suites()
	if err != nil || len(named) == 0 || t.Mode == TLSDisabled && !t.Enable && !t.UseTLS {
		return
	}
	if _, high, err := t.versions(named); err != nil || high < tls.VersionTLS13 {
		return
	}
	var more []string
	for _, s := range tls.CipherSuites() {
		if slices.Contains(s.SupportedVersions, tls.VersionTLS13) && !slices.ContainsFunc(named, func(have *tls.CipherSuite) bool { return have.ID == s.ID }) {
			more = append(more, s.Name)
		}
	}
	if len(more) > 0 {
		n.warn("tls.ciphers", "%s can be used too, as in RocketMQ: the suites of TLS 1.3 cannot be chosen one by one; a list with none of them keeps connections to TLS 1.2",
			strings.Join(more, " and "))
	}
}

// ServerConfig is what connections that come in are encrypted with; nil when TLS is disabled. When the files of the certificate, its key or
// the trusted certificates are replaced, the next connections are served with the new ones; log hears of it.
func (t *TLS) ServerConfig(log *slog.Logger) (*tls.Config, error) {
	if t.Mode == TLSDisabled {
		return nil, nil
	}
	if !t.TestMode {
		return t.watchFiles(log, time.Second)
	}
	c, err := t.base()
	if err != nil {
		return nil, err
	}
	c.GetCertificate = testCertificates()
	c.ClientAuth = tls.RequestClientCert
	return c, nil
}

// withFiles is what connections that come in are encrypted with while the files hold f.
func (t *TLS) withFiles(f serverFiles) (*tls.Config, error) {
	c, err := t.base()
	if err != nil {
		return nil, err
	}
	cert, err := f.load(t.CertPath, t.KeyPath, t.KeyPassword)
	if err != nil {
		return nil, t.about("tls.server.keyPath", err)
	}
	if err := t.suits(&cert); err != nil {
		return nil, t.about("tls.server.certPath", err)
	}
	c.Certificates = []tls.Certificate{cert}
	c.ClientAuth = clientAuth[strings.ToLower(t.NeedClientAuth)]
	if t.AuthClient {
		if c.ClientCAs, err = loadTrusted(t.TrustCertPath, f.trusted); err != nil {
			return nil, t.about("tls.server.trustCertPath", err)
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

// suits says why no client could use a certificate: up to TLS 1.2 a cipher suite is for one kind of key.
func (t *TLS) suits(cert *tls.Certificate) error {
	named, err := t.suites()
	if err != nil || len(named) == 0 {
		return err
	}
	if _, high, err := t.versions(named); err != nil || high == tls.VersionTLS13 {
		return err
	}
	kind := "ECDSA" // Ed25519 keys too
	if _, ok := cert.PrivateKey.(*rsa.PrivateKey); ok {
		kind = "RSA"
	}
	if slices.ContainsFunc(named, func(s *tls.CipherSuite) bool { return strings.Contains(s.Name, "_"+kind+"_") }) {
		return nil
	}
	return fmt.Errorf("cannot use certificate %q: no suite of tls.ciphers=%s is for its kind of key; name one with %s, or get a certificate with another key", t.CertPath, t.Ciphers, kind)
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
		f, err := t.readPair("tls.client.certPath", t.ClientCertPath, "tls.client.keyPath", t.ClientKeyPath)
		if err != nil {
			return nil, err
		}
		cert, err := f.load(t.ClientCertPath, t.ClientKeyPath, t.ClientKeyPassword)
		if err != nil {
			return nil, t.about("tls.client.keyPath", err)
		}
		c.Certificates = []tls.Certificate{cert}
	}
	if t.AuthServer {
		trusted, err := t.readTrusted("tls.client.trustCertPath", t.ClientTrustCertPath)
		if err != nil {
			return nil, err
		}
		if c.RootCAs, err = loadTrusted(t.ClientTrustCertPath, trusted); err != nil {
			return nil, t.about("tls.client.trustCertPath", err)
		}
	}
	return c, nil
}

func (t *TLS) base() (*tls.Config, error) {
	suites, err := t.suites()
	if err != nil {
		return nil, err
	}
	low, high, err := t.versions(suites)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{MinVersion: low, MaxVersion: high}
	for _, s := range suites {
		c.CipherSuites = append(c.CipherSuites, s.ID)
	}
	return c, nil
}

// versions are those of tls.protocols that a list of suites has one for. Without this Go would offer all of TLS 1.3 whatever the list says.
func (t *TLS) versions(suites []*tls.CipherSuite) (low, high uint16, err error) {
	from, to, err := t.protocols()
	if err != nil || len(suites) == 0 {
		return from, to, err
	}
	for version := from; version <= to; version++ {
		if slices.ContainsFunc(suites, func(s *tls.CipherSuite) bool { return slices.Contains(s.SupportedVersions, version) }) {
			low, high = cmp.Or(low, version), version
		}
	}
	if high == 0 {
		return 0, 0, errors.New("tls.ciphers has no suite that tls.protocols has")
	}
	return low, high, nil
}

func (t *TLS) protocols() (low, high uint16, err error) {
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

func (t *TLS) suites() ([]*tls.CipherSuite, error) {
	if t.Ciphers == "" {
		return nil, nil
	}
	known := make(map[string]*tls.CipherSuite)
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		known[s.Name] = s
	}
	var suites []*tls.CipherSuite
	for name := range strings.SplitSeq(t.Ciphers, ",") {
		name = strings.TrimSpace(name)
		s, ok := known[name]
		if !ok {
			return nil, fmt.Errorf("%q is not one that Go has", name)
		}
		suites = append(suites, s)
	}
	return suites, nil
}
