package protocol

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
)

// Error is a refusal with Apache's response code and a remark for the one who reads it.
type Error struct {
	Code   int
	Remark string
}

// Error returns the remark with its code.
func (e *Error) Error() string { return fmt.Sprintf("code %d: %s", e.Code, e.Remark) }

// Errorf makes an Error.
func Errorf(code int, format string, args ...any) *Error {
	return &Error{Code: code, Remark: fmt.Sprintf(format, args...)}
}

// Header structs name their fields by tag:
//
//	type GetRouteInfoHeader struct {
//		Topic string `field:"topic,required"`
//		AcceptStandardJSONOnly bool `field:"acceptStandardJsonOnly"`
//		QueueID *int32 `field:"queueId"` // nil when absent
//	}
//
// Kinds are string, bool, int, int32, int64, and pointers to them for "absent" apart from zero.
// When encoding, "omitempty" leaves out a zero value; a nil pointer is always left out.
// An embedded struct's fields count as the struct's own.
type fieldPlan struct {
	name                string
	index               []int
	required, omitempty bool
}

var plans sync.Map // reflect.Type -> []fieldPlan

func planOf(t reflect.Type) []fieldPlan {
	if p, ok := plans.Load(t); ok {
		return p.([]fieldPlan)
	}
	var p []fieldPlan
	for _, f := range reflect.VisibleFields(t) {
		tag, ok := f.Tag.Lookup("field")
		if !ok {
			continue
		}
		name, opts, _ := strings.Cut(tag, ",")
		p = append(p, fieldPlan{name: name, index: f.Index, required: strings.Contains(opts, "required"),
			omitempty: strings.Contains(opts, "omitempty")})
	}
	plans.Store(t, p)
	return p
}

// DecodeFields fills the struct that v points to from the header's fields. A required field that is missing, and a
// value that does not parse, give an Error with code 1 that names the field. Apache has the same words, but writes them to its log
// and goes on with the field's default.
func (h *Header) DecodeFields(v any) error {
	rv := reflect.ValueOf(v).Elem()
	for _, p := range planOf(rv.Type()) {
		value, ok := h.Get(p.name)
		if ok && h.IsNull(value) {
			// Of a required text nothing else is known than that it was sent.
			ok = p.required && rv.FieldByIndex(p.index).Kind() == reflect.String
		}
		if !ok {
			if p.required {
				return Errorf(CodeSystemError, "the custom field <%s> is null", p.name)
			}
			continue
		}
		if err := setField(rv.FieldByIndex(p.index), string(value)); err != nil {
			return Errorf(CodeSystemError, "the custom field <%s> has the value %q, which is not %s", p.name, clip(string(value)), err)
		}
	}
	return nil
}

// clip keeps a stranger's value short enough for a remark.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "..."
	}
	return s
}

type wantError string

func (e wantError) Error() string { return string(e) }

func setField(f reflect.Value, s string) error {
	switch f.Kind() {
	case reflect.Pointer:
		p := reflect.New(f.Type().Elem())
		if err := setField(p.Elem(), s); err != nil {
			return err
		}
		f.Set(p)
	case reflect.String:
		f.SetString(s)
	case reflect.Bool:
		f.SetBool(strings.EqualFold(s, "true")) // as Java's Boolean.parseBoolean
	case reflect.Int, reflect.Int32, reflect.Int64:
		bits := f.Type().Bits()
		n, err := strconv.ParseInt(s, 10, bits)
		if err != nil {
			return wantError(fmt.Sprintf("a %d-bit number", bits))
		}
		f.SetInt(n)
	default:
		panic("bug: header field of kind " + f.Kind().String())
	}
	return nil
}

// EncodeFields writes the tagged fields of the struct v (or that v points to) into the frame.
func (f *Frame) EncodeFields(v any) {
	if v == nil {
		return
	}
	rv := reflect.ValueOf(v)
	if rv.Kind() == reflect.Pointer {
		if rv.IsNil() {
			return
		}
		rv = rv.Elem()
	}
	for _, p := range planOf(rv.Type()) {
		fv := rv.FieldByIndex(p.index)
		if fv.Kind() == reflect.Pointer {
			if fv.IsNil() {
				continue
			}
			fv = fv.Elem()
		} else if p.omitempty && fv.IsZero() {
			continue
		}
		switch fv.Kind() {
		case reflect.String:
			f.Str(p.name, fv.String())
		case reflect.Bool:
			f.Str(p.name, strconv.FormatBool(fv.Bool()))
		default:
			f.Int(p.name, fv.Int())
		}
	}
}
