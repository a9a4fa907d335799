// Package interop has no code, only tests: programs on the official clients, run against servers that are started for
// them. README.md says how to run them and against what.
//
// A scenario (sendsAndConsumesInOrder in send_test.go) is a function of a client; java4_test.go, java5_test.go and
// go_test.go list which scenarios each client proves. The lab (lab_test.go) builds and starts what the scenarios share.
package interop
