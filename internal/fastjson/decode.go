package fastjson

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// ErrType is wrapped by errors about a value that does not fit where it should go.
var ErrType = errors.New("wrong type")

// typeError is a value that is of the wrong type.
type typeError struct {
	path      string // to the value, such as /offsetTable/a; empty for the whole
	got, want string
}

func (e *typeError) Error() string {
	return fmt.Sprintf("at %q of the JSON stands %s where %s should be", cmp.Or(e.path, "/"), e.got, e.want)
}

func (e *typeError) Unwrap() error { return ErrType }

// wanted is what a type takes, for errors. They are read by operators, who know no types of Go.
func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return "Base64"
		}
		return "a list"
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return fmt.Sprintf("a whole number of %d bits", t.Bits())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return fmt.Sprintf("a whole number of %d bits, not below 0,", t.Bits())
	}
	return "something else"
}

// Unmarshal reads data into what v points to. An error leaves v partly set.
func Unmarshal(data []byte, v any) error {
	to := reflect.ValueOf(v)
	if to.Kind() != reflect.Pointer || to.IsNil() {
		return fmt.Errorf("cannot read into a %T: %w", v, ErrType)
	}
	std, err := Standard(data)
	if err != nil {
		return err
	}
	d := decoder{in: std, types: types{}}
	return d.value(to.Elem())
}

// decoder walks over standard JSON without spaces, so it need not look for syntax errors.
type decoder struct {
	in    []byte
	at    int
	types types
	path  []string // of names, for errors
}

func (d *decoder) wrong(to reflect.Value, got string) error {
	return &typeError{d.where(), got, wanted(to.Type())}
}

func (d *decoder) where() string {
	where := ""
	for _, name := range d.path {
		where += "/" + name
	}
	return where
}

// shown is a string, number or boolean for errors.
func shown(s string, wasText bool) string {
	if len(s) > 40 {
		s = strings.ToValidUTF8(s[:40], "") + "…"
	}
	if wasText {
		return strconv.Quote(s)
	}
	return s
}

// own lets a type read its value by itself.
func (d *decoder) own(u json.Unmarshaler) error {
	err := u.UnmarshalJSON(d.skip())
	var wrong *typeError
	if errors.As(err, &wrong) {
		wrong.path = d.where() + wrong.path // it knows its own part only
	}
	return err
}

// skip passes over one value and returns it.
func (d *decoder) skip() []byte {
	begin, depth := d.at, 0
	for d.at < len(d.in) {
		switch c := d.in[d.at]; c {
		case '"':
			d.skipText()
			if depth == 0 {
				return d.in[begin:d.at]
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return d.in[begin:d.at]
			}
			if depth--; depth == 0 {
				d.at++
				return d.in[begin:d.at]
			}
		case ',', ':':
			if depth == 0 {
				return d.in[begin:d.at]
			}
		}
		d.at++
	}
	return d.in[begin:d.at]
}

// skipText passes over a string and says whether it is free of escapes.
func (d *decoder) skipText() (plain bool) {
	plain = true
	for d.at++; d.in[d.at] != '"'; d.at++ {
		if d.in[d.at] == '\\' {
			plain = false
			d.at++
		}
	}
	d.at++
	return plain
}

func (d *decoder) text() (string, error) {
	begin := d.at
	if d.skipText() {
		return string(d.in[begin+1 : d.at-1]), nil
	}
	var s string
	if err := json.Unmarshal(d.in[begin:d.at], &s); err != nil {
		return "", err
	}
	return s, nil
}

func (d *decoder) value(to reflect.Value) error {
	if d.in[d.at] == 'n' {
		d.at += len("null")
		return nil
	}
	if to.Kind() == reflect.Pointer {
		if to.IsNil() {
			to.Set(reflect.New(to.Type().Elem()))
		}
		if u, ok := to.Interface().(json.Unmarshaler); ok {
			return d.own(u)
		}
		return d.value(to.Elem())
	}
	if to.CanAddr() {
		if u, ok := to.Addr().Interface().(json.Unmarshaler); ok {
			return d.own(u)
		}
	}
	if to.Kind() == reflect.Interface && to.NumMethod() == 0 {
		var v any
		if err := json.Unmarshal(d.skip(), &v); err != nil {
			return err
		}
		to.Set(reflect.ValueOf(v))
		return nil
	}
	switch c := d.in[d.at]; c {
	case '{':
		return d.object(to)
	case '[':
		return d.array(to)
	case '"':
		s, err := d.text()
		if err != nil {
			return err
		}
		return d.scalar(to, s, true)
	default:
		return d.scalar(to, string(d.skip()), false)
	}
}

