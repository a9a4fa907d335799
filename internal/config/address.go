package config

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// ParseAddrs reads a list of host:port separated by semicolons. Empty entries do not count.
func ParseAddrs(list string) ([]string, error) {
	addrs := addrList(list)
	for _, addr := range addrs {
		if err := checkAddr(addr); err != nil {
			return nil, err
		}
	}
	return addrs, nil
}

// checkAddr says what keeps an address from being connected to, whatever the network.
func checkAddr(addr string) error {
	for _, r := range addr {
		if r == ',' || r == '=' || unicode.IsSpace(r) {
			return fmt.Errorf("%q has %q in it, which no address has; separate addresses with ;", addr, string(r))
		}
	}
	split := strings.LastIndexByte(addr, ':')
	if split <= 0 {
		return fmt.Errorf("%q has no host and port", addr)
	}
	if port, err := strconv.Atoi(addr[split+1:]); err != nil || port < 0 || port > 65535 {
		return fmt.Errorf("the port of %q is not a number from 0 to 65535", addr)
	}
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return fmt.Errorf("%q is not host:port; an IPv6 address is written like [::1]:9876", addr)
	}
	return nil
}

func addrList(list string) []string {
	var addrs []string
	for addr := range strings.SplitSeq(list, ";") {
		if addr = strings.TrimSpace(addr); addr != "" {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

// hasPort says whether more than the address or name of a host is there; IPv6 addresses have colons of their own.
func hasPort(host string) bool {
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return false
	}
	return strings.ContainsRune(host, ':')
}

// LocalAddress is the address under which others may find this host, chosen as RocketMQ chooses it: of the network
// interfaces that are up and neither bridge nor point-to-point, a public IPv4 address, else a private one, else IPv6. One thing
// differs: an address that the host gave itself (169.254.x.x) is taken last, not first. An IPv6 address comes in brackets.
func LocalAddress() string {
	ifaces, err := net.Interfaces()
	if err != nil {
		return "127.0.0.1"
	}
	var found []netip.Addr
	for _, i := range ifaces {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagPointToPoint != 0 || isBridge(i.Name) {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			if prefix, err := netip.ParsePrefix(a.String()); err == nil {
				found = append(found, prefix.Addr().Unmap())
			}
		}
	}
	return chooseAddress(found)
}

func isBridge(name string) bool {
	_, err := os.Stat(filepath.Join("/sys/class/net", name, "bridge"))
	return err == nil
}

func chooseAddress(addrs []netip.Addr) string {
	rank := func(a netip.Addr) int {
		switch {
		case a.IsLoopback() || a.IsMulticast() || a.IsUnspecified():
			return 0
		case a.Is6() && a.IsLinkLocalUnicast():
			return 1
		case a.Is6() && a.IsPrivate():
			return 2
		case a.Is6():
			return 3
		case a.IsLinkLocalUnicast():
			return 4
		case a.IsPrivate():
			return 5
		}
		return 6
	}
	best := slices.MaxFunc(append(addrs, netip.IPv4Unspecified()), func(a, b netip.Addr) int { return rank(a) - rank(b) })
	switch {
	case rank(best) == 0:
		return "127.0.0.1"
	case best.Is6():
		return "[" + best.String() + "]"
	}
	return best.String()
}

// AddressDoubt says why clients may not reach a broker under an address, or nothing.
func AddressDoubt(host string) string {
	return addressDoubt(host, inContainer("/") && isOwn(host))
}

// isOwn says whether an address is one of this host's interfaces. In a container, one that was set by hand for clients outside is not.
func isOwn(host string) bool {
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if err != nil {
		return false
	}
	addrs, _ := net.InterfaceAddrs()
	return slices.ContainsFunc(addrs, func(a net.Addr) bool {
		prefix, err := netip.ParsePrefix(a.String())
		return err == nil && prefix.Addr().Unmap() == ip.Unmap()
	})
}

// inContainer says whether a file system is that of a container, by the files that Docker and Podman put there.
func inContainer(root string) bool {
	return slices.ContainsFunc([]string{".dockerenv", "run/.containerenv"}, func(mark string) bool {
		_, err := os.Stat(filepath.Join(root, mark))
		return err == nil
	})
}

// addressDoubt says the same; isolated: it is the host's own address, and the host is a container.
func addressDoubt(host string, isolated bool) string {
	const remedy = "; set brokerIP1 to an address or name under which clients reach this host"
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if err != nil {
		return "" // a name: whether clients can look it up is not known here
	}
	addr = addr.Unmap()
	switch {
	case addr.IsUnspecified():
		return host + " is not an address of a host" + remedy
	case addr.IsLoopback():
		return "clients on other hosts cannot reach " + host + remedy
	case addr.IsLinkLocalUnicast():
		return "clients are unlikely to reach " + host + ", an address that the host gave itself" + remedy
	case netip.MustParsePrefix("172.17.0.0/16").Contains(addr) || addr.IsPrivate() && isolated:
		return host + " looks like an address inside a container, which clients outside cannot reach" + remedy
	}
	return ""
}

func userHome() string {
	home, err := os.UserHomeDir()
	if err == nil {
		return home
	}
	if u, err := user.Current(); err == nil && u.HomeDir != "" { // services often have no $HOME
		return u.HomeDir
	}
	if home, err = filepath.Abs("."); err == nil {
		return home
	}
	return "."
}

func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return "DEFAULT_BROKER"
	}
	return name
}
