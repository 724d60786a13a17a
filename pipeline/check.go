package pipeline

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/policy"
)

// Check is what Wrap panics with: every misconfiguration of the policies, and of them as a whole, joined. It is nil
// where there is none.
func Check[T any](policies ...policy.Policy[T]) error {
	var errs []error
	whole := true
	for i, p := range policies {
		if isNil(p) {
			errs = append(errs, fmt.Errorf("pipeline: policy %d of %d is %s; want a policy", i+1, len(policies), nilOf(p)))
			whole = false
			continue
		}
		if v, ok := p.(policy.Validator); ok {
			if err := v.Validate(); err != nil {
				errs = append(errs, prefixed(err, place(i, len(policies), p))...)
				whole = false
			}
		}
	}
	if whole { // else some policies cannot describe themselves
		all := describeAll(flatten(policies))
		errs = append(errs, checkClocks(all)...)
		errs = append(errs, checkCores(all)...)
	}
	return errors.Join(errs...)
}

// nilOf returns what a nil policy is in words.
func nilOf(p any) string {
	if p == nil {
		return "nil"
	}
	return fmt.Sprintf("a nil %T", p)
}

// place says which of the policies p is, if that needs saying.
func place(i, of int, p any) string {
	var which []string
	if of > 1 {
		which = append(which, fmt.Sprintf("policy %d of %d", i+1, of))
	}
	if name := describe(p).Name; name != "" {
		which = append(which, strconv.Quote(name))
	}
	if len(which) == 0 {
		return ""
	}
	return " (" + strings.Join(which, ", ") + ")"
}

// prefixed is every error that err joins, under this package's name and with the place of the policy; and err itself, if
// it says more than they do.
func prefixed(err error, place string) []error {
	var parts []error
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		parts = several.Unwrap()
	}
	if all := errors.Join(parts...); all == nil || all.Error() != err.Error() {
		return []error{fmt.Errorf("pipeline: %w%s", err, place)}
	}
	var errs []error
	for _, e := range parts {
		errs = append(errs, prefixed(e, place)...)
	}
	return errs
}

func checkClocks(all []policy.Description) []error {
	var first policy.Description
	for _, d := range all {
		switch {
		case d.Clock == nil:
		case first.Clock == nil:
			first = d
		case !sameClock(d.Clock, first.Clock):
			return []error{fmt.Errorf("pipeline: the %s is on one clock, %T, and the %s on another, %T; want one clock for all, set in each policy and circuit",
				first.Kind, first.Clock, d.Kind, d.Clock)}
		}
	}
	return nil
}

// sameClock is a == b, for clocks that need not be comparable.
func sameClock(a, b clock.Clock) bool { return reflect.ValueOf(a).Comparable() && a == b }

// checkCores refuses what would count, or wait for, every call twice.
func checkCores(all []policy.Description) []error {
	var errs []error
	seen := make(map[any]bool)
	for _, d := range all {
		if d.Core == nil || !reflect.ValueOf(d.Core).Comparable() {
			continue
		}
		if seen[d.Core] {
			errs = append(errs, fmt.Errorf("pipeline: %s %q is in the pipeline twice; want it once, or every call counts twice",
				strings.ToLower(reflect.Indirect(reflect.ValueOf(d.Core)).Type().Name()), d.Name))
		}
		seen[d.Core] = true
	}
	return errs
}

// isNil reports whether v is nil, or a nil pointer or func in an interface.
func isNil(v any) bool {
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Pointer, reflect.Func, reflect.Map, reflect.Slice, reflect.Chan:
		return r.IsNil()
	default:
		return false
	}
}
