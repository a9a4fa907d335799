package broker

import "slices"

// Lists and maps within maps: what is empty is not there.

// within returns the map at a key, made when it is not there yet.
func within[K, L comparable, V any](all map[K]map[L]V, key K) map[L]V {
	m := all[key]
	if m == nil {
		m = map[L]V{}
		all[key] = m
	}
	return m
}

// dropWithin takes an entry out of the map at a key, if it is there.
func dropWithin[K, L comparable, V any](all map[K]map[L]V, key K, entry L) {
	delete(all[key], entry)
	if len(all[key]) == 0 {
		delete(all, key)
	}
}

// without takes what is in a list once at most out of it. The list itself is changed.
func without[T comparable](list []T, gone T) []T {
	if i := slices.Index(list, gone); i >= 0 {
		return slices.Delete(list, i, i+1)
	}
	return list
}

// dropFrom does so with the list at a key.
func dropFrom[K, T comparable](all map[K][]T, key K, gone T) {
	if all[key] = without(all[key], gone); len(all[key]) == 0 {
		delete(all, key)
	}
}
