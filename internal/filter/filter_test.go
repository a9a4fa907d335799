package filter

import (
	"fmt"
	"strings"
	"testing"

	"github.com/liftoffmq/liftoff/internal/message"
)

// properties makes a record's properties of names and values in turn.
func properties(pairs ...string) (props []byte) {
	for i := 0; i+1 < len(pairs); i += 2 {
		props = message.AppendProperty(props, pairs[i], pairs[i+1])
	}
	return props
}

func TestEval_IsWhatApachesIs(t *testing.T) {
	t.Parallel()
	props := properties("a", "5", "b", "5.5", "s", "it's", "t", "tRuE", "n", "-0.0", "w", " 7 ", "ten", "10", "big", "3000000000")
	check := func(expression string, want Result) {
		t.Helper()
		e, err := Parse(expression)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			return
		}
		if got := e.Eval(props); got != want {
			t.Errorf("%s is %v, want %v", expression, got, want)
		}
	}
	check("a = 5", True)
	check("a = '5'", True)
	check("a = 5.0", True)
	check("a <> 5", False)
	check("a > 4 and a < 6", True)
	check("a BETWEEN 5 AND 5", True)
	check("a NOT BETWEEN 5 AND 5", False)
	check("b = 5.5", True)
	check("b = 5", Failed)
	check("b = 5 OR a = 5", Failed)
	check("a = 5 OR b = 5", True)
	check("s = 'it''s'", True)
	check("s > 5", Failed)
	check("t = TRUE", True)
	check("TRUE = t", Failed)
	check("t", False)
	check("x", Null)
	check("NOT t", True)
	check("x = 5", Null)
	check("5 = x", False)
	check("x = y", True)
	check("x IS NULL", True)
	check("x IS NOT NULL", False)
	check("a IS NOT NULL", True)
	check("NULL", Null)
	check("-a = 5", Null)
	check("-5 < a", True)
	check("- - 5 = a", True)
	check("+a = +5", True)
	check("n < 1e-300", True)
	check("w = 7.0", True)
	check("w = 7", Failed)
	check("ten > a", True) // two strings are compared as numbers
	check("big > 5", Failed)
	check("big > 2999999999", True)
	check("big > 5L", Failed) // 5L takes 32 bits all the same
	check("s CONTAINS '''s'", True)
	check("s NOT CONTAINS 'x'", True)
	check("x NOT CONTAINS 'x'", False)
	check("s CONTAINS ''", False)
	check("s STARTSWITH 'it' AND s ENDSWITH 's'", True)
	check("s NOT STARTSWITH 'it' OR s NOT ENDSWITH 's'", False)
	check("a IN ('4', '5')", True)
	check("a NOT IN ('4', '5')", False)
	check("x NOT IN ('4', '5')", Null)
	check("x = 1 AND a = 4", False)
	check("x = 1 OR a = 4", Null)
	check("a = 5 -- , says it\n AND /* still */ TRUE", True)
	check("a = 5 -- without an end of line it is no comment", True)
	check("a = 5 = TRUE", True)
	check("(a = 5) = (b = 5.5)", True)
	check("(a = 5) = 5", False)
	check("1 = TRUE", False)
	check("1 = ''", Failed)
}

func TestParse_StopsWhereApacheDoes(t *testing.T) {
	t.Parallel()
	check := func(expression, ignored string) {
		t.Helper()
		e, err := Parse(expression)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
		} else if e.Ignored() != ignored {
			t.Errorf("%s: %q is ignored, want %q", expression, e.Ignored(), ignored)
		}
	}
	check("a = 1", "")
	check(" a = 1 /* end */ ", "")
	check("a = 1 b # ' \\", "b # ' \\")
	check("a + 1 > 5", "+ 1 > 5")
	check("a IS NULL > 5", "> 5")
	check("a = 1) OR (b = 2", ") OR (b = 2")
	check("a, b", ", b")
	check("a = 1l5", "5")
	check("a = 007", "07")
	check("a LIKE 'x%'", "LIKE 'x%'")
}

func TestParse_Refuses(t *testing.T) {
	t.Parallel()
	check := func(expression, why string) {
		t.Helper()
		_, err := Parse(expression)
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%.60s: %v", expression, err)
		}
	}
	check("", "its end")
	check("  ", "its end")
	check("a =", "its end")
	check("a = 1 AND", "its end")
	check("a = #", `no word begins with "#"`)
	check("a = 1 #", `no word begins with "#"`)
	check("a = 'x", `no word begins with "'"`)
	check("a NOT b", `"b" is not expected`)
	check("a IS 5", `"5" is not expected`)
	check("'x'", "not result in a boolean")
	check("5", "not result in a boolean")
	check("-a", "not result in a boolean")
	check("a = NULL", "cannot be compared")
	check("TRUE = 1", "cannot be compared")
	check("a > 'x'", "cannot be compared by size")
	check("a > TRUE", "cannot be compared by size")
	check("a > 1 > 2", "cannot be compared by size")
	check("a BETWEEN 2 AND 1", "less than or equal")
	check("a BETWEEN NULL AND 1", "cannot be compared by size")
	check("a IN ()", `")" is not expected`)
	check("a IN (1)", `"1" is not expected`)
	check("'a' IN ('a')", "must be a property")
	check("a = 9223372036854775808", "greater than")
	check("a = 1e400", "greater than")
	check("a = 0.0", "less than")
	check(strings.Repeat("(", 100_000), "more than 65536 words")
	check(strings.Repeat("NOT ", 2_000)+"a", "nested deeper than 1000")
	check(strings.Repeat("(a = 1 AND (b = 1 OR ", 1_000)+"c"+strings.Repeat("))", 1_000), "nested deeper than 1000")
	check("a"+strings.Repeat(" IS NULL", 2_000), "nested deeper than 1000")
	check("a = 1"+strings.Repeat(" OR a = 1", 1<<20/9), "more than 65536 words")
}

