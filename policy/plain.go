package policy

import "reflect"

// isPlain reports whether nothing in a T can need a context after the call that returned it.
func isPlain[T any]() bool { return plain(reflect.TypeFor[T](), map[reflect.Type]bool{}) }

// plain reports whether values of type t are data and nothing else. Types in seen are being looked at already.
func plain(t reflect.Type, seen map[reflect.Type]bool) bool {
	if seen[t] {
		return true
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Interface, reflect.Func, reflect.Chan, reflect.UnsafePointer:
		return false
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return plain(t.Elem(), seen)
	case reflect.Map:
		return plain(t.Key(), seen) && plain(t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			if !plain(t.Field(i).Type, seen) {
				return false
			}
		}
		return true
	default:
		return true
	}
}
