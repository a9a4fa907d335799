package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/protocol"
)

// A backup is what a cluster knows beside its messages. The file is JSON, for people too; a later version of it adds fields, or has another
// number.
type backup struct {
	Format  string         `json:"format"`
	Version int            `json:"version"`
	Time    time.Time      `json:"time"`
	Namesrv namesrvBackup  `json:"namesrv"`
	Brokers []brokerBackup `json:"brokers"`
}

const (
	backupFormat  = "liftoff-backup"
	backupVersion = 1
)

// namesrvBackup is what a NameServer keeps. KV is by namespace.
type namesrvBackup struct {
	KV     map[string]map[string]string `json:"kv"`
	Config map[string]string            `json:"config,omitempty"`
}

// brokerBackup is what a master keeps. Delay offsets and the configuration are for people: restore leaves them.
type brokerBackup struct {
	Name         string                                       `json:"name"`
	Cluster      string                                       `json:"cluster"`
	Addr         string                                       `json:"addr"`
	Version      string                                       `json:"version"`
	Topics       map[string]*protocol.TopicConfig             `json:"topics"`
	StaticTopics map[string]*protocol.TopicQueueMappingDetail `json:"staticTopics,omitempty"`
	Groups       map[string]*protocol.SubscriptionGroupConfig `json:"groups"`
	Forbidden    map[string]map[string]int32                  `json:"forbidden,omitempty"` // bits by group and topic
	Offsets      map[string]map[int32]int64                   `json:"offsets"`             // by topic@group and queue
	RequestModes []protocol.RequestMode                       `json:"requestModes,omitempty"`
	DelayOffsets map[int32]int64                              `json:"delayOffsets,omitempty"`
	Config       map[string]string                            `json:"config"`
}

// backupOptions are what `liftoff backup` was told.
type backupOptions struct {
	target
	namespaces []string
}

func (a *Admin) backupCommand() *cobra.Command {
	var o backupOptions
	c := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write topics, groups, offsets and configuration of a cluster to a file",
		Long: `Write what a running cluster knows beside its messages to a file of JSON, - for the output: topics, groups, consumer offsets, delay offsets, how
groups consume (message request modes), the KV configuration of the NameServer, and the configurations. Passwords and secret keys are left out.
A backup that FILE has is replaced once the new one is complete; a file that is none is refused. Works with Apache's servers too. Filters in SQL
are not in it: consumers bring them when they connect.`,
		Example: "  liftoff backup cluster.json\n  liftoff backup -c DefaultCluster - | jq '.brokers[].topics | keys'",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := readFlags(c.Flags()); err != nil {
				return err
			}
			return a.run(c.Context(), func(ctx context.Context) error { return a.backup(ctx, args[0], o) })
		},
	}
	o.clusterFlag(c, "clusterName")
	o.brokerFlag(c)
	c.Flags().StringSliceVar(&o.namespaces, "namespace", []string{protocol.NamespaceOrderTopicConfig}, "`NAMESPACE` of the KV configuration; no NameServer lists those there are")
	return c
}

func (a *Admin) backup(ctx context.Context, path string, o backupOptions) error {
	if path != "-" {
		if err := a.mayReplace(path); err != nil {
			return err
		}
	}
	b := backup{Format: backupFormat, Version: backupVersion, Time: time.Now().Truncate(time.Second), Namesrv: namesrvBackup{KV: map[string]map[string]string{}}}
	masters, err := a.masters(ctx, o.target)
	if err != nil {
		return err
	}
	if len(masters) == 0 {
		return fmt.Errorf("cannot back up: the NameServer at %s knows no master", a.namesrvAddr)
	}
	for _, m := range masters {
		one, err := a.backupBroker(ctx, m)
		if err != nil {
			return err
		}
		b.Brokers = append(b.Brokers, *one)
	}
	if o.broker == "" {
		if err := a.backupNamesrv(ctx, &b.Namesrv, o.namespaces); err != nil {
			return err
		}
	}
	data, err := b.text()
	if err != nil {
		return err
	}
	if path == "-" {
		_, err := a.Out.Write(data)
		return err
	}
	if err := writeNew(path, data); err != nil {
		return err
	}
	return a.show(b.summary(path), func(w io.Writer) {
		for _, one := range b.Brokers {
			fmt.Fprintf(w, "%s (%s, %s): %d topics, %d groups, %d offsets of groups in topics\n", one.Name, one.Addr, one.Version, len(one.Topics), len(one.Groups), len(one.Offsets))
		}
		fmt.Fprintf(w, "written to %s, %d bytes\n", path, len(data))
	})
}

func (b *backup) summary(path string) any {
	type broker struct {
		Name    string `json:"name"`
		Topics  int    `json:"topics"`
		Groups  int    `json:"groups"`
		Offsets int    `json:"offsets"`
	}
	var brokers []broker
	for _, one := range b.Brokers {
		brokers = append(brokers, broker{one.Name, len(one.Topics), len(one.Groups), len(one.Offsets)})
	}
	return struct {
		File    string   `json:"file"`
		Brokers []broker `json:"brokers"`
	}{path, brokers}
}