func TestParse_TakesWhatIsLongAndFlat(t *testing.T) {
	t.Parallel()
	var in strings.Builder
	in.WriteString("a IN ('0'")
	for i := 1; in.Len() < 1<<20; i++ {
		fmt.Fprintf(&in, ", '%d'", i)
	}
	in.WriteString(")")
	for _, expression := range []string{in.String(), "a = '70000'" + strings.Repeat(" OR a = '7'", 10_000), strings.Repeat("(", 900) + "a = '7'" + strings.Repeat(")", 900)} {
		e, err := Parse(expression)
		if err != nil {
			t.Errorf("%.20s: %v", expression, err)
			continue
		}
		if r := e.Eval(properties("a", "7")); r != True {
			t.Errorf("%.20s is %v", expression, r)
		}
		if r := e.Eval(properties("a", "x")); r != False {
			t.Errorf("%.20s is %v", expression, r)
		}
	}
}

func TestEval_AllocatesNothing(t *testing.T) {
	props := properties("KEYS", "k", "UNIQ_KEY", "7F00000100002A139055000000000000", "price", "17", "region", "eu", "rate", "0.25", "vip", "true")
	for _, expression := range []string{
		"price BETWEEN 10 AND 20 AND region IN ('us', 'eu', 'cn', 'jp', 'uk') AND rate < 0.5 AND vip = TRUE",
		"region CONTAINS 'e' OR absent > 5",
		"a = b AND c = d AND e = f AND g = h AND i = j AND region <> 'x'", // more properties than fit a frame on the stack
	} {
		e, err := Parse(expression)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(100, func() {
			if e.Eval(props) != True {
				t.Fatal("not true")
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", expression, n)
		}
	}
}

func BenchmarkEval(b *testing.B) {
	props := properties("KEYS", "k", "UNIQ_KEY", "7F00000100002A139055000000000000", "WAIT", "true", "TAGS", "t", "price", "17", "region", "eu", "CLUSTER", "DefaultCluster")
	for _, expression := range []string{"price = 18", "price BETWEEN 10 AND 20 AND region IN ('us', 'cn')", "rate > 0.5 OR region = 'cn'"} {
		e, err := Parse(expression)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(expression, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if e.Eval(props) == True {
					b.Fatal("true")
				}
			}
		})
	}
}

// What strangers write must never end in a panic, and NOT must turn round whatever is true or false.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"a = 5 AND b > 1.5e3 OR NOT (c IS NULL)", "a NOT IN ('x', 'it''s') OR b BETWEEN -1 AND 5L", "a CONTAINS 'x' /* y */ -- z\n",
		"a IS NOT NULL = TRUE", "s NOT ENDSWITH 'q' <> t", "((a", "'x", "1.e5.5", "+-a"} {
		f.Add(s, "5", "x")
	}
	f.Fuzz(func(t *testing.T, expression, a, b string) {
		props := properties("a", a, "b", b)
		e, err := Parse(expression)
		if err != nil {
			return
		}
		got := e.Eval(props)
		turned, err := Parse("NOT (" + expression[:len(expression)-len(e.Ignored())] + ")")
		if err != nil {
			if strings.Contains(err.Error(), "deeper") || strings.Contains(err.Error(), "more than") {
				return
			}
			t.Fatalf("%q is understood, but not after NOT: %v", expression, err)
		}
		if back := turned.Eval(props); back != negated(got) {
			t.Errorf("%q is %v, and after NOT %v", expression, got, back)
		}
	})
}

// Properties are found as message.Properties has them, whatever a stranger wrote.
func FuzzFind(f *testing.F) {
	f.Add([]byte("a\x015\x02b\x016\x02a\x017"))
	f.Add([]byte("\x01x\x02a\x01\x02b\x01\x01c\x02\x00a\x010\x02a"))
	f.Add([]byte("seven77\x01x\x02eight888\x01y\x02eight888x\x01z\x02longer_than_eight\x01!\x02longer_than\x01?"))
	e, err := Parse("a = b OR c = dd OR seven77 = eight888 OR longer_than_eight = 1")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, properties []byte) {
		slots := make([][]byte, len(e.names))
		e.find(slots, properties)
		for name, i := range e.names {
			want, _ := message.Property(properties, name)
			if string(slots[i]) != string(want) || (slots[i] == nil) != (want == nil) {
				t.Errorf("%s is %q, want %q", name, slots[i], want)
			}
		}
	})
}
