package interop

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/mqadmin.md")

// TestDocs_ListTheCommands keeps docs/mqadmin.md as the table of commands has it; make docs rewrites it.
func TestDocs_ListTheCommands(t *testing.T) {
	t.Parallel()
	const path = "../docs/mqadmin.md"
	if *update {
		must(t, os.WriteFile(path, []byte(commandsPage()), 0o644))
	}
	page, err := os.ReadFile(path)
	must(t, err)
	if string(page) != commandsPage() {
		t.Error("docs/mqadmin.md is not what mqadmin_table_test.go says: run make docs")
	}
}

// commandsPage is docs/mqadmin.md.
func commandsPage() string {
	var b strings.Builder
	b.WriteString(`# mqadmin

Every command of RocketMQ's mqadmin, and what was compared. Two clusters, one of Apache RocketMQ 5.5.0 and one of Liftoff, have the same
topics, messages, groups and clients; each command runs with Apache's mqadmin and with Liftoff's on both.

- **Apache's tool**: what of its output is the same on Liftoff as on Apache.
- **Liftoff's tool**: what of its output is the same as of Apache's tool, on either cluster.

Addresses, times, message ids and folders are taken out before, and runs of blanks count as one. When a command fails on both, a
refusal of Liftoff's says at least what Apache's says; errors of Liftoff's tool are one line and its exit code is 1 or 2, where Apache's prints a stack trace
and ends with 0. In the arguments stand {b} for the broker's address, {n} for the NameServer's, {x} for a name of the tool's own, {id K} and {offset K} for
ids of the message with key K, and {dir} for a folder.

This page is made by ` + "`make docs`" + ` from the table by which ` + "`TestMQAdmin_DoesTheSame`" + ` in interop/ compares.

| command | arguments | Apache's tool | Liftoff's tool | why not more |
|---|---|---|---|---|
`)
	for _, c := range mqadminCommands {
		name := c.name
		for _, call := range c.calls {
			args := "none"
			if call.args != "" {
				args = "`" + call.args + "`"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", name, args, likenessNames[call.tool], likenessNames[call.ours], call.why)
			name = ""
		}
	}
	return b.String()
}
