package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/message"
)

func (a *Admin) dumpCompactionLog() *cobra.Command {
	var file string
	c := a.command("dumpCompactionLog", "Print the messages in a file of a compaction log", func(context.Context) error {
		switch stat, err := os.Stat(file); {
		case errors.Is(err, os.ErrNotExist):
			return fmt.Errorf("file %s not exist", file)
		case err != nil:
			return err
		case stat.IsDir():
			return fmt.Errorf("file %s is a directory", file)
		case stat.Size() > 1<<31:
			return fmt.Errorf("file %s has %d bytes; a compaction log's have at most 2 GiB", file, stat.Size())
		}
		log, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for at := 0; len(log)-at >= 8; {
			size, kind := message.Peek(log[at:])
			if size <= 0 || int(size) > len(log)-at || kind != message.Record {
				break
			}
			var m message.Message
			if err := message.Decode(log[at:at+int(size)], &m); err != nil {
				return fmt.Errorf("%s at byte %d: %w", file, at, err)
			}
			if err := a.show(newCompacted(&m), func(w io.Writer) { fmt.Fprintln(w, newFound(m, "", "").javaText()) }); err != nil {
				return err
			}
			at += int(size)
		}
		return nil
	})
	required(c, &file, "file", "f", "`FILE`")
	_ = c.MarkFlagFilename("file")
	return c
}

// compacted is a message of a compaction log as JSON.
type compacted struct {
	Topic       string            `json:"topic"`
	QueueID     int32             `json:"queueId"`
	QueueOffset int64             `json:"queueOffset"`
	LogOffset   int64             `json:"commitLogOffset"`
	Stored      int64             `json:"storeTimestamp"`
	Properties  map[string]string `json:"properties"`
	Body        string            `json:"body"`
}

func newCompacted(m *message.Message) *compacted {
	return &compacted{m.Topic, m.QueueID, m.QueueOffset, m.LogOffset, m.StoreTimestamp, message.ParseProperties(m.Properties), string(m.Body)}
}
