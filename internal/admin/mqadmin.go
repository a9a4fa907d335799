package admin

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// commands lists mqadmin's commands by families; the help sorts them.
func (a *Admin) commands() []*cobra.Command {
	return slices.Concat(
		a.topicCommands(),
		a.groupCommands(),
		a.brokerCommands(),
		a.namesrvCommands(),
		a.staticTopicCommands(),
		a.exportCommands(),
		a.controllerCommands(),
		[]*cobra.Command{
			a.queryMsgById(), a.queryMsgByKey(), a.queryMsgByUniqueKey(), a.queryMsgByOffset(), a.queryMsgTraceById(),
			a.printMsg(), a.printMsgByQueue(), a.consumeMessage(),
			a.brokerConsumeStats(), a.producerConnection(), a.consumerConnection(), a.consumerProgress(), a.consumerStatus(),
			a.sendMessage(), a.sendMsgStatus(), a.checkMsgSendRT(), a.clusterRT(), a.queryCq(), a.startMonitoring(),
			a.cloneGroupOffset(), a.resetOffsetByTime(), a.skipAccumulatedMessage(),
			a.getColdDataFlowCtrInfo(), a.updateColdDataFlowCtrGroupConfig(), a.removeColdDataFlowCtrGroupConfig(), a.setCommitLogReadAheadMode(),
			a.createUser(), a.updateUser(), a.deleteUser(), a.getUser(), a.listUser(), a.copyUser(),
			a.createAcl(), a.updateAcl(), a.deleteAcl(), a.getAcl(), a.listAcl(), a.copyAcl(),
			a.rocksDBConfigToJson(), a.checkRocksdbCqWriteProgress(), a.switchTimerEngine(),
			a.getBrokerLiteInfo(), a.getParentTopicInfo(), a.getLiteTopicInfo(), a.getLiteClientInfo(), a.getLiteGroupInfo(), a.triggerLiteDispatch(),
		},
	)
}

// MQAdmin is the tree of mqadmin's commands, by the names, aliases and flags of Apache's tool; names in any case, as there.
func (a *Admin) MQAdmin(use string) *cobra.Command {
	root := &cobra.Command{
		Use:                        use,
		Short:                      "Administer a cluster: every command of RocketMQ's mqadmin",
		Long:                       "Administer a cluster of Liftoff or Apache RocketMQ, with the commands and flags of RocketMQ's mqadmin.",
		Args:                       cobra.NoArgs,
		RunE:                       func(c *cobra.Command, _ []string) error { return c.Help() },
		SuggestionsMinimumDistance: 2, // letters
	}
	a.flags(root)
	root.AddCommand(a.commands()...)
	a.completions(root)
	return root
}

// Tools are the commands that RocketMQ lacks.
func (a *Admin) Tools() []*cobra.Command {
	tools := []*cobra.Command{
		a.traceCommand(),
		a.backupCommand(), a.restoreCommand(), a.topCommand(),
		a.dlqCommand(),
	}
	for _, c := range tools {
		a.flags(c)
	}
	return tools
}

// shortOf is the annotation of a flag that has a short name of several letters, such as -qn, which pflag cannot have.
const shortOf = "short"

// short gives a flag such a name.
func short(c *cobra.Command, flag, name string) {
	f := c.Flags().Lookup(flag)
	if f.Annotations == nil {
		f.Annotations = make(map[string][]string)
	}
	f.Annotations[shortOf] = []string{name}
	f.Usage = "also -" + name + ": " + f.Usage
}

// FlagName is how a flag may be written: -t/--topic.
func FlagName(f *pflag.Flag) string {
	name := "--" + f.Name
	if f.Shorthand != "" {
		return "-" + f.Shorthand + "/" + name
	}
	for _, short := range f.Annotations[shortOf] {
		return "-" + short + "/" + name
	}
	return name
}

// spelled gives names of commands at the beginning the case in which cobra knows them.
func spelled(root *cobra.Command, args []string) []string {
	args = slices.Clone(args)
	for i, arg := range args {
		at := slices.IndexFunc(root.Commands(), func(c *cobra.Command) bool {
			return strings.EqualFold(c.Name(), arg) || slices.ContainsFunc(c.Aliases, func(alias string) bool { return strings.EqualFold(alias, arg) })
		})
		if at < 0 {
			break
		}
		root = root.Commands()[at]
		args[i] = root.Name()
	}
	return args
}

// Args puts arguments written for Apache's tool in the form that cobra understands: its names of commands in any case, its short names of flags
// with several letters, and long names with one dash. Arguments that are neither stay as they are.
func Args(root *cobra.Command, args []string) []string {
	args = spelled(root, args)
	c, _, err := root.Find(args)
	if err != nil || c == root && root.HasSubCommands() {
		return args
	}
	long := make(map[string]string)
	note := func(f *pflag.Flag) {
		if len(f.Name) > 1 {
			long[f.Name] = f.Name
		}
		for _, name := range f.Annotations[shortOf] {
			long[name] = f.Name
		}
	}
	c.Flags().VisitAll(note)
	c.InheritedFlags().VisitAll(note)
	changed := make([]string, len(args))
	for i, arg := range args {
		name, value, valued := strings.Cut(arg, "=")
		if flag := long[strings.TrimPrefix(name, "-")]; strings.HasPrefix(name, "-") && !strings.HasPrefix(name, "--") && flag != "" {
			if arg = "--" + flag; valued {
				arg += "=" + value
			}
		}
		changed[i] = arg
	}
	return changed
}
