package broker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/logging"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/statefile"
)

// UPDATE_BROKER_CONFIG 25, GET_BROKER_CONFIG 26.
//
// Behaviour: changed keys count at once, those that are read at the start only at the next one. The properties file that the broker was
// started with is changed too: its other lines and comments stay as they are. All keys are changed or none. What is shown is what the
// broker would be started with now.
// Differs from Apache: an unknown key or a value that is not allowed is refused with the reason, and Apache writes every
// key into the file.

// liveConfig is how the configuration changes while the broker runs.
type liveConfig struct {
	mu      sync.Mutex    // one change at a time; protects the fields below
	given   config.Broker // what the broker was started with
	shown   config.Broker // the configuration of the moment, with what counts only from the next start on
	changes int64
	changed time.Time // zero: when the broker was started
}

func (b *Broker) updateConfig(r *remoting.Request) (*remoting.Answer, error) {
	props, err := config.ParseProperties(r.Body)
	if err != nil {
		return nil, fmt.Errorf("string2Properties error: %w", err)
	}
	changes := make(map[string]string, len(props))
	for _, p := range props {
		changes[p.Key] = p.Value
	}
	if len(changes) == 0 {
		return nil, nil
	}
	return nil, b.changeConfig(changes, r.Conn.RemoteAddr())
}

// changeConfig changes keys for someone at an address.
func (b *Broker) changeConfig(changes map[string]string, from net.Addr) error {
	b.live.mu.Lock()
	defer b.live.mu.Unlock()
	next, notes, err := b.shownConfig().With(changes)
	if err != nil {
		return configError(err)
	}
	for _, n := range notes {
		b.log.Log(context.Background(), n.Level, "configuration: "+n.String(), "addr", from)
	}
	if err := keepConfig(next.File, changes); err != nil {
		return err
	}
	b.log.Info("configuration changed", "keys", slices.Sorted(maps.Keys(changes)), "addr", from)
	b.useConfig(next)
	return nil
}

// Reload takes over a configuration whose sources were read again, as far as that is possible while the broker runs. It logs and
// returns what is different.
func (b *Broker) Reload(next config.Broker) []config.Change {
	b.live.mu.Lock()
	defer b.live.mu.Unlock()
	now, before := b.settings.Load().Broker, b.shownConfig()
	now.Log.Level = before.Log.Level
	shown, changes := now.Reload(&b.live.given, &next)
	if shown.Text() != before.Text() {
		b.useConfig(shown)
	}
	config.LogChanges(b.log, changes) // with the level that counts now
	return changes
}

// shownConfig is the configuration that is to be shown. The level of the log may have been changed through another daemon of the
// process. The caller holds the lock.
func (b *Broker) shownConfig() config.Broker {
	cfg := b.live.shown
	if l := logging.Of(b.log); l != nil {
		cfg.Log.Level = logging.LevelName(l.Level())
	}
	return cfg
}

// useConfig makes a configuration count, as far as it does before the next start. The caller holds the lock.
func (b *Broker) useConfig(shown config.Broker) {
	old := b.settings.Load()
	next := shown.InForce(&old.Broker)
	b.live.shown = shown
	b.live.changes++
	b.live.changed = time.Now()
	b.settings.Store(newSettings(next, old.storeHost))
	b.store.SetLive(storeLive(next))
	if l := logging.Of(b.log); l != nil {
		l.SetLevel(next.Log.SlogLevel())
	}
	if servers := registersWith(&next); !slices.Equal(servers, registersWith(&old.Broker)) {
		b.registrar.use(servers)
	}
	b.timers.wake()
	if next.AutoCreateTopic && !old.AutoCreateTopic {
		if err := b.topics.allowAutoCreate(); err != nil {
			b.log.Error("autoCreateTopicEnable counts from the next start on only", "err", err)
		}
	}
	if next.MaxMessageSize != old.MaxMessageSize && !next.FitsFrame() && shown.FitsFrame() {
		b.log.Warn("maxMessageSize fits com.rocketmq.remoting.frameMaxLength from the next start on only: until then a larger request gets its connection closed",
			"maxMessageSize", next.MaxMessageSize, "frameMaxLength", next.FrameMax, "then", shown.FrameMax)
	}
	if next.Permission != old.Permission {
		b.topics.bumpVersion()
		b.registrar.tellAll() // as Apache's brokers do
	}
}

// configError gives the reason why a configuration was not changed its code.
func configError(err error) error {
	var forbidden config.ForbiddenKey
	if errors.As(err, &forbidden) {
		return protocol.Errorf(protocol.CodeNoPermission, "Can not update config in black list. (%v)", err)
	}
	return protocol.Errorf(protocol.CodeInvalidParameter, "%v", err)
}

// keepConfig changes keys in a properties file; "" is none.
func keepConfig(path string, changes map[string]string) error {
	if path == "" {
		return nil
	}
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("cannot change configuration: %w", err)
	}
	text, err := config.WriteProperties(old, changes)
	if err != nil {
		return fmt.Errorf("cannot change configuration %q: %w", path, err)
	}
	return statefile.Write(path, text)
}

func (b *Broker) getConfig(*remoting.Request) (*remoting.Answer, error) {
	b.live.mu.Lock()
	version := protocol.DataVersion{Timestamp: b.started.UnixMilli(), Counter: b.live.changes}
	if !b.live.changed.IsZero() {
		version.Timestamp = b.live.changed.UnixMilli()
	}
	cfg := b.shownConfig()
	b.live.mu.Unlock()
	v, err := fastjson.Marshal(version)
	if err != nil {
		return nil, err
	}
	return &remoting.Answer{Header: protocol.GetBrokerConfigResponseHeader{Version: string(v)}, Body: []byte(cfg.Text())}, nil
}
