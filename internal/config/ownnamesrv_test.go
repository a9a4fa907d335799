package config

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

func TestLoadBroker_BesideItsNamesrvSaysThatOthersDoNotCount(t *testing.T) {
	check := func(env, text, want string) {
		t.Helper()
		t.Setenv("NAMESRV_ADDR", env)
		b, notes, err := LoadBroker(Sources{File: brokerFile(t, text), OwnNamesrv: "9876"})
		if got := findNote(notes, "namesrvAddr"); err != nil || b.NamesrvAddr != "" || want == "" && got != "" || !strings.HasPrefix(got, want) {
			t.Errorf("%q and %q give %v\n%s\nwant\n%s", env, text, err, got, want)
		}
	}
	check("", "", "")
	check("", "\nnamesrvAddr=a:9876", "WARN broker.properties:2: namesrvAddr: a:9876 has no effect in `liftoff server`, whose broker registers with the NameServer of its own process; `liftoff broker` registers there")
	check("a:9876", "", "WARN $NAMESRV_ADDR: namesrvAddr: a:9876 has no effect in `liftoff server`")
	check("foo", "", "WARN $NAMESRV_ADDR: namesrvAddr: foo has no effect")
	check("a:9876", "namesrvAddr=b:1;127.0.0.1:9876", "WARN broker.properties:1: namesrvAddr: b:1;127.0.0.1:9876 has no effect")
	check("127.0.0.1:9877", "", "WARN $NAMESRV_ADDR: namesrvAddr: 127.0.0.1:9877 has no effect")
	for _, here := range []string{"127.0.0.1:9876", "localhost:9876;", "[::1]:9876", "me:9876", LocalAddress() + ":9876"} {
		check(here, "brokerIP1=me", "")
	}
}

func TestLoadBroker_BesideItsNamesrvIsNoSlave(t *testing.T) {
	t.Parallel()
	path := filepath.Join("testdata", "sample", "broker-a-s.properties")
	_, _, err := LoadBroker(Sources{File: path, OwnNamesrv: "9876"})
	var wrong WrongValues
	if !errors.As(err, &wrong) || len(wrong) != 1 || wrong[0].Line == 0 || !strings.HasPrefix(wrong[0].Error(), path) || !strings.Contains(wrong[0].Error(), "brokerRole=SLAVE is wrong: it must be ASYNC_MASTER or SYNC_MASTER in `liftoff server`") {
		t.Error(err)
	}
}

func TestWith_BesideItsNamesrvIsAsTheStartIs(t *testing.T) {
	t.Parallel()
	b, _, err := LoadBroker(Sources{File: brokerFile(t, ""), OwnNamesrv: "0"})
	if err != nil {
		t.Fatal(err)
	}
	const own = "127.0.0.1:40000" // what it has become
	b.NamesrvAddr = own
	for _, addr := range []string{"a:9876", "foo", "127.0.0.1:40001", own + ";a:9876"} {
		next, notes, err := b.With(map[string]string{"namesrvAddr": addr})
		if got := findNote(notes, "namesrvAddr"); err != nil || next.NamesrvAddr != own || !strings.HasPrefix(got, "WARN namesrvAddr: "+addr+" has no effect in `liftoff server`, whose broker registers with the NameServer of its own process") {
			t.Errorf("%s gives %s, %v, %s", addr, next.NamesrvAddr, err, got)
		}
	}
	for _, changes := range []map[string]string{{"namesrvAddr": "localhost:40000"}, {"namesrvAddr": ""}, {"fileReservedTime": "3"}} {
		next, notes, err := b.With(changes)
		if got := findNote(notes, "namesrvAddr"); err != nil || next.NamesrvAddr != own || got != "" {
			t.Errorf("%v gives %s, %v, %s", changes, next.NamesrvAddr, err, got)
		}
	}
	_, _, err = b.With(map[string]string{"brokerRole": "SLAVE", "brokerId": "1"})
	if err == nil || !strings.HasPrefix(err.Error(), "brokerRole=SLAVE is wrong: it must be ASYNC_MASTER or SYNC_MASTER in `liftoff server`") {
		t.Error(err)
	}
	b.OwnNamesrv = ""
	if next, _, err := b.With(map[string]string{"brokerRole": "SLAVE", "brokerId": "1", "namesrvAddr": "a:9876"}); err != nil || next.NamesrvAddr != "a:9876" || next.BrokerRole != Slave {
		t.Errorf("a broker alone: %v", err)
	}
}
