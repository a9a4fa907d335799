// Package logfile is the one place that touches store files.
//
// A [Log] is an address space made of files of one size, each named by the position of its first byte in 20 digits:
// the commit log is one, every consume queue is one. A Log opens a file when it is used and shares a bounded number of
// open files with others through [Handles], so a queue that nobody uses keeps none open. It writes with pwrite and never
// maps a file: a failing disk is an error here, never a signal.
//
// Everything goes through an [FS]. [Disk] is the real one. [Memory] is its twin for crash tests: it knows which writes
// and names were made durable, and Crash takes away what was not. [Faults] wraps either and makes chosen operations fail.
package logfile
