package fastjson

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
)

// field is one field of a struct as its JSON sees it.
type field struct {
	name      string
	index     []int
	omitEmpty bool
	quoted    bool // the tag option "string"
}

// types remembers the fields of the structs met during one call.
type types map[reflect.Type][]field

// fields returns the fields of a struct type in alphabetical order. Those of embedded structs are as if they were in it.
func (t types) fields(of reflect.Type) []field {
	if all, ok := t[of]; ok {
		return all
	}
	var all []field
	for i := range of.NumField() {
		f := of.Field(i)
		tag, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if tag == "-" && options == "" {
			continue
		}
		if f.Anonymous && tag == "" && f.Type.Kind() == reflect.Struct {
			for _, inner := range t.fields(f.Type) {
				inner.index = append([]int{i}, inner.index...)
				all = append(all, inner)
			}
			continue
		}
		if !f.IsExported() {
			continue
		}
		if tag == "" {
			tag = f.Name
		}
		options = "," + options + ","
		all = append(all, field{
			name:      tag,
			index:     f.Index,
			omitEmpty: strings.Contains(options, ",omitempty,") || strings.Contains(options, ",omitzero,"),
			quoted:    strings.Contains(options, ",string,"),
		})
	}
	// Of two fields of one name the less deeply embedded one counts.
	slices.SortStableFunc(all, func(a, b field) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(len(a.index), len(b.index)))
	})
	all = slices.CompactFunc(all, func(a, b field) bool { return a.name == b.name })
	t[of] = all
	return all
}

// find looks a field up by name, and failing that by a name that differs in case only.
func (t types) find(of reflect.Type, name string) (field, bool) {
	all := t.fields(of)
	if i, ok := slices.BinarySearchFunc(all, name, func(f field, n string) int { return cmp.Compare(f.name, n) }); ok {
		return all[i], true
	}
	for _, f := range all {
		if strings.EqualFold(f.name, name) {
			return f, true
		}
	}
	return field{}, false
}
