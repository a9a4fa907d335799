package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// rocketMQVersion is the version of RocketMQ that clients are told they talk to.
const rocketMQVersion = "5.5.0"

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Say which version this is",
		Args:  noCommand,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(p.out, "liftoff %s, for RocketMQ %s, %s %s/%s\n", version(), rocketMQVersion, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// version is the module's version or, of a program built from a clone, the commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	commit, changed := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = " with changes"
		}
	}
	switch v := info.Main.Version; {
	case v != "" && v != "(devel)":
		return v
	case commit != "":
		return commit + changed
	}
	return "(devel)"
}
