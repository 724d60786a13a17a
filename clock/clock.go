// Package clock is the time that Holdfast's policies live in.
//
//   - [System] is the machine's time. It follows a testing/synctest bubble, so code under test needs no other clock there.
//   - [Virtual] is time that moves only when told to: a sleep of an hour takes some nanoseconds.
//   - clock/benclock adapts any github.com/benbjohnson/clock clock.
//
// [WithTimeout] gives a context a deadline on any of them.
package clock

import (
	"context"
	"math"
	"time"
)

// A Clock tells the time and waits. Its methods may be called from many goroutines at once, and its values must be
// comparable with ==, as pointers are: a deadline belongs to one clock.
type Clock interface {
	// Nanos is the time in nanoseconds since the Unix epoch. It never goes backwards. 0 is a legal time.
	Nanos() int64

	// Sleep waits for d, or until ctx ends: then it returns context.Cause(ctx), also where ctx had ended before.
	// A d of 0 or less does not wait.
	Sleep(ctx context.Context, d time.Duration) error

	// AfterFunc calls f once d has passed, on any goroutine. f must not block. A d of 0 or less is due at once.
	AfterFunc(d time.Duration, f func()) Timer
}

// A Timer is a call that AfterFunc has put off.
type Timer interface {
	// Stop calls it off and reports whether it did: false means that the func has started, or was stopped before.
	Stop() bool
}

// OrSystem is c, or System where c is nil: what a policy means by a Clock field left empty.
func OrSystem(c Clock) Clock {
	if c == nil {
		return System
	}
	return c
}

// Time is the instant that n nanoseconds of c stand for. On System it carries a monotonic reading, so that comparing
// it with time.Now is safe from steps of the wall clock.
func Time(c Clock, n int64) time.Time {
	if c == System {
		return systemTime(n)
	}
	return time.Unix(0, n)
}

// After is n + d, held at the ends of the range of int64 instead of wrapping round.
func After(n int64, d time.Duration) int64 {
	sum := n + int64(d)
	switch {
	case d > 0 && sum < n:
		return math.MaxInt64
	case d < 0 && sum > n:
		return math.MinInt64
	}
	return sum
}

// Since is the time from start to now, and never negative: a clock that was set back counts as one that stood still.
func Since(start, now int64) time.Duration {
	switch d := now - start; {
	case now <= start:
		return 0
	case d < 0:
		return math.MaxInt64
	default:
		return time.Duration(d)
	}
}

// identical is a == b, and false where the values cannot be compared. To ask package reflect would allocate.
func identical(a, b any) (same bool) {
	defer func() { _ = recover() }()
	return a == b
}
