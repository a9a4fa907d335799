package filter

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// TestExpr_SizeIsWhatItTakes looks at the heap, so nothing runs beside it.
func TestExpr_SizeIsWhatItTakes(t *testing.T) {
	var names, words strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&names, "n%d=5 OR ", i)
		fmt.Fprintf(&words, "'%d',", i)
	}
	repeated := func(part string) string { return strings.Repeat(part, 80_000/len(part)) + "n=5" }
	for _, text := range []string{repeated("n=5 OR "), repeated("n OR "), repeated("n=5 AND m=6 OR "), repeated("NOT n OR "), repeated("n='1234567' OR "),
		repeated("n IN('a')OR "), repeated("n BETWEEN 1 AND 2 OR "), repeated("n=" + strings.Repeat("- ", 900) + "5 OR "),
		names.String() + "n=5", "n IN (" + words.String() + "'a')", "n='" + strings.Repeat("x", 100_000) + "'"} {
		const n = 10
		var kept [n]*Expr
		before := heap()
		for i := range kept {
			var err error
			if kept[i], err = Parse(text); err != nil {
				t.Fatal(err)
			}
		}
		took := int(heap()-before) / n
		if size := kept[0].Size(); size < took*9/10 || size > 4*took {
			t.Errorf("%.30s...: %d bytes of memory are said to be %d", text, took, size)
		}
		runtime.KeepAlive(kept)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
