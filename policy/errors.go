package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

	// Cause is the failure that made the policy refuse, if there was one: what opened the Circuit. Its text is part of
	// Error's. errors.Is and errors.As do not see it, because this call did not fail that way.
	Cause error

	clock clock.Clock // that Until is on; nil means clock.System
	ended bool        // Reason is the cause of a context that ended while the call waited
}

// The errors of this package may be nil pointers in an error, which a func may return by mistake: they are errors that
// say nothing.
const nothing = "<nil>"

func (r *Rejection) Error() string {
	if r == nil {
		return nothing
	}
	text := r.text()
	if r.Cause != nil {
		text += ", after: " + r.Cause.Error()
	}
	return text
}

// text returns what Error does, without the Cause. It has no Until, so that the refusals of many openings are one text
// in a log.
func (r *Rejection) text() string {
	text := r.Policy
	if r.Name != "" {
		text += " " + r.Name
	}
	if r.Reason != nil {
		text += ": " + r.Reason.Error()
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

// waitEnded returns the refusal of a call whose context ended while it waited for policy, or err if it is another.
func waitEnded(ctx context.Context, policy, name string, err error) error {
	if isRejection(err) || ctx.Err() == nil {
		return err
	}
	return &Rejection{Policy: policy, Name: name, Reason: err, ended: true}
}

func isRejection(err error) bool {
	_, ok := errors.AsType[*Rejection](err)
	return ok
}

// notAsked reports whether err says that the dependency was not asked: it is a *Rejection, wrapped or joined with other
// errors, but not with the failure of an attempt before.
func notAsked(err error) bool { return refusal(err, false) }

// endedWaiting is notAsked for a Rejection whose reason is the end of the call's own context.
func endedWaiting(err error) bool { return refusal(err, true) }

func refusal(err error, ended bool) bool {
	for err != nil {
		switch e := err.(type) { //nolint:errorlint // it walks the tree itself
		case *Rejection:
			return !ended || e != nil && e.ended
		case *TimeoutError:
			if e == nil || !ended {
				return false
			}
			err = e.Err
		case *refusedLater:
			return false
		case interface{ Unwrap() error }:
			err = e.Unwrap()
		case interface{ Unwrap() []error }:
			return slices.ContainsFunc(e.Unwrap(), func(part error) bool { return refusal(part, ended) })
		default:
			return false
		}
	}
	return false
}

// A refusedLater is the failure of one attempt, and the refusal of the next: the dependency was asked.
type refusedLater struct{ last, refusal error }

// joinedLater joins the errors of calls, some of which were refused: if others were not, the dependency was asked.
func joinedLater(errs []error) error {
	var failures, refusals []error
	for _, err := range errs {
		if notAsked(err) {
			refusals = append(refusals, err)
		} else {
			failures = append(failures, err)
		}
	}
	last, refusal := joined(failures...), joined(refusals...)
	if last == nil || refusal == nil {
		return joined(last, refusal)
	}
	return &refusedLater{last, refusal}
}

func (e *refusedLater) Error() string {
	refusal := e.refusal.Error()
	if r, ok := errors.AsType[*Rejection](e.refusal); ok && r != nil && r.Cause != nil && includes(e.last, r.Cause) {
		refusal = r.text() // the cause is the failure that has just been named
	}
	return e.last.Error() + "\n" + refusal
}

func (e *refusedLater) Unwrap() []error { return []error{e.last, e.refusal} }

// joined returns errs as one error, without nils, and without those that match another of them already.
func joined(errs ...error) error {
	var kept []error
	for _, err := range errs {
		if err == nil || slices.ContainsFunc(kept, func(k error) bool { return includes(k, err) }) {
			continue
		}
		kept = append(slices.DeleteFunc(kept, func(k error) bool { return includes(err, k) }), err)
	}
	if len(kept) == 1 {
		return kept[0]
	}
	return errors.Join(kept...)
}

// includes reports whether errors.Is finds part in err.
func includes(err, part error) (found bool) {
	defer func() { _ = recover() }() // part cannot be compared
	return errors.Is(err, part)
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