func (b *backup) text() ([]byte, error) {
	data, err := json.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("cannot write backup: %w", err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, data, "", "  "); err != nil {
		return nil, fmt.Errorf("cannot write backup: %w", err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// mayReplace refuses to replace what is no backup, and says which backup will be replaced.
func (a *Admin) mayReplace(path string) error {
	switch info, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist), err == nil && info.Mode().IsRegular() && info.Size() == 0:
		return nil
	case err == nil && !info.Mode().IsRegular():
		return fmt.Errorf("cannot write backup to %s: it is no file; - is the output", path)
	}
	old, err := readBackup(path, nil)
	if err != nil {
		return fmt.Errorf("cannot replace what is no backup, name another file or remove it: %w", err)
	}
	a.say("the backup of %s in %s will be replaced", old.Time.Format(time.DateTime), path)
	return nil
}

// writeNew writes a file whole or not at all; it may hold what not everyone should read.
func writeNew(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".liftoff-*")
	if err != nil {
		return fmt.Errorf("cannot write %q: %w", path, err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("cannot write %q: %w", path, err)
	}
	return nil
}

func (a *Admin) backupBroker(ctx context.Context, m member) (*brokerBackup, error) {
	b := &brokerBackup{Name: m.name, Cluster: m.cluster, Addr: m.addr}
	cfg, err := a.pool.BrokerConfig(ctx, m.addr)
	if err != nil {
		return nil, err
	}
	b.Config = withoutSecrets(cfg)
	if b.Name == "" {
		b.Name, b.Cluster = cfg["brokerName"], cfg["brokerClusterName"]
	}
	if info, err := a.pool.RuntimeInfo(ctx, m.addr); err == nil {
		b.Version = info["brokerVersionDesc"]
	}
	topics, err := a.pool.TopicConfigs(ctx, m.addr)
	if err != nil {
		return nil, err
	}
	b.Topics, b.StaticTopics = topics.TopicConfigTable, topics.TopicQueueMappingDetailMap
	groups, err := a.pool.Groups(ctx, m.addr)
	if err != nil {
		return nil, err
	}
	b.Groups, b.Forbidden = groups.SubscriptionGroupTable, groups.ForbiddenTable
	if b.Offsets, err = a.pool.AllConsumerOffsets(ctx, m.addr); err != nil {
		return nil, err
	}
	if b.DelayOffsets, err = a.pool.DelayOffsets(ctx, m.addr); err != nil {
		a.say("%s: delay offsets are left out: %v", m, err)
	}
	modes, err := a.pool.RequestModes(ctx, m.addr)
	if err != nil {
		a.say("%s: message request modes are left out: %v", m, err) // older brokers have none
	}
	for _, topic := range sorted(modes) {
		for _, group := range sorted(modes[topic]) {
			mode := modes[topic][group]
			mode.Topic, mode.ConsumerGroup = topic, group
			b.RequestModes = append(b.RequestModes, mode)
		}
	}
	return b, nil
}

// backupNamesrv asks one NameServer: all have the same.
func (a *Admin) backupNamesrv(ctx context.Context, n *namesrvBackup, namespaces []string) error {
	for _, namespace := range namespaces {
		kv, err := a.names.KVNamespace(ctx, namespace)
		switch {
		case refused(err, protocol.CodeQueryNotFound):
		case err != nil:
			return err
		case len(kv) > 0:
			n.KV[namespace] = kv
		}
	}
	for _, addr := range a.names.Addrs() {
		if cfg, err := a.pool.NamesrvConfig(ctx, addr); err == nil {
			n.Config = withoutSecrets(cfg)
			break
		}
	}
	return nil
}

// withoutSecrets leaves out what a file should not tell.
func withoutSecrets(cfg map[string]string) map[string]string {
	kept := map[string]string{}
	for key, value := range cfg {
		low := strings.ToLower(key)
		if !strings.Contains(low, "password") && !strings.Contains(low, "secret") && !strings.Contains(low, "credential") {
			kept[key] = value
		}
	}
	return kept
}

// readBackup reads a file that backup wrote.
func readBackup(path string, in io.Reader) (*backup, error) {
	var data []byte
	var err error
	if path == "-" {
		data, err = io.ReadAll(in)
	} else {
		data, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read backup: %w", err)
	}
	var b backup
	if err := json.Unmarshal(data, &b); err != nil {
		return nil, fmt.Errorf("cannot read backup %q: %w", path, err)
	}
	switch {
	case b.Format != backupFormat:
		return nil, fmt.Errorf("cannot read backup %q: its format is %q, not %q; `liftoff backup` writes such files", path, b.Format, backupFormat)
	case b.Version != backupVersion:
		return nil, fmt.Errorf("cannot read backup %q: it has version %d, this Liftoff knows version %d", path, b.Version, backupVersion)
	}
	return &b, nil
}
