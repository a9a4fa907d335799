package broker

import (
	"errors"
	"fmt"

	"github.com/liftoffmq/liftoff/internal/config"
)

// Ready says why clients should not be sent here: the store takes no messages, or no NameServer knows the broker. Nil if they may.
func (b *Broker) Ready() error {
	if err := b.store.Writable(); err != nil {
		return fmt.Errorf("messages are refused: %w", err)
	}
	if b.settings.Load().BrokerRole == config.Slave {
		return errors.New("a slave does not copy its master yet, and no NameServer is told of it (brokerRole=SLAVE)")
	}
	all := b.registrar.standings()
	if len(all) == 0 {
		if b.settings.Load().NamesrvAddr == "" {
			return nil // nobody is meant to find it
		}
		return fmt.Errorf("not registered with a NameServer yet (namesrvAddr=%s)", b.settings.Load().NamesrvAddr)
	}
	for _, ok := range all {
		if ok {
			return nil
		}
	}
	return fmt.Errorf("not registered with any NameServer (namesrvAddr=%s)", b.settings.Load().NamesrvAddr)
}
