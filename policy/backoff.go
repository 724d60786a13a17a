package policy

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// A Backoff says how long to wait before a retry, or for how long a Circuit stays open. Delay must be safe for
// concurrent use; one Backoff may serve many policies. A negative delay counts as 0.
type Backoff interface {
	Delay(s Step) time.Duration
}

// A BackoffFunc is a func as a Backoff. Explain calls what it adds to the worst case unknown.
type BackoffFunc func(s Step) time.Duration

// Delay calls f.
func (f BackoffFunc) Delay(s Step) time.Duration { return f(s) }

// A Step is what a Backoff knows about the wait it is asked for.
type Step struct {
	Retry    int            // 1 for the first retry, or a Circuit's first opening in a row
	Previous time.Duration  // what this Backoff said last; 0 on the first retry
	Total    time.Duration  // the sum of what it has said so far
	Rand     func() float64 // in [0, 1); nil means math/rand/v2
}

// drawn returns a number in [0, 1) from the user's source, or from math/rand/v2 if there is none, or if what it returns is
// out of range: a NaN or a negative number would have a Throttle refuse everything.
func drawn(source func() float64) float64 {
	if source != nil {
		if r := source(); r >= 0 && r <= 1 {
			return r
		}
	}
	return rand.Float64()
}

func (s Step) rand() float64 {
	if s.Rand == nil {
		return rand.Float64()
	}
	if r := s.Rand(); r >= 0 { // not NaN either
		return min(r, 1)
	}
	return 0
}

// uniform is a random duration between low and high.
func (s Step) uniform(low, high time.Duration) time.Duration {
	return min(high, addDurations(low, scale(high-low, s.rand()))) // the float may have been rounded up
}

// next is the step after s, at which the backoff said d.
func (s Step) next(d time.Duration) Step {
	s.Retry++
	s.Previous = d
	s.Total = addDurations(s.Total, d)
	return s
}

// scale is d·f, held within the range of a duration; what is not a number is 0.
func scale(d time.Duration, f float64) time.Duration {
	switch r := float64(d) * f; {
	case math.IsNaN(r):
		return 0
	case r >= math.MaxInt64:
		return math.MaxInt64
	case r <= math.MinInt64:
		return math.MinInt64
	default:
		return time.Duration(r)
	}
}

// addDurations is a + b for durations of 0 or more, held at the greatest.
func addDurations(a, b time.Duration) time.Duration {
	if sum := a + b; sum >= a {
		return sum
	}
	return math.MaxInt64
}

// mulDuration is d·n for values of 0 or more, held at the greatest.
func mulDuration(d time.Duration, n int) time.Duration {
	if n > 0 && d > math.MaxInt64/time.Duration(n) {
		return math.MaxInt64
	}
	return d * time.Duration(n)
}

// bounded is a Backoff that knows the most and the least it can say, which is what Explain goes by.
type bounded interface {
	Backoff
	validate() error
	most(retry int) (d time.Duration, known bool)
	least(retry int) time.Duration
	cap() time.Duration // the backoff's own maximum, which Jitter may not exceed
}

var _ = [...]bounded{constant(0), linear{}, exponential{}, decorrelated{}, smooth{}, spread{}}

// Constant waits d every time. d is 0 or more.
func Constant(d time.Duration) Backoff { return constant(d) }

type constant time.Duration

func (c constant) Delay(Step) time.Duration       { return time.Duration(c) }
func (c constant) most(int) (time.Duration, bool) { return time.Duration(c), true }
func (c constant) least(int) time.Duration        { return time.Duration(c) }
func (c constant) cap() time.Duration             { return math.MaxInt64 }
func (c constant) validate() error                { return atLeast("Constant delay", time.Duration(c), 0) }
func (c constant) String() string                 { return fmt.Sprintf("constant %v", time.Duration(c)) }

// growth is what the backoffs with a base and a maximum share.
type growth struct{ base, max time.Duration }

func (g growth) cap() time.Duration { return g.max }

