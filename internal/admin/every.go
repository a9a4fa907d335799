package admin

import (
	"context"
	"time"

	"github.com/spf13/cobra"
)

// intervalFlag adds -i.
func intervalFlag(c *cobra.Command, seconds *int64) {
	c.Flags().Int64VarP(seconds, "interval", "i", 0, "print again each `SECONDS`")
}

// every runs what again and again while seconds is positive, else once.
func every(ctx context.Context, seconds int64, what func() error) error {
	rounds := 0
	if seconds <= 0 {
		rounds = 1
	}
	return again(ctx, seconds, rounds, what)
}

// roundsFlag adds --rounds.
func roundsFlag(c *cobra.Command, rounds *int) {
	c.Flags().IntVar(rounds, "rounds", 0, "end behind `N` rounds; 0: never")
}

// again runs what so many times, for ever with 0, and waits in between. It ends when the command is interrupted.
func again(ctx context.Context, seconds int64, rounds int, what func() error) error {
	for round := 1; ; round++ {
		if err := what(); err != nil || round == rounds {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Duration(seconds) * time.Second):
		}
	}
}
