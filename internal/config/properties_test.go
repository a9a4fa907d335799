package config

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestParseProperties_ReadsAsJava(t *testing.T) {
	t.Parallel()
	check := func(in string, want ...Property) {
		t.Helper()
		got, err := ParseProperties([]byte(in))
		if err != nil || len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Errorf("%q gives %v, %v; want %v", in, got, err, want)
		}
	}
	check("")
	check("\n\r\n\r \t\f\n# a=b\n  ! c=d\n#x\\\n")
	check("a=b", Property{"a", "b", 1})
	check("a = b \r\nc:d\re f\n\tg=h", Property{"a", "b ", 1}, Property{"c", "d", 2}, Property{"e", "f", 3}, Property{"g", "h", 4})
	check("a", Property{"a", "", 1})
	check("a  : = b", Property{"a", "= b", 1})
	check("a b=c", Property{"a", "b=c", 1})
	check("=b", Property{"", "b", 1})
	check(`a\=\:\ b=\=c`, Property{"a=: b", "=c", 1})
	check("a=1,\\\n   2,\\\r\n\t3\nb=4", Property{"a", "1,2,3", 1}, Property{"b", "4", 4})
	check("a=1\\\\\nb=2", Property{"a", `1\`, 1}, Property{"b", "2", 2})
	check("a=1\\\n# no comment\nb=2", Property{"a", "1# no comment", 1}, Property{"b", "2", 3})
	check("a=1\\\n\nb=2", Property{"a", "1", 1}, Property{"b", "2", 3})
	check("a=1\\", Property{"a", "1", 1})
	check("\\\n# a comment after all\na=b", Property{"a", "b", 3})
	check(`a=\t\n\r\f\q\u0041\ud83d\ude00\u4E2D`, Property{"a", "\t\n\r\fqA😀中", 1})
	check("a=1\na=2", Property{"a", "1", 1}, Property{"a", "2", 2})
	check("brokerName=中文", Property{"brokerName", "中文", 1})
	check("brokerName=caf\xe9", Property{"brokerName", "café", 1})
	check("\ufeffa=b", Property{"a", "b", 1})
	check("file=C:\\\\store", Property{"file", `C:\store`, 1})
}

func TestParseProperties_NamesTheLineOfABadEscape(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"a=b\n\nc=\\u00g0", "a=b\n\nc\\u=", "a=b\n\nc=\\u123"} {
		_, err := ParseProperties([]byte(in))
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || syntax.Line != 3 {
			t.Errorf("%q gives %v", in, err)
		}
	}
}

func TestAppendProperty_IsReadBack(t *testing.T) {
	t.Parallel()
	for _, p := range []Property{{"a", "b", 1}, {"a b", " c ", 1}, {"#=:!", "\t\n\r\f\\ 中😀\x00\x7f", 1}, {"", "", 1}} {
		got, err := ParseProperties(AppendProperty(nil, p.Key, p.Value))
		if err != nil || len(got) != 1 || got[0] != p {
			t.Errorf("%+v comes back as %+v, %v", p, got, err)
		}
	}
}

func TestWriteProperties_KeepsWhatIsNotChanged(t *testing.T) {
	t.Parallel()
	old := "# my broker\nbrokerName=a\nfileReservedTime = 48 \\\n  \nfileReservedTime: 49\n\n! end\nstrange key"
	want := "# my broker\nbrokerName=a\nfileReservedTime=50\n\n! end\nstrange key\nmaxMessageSize=1\nz=\\\\2\n"
	got, err := WriteProperties([]byte(old), map[string]string{"fileReservedTime": "50", "z": `\2`, "maxMessageSize": "1"})
	if err != nil || string(got) != want {
		t.Errorf("got %v\n%s\nwant\n%s", err, got, want)
	}
}

// TestWriteProperties_EndsALineThatWouldGoOn: a backslash at the end of the file would make what is appended part of the last value.
func TestWriteProperties_EndsALineThatWouldGoOn(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"", "\n", "\r\n", "\r", "\\\\", "\\\\\\", "\\", "\\\n", "\\\r\n", "\\\r", "\\\n\\", "\\\n  "} {
		old := "z=1\nbrokerName=a" + end
		before, err := ParseProperties([]byte(old))
		if err != nil {
			t.Fatal(err)
		}
		got, err := WriteProperties([]byte(old), map[string]string{"z": "2", "maxMessageSize": "3", "x": "4"})
		if err != nil {
			t.Fatal(err)
		}
		after, err := ParseProperties(got)
		if err != nil || len(after) != 4 || after[1].Key != "brokerName" || after[1].Value != before[1].Value || after[2].Key != "maxMessageSize" {
			t.Errorf("%q becomes %q: %+v, %v", old, got, after, err)
		}
	}
}

func FuzzParseProperties(f *testing.F) {
	f.Add([]byte("# comment\nbrokerName = broker-a\\\n  b\nlistenPort:10911\n"))
	f.Add([]byte("a=\\u0041\\ud83d\\ude00\r\n!x\rb\\=c d"))
	f.Add([]byte("caf\xe9=\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		props, err := ParseProperties(data)
		if err != nil {
			return
		}
		lines := strings.Count(string(data), "\n") + strings.Count(string(data), "\r") + 1
		var written []byte
		changes := make(map[string]string)
		for i, p := range props {
			if p.Line < 1 || p.Line > lines || i > 0 && p.Line <= props[i-1].Line {
				t.Fatalf("property %d is on line %d of %d", i, p.Line, lines)
			}
			written = AppendProperty(written, p.Key, p.Value)
			changes[p.Key] = "new"
		}
		again, err := ParseProperties(written)
		if err != nil || len(again) != len(props) {
			t.Fatalf("%+v comes back as %+v, %v", props, again, err)
		}
		for i := range props {
			if again[i].Key != props[i].Key || again[i].Value != props[i].Value {
				t.Fatalf("%+v comes back as %+v", props[i], again[i])
			}
		}
		changes["brand new"] = "new"
		changed, err := WriteProperties(data, changes)
		if err != nil {
			t.Fatal(err)
		}
		after, err := ParseProperties(changed)
		if err != nil || len(after) != len(changes) {
			t.Fatalf("%q changed to %q: %+v, %v", data, changed, after, err)
		}
		for _, p := range after {
			if p.Value != "new" {
				t.Fatalf("%q changed to %q", data, changed)
			}
		}
	})
}
