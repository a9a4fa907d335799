package config

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
)

const (
	suiteRSA   = "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"
	suiteECDSA = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
	suites13   = "TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256"
)

// A client that can do everything gets what the list allows, and one that cannot do that gets nothing.
func TestTLS_CiphersRestrictWhatIsUsed(t *testing.T) {
	t.Parallel()
	check := func(settings TLS, most uint16, want string) {
		t.Helper()
		settings.Mode, settings.TestMode = TLSPermissive, true
		server, err := settings.ServerConfig(slog.New(slog.DiscardHandler))
		if err != nil {
			t.Error(settings.Ciphers, err)
			return
		}
		got := "nothing"
		err = handshake(t, server, &tls.Config{InsecureSkipVerify: true, MaxVersion: most, VerifyConnection: func(s tls.ConnectionState) error {
			got = tls.VersionName(s.Version)
			if s.Version < tls.VersionTLS13 {
				got += " " + tls.CipherSuiteName(s.CipherSuite)
			}
			return nil
		}})
		if got != want || (err == nil) != (want != "nothing") {
			t.Errorf("%q, %q: %s, want %s (%v)", settings.Ciphers, settings.Protocols, got, want, err)
		}
	}
	check(TLS{}, 0, "TLS 1.3")
	check(TLS{Ciphers: suiteRSA}, 0, "TLS 1.2 "+suiteRSA)
	check(TLS{Ciphers: suiteECDSA}, 0, "TLS 1.2 "+suiteECDSA)
	check(TLS{Ciphers: suiteRSA + "," + suites13}, 0, "TLS 1.3")
	check(TLS{Ciphers: suiteRSA + "," + suites13}, tls.VersionTLS12, "TLS 1.2 "+suiteRSA)
	check(TLS{Ciphers: suites13}, 0, "TLS 1.3")
	check(TLS{Ciphers: suites13}, tls.VersionTLS12, "nothing")
	check(TLS{Ciphers: suiteRSA + "," + suites13, Protocols: "TLSv1.2"}, 0, "TLS 1.2 "+suiteRSA)

	client := TLS{Enable: true, TestMode: true, Ciphers: suiteRSA}
	if c, err := client.ClientConfig(); err != nil || c.MaxVersion != tls.VersionTLS12 {
		t.Errorf("a daemon's own connections: %v", err)
	}
}

func TestTLS_SaysWhatCiphersCannotBe(t *testing.T) {
	t.Parallel()
	check := func(lines, warning, wrong string) {
		t.Helper()
		for daemon, load := range map[string]func(Sources) ([]Note, error){
			"broker":     func(s Sources) ([]Note, error) { _, notes, err := LoadBroker(s); return notes, err },
			"NameServer": func(s Sources) ([]Note, error) { _, notes, err := LoadNamesrv(s); return notes, err },
		} {
			notes, err := load(Sources{File: brokerFile(t, lines)})
			var values WrongValues
			if errors.As(err, &values) && len(values) == 1 && wrong != "" && strings.Contains(values[0].Error(), wrong) {
				continue
			} else if err != nil || wrong != "" {
				t.Errorf("%s, %s: %v, want %s", daemon, lines, err, wrong)
			}
			var said []string
			for _, n := range notes {
				if n.Level == slog.LevelWarn {
					said = append(said, n.String())
				}
			}
			if text := strings.Join(said, "\n"); warning == "" && text != "" || !strings.Contains(text, warning) {
				t.Errorf("%s, %s: %q, want %q", daemon, lines, text, warning)
			}
		}
	}
	check("tls.ciphers="+suiteRSA, "", "")
	check("tls.ciphers="+suiteRSA+","+suites13, "", "")
	check("tls.ciphers=TLS_AES_256_GCM_SHA384", ":1: tls.ciphers: TLS_AES_128_GCM_SHA256 and TLS_CHACHA20_POLY1305_SHA256 can be used too", "")
	check("tls.ciphers=TLS_AES_256_GCM_SHA384,"+suiteRSA+"\ntls.protocols=TLSv1.2", "", "")
	check("tls.ciphers=TLS_AES_256_GCM_SHA384\ntls.server.mode=disabled", "", "")
	check("tls.ciphers="+suiteRSA+"\ntls.protocols=TLSv1.3", "", "must be a list with a suite that tls.protocols=TLSv1.3 has")
	check("tls.ciphers=ROT13", "", `"ROT13" is not one that Go has`)
}

// Up to TLS 1.2 a suite is for one kind of key, so that a list can leave a certificate without any.
func TestTLS_CiphersFitTheCertificate(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ofRSA, ofECDSA := pairOf(t, "rsa", key), newPair(t, "ecdsa")
	check := func(f pairFiles, ciphers, want string) {
		t.Helper()
		dir := t.TempDir()
		settings := TLS{Mode: TLSEnforcing, Ciphers: ciphers, CertPath: filepath.Join(dir, "cert.pem"), KeyPath: filepath.Join(dir, "key.pem")}
		writeFile(t, settings.CertPath, f.chain)
		writeFile(t, settings.KeyPath, f.key)
		server, err := settings.ServerConfig(slog.New(slog.DiscardHandler))
		if err == nil {
			err = handshake(t, server, &tls.Config{InsecureSkipVerify: true})
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", ciphers, err, want)
		}
	}
	check(ofRSA, suiteRSA, "")
	check(ofECDSA, suiteECDSA, "")
	check(ofRSA, suiteECDSA, "name one with RSA")
	check(ofECDSA, suiteRSA, "name one with ECDSA")
	check(ofECDSA, suiteRSA+","+suites13, "")
}
