package config

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// otherDefaults are other than RocketMQ's on purpose (docs/differences.md).
var otherDefaults = map[string]string{"metricsExporterType": "PROM", "metricsPromExporterHost": "127.0.0.1"}

// testdata/keys.tsv lists class, key, type and default of every key of RocketMQ 5.5.0.
func TestEveryKeyIsKnown(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/keys.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defaults := map[*kind]reflect.Value{}
	b, n := DefaultBroker(), DefaultNamesrv()
	defaults[brokerKind()], defaults[namesrvKind()] = reflect.ValueOf(&b).Elem(), reflect.ValueOf(&n).Elem()
	for line := range strings.Lines(string(data)) {
		column := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		class, key, typ, want := column[0], column[1], column[2], column[3]
		kinds := map[string][]*kind{
			"BrokerConfig":       {brokerKind()},
			"MessageStoreConfig": {brokerKind()},
			"NamesrvConfig":      {namesrvKind()},
			"NettyServerConfig":  {brokerKind(), namesrvKind()},
		}[class]
		for _, k := range kinds {
			if !k.known(key) {
				t.Errorf("%s of %s is not known", key, class)
				continue
			}
			// Defaults that depend on the machine or are no default at all are described in words.
			if r, idle := k.rows[key]; idle && !strings.ContainsAny(want, "<( ") && r.text != strings.TrimPrefix(want, "null") {
				t.Errorf("%s has default %q, want %q", key, r.text, want)
			} else if idle && !strings.EqualFold(r.kind, typ) && typ != "-" && !strings.HasSuffix(typ, "Type") && typ != "MessageRequestMode" {
				t.Errorf("%s has type %s, want %s", key, r.kind, typ)
			}
			if f, served := k.fields[key]; served && !strings.ContainsAny(want, "<(;") {
				if ours, other := otherDefaults[key]; other {
					want = ours
				}
				if got := f.text(defaults[k]); got != strings.TrimPrefix(want, "null") {
					t.Errorf("%s has default %q, want %q", key, got, want)
				}
				if long := f.long || defaults[k].FieldByIndex(f.index).Type() == reflect.TypeFor[int64](); long != (typ == "long") {
					t.Errorf("%s has not the width of %s", key, typ)
				}
			}
		}
	}
}

func TestRows_AreNotFieldsToo(t *testing.T) {
	t.Parallel()
	for _, k := range []*kind{brokerKind(), namesrvKind()} {
		for key := range k.rows {
			if _, served := k.fields[key]; served {
				t.Errorf("%s is a field, so it must not be in keys.go", key)
			}
		}
	}
	listed := 0
	for _, g := range groups {
		listed += len(strings.Fields(g.keys)) / 3
	}
	if listed != len(rows()) {
		t.Errorf("%d keys are listed and %d are left: some are listed twice", listed, len(rows()))
	}
	for _, r := range rows() {
		if allowed := r.check(r.text); allowed != "" && !r.unset {
			t.Errorf("the default of %s is not %s", r.key, allowed)
		}
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	check := func(key, want string) {
		t.Helper()
		if got := nearest(key, brokerKind().names); got != want {
			t.Errorf("%s: got %q, want %q", key, got, want)
		}
	}
	check("flushDiskTyp", "flushDiskType")
	check("FLUSHDISKTYPE", "flushDiskType")
	check("brokerClutserName", "brokerClusterName")
	check("nameSrvAddr", "namesrvAddr")
	check("x", "")
	check("", "")
}
