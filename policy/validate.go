package policy

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"sync"

	"github.com/holdfast-go/holdfast/clock"
)

// problems collects what is wrong with the fields of one struct.
type problems struct {
	owner string
	errs  []error
}

func (p *problems) add(format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf(p.owner+format, args...))
}

// field adds what is wrong with a field, if anything.
func (p *problems) field(name string, err error) {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range several.Unwrap() {
			p.field(name, one)
		}
		return
	}
	if err != nil {
		p.add(".%s: %w", name, err)
	}
}

func (p *problems) join() error { return errors.Join(p.errs...) }

// atLeast is an error unless v is least or more.
func atLeast[N cmp.Ordered](name string, v, least N) error {
	if v >= least {
		return nil
	}
	return fmt.Errorf("%s is %v; want %v or more", name, v, least)
}

// notNegative adds an error where v is below 0, which for the fields it is used for means a default.
func notNegative[N cmp.Ordered](p *problems, name string, v N) {
	var zero N
	if v < zero {
		p.add(".%s is %v; want 0 or more", name, v)
	}
}

// size adds an error where v is no number of calls that a Limit may stand at.
func (p *problems) size(name string, v int) {
	if v < 0 || v > largestLimit {
		p.add(".%s is %d; want 0 to %d", name, v, largestLimit)
	}
}

func (p *problems) clock(c clock.Clock) {
	switch {
	case c == nil:
	case isNil(c):
		p.add(".Clock is a nil %T; want a clock, or nothing for clock.System", c)
	case !reflect.ValueOf(c).Comparable():
		p.add(".Clock is a %T, which cannot be compared; want a pointer to it", c)
	}
}

// budget adds an error where a policy that has c has a budget that is wrong, or on another clock.
func (p *problems) budget(b *Budget, c clock.Clock) {
	if b == nil {
		return
	}
	p.field("Budget", b.Validate())
	one, other := clock.OrSystem(c), clock.OrSystem(b.Clock)
	if reflect.ValueOf(one).Comparable() && reflect.ValueOf(other).Comparable() && one != other {
		p.add(".Budget.Clock is another clock than .Clock; want one for both")
	}
}

// A verdict is what a core's Validate says, asked when it is first used: somebody may use it without a pipeline.
type verdict struct {
	once sync.Once
	err  error
}

func (v *verdict) by(validate func() error) error {
	v.once.Do(func() { v.err = validate() })
	return v.err
}

// isNil reports whether v is nil, or a nil pointer or func in an interface.
func isNil(v any) bool {
	if v == nil {
		return true
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Pointer, reflect.Func, reflect.Map, reflect.Slice, reflect.Chan:
		return r.IsNil()
	default:
		return false
	}
}
