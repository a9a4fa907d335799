package config

import (
	"net"
	"net/netip"
	"strings"
)

// besideNamesrv looks at what makes no sense for a broker that registers with the NameServer of its process and nowhere else. own is the address
// of that one, which stays the broker's namesrvAddr; empty when it does not listen yet.
func (b *Broker) besideNamesrv(l *loader, own string) {
	if b.OwnNamesrv == "" {
		return
	}
	port := b.OwnNamesrv
	if _, p, err := net.SplitHostPort(own); err == nil {
		port = p
	}
	if list := addrList(b.NamesrvAddr); len(list) > 1 || len(list) == 1 && !b.isHere(list[0], port) {
		l.notes.warn("namesrvAddr", "%s has no effect in `liftoff server`, whose broker registers with the NameServer of its own process; `liftoff broker` registers there", b.NamesrvAddr)
	}
	b.NamesrvAddr = own
	if b.BrokerRole == Slave {
		from := l.origins["brokerRole"]
		l.wrong = append(l.wrong, WrongValue{File: from.file, Line: from.line, Key: "brokerRole", Value: string(b.BrokerRole),
			Allowed: "ASYNC_MASTER or SYNC_MASTER in `liftoff server`, whose NameServer knows no master to copy; `liftoff broker -c FILE -n NAMESRV` runs a slave"})
	}
}

// isHere says whether an address is, as far as can be told without a question, this port of this host.
func (b *Broker) isHere(addr, port string) bool {
	host, p, err := net.SplitHostPort(addr)
	if err != nil || p != port {
		return false
	}
	if strings.EqualFold(host, "localhost") || strings.EqualFold(host, hostName()) || host == strings.Trim(b.BrokerIP1, "[]") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() || isOwn(host)
}
