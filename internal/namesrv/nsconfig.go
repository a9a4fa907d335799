package namesrv

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/statefile"
)

// GET_NAMESRV_CONFIG 319. Behaviour: every key with its value, a line each.
func (s *Server) getConfig(*remoting.Request) (*remoting.Answer, error) {
	return &remoting.Answer{Body: []byte(s.cfg.Load().Text())}, nil
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
	before := s.cfg.Load()
	after, notes, err := before.With(changes)
	var forbidden config.ForbiddenKey
	if errors.As(err, &forbidden) {
		return nil, protocol.Errorf(protocol.CodeNoPermission, "Can not update config in black list. (%s)", forbidden.Key)
	} else if err != nil {
		return nil, err
	}
	s.cfg.Store(&after)
	if after.OrderMessage != before.OrderMessage || after.SupportActingMaster != before.SupportActingMaster {
		s.routes.forgetRoutes()
	}
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
