package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/client"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// clientFlags are the flags that the client commands share.
type clientFlags struct {
	namesrvAddr string
	topic       string
}

func (f *clientFlags) add(c *cobra.Command) {
	standard := "127.0.0.1:9876"
	if env := os.Getenv("NAMESRV_ADDR"); env != "" {
		standard = env
	}
	c.Flags().StringVarP(&f.namesrvAddr, "namesrvAddr", "n", standard, "`ADDRESS` of the NameServer; several are separated by semicolons")
	c.Flags().StringVarP(&f.topic, "topic", "t", "", "`TOPIC`")
	_ = c.MarkFlagRequired("topic")
}

// session is what a client command talks to servers through.
type session struct {
	pool  *client.Pool
	names *client.NameServers
}

// connect opens a session. Requests of brokers are served by h.
func (f *clientFlags) connect(h remoting.Handler) (*session, error) {
	// What goes wrong comes back as an error; the log would only say it twice.
	pool := client.NewPool(h, remoting.Options{Log: slog.New(slog.DiscardHandler), MaxFrame: client.FrameMax})
	names, err := client.NewNameServers(pool, f.namesrvAddr)
	if err != nil {
		_ = pool.Close()
		if f.namesrvAddr == os.Getenv("NAMESRV_ADDR") {
			err = fmt.Errorf("$NAMESRV_ADDR: %w", err)
		}
		return nil, misuse{err}
	}
	return &session{pool, names}, nil
}

// A queue is one queue of a topic, and where its broker is.
type queue struct {
	broker string // name
	addr   string
	id     int32
}

func (q queue) String() string { return fmt.Sprintf("%s/%d", q.broker, q.id) }

// queues lists the queues of a route that may be written or read, in the order that all clients have.
func queues(route *protocol.TopicRoute, perm int32) []queue {
	addrs := make(map[string]*protocol.BrokerData)
	for _, b := range route.BrokerDatas {
		addrs[b.BrokerName] = b
	}
	var list []queue
	for _, d := range route.QueueDatas {
		b := addrs[d.BrokerName]
		if b == nil || d.Perm&perm == 0 {
			continue
		}
		addr, n := b.Pick(), d.ReadQueueNums
		if perm == protocol.PermWrite {
			addr, n = b.BrokerAddrs[protocol.MasterID], d.WriteQueueNums
		}
		for id := range n {
			if addr != "" {
				list = append(list, queue{d.BrokerName, addr, id})
			}
		}
	}
	return list
}

// refusedWith says whether an error is an answer with this code.
func refusedWith(err error, code int) bool {
	var refused *protocol.Error
	return errors.As(err, &refused) && refused.Code == code
}

// explainCall adds to an error what can be done about it.
func explainCall(err error) error {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w\nnothing listens there; start a server with: liftoff server, or say with -n where one is", err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w\nit did not answer in time", err)
	case refusedWith(err, protocol.CodeRequestCodeNotSupported):
		return fmt.Errorf("%w\nis that a NameServer? -n says where one is, not where a broker is", err)
	}
	return err
}
