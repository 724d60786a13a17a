package policy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-go/holdfast/clock"
)

// Why a policy refused, gave up on, or counted a call. Match them with errors.Is.
var (
	ErrOpen     = errors.New("circuit is open")     // a Rejection's Reason
	ErrIsolated = errors.New("circuit is isolated") // a Rejection's Reason
	ErrTimeout  = errors.New("timeout")             // what every TimeoutError is
	ErrSlow     = errors.New("call was slow")       // a Change's Cause: a call lasted Circuit.Slow
	ErrPanicked = errors.New("call panicked")       // a Change's Cause, an Event's Err: it panicked or ended its goroutine
)

// errRamping is the Reason of a refusal by a circuit that has closed and is ramping up.
var errRamping = fmt.Errorf("%w: only a share of the calls is admitted", ErrOpen)

// A Rejection is the error of a call that a policy refused: the dependency was not asked. Most are built once and
// shared by many calls, so treat one as read-only.
type Rejection struct {
	Policy string    // the kind of policy: "breaker"
	Name   string    // the name of what refused: the Circuit's
	Reason error     // ErrOpen, ErrIsolated, …
	Until  time.Time // when it is worth trying again; zero where that is not known

	clock clock.Clock // that Until is on; nil means clock.System
}

// The errors of this package may be nil pointers in an error, which a func may return by mistake: they are errors that
// say nothing.
const nothing = "<nil>"

func (r *Rejection) Error() string {
	if r == nil {
		return nothing
	}
	text := r.Policy
	if r.Name != "" {
		text += " " + r.Name
	}
	if r.Reason != nil {
		text += ": " + r.Reason.Error()
	}
	if !r.Until.IsZero() {
		text += " until " + r.Until.Format(time.RFC3339Nano)
	}
	return text
}

// Unwrap is the Reason.
func (r *Rejection) Unwrap() error {
	if r == nil {
		return nil
	}
	return r.Reason
}

// RetryAfter is the time left until it is worth trying again: 0 where that is past or not known.
func (r *Rejection) RetryAfter() time.Duration {
	if r == nil || r.Until.IsZero() {
		return 0
	}
	c := clock.OrSystem(r.clock)
	return max(0, r.Until.Sub(clock.Time(c, c.Nanos())))
}

func isRejection(err error) bool {
	_, ok := errors.AsType[*Rejection](err)
	return ok
}

// A TimeoutError is the error of a call that a Timeout's limit cut short. It matches ErrTimeout,
// context.DeadlineExceeded, and whatever Err matches. It is also the context.Cause of the context the call was given.
type TimeoutError struct {
	Name  string        // the Timeout's
	Limit time.Duration // the Timeout's
	Err   error         // what the call returned once its context had ended; nil where nobody waited for it
}

func (e *TimeoutError) Error() string {
	if e == nil {
		return nothing
	}
	text := fmt.Sprintf("timeout after %v", e.Limit)
	if e.Name != "" {
		text = e.Name + ": " + text
	}
	if e.Err != nil && e.Err != context.DeadlineExceeded {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap gives ErrTimeout and Err.
func (e *TimeoutError) Unwrap() []error {
	if e == nil || e.Err == nil {
		return []error{ErrTimeout}
	}
	return []error{ErrTimeout, e.Err}
}

// Is makes it match context.DeadlineExceeded, whatever the call returned.
func (e *TimeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// Timeout is true, as net.Error wants it.
func (e *TimeoutError) Timeout() bool { return true }

// Temporary is true, as context.DeadlineExceeded's is.
func (e *TimeoutError) Temporary() bool { return true }

// A Panic carries a panic from the goroutine where it happened to the one that waits for it, which panics with it.
type Panic struct {
	Value any    // what panic was called with
	Stack []byte // where, as debug.Stack prints it
}

func (p *Panic) Error() string {
	if p == nil {
		return nothing
	}
	return fmt.Sprintf("%v\n\noriginal stack:\n%s", p.Value, p.Stack)
}

// Unwrap is the Value where that is an error.
func (p *Panic) Unwrap() error {
	if p == nil {
		return nil
	}
	err, _ := p.Value.(error)
	return err
}
