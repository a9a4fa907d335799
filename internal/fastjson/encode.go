package fastjson

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Marshal writes v without spaces, integer keys bare.
func Marshal(v any) ([]byte, error) {
	return marshal(v, encoder{})
}

// MarshalStandard writes v without spaces, integer keys quoted.
func MarshalStandard(v any) ([]byte, error) {
	return marshal(v, encoder{quoteKeys: true})
}

// MarshalIndent writes v as the files in config/ look: integer keys bare, one line an entry, indented by tabs.
func MarshalIndent(v any) ([]byte, error) {
	return marshal(v, encoder{indent: true})
}

func marshal(v any, e encoder) ([]byte, error) {
	e.types = types{}
	if err := e.value(reflect.ValueOf(v), 0); err != nil {
		return nil, fmt.Errorf("cannot write %T: %w", v, err)
	}
	return e.out, nil
}

type encoder struct {
	out       []byte
	types     types
	quoteKeys bool
	indent    bool
}

// line begins a new line where lines are wanted.
func (e *encoder) line(depth int) {
	if e.indent {
		e.out = append(e.out, '\n')
		for range depth {
			e.out = append(e.out, '\t')
		}
	}
}

func isNil(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Interface:
		return v.IsNil()
	}
	return !v.IsValid()
}

func (e *encoder) value(v reflect.Value, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("nesting too deep: %w", ErrType)
	}
	if isNil(v) {
		e.out = append(e.out, "null"...)
		return nil
	}
	if t := v.Type(); t.PkgPath() != "" || t.Kind() == reflect.Pointer { // others have no methods
		if m, ok := v.Interface().(json.Marshaler); ok {
			return e.foreign(m)
		}
	}
	if v.CanAddr() && v.Type().PkgPath() != "" {
		if m, ok := v.Addr().Interface().(json.Marshaler); ok {
			return e.foreign(m)
		}
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return e.value(v.Elem(), depth)
	case reflect.Struct:
		return e.structure(v, depth)
	case reflect.Map:
		return e.mapping(v, depth)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			e.out = append(e.out, '"')
			e.out = base64.StdEncoding.AppendEncode(e.out, v.Bytes())
			e.out = append(e.out, '"')
			return nil
		}
		return e.array(v, depth)
	case reflect.Array:
		return e.array(v, depth)
	}
	return e.scalar(v)
}

func (e *encoder) foreign(m json.Marshaler) error {
	b, err := m.MarshalJSON()
	e.out = append(e.out, b...)
	return err
}

func (e *encoder) scalar(v reflect.Value) error {
	switch {
	case v.Kind() == reflect.String:
		e.out = appendText(e.out, v.String())
	case v.Kind() == reflect.Bool:
		e.out = strconv.AppendBool(e.out, v.Bool())
	case v.CanInt():
		e.out = strconv.AppendInt(e.out, v.Int(), 10)
	case v.CanUint():
		e.out = strconv.AppendUint(e.out, v.Uint(), 10)
	case v.CanFloat():
		b, err := json.Marshal(v.Float())
		if err != nil {
			return err
		}
		e.out = append(e.out, b...)
	default:
		return fmt.Errorf("a %s: %w", v.Type(), ErrType)
	}
	return nil
}

func (e *encoder) structure(v reflect.Value, depth int) error {
	e.out = append(e.out, '{')
	some := false
	for _, f := range e.types.fields(v.Type()) {
		value := v.FieldByIndex(f.index)
		if isNil(value) || f.omitEmpty && isEmpty(value) {
			continue
		}
		if some {
			e.out = append(e.out, ',')
		}
		some = true
		e.line(depth + 1)
		e.out = appendText(e.out, f.name)
		e.out = append(e.out, ':')
		quoted := f.quoted && value.Kind() != reflect.String
		if quoted {
			e.out = append(e.out, '"')
		}
		if err := e.value(value, depth+1); err != nil {
			return fmt.Errorf("field %s: %w", f.name, err)
		}
		if quoted {
			e.out = append(e.out, '"')
		}
	}
	if some {
		e.line(depth)
	}
	e.out = append(e.out, '}')
	return nil
}

func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Map, reflect.Slice, reflect.Array:
		return v.Len() == 0
	}
	return v.IsZero()
}

// mapping writes a map, sorted by key so that equal maps give equal bytes.
func (e *encoder) mapping(v reflect.Value, depth int) error {
	kind := reflect.New(v.Type().Key()).Elem()
	if kind.Kind() != reflect.String && !kind.CanInt() {
		return fmt.Errorf("a key of type %s: %w", kind.Type(), ErrType)
	}
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int {
		if a.Kind() == reflect.String {
			return cmp.Compare(a.String(), b.String())
		}
		return cmp.Compare(a.Int(), b.Int())
	})
	e.out = append(e.out, '{')
	some := false
	for _, key := range keys {
		value := v.MapIndex(key)
		if isNil(value) {
			continue
		}
		if some {
			e.out = append(e.out, ',')
		}
		some = true
		e.line(depth + 1)
		switch {
		case key.Kind() == reflect.String:
			e.out = appendText(e.out, key.String())
		case e.quoteKeys:
			e.out = append(strconv.AppendInt(append(e.out, '"'), key.Int(), 10), '"')
		default:
			e.out = strconv.AppendInt(e.out, key.Int(), 10)
		}
		e.out = append(e.out, ':')
		if err := e.value(value, depth+1); err != nil {
			return err
		}
	}
	if some {
		e.line(depth)
	}
	e.out = append(e.out, '}')
	return nil
}

// array writes numbers on one line and anything else on a line each.
func (e *encoder) array(v reflect.Value, depth int) error {
	elem := reflect.New(v.Type().Elem()).Elem()
	lines := v.Len() > 0 && !elem.CanInt() && !elem.CanUint() && !elem.CanFloat()
	e.out = append(e.out, '[')
	for i := range v.Len() {
		if i > 0 {
			e.out = append(e.out, ',')
		}
		if lines {
			e.line(depth + 1)
		}
		if err := e.value(v.Index(i), depth+1); err != nil {
			return err
		}
	}
	if lines {
		e.line(depth)
	}
	e.out = append(e.out, ']')
	return nil
}

func appendText(dst []byte, s string) []byte {
	plain := true
	for i := 0; i < len(s) && plain; i++ {
		c := s[i]
		plain = c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf
	}
	if plain {
		dst = append(dst, '"')
		dst = append(dst, s...)
		return append(dst, '"')
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always has JSON
	return append(dst, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
}