func (d *decoder) object(to reflect.Value) error {
	switch to.Kind() {
	case reflect.Struct, reflect.Map:
	default:
		return d.wrong(to, "an object")
	}
	if to.Kind() == reflect.Map && to.IsNil() {
		to.Set(reflect.MakeMap(to.Type()))
	}
	for d.at++; d.in[d.at] != '}'; {
		if d.in[d.at] == ',' {
			d.at++
		}
		name, err := d.text()
		if err != nil {
			return err
		}
		d.at++ // colon
		d.path = append(d.path, name)
		if to.Kind() == reflect.Struct {
			if f, ok := d.types.find(to.Type(), name); ok {
				err = d.value(to.FieldByIndex(f.index))
			} else {
				d.skip()
			}
		} else {
			err = d.entry(to, name)
		}
		if err != nil {
			return err
		}
		d.path = d.path[:len(d.path)-1]
	}
	d.at++
	return nil
}

func (d *decoder) entry(to reflect.Value, name string) error {
	key := reflect.New(to.Type().Key()).Elem()
	if err := d.scalar(key, name, true); err != nil {
		return err
	}
	value := reflect.New(to.Type().Elem()).Elem()
	if err := d.value(value); err != nil {
		return err
	}
	to.SetMapIndex(key, value)
	return nil
}

func (d *decoder) array(to reflect.Value) error {
	if to.Kind() == reflect.Array {
		return d.fixedArray(to)
	}
	if to.Kind() != reflect.Slice {
		return d.wrong(to, "a list")
	}
	if to.IsNil() {
		to.Set(reflect.MakeSlice(to.Type(), 0, 0))
	}
	to.SetLen(0)
	for d.at++; d.in[d.at] != ']'; {
		if d.in[d.at] == ',' {
			d.at++
		}
		n := to.Len()
		to.Set(reflect.Append(to, reflect.Zero(to.Type().Elem())))
		if err := d.value(to.Index(n)); err != nil {
			return err
		}
	}
	d.at++
	return nil
}

func (d *decoder) fixedArray(to reflect.Value) error {
	i := 0
	for d.at++; d.in[d.at] != ']'; i++ {
		if d.in[d.at] == ',' {
			d.at++
		}
		if i >= to.Len() {
			d.skip()
		} else if err := d.value(to.Index(i)); err != nil {
			return err
		}
	}
	d.at++
	return nil
}

// scalar sets to from the text of a string, number or boolean; each may stand for another, as in Java's reader.
func (d *decoder) scalar(to reflect.Value, s string, wasText bool) error {
	switch to.Kind() {
	case reflect.String:
		to.SetString(s)
		return nil
	case reflect.Bool:
		switch s {
		case "true", "1", "TRUE", "True", "Y", "T":
			to.SetBool(true)
		case "false", "0", "FALSE", "False", "N", "F", "":
			to.SetBool(false)
		default:
			return d.wrong(to, shown(s, wasText))
		}
		return nil
	case reflect.Slice:
		if wasText && to.Type().Elem().Kind() == reflect.Uint8 {
			b, err := base64.StdEncoding.DecodeString(s)
			if err != nil {
				return d.wrong(to, shown(s, wasText))
			}
			to.SetBytes(b)
			return nil
		}
	}
	if wasText && (s == "" || s == "null") {
		return nil // Java's reader takes an empty string for null where a number should be
	}
	if s == "true" || s == "false" {
		if to.CanInt() && s == "true" {
			to.SetInt(1)
			return nil
		} else if to.CanInt() {
			to.SetInt(0)
			return nil
		}
		return d.wrong(to, shown(s, wasText))
	}
	switch {
	case to.CanInt():
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			f, ferr := strconv.ParseFloat(s, 64)
			if ferr != nil || math.Abs(f) >= 1<<63 {
				return d.wrong(to, shown(s, wasText))
			}
			n = int64(f)
		}
		if to.OverflowInt(n) {
			return d.wrong(to, shown(s, wasText))
		}
		to.SetInt(n)
	case to.CanUint():
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil || to.OverflowUint(n) {
			return d.wrong(to, shown(s, wasText))
		}
		to.SetUint(n)
	case to.CanFloat():
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || to.OverflowFloat(f) {
			return d.wrong(to, shown(s, wasText))
		}
		to.SetFloat(f)
	default:
		return d.wrong(to, shown(s, wasText))
	}
	return nil
}
