//go:build !linux

package logfile

// ReadNow cannot tell whether it waits here.
func (f diskFile) ReadNow(p []byte, off int64) (int, error) { return f.f.ReadAt(p, off) }

// Sync makes the bytes and the length durable.
func (f diskFile) Sync() error { return f.f.Sync() }

// Reserve does nothing here.
func (f diskFile) Reserve(_, _ int64) error { return nil }

// Zero writes zeros.
func (f diskFile) Zero(off, n int64) error { return writeZeros(f.f, off, n) }

// NextData knows no holes here.
func (f diskFile) NextData(off, _ int64) (int64, error) { return off, nil }

// PhysicalMemory is not known here.
func PhysicalMemory() int64 { return 0 }
