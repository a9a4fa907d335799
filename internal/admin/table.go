package admin

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// table is text in columns that are as wide as what is in them.
type table struct {
	rows [][]string
}

func newTable(heads ...any) *table {
	t := &table{}
	t.row(heads...)
	return t
}

func (t *table) row(cells ...any) {
	row := make([]string, len(cells))
	for i, c := range cells {
		if row[i] = fmt.Sprint(c); row[i] == "" {
			row[i] = "-"
		}
	}
	t.rows = append(t.rows, row)
}

func (t *table) print(w io.Writer) {
	for _, line := range align(t.rows) {
		fmt.Fprintln(w, line)
	}
}

// align makes lines of rows, each column as wide as its widest cell. A line ends with the last cell that is not blank.
func align(rows [][]string) []string {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	lines := make([]string, len(rows))
	for n, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			b.WriteString(cell)
			b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
		}
		lines[n] = strings.TrimRight(b.String(), " ")
	}
	return lines
}
