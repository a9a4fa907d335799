package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/client"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// callTimeout bounds each request, as timeoutMillis of Apache's admin client.
const callTimeout = 5 * time.Second

// defaultNamesrvAddr is asked when neither -n nor NAMESRV_ADDR says which NameServer.
const defaultNamesrvAddr = "127.0.0.1:9876"

// Admin is a cluster as its commands see it, and where what they say goes. It serves one command at a time.
type Admin struct {
	In       io.Reader
	Out, Err io.Writer // results; what is said beside them

	namesrvAddr string
	json        bool
	bodies      string // folder for the bodies of messages; empty for where Apache's tool has them
	folder      string // for the files of consumerStatus; empty for the current one

	pool  *client.Pool        // open while a command runs
	names *client.NameServers // the same
}

// flags adds what all commands take.
func (a *Admin) flags(c *cobra.Command) {
	standard := defaultNamesrvAddr
	if env := os.Getenv("NAMESRV_ADDR"); env != "" {
		standard = env
	}
	c.PersistentFlags().StringVarP(&a.namesrvAddr, "namesrvAddr", "n", standard, "`ADDRESS` of the NameServer; several are separated by semicolons")
	c.PersistentFlags().BoolVar(&a.json, "json", false, "print the result as JSON")
}

// command makes a command that takes flags only. While run runs, the cluster is within reach.
func (a *Admin) command(name, short string, run func(context.Context) error) *cobra.Command {
	return &cobra.Command{Use: name, Short: short, Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		if err := readFlags(c.Flags()); err != nil {
			return err
		}
		return a.run(c.Context(), run)
	}}
}

// run connects, runs and disconnects.
func (a *Admin) run(ctx context.Context, run func(context.Context) error) error {
	// What goes wrong comes back as an error; the log would only say it twice.
	a.pool = client.NewPool(nil, remoting.Options{Log: slog.New(slog.DiscardHandler), MaxFrame: client.FrameMax})
	a.pool.Timeout = callTimeout
	defer a.pool.Close()
	var err error
	if a.names, err = client.NewNameServers(a.pool, a.namesrvAddr); err != nil {
		if a.namesrvAddr == os.Getenv("NAMESRV_ADDR") {
			err = fmt.Errorf("$NAMESRV_ADDR: %w", err)
		}
		return misuse(err)
	}
	return explain(run(ctx))
}

// explain adds to an error what can be done about it.
func explain(err error) error {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w\nnothing listens there; say with -n where a NameServer is, or with -b where a broker is", err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w\nit did not answer in time", err)
	case refused(err, protocol.CodeRequestCodeNotSupported):
		return fmt.Errorf("%w\nthat server does not serve this: it is of another kind (-n is for a NameServer, -b for a broker, -a for a controller), or of another version", err)
	}
	return err
}

// refused says whether an error is an answer with this code.
func refused(err error, code int) bool {
	var e *protocol.Error
	return errors.As(err, &e) && e.Code == code
}
