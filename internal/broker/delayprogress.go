package broker

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// delayProgress tells how far the delay levels are delivered after each delivery, in config/delayOffset.progress, while delayOffset.json
// follows every few seconds. A killed broker so goes on where it was, and does not deliver those seconds again.
//
// The file is one line, written over itself and not synced, so that it costs next to nothing and survives a kill:
//
//	<CRC-32 of what follows, 8 hex digits> <log offset behind what was delivered> <level>:<position> <level>:<position> ...
//
// It is believed only when the log still reaches so far: after a power cut it may be ahead of what is left of the log. It is gone as
// soon as delayOffset.json has its content, at the start and after a clean stop.
type delayProgress struct {
	path string
	file *os.File // nil until something is delivered
	line []byte
	err  error // of the last write
}

// read returns the positions of the last life; none when there is no file that can be believed. logEnd is where the log ends now.
func (p *delayProgress) read(logEnd int64) (map[int]int64, error) {
	data, err := os.ReadFile(p.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read progress of delay levels: %w", err)
	}
	reached, positions, ok := parseDelayProgress(data)
	if !ok || reached > logEnd {
		return nil, nil
	}
	return positions, nil
}

// parseDelayProgress reads the line.
func parseDelayProgress(data []byte) (reached int64, positions map[int]int64, ok bool) {
	line, _, whole := bytes.Cut(data, []byte("\n"))
	if !whole || len(line) < 9 || !bytes.Equal(line[:8], crcText(line[9:])) {
		return 0, nil, false
	}
	fields := bytes.Fields(line[9:])
	if len(fields) == 0 {
		return 0, nil, false
	}
	reached, err := strconv.ParseInt(string(fields[0]), 10, 64)
	if err != nil {
		return 0, nil, false
	}
	positions = map[int]int64{}
	for _, f := range fields[1:] {
		level, at, _ := bytes.Cut(f, []byte(":"))
		l, err := strconv.Atoi(string(level))
		n, err2 := strconv.ParseInt(string(at), 10, 64)
		if err != nil || err2 != nil || n < 0 || l < 1 {
			return 0, nil, false
		}
		positions[l] = n
	}
	return reached, positions, true
}

func crcText(b []byte) []byte { return fmt.Appendf(nil, "%08x", crc32.ChecksumIEEE(b)) }

// write keeps where the levels are. reached is the log offset behind what was delivered.
func (p *delayProgress) write(reached int64, levels []*delayLevel) error {
	b := append(p.line[:0], "00000000 "...)
	b = strconv.AppendInt(b, reached, 10)
	for _, l := range levels {
		if l.next > 0 {
			b = append(strconv.AppendInt(append(b, ' '), int64(l.level), 10), ':')
			b = strconv.AppendInt(b, l.next, 10)
		}
	}
	const hex = "0123456789abcdef"
	for i, crc := 7, crc32.ChecksumIEEE(b[9:]); i >= 0; i, crc = i-1, crc>>4 {
		b[i] = hex[crc&15]
	}
	p.line = append(b, '\n')
	if p.file == nil {
		f, err := os.OpenFile(p.path, os.O_WRONLY|os.O_CREATE, 0o644)
		if err != nil {
			return fmt.Errorf("cannot keep progress of delay levels: %w", err)
		}
		p.file = f
	}
	if _, err := p.file.WriteAt(p.line, 0); err != nil {
		return fmt.Errorf("cannot keep progress of delay levels: %w", err)
	}
	return nil
}

// remove takes the file away for good.
func (p *delayProgress) remove() error {
	if p.file != nil {
		_ = p.file.Close()
		p.file = nil
	}
	err := os.Remove(p.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(err, syncDir(filepath.Dir(p.path)))
}
