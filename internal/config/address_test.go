package config

import (
	"net/netip"
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
	for _, bad := range []string{"a", "a:b", ":1", "a:70000", "a:1;b"} {
		if _, err := ParseAddrs(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
