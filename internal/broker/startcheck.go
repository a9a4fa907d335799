package broker

import (
	"context"
	"log/slog"
	"path/filepath"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/statefile"
)

// What Open would refuse can be asked for before, without a start: CheckAddresses and CheckState use what Open uses, and change nothing.

// CheckAddresses tells why the broker could not listen, or not be told to clients. It listens on the ports for a moment.
func CheckAddresses(ctx context.Context, cfg config.Broker) (wrong []error) {
	_, errServer := cfg.TLS.ServerConfig(slog.New(slog.DiscardHandler))
	_, errClient := cfg.TLS.ClientConfig()
	_, errPorts := checkPorts(cfg.BindAddress, cfg.ListenPort)
	_, errHost := resolveHost(ctx, cfg.BrokerIP1, cfg.ListenPort)
	for _, err := range []error{errServer, errClient, errPorts, errHost} {
		if err != nil {
			wrong = append(wrong, err)
		}
	}
	return wrong
}

// StateFile is a file of config/ as a start would find it.
type StateFile struct {
	Name  string // without the folder
	Taken string // the path that would be read: the file, its copy, or "" for none
	Why   error  // why not the file itself
	Err   error  // why the start would be refused
}

// stateFiles are the files of config/ without which, or their copies, the broker does not start when they are there, and what reads them.
var stateFiles = []struct {
	name  string
	reads func([]byte) error
}{
	{"topicQueueMapping.json", reads[protocol.TopicQueueMappings]},
	{"topics.json", reads[protocol.TopicConfigs]},
	{"subscriptionGroup.json", reads[protocol.SubscriptionGroups]},
	{lightOffsetsFile, readsOffsets},
	{offsetsFile, readsOffsets},
	{"delayOffset.json", reads[delayOffsets]},
	{"consumerOrderInfo.json", reads[orderFile]},
	{"messageRequestMode.json", reads[protocol.RequestModes]},
	{"consumerFilter.json", reads[consumerFiltersFile]},
}

const (
	offsetsFile      = "consumerOffset.json"
	lightOffsetsFile = "lmqConsumerOffset.json"
)

// adviseState adds to the error of a damaged file of config/ what can be done.
func adviseState(err error) error {
	return statefile.Advise(err, "topics.json", "topicQueueMapping.json", "subscriptionGroup.json", offsetsFile, "messageRequestMode.json") // what a backup has
}

func reads[File any](data []byte) error {
	var file File
	return fastjson.Unmarshal(data, &file)
}

func readsOffsets(data []byte) error {
	_, err := readLightOffsets(data)
	return err
}

// CheckStateFile says why the broker could not use what a file of config/ holds. Files that it does not know may hold anything.
func CheckStateFile(name string, data []byte) error {
	for _, f := range stateFiles {
		if f.name == name {
			return f.reads(data)
		}
	}
	return nil
}

// CheckState reads the files of config/ as Open does.
func CheckState(cfg config.Broker) (files []StateFile) {
	dir := filepath.Join(cfg.RootDir, "config")
	for _, f := range stateFiles {
		switch f.name {
		case lightOffsetsFile: // with the other
			continue
		case offsetsFile:
			files = append(files, checkOffsets(dir, cfg.LightQueues)...)
			continue
		}
		c, err := statefile.Read(filepath.Join(dir, f.name), f.reads)
		files = append(files, StateFile{Name: f.name, Taken: c.Path, Why: c.Why, Err: adviseState(err)})
	}
	return files
}
