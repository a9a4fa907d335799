package config

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// field is one key that is a field of a struct.
type field struct {
	key       string
	index     []int // of the field, for reflect.Value.FieldByIndex
	unit      time.Duration
	long      bool
	restart   bool
	local     bool
	important bool
}

// fieldsOf lists the tagged fields of a struct type, those of structs inside it too.
func fieldsOf(t reflect.Type) []field {
	var all []field
	for i := range t.NumField() {
		sf := t.Field(i)
		tag, tagged := sf.Tag.Lookup("prop")
		switch {
		case tagged:
			f := parseTag(tag)
			f.index = sf.Index
			all = append(all, f)
		case sf.Type.Kind() == reflect.Struct && sf.IsExported():
			for _, f := range fieldsOf(sf.Type) {
				f.index = append([]int{i}, f.index...)
				all = append(all, f)
			}
		}
	}
	return all
}

func parseTag(tag string) field {
	key, options, _ := strings.Cut(tag, ",")
	f := field{key: key}
	for option := range strings.SplitSeq(options, ",") {
		switch option {
		case "":
		case "ms":
			f.unit = time.Millisecond
		case "s":
			f.unit = time.Second
		case "h":
			f.unit = time.Hour
		case "long":
			f.long = true
		case "restart":
			f.restart = true
		case "local":
			f.local = true
		case "important":
			f.important = true
		default:
			panic("bug: unknown option in tag " + tag)
		}
	}
	return f
}

// set puts a value as it stands in a file into the field. What is returned is what is allowed, empty when it was.
func (f *field) set(target reflect.Value, value string) (allowed string) {
	v := target.FieldByIndex(f.index)
	switch v.Kind() {
	case reflect.String:
		v.SetString(value)
	case reflect.Bool:
		b, ok := parseBool(value)
		if !ok {
			return "true or false"
		}
		v.SetBool(b)
	default:
		bits := 32
		if f.long || v.Type() == reflect.TypeFor[int64]() {
			bits = 64
		}
		n, err := strconv.ParseInt(value, 10, bits)
		if err != nil {
			return wholeNumber(value, err)
		}
		if f.unit > 0 {
			if n > math.MaxInt64/int64(f.unit) {
				return fmt.Sprintf("at most %d", math.MaxInt64/int64(f.unit))
			} else if n < math.MinInt64/int64(f.unit) {
				return "a larger number"
			}
			n *= int64(f.unit)
		}
		v.SetInt(n)
	}
	return ""
}

func parseBool(s string) (value, ok bool) {
	if strings.EqualFold(s, "true") {
		return true, true
	}
	return false, strings.EqualFold(s, "false")
}

func wholeNumber(value string, err error) string {
	switch {
	case !errors.Is(err, strconv.ErrRange):
		return "a whole number"
	case strings.HasPrefix(value, "-"):
		return "a larger number"
	}
	return "a smaller number"
}

// text is the value as it stands in a file.
func (f *field) text(target reflect.Value) string {
	v := target.FieldByIndex(f.index)
	switch v.Kind() {
	case reflect.String:
		return v.String()
	case reflect.Bool:
		return strconv.FormatBool(v.Bool())
	}
	if f.unit > 0 {
		return strconv.FormatInt(v.Int()/int64(f.unit), 10)
	}
	return strconv.FormatInt(v.Int(), 10)
}
