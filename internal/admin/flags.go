package admin

import "github.com/spf13/cobra"

// required adds a flag that must be given and that names something: `TOPIC`.
func required(c *cobra.Command, to *string, name, shorthand, usage string) {
	c.Flags().StringVarP(to, name, shorthand, "", usage)
	_ = c.MarkFlagRequired(name)
}
