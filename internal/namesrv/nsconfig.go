package namesrv

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/logging"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/statefile"
)

// GET_NAMESRV_CONFIG 319. Behaviour: every key with its value, a line each.
func (s *Server) getConfig(*remoting.Request) (*remoting.Answer, error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	cfg := s.shownConfig()
	return &remoting.Answer{Body: []byte(cfg.Text())}, nil
}

// UPDATE_NAMESRV_CONFIG 318.
//
// Behaviour: takes a properties text, makes all its changes or none, and keeps them in the file that the configuration came from. A key
// of configBlackList is refused with NO_PERMISSION. Differs from Apache, which ignores unknown keys and values that are
// not of the key's type: they are refused by name.
func (s *Server) updateConfig(r *remoting.Request) (*remoting.Answer, error) {
	props, err := config.ParseProperties(r.Body)
	if err != nil {
		return nil, protocol.Errorf(protocol.CodeSystemError, "string2Properties error: %v", err)
	}
	changes := make(map[string]string, len(props))
	for _, p := range props {
		changes[p.Key] = p.Value
	}
	if len(changes) == 0 {
		return nil, nil
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	after, notes, err := s.shownConfig().With(changes)
	var forbidden config.ForbiddenKey
	if errors.As(err, &forbidden) {
		return nil, protocol.Errorf(protocol.CodeNoPermission, "Can not update config in black list. (%v)", forbidden)
	} else if err != nil {
		return nil, err
	}
	s.useConfig(after)
	for key := range changes { // not the values: one may be a password
		s.log.Info("configuration changed", "key", key, "addr", r.Conn.RemoteAddr())
	}
	for _, n := range notes {
		s.log.Log(context.Background(), n.Level, n.String())
	}
	if err := keep(after.File, changes); err != nil {
		s.log.Error("configuration changed until the next start only", "err", err)
		return nil, fmt.Errorf("changed, but only until the next start: %w", err)
	}
	return nil, nil
}

// Reload takes over a configuration whose sources were read again, as far as that is possible while the server runs. It logs and
// returns what is different.
func (s *Server) Reload(next config.Namesrv) []config.Change {
	s.changing.Lock()
	defer s.changing.Unlock()
	now, before := *s.cfg.Load(), s.shownConfig()
	now.Log.Level = before.Log.Level
	shown, changes := now.Reload(&s.given, &next)
	if shown.Text() != before.Text() {
		s.useConfig(shown)
	}
	config.LogChanges(s.log, changes) // with the level that counts now
	return changes
}

// shownConfig is the configuration that is to be shown. The level of the log may have been changed through another daemon of the
// process. The caller holds the lock.
func (s *Server) shownConfig() config.Namesrv {
	cfg := s.shown
	if l := logging.Of(s.log); l != nil {
		cfg.Log.Level = logging.LevelName(l.Level())
	}
	return cfg
}

// useConfig makes a configuration count, as far as it does before the next start. The caller holds the lock.
func (s *Server) useConfig(shown config.Namesrv) {
	before := s.cfg.Load()
	after := shown.InForce(before)
	s.shown = shown
	s.cfg.Store(&after)
	if l := logging.Of(s.log); l != nil {
		l.SetLevel(after.Log.SlogLevel())
	}
	if after.OrderMessage != before.OrderMessage || after.SupportActingMaster != before.SupportActingMaster {
		s.routes.forgetRoutes()
	}
	if after.DeleteTopicWithRegistration && !before.DeleteTopicWithRegistration {
		s.routes.distrust()
	}
}

// keep puts changes into a properties file and leaves the rest of it as it is.
func keep(path string, changes map[string]string) error {
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot keep a change of configuration: %w", err)
	}
	data, err := config.WriteProperties(old, changes)
	if err != nil {
		return fmt.Errorf("cannot keep a change of configuration in %q: %w", path, err)
	}
	return statefile.Write(path, data)
}
