//go:build !linux

package main

import (
	"fmt"
	"os"
)

// The servers' processor time and memory are read from Linux's clocks and /proc.
func main() {
	fmt.Fprintln(os.Stderr, "the benchmark runs on Linux only")
	os.Exit(2)
}