func (g growth) validateAs(name string) error {
	switch {
	case g.base < 0:
		return fmt.Errorf("%s base is %v; want 0 or more", name, g.base)
	case g.max < g.base:
		return fmt.Errorf("%s maximum is %v; want at least its base, %v", name, g.max, g.base)
	}
	return nil
}

func (g growth) text(name string) string { return fmt.Sprintf("%s %v up to %v", name, g.base, g.max) }

// Linear waits base, 2·base, 3·base, … and at most max. base is 0 or more and max at least base.
func Linear(base, max time.Duration) Backoff { return linear{growth{base, max}} }

type linear struct{ growth }

func (l linear) Delay(s Step) time.Duration           { return l.least(s.Retry) }
func (l linear) most(retry int) (time.Duration, bool) { return l.least(retry), true }
func (l linear) least(retry int) time.Duration        { return min(l.max, mulDuration(l.base, max(1, retry))) }
func (l linear) validate() error                      { return l.validateAs("Linear") }
func (l linear) String() string                       { return l.text("linear") }

// Exponential waits base, 2·base, 4·base, … and at most max. base is 0 or more and max at least base.
func Exponential(base, max time.Duration) Backoff { return exponential{growth{base, max}} }

type exponential struct{ growth }

func (e exponential) Delay(s Step) time.Duration           { return e.least(s.Retry) }
func (e exponential) most(retry int) (time.Duration, bool) { return e.least(retry), true }

func (e exponential) least(retry int) time.Duration {
	doublings := max(1, retry) - 1
	if doublings >= 63 || e.base > e.max>>doublings {
		if e.base == 0 {
			return 0
		}
		return e.max
	}
	return e.base << doublings
}

func (e exponential) validate() error { return e.validateAs("Exponential") }
func (e exponential) String() string  { return e.text("exponential") }

// validateBackoff says what is wrong with one of this package's backoffs; another's is not this package's to judge.
func validateBackoff(b Backoff) error {
	if isNil(b) {
		return fmt.Errorf("a nil %T; want a Backoff", b)
	}
	if own, ok := b.(bounded); ok {
		return own.validate()
	}
	return nil
}

// describeBackoff is b in words.
func describeBackoff(b Backoff) string {
	if s, ok := b.(fmt.Stringer); ok {
		return s.String()
	}
	return fmt.Sprintf("%T", b)
}

// manyWaits is how many different waits are added up one by one.
const manyWaits = 10_000

// mostTotal is the most that the first n waits can add up to if each lasts at least floor, and whether that is
// known: another package's Backoff may say anything.
func mostTotal(b Backoff, n int, floor time.Duration) (total time.Duration, known bool) {
	own, ok := b.(bounded)
	if !ok || n <= 0 {
		return 0, n <= 0
	}
	if s, ok := own.(smooth); ok && floor == 0 {
		return s.total(n), true
	}
	longest, known := own.most(n)
	if !known {
		return 0, false
	}
	return sum(n, max(longest, floor), max(longest, floor), func(retry int) time.Duration {
		d, _ := own.most(retry)
		return max(d, floor)
	}), true
}

// leastTotal is the least that the first n waits add up to.
func leastTotal(b Backoff, n int) time.Duration {
	own, ok := b.(bounded)
	if !ok || n <= 0 {
		return 0
	}
	return sum(n, own.least(n), own.least(min(n, manyWaits)), own.least)
}

// sum adds up n waits that never become shorter, the last of which is longest. It looks at each only until they stay the
// same, so that a great n costs no more than a small one. After manyWaits different ones the rest count as rest.
func sum(n int, longest, rest time.Duration, wait func(retry int) time.Duration) (total time.Duration) {
	for retry := 1; retry <= n; retry++ {
		d := wait(retry)
		if d == longest {
			return addDurations(total, mulDuration(d, n-retry+1))
		}
		if retry > manyWaits {
			return addDurations(total, mulDuration(rest, n-retry+1))
		}
		total = addDurations(total, d)
	}
	return total
}
