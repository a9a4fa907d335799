package config

import (
	"log/slog"
	"reflect"
	"strings"
)

// Change is a key whose value differs between two configurations. Values of passwords are not shown.
type Change struct {
	Key, From, To string
	Restart       bool // it counts from the next start on
}

// Reload is what becomes of a configuration in force when its sources were read again: the one that is to be shown, and, sorted by
// key, what is different. A key that counts from the next start on is compared with what the daemon was given when it was started.
func (b Broker) Reload(given, next *Broker) (shown Broker, changes []Change) {
	changes = reload(brokerKind(), reflect.ValueOf(&b).Elem(), reflect.ValueOf(given).Elem(), reflect.ValueOf(next).Elem())
	b.extra = next.extra
	return b, changes
}

// Reload is what becomes of a configuration when its sources were read again; see [Broker.Reload].
func (n Namesrv) Reload(given, next *Namesrv) (shown Namesrv, changes []Change) {
	changes = reload(namesrvKind(), reflect.ValueOf(&n).Elem(), reflect.ValueOf(given).Elem(), reflect.ValueOf(next).Elem())
	n.extra = next.extra
	return n, changes
}

func reload(k *kind, v, given, next reflect.Value) []Change {
	var list []Change
	for _, key := range sortedKeys(k.fields) {
		f := k.fields[key]
		before := v
		if f.restart {
			before = given
		}
		c := Change{Key: key, From: f.text(before), To: f.text(next), Restart: f.restart}
		if c.From == c.To {
			continue
		}
		v.FieldByIndex(f.index).Set(next.FieldByIndex(f.index))
		if strings.HasSuffix(key, "assword") {
			c.From, c.To = "(hidden)", "(hidden)"
		}
		list = append(list, c)
	}
	return list
}

// InForce is the configuration as it counts in a daemon that runs with another one: keys that count from the next start on stay as
// they are there.
func (b Broker) InForce(running *Broker) Broker {
	inForce(brokerKind(), reflect.ValueOf(&b).Elem(), reflect.ValueOf(running).Elem())
	return b
}

// InForce is the configuration as it counts now; see [Broker.InForce].
func (n Namesrv) InForce(running *Namesrv) Namesrv {
	inForce(namesrvKind(), reflect.ValueOf(&n).Elem(), reflect.ValueOf(running).Elem())
	return n
}

func inForce(k *kind, to, running reflect.Value) {
	for _, f := range k.fields {
		if f.restart {
			to.FieldByIndex(f.index).Set(running.FieldByIndex(f.index))
		}
	}
}

// LogChanges tells an operator what reading a configuration again has changed.
func LogChanges(log *slog.Logger, changes []Change) {
	if len(changes) == 0 {
		log.Info("configuration read again: nothing is different")
	}
	for _, c := range changes {
		if c.Restart {
			log.Warn("configuration read again: this counts from the next start on", "key", c.Key, "from", c.From, "to", c.To)
		} else {
			log.Info("configuration read again: this counts now", "key", c.Key, "from", c.From, "to", c.To)
		}
	}
}
