package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/config"
)

// script makes a daemon's command the script of RocketMQ of this name, which passes over words without a dash: tutorials add settings to
// its command line that have never done anything there.
func script(c *cobra.Command, name string) *cobra.Command {
	c.Use, c.Args = name, cobra.ArbitraryArgs
	return c
}

// unbuilt stands for a script of RocketMQ whose daemon is not there yet.
func unbuilt(name string) *cobra.Command {
	why := map[string]string{
		"mqcontroller":      "there is no controller yet; a broker with enableControllerMode=true does not start either",
		"mqbrokercontainer": "there are no broker containers yet; run each broker that brokerConfigPaths names in a process of its own, with mqbroker -c",
		"mqproxy":           "there is no proxy yet, so nothing serves clients over gRPC; clients of the remoting protocol need none",
	}[name]
	return &cobra.Command{
		Use: name, DisableFlagParsing: true, SilenceErrors: true, SilenceUsage: true,
		RunE: func(*cobra.Command, []string) error { return misuse{errors.New(why)} },
	}
}

// strayWords says of such words that they do not count. Values are not repeated: they may be passwords.
func strayWords(words []string) []config.Note {
	var notes []config.Note
	for _, word := range words {
		note := config.Note{Level: slog.LevelWarn, Key: word, Text: "has no effect: it belongs to no option, and RocketMQ passes over it too"}
		if key, _, setting := strings.Cut(word, "="); setting {
			note.Key, note.Text = key, "has no effect on the command line, in RocketMQ neither; put it into the properties file that -c names"
		}
		notes = append(notes, note)
	}
	return notes
}

// proxyFlags are those with which RocketMQ's mqbroker runs its proxy in the broker's process.
type proxyFlags struct {
	enabled      bool
	config       string // of the proxy: JSON
	mode         string
	brokerConfig string
}

// proxyNames are how RocketMQ writes those flags. Without --enable-proxy they are several flags of one letter.
var proxyNames = map[string]string{"-pc": "--proxyConfigPath", "-pm": "--proxyMode", "-bc": "--brokerConfigPath"}

// proxyArgs puts the names of those flags in the form that cobra understands.
func proxyArgs(args []string) []string {
	if !slices.Contains(args, "--enable-proxy") {
		return args
	}
	args = slices.Clone(args)
	for i, arg := range args {
		name, value, valued := strings.Cut(arg, "=")
		if long := proxyNames[name]; long != "" {
			if args[i] = long; valued {
				args[i] += "=" + value
			}
		}
	}
	return args
}

func (f *proxyFlags) add(c *cobra.Command) {
	c.Flags().BoolVar(&f.enabled, "enable-proxy", false, "taken for the sake of scripts, and -pc, -pm and -bc with it; there is no gRPC proxy yet")
	c.Flags().StringVar(&f.config, "proxyConfigPath", "", "`FILE` of the proxy")
	c.Flags().StringVar(&f.mode, "proxyMode", "local", "local")
	c.Flags().StringVar(&f.brokerConfig, "brokerConfigPath", "", "properties `FILE` of the broker")
	for _, long := range proxyNames {
		_ = c.Flags().MarkHidden(strings.TrimPrefix(long, "--"))
	}
}

// settle says which properties file is the broker's, when -c names this one, and what there is to be told.
func (f *proxyFlags) settle(file string) (string, []config.Note, error) {
	switch {
	case !f.enabled && (f.config != "" || f.brokerConfig != ""):
		return "", nil, misuse{errors.New("--proxyConfigPath and --brokerConfigPath belong to --enable-proxy; -c names the broker's file")}
	case !f.enabled:
		return file, nil, nil
	case strings.EqualFold(f.mode, "cluster"):
		return "", nil, misuse{errors.New("-pm cluster runs a proxy and no broker in RocketMQ, and there is no proxy here yet")}
	case !strings.EqualFold(f.mode, "local"):
		return "", nil, misuse{fmt.Errorf("-pm %s is wrong: it must be local or cluster", f.mode)}
	}
	var notes []config.Note
	note := func(level slog.Level, key, text string) {
		notes = append(notes, config.Note{Level: level, Key: key, Text: text})
	}
	note(slog.LevelWarn, "--enable-proxy", "has no effect: there is no proxy here yet, so nothing serves clients over gRPC (port 8081), nor what connects to the proxy "+
		"as to a NameServer (port 8080); clients of the remoting protocol find this broker through its NameServer")
	if f.config != "" {
		note(slog.LevelWarn, "-pc "+f.config, "is not read, because there is no proxy; if namesrvAddr or brokerConfigPath stands in it, say it with -n or -c")
	}
	switch standard := filepath.Join(os.Getenv("ROCKETMQ_HOME"), "conf", "broker.conf"); {
	case f.brokerConfig != "":
		if file != "" {
			note(slog.LevelWarn, "-c "+file, "does not count beside -bc, in RocketMQ neither")
		}
		file = f.brokerConfig
	case file == "" && os.Getenv("ROCKETMQ_HOME") != "" && exists(standard):
		note(slog.LevelInfo, "--enable-proxy", "without -c takes "+standard+", as in RocketMQ")
		file = standard
	}
	return file, notes, nil
}
