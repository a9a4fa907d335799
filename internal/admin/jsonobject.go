package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// object is a JSON object that keeps the order of its fields, as Java's does.
type object []objectField

type objectField struct {
	name  string
	value any // object, or json.RawMessage
}

// readObject reads an object, and objects in it.
func readObject(data []byte) (object, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("cannot read %.100q as a JSON object", data)
	}
	var o object
	for d.More() {
		t, err := d.Token()
		name, _ := t.(string)
		var raw json.RawMessage
		if err == nil {
			err = d.Decode(&raw)
		}
		if err != nil {
			return nil, err
		}
		f := objectField{name, raw}
		if raw[0] == '{' {
			if f.value, err = readObject(raw); err != nil {
				return nil, err
			}
		}
		o = append(o, f)
	}
	return o, nil
}

// print prints it as Java's pretty printer does.
func (o object) print(w io.Writer, depth int) {
	if len(o) == 0 {
		io.WriteString(w, "{}")
		return
	}
	io.WriteString(w, "{")
	for i, f := range o {
		if i > 0 {
			io.WriteString(w, ",")
		}
		fmt.Fprintf(w, "\n%s%q:", strings.Repeat("\t", depth+1), f.name)
		switch v := f.value.(type) {
		case object:
			v.print(w, depth+1)
		case json.RawMessage:
			printValue(w, v, depth+1)
		}
	}
	fmt.Fprintf(w, "\n%s}", strings.Repeat("\t", depth))
}

// printValue prints a value that is no object, an array an element a line.
func printValue(w io.Writer, v json.RawMessage, depth int) {
	var elements []json.RawMessage
	if v[0] != '[' || json.Unmarshal(v, &elements) != nil || len(elements) == 0 {
		w.Write(v)
		return
	}
	before := "["
	for _, e := range elements {
		fmt.Fprintf(w, "%s\n%s%s", before, strings.Repeat("\t", depth+1), e)
		before = ","
	}
	fmt.Fprintf(w, "\n%s]", strings.Repeat("\t", depth))
}
