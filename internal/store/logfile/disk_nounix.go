//go:build !unix

package logfile

import "os"

// SyncDir does nothing: a folder cannot be synced here.
func (Disk) SyncDir(string) error { return nil }

// lockFile locks nothing here.
func lockFile(*os.File) error { return nil }

// MayWrite cannot be told here without trying.
func MayWrite(string) error { return nil }
