// Package logging makes the log of a process: to the standard error or to a file that is put aside when it is large, as text or JSON,
// with a level that can be changed while it runs.
//
// A daemon is handed the *slog.Logger only; what it may ask of the log itself it finds with [Of]. All daemons of a process share
// one log, and so one level.
//
// What fails again and again until it passes is a [Trouble], so that it does not fill the log.
//
// It starts no goroutines but the one of timberjack that removes the oldest files; [Log.Close] waits for it.
package logging
