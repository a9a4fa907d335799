package config

import (
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
)

func TestChooseAddress(t *testing.T) {
	t.Parallel()
	check := func(want string, addrs ...string) {
		t.Helper()
		var list []netip.Addr
		for _, a := range addrs {
			list = append(list, netip.MustParseAddr(a))
		}
		if got := chooseAddress(list); got != want {
			t.Errorf("of %v: got %s, want %s", addrs, got, want)
		}
	}
	check("127.0.0.1")
	check("127.0.0.1", "127.0.0.1", "::1")
	check("192.168.0.7", "127.0.0.1", "::1", "192.168.0.7", "10.0.0.1")
	check("8.8.8.8", "192.168.0.7", "8.8.8.8", "2001:db8::1")
	check("10.0.0.1", "169.254.1.1", "10.0.0.1")
	check("169.254.1.1", "127.0.0.1", "169.254.1.1", "fe80::1")
	check("[2001:db8::1]", "::1", "fe80::1", "2001:db8::1")
}

func TestAddressDoubt(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"127.0.0.1": "other hosts", "[::1]": "other hosts", "0.0.0.0": "not an address of a host",
		"172.17.0.2": "container", "169.254.3.4": "gave itself", "broker.example.com": "", "203.0.113.5": "",
	} {
		got := AddressDoubt(host)
		if want == "" && got != "" || !strings.Contains(got, want) || got != "" && !strings.Contains(got, "brokerIP1") {
			t.Errorf("%s: %q", host, got)
		}
	}
}

func TestParseAddrs(t *testing.T) {
	t.Parallel()
	if got, err := ParseAddrs(" a:1; [::1]:2 ;"); err != nil || strings.Join(got, "|") != "a:1|[::1]:2" {
		t.Error(got, err)
	}
	for bad, want := range map[string]string{
		"a": "no host and port", ":1": "no host and port", "a:1;b": `"b" has no host and port`,
		"a:b": "is not a number", "a:70000": "is not a number",
		"127.0.0.1:1,127.0.0.1:2": `has "," in it, which no address has; separate addresses with ;`,
		"c:3;a:1 b:2":             `"a:1 b:2" has " " in it`, "namesrvAddr=a:1": `has "=" in it`, "a:1,b": `has "," in it`, "a\u00a0b:1": "in it",
		"::1:9876": "like [::1]:9876", "http://a:1": "is not host:port", "[::1:1": "is not host:port", "a]:1": "is not host:port",
	} {
		if _, err := ParseAddrs(bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gives %v", bad, err)
		}
	}
}

func TestAddressDoubt_KnowsContainersOfDockerAndPodman(t *testing.T) {
	t.Parallel()
	check := func(mark, host string, doubted bool) {
		t.Helper()
		root := t.TempDir()
		if mark != "" {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(root, mark)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(root, mark), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got := addressDoubt(host, inContainer(root)); strings.Contains(got, "inside a container") != doubted {
			t.Errorf("with %q, of %s: %q", mark, host, got)
		}
	}
	check("", "10.88.0.3", false)
	check(".dockerenv", "10.88.0.3", true)
	check("run/.containerenv", "10.88.0.3", true)
	check("run/.containerenv", "8.8.8.8", false)
	check("", "172.17.0.2", true)
}

func TestAddressDoubt_IsNotAboutWhatWasSetForClientsOutside(t *testing.T) {
	t.Parallel()
	if !isOwn("127.0.0.1") || !isOwn(LocalAddress()) || isOwn("203.0.113.5") || isOwn("broker.example.com") {
		t.Error("own addresses are taken for others, or others for own")
	}
	if doubt := addressDoubt("192.168.1.10", false); doubt != "" {
		t.Error(doubt)
	}
}

// Services and containers often have no $HOME, and the store must not be where they were started.
func TestUserHome_IsFoundWithoutTheVariable(t *testing.T) {
	t.Setenv("HOME", "")
	b, _, err := LoadBroker(Sources{})
	if err != nil || !filepath.IsAbs(b.RootDir) {
		t.Errorf("the store is %q: %v", b.RootDir, err)
	}
	if u, err := user.Current(); err == nil && u.HomeDir != "" && b.RootDir != filepath.Join(u.HomeDir, "store") {
		t.Errorf("the store is %q, %s is at home in %q", b.RootDir, u.Username, u.HomeDir)
	}
}
