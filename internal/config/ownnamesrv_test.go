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
