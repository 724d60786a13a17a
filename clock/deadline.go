package clock

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"
	"time"
)

// WithTimeout is context.WithTimeoutCause with the deadline on c: ctx ends with context.DeadlineExceeded, and with
// cause as its context.Cause, once d has passed on c. A nil c means System and a nil cause context.DeadlineExceeded.
// Contexts derived from it end with it. Calling cancel frees what it holds.
//
// It is cheap where nobody waits: the timer starts when Done is first called, or a context that can be canceled is
// derived.
func WithTimeout(ctx context.Context, c Clock, d time.Duration, cause error) (context.Context, context.CancelFunc) {
	deadline := new(Deadline)
	deadline.Begin(ctx, c, d, cause)
	return deadline, deadline.Cancel
}

// Remaining is the time until ctx's deadline, and whether it has one on c. A deadline of the standard library's is
// one on System, and the only one that is seen of a context to which the standard library has given one. A deadline on
// another clock than c does not count: it may never come, or come at any time.
func Remaining(ctx context.Context, c Clock) (time.Duration, bool) {
	c = OrSystem(c)
	at, ok := deadlineOn(ctx, c)
	if !ok {
		return 0, false
	}
	now := c.Nanos()
	return Since(now, at) - Since(at, now), true
}

// deadlineOn is the time on c at which ctx's deadline comes, and whether it has one there.
func deadlineOn(ctx context.Context, c Clock) (int64, bool) {
	for {
		when, ok := ctx.Deadline()
		if !ok {
			return 0, false
		}
		own, _ := ctx.Value(deadlineKey{}).(*Deadline)
		if own == nil || !own.when().Equal(when) { // the standard library's
			return systemNanos(when), c == System
		}
		if identical(own.clock, c) {
			return own.ends, true
		}
		ctx = own.parent
	}
}

type deadlineKey struct{}

// A Deadline is the context that WithTimeout returns, for code that keeps it inside a struct of its own and so saves
// an allocation. The zero value must Begin before it is used; it must not be copied.
//
// What it costs depends on who asks. Err compares the time with the deadline. Only Done, AfterFunc, and the key by
// which package context looks for a context it can attach a child to, arm it: start a timer and watch the parent.
type Deadline struct {
	parent context.Context
	up     *Deadline // the parent, if it is a deadline on the same clock
	clock  Clock
	nanos  int64 // on clock, when this deadline comes; never if the parent's does not come later
	ends   int64 // on clock, when this deadline or the parent's comes
	cause  error
	state  atomic.Pointer[armed] // nil until armed or cancelled; never changes after
}

// never is a time that does not come.
const never = math.MaxInt64

// armed is the context that a Deadline hands its questions on to once somebody waits.
type armed struct {
	context.Context
	cancel context.CancelFunc
}

// ended is what an unarmed Deadline turns into by Cancel.
var ended = func() *armed {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return &armed{ctx, cancel}
}()

// Begin starts the deadline: limit from now on c, under parent. A limit of 0 or less has passed at once. A nil c means
// System and a nil cause context.DeadlineExceeded. It must be called once, before any other method.
func (d *Deadline) Begin(parent context.Context, c Clock, limit time.Duration, cause error) {
	if cause == nil {
		cause = context.DeadlineExceeded
	}
	c = OrSystem(c)
	d.parent, d.clock, d.cause = parent, c, cause
	d.nanos = After(c.Nanos(), limit)
	d.ends = d.nanos
	if at, ok := d.parentEnds(); ok && at <= d.nanos {
		d.ends, d.nanos = at, never // the parent will have ended it by then
	}
}

// parentEnds returns the time on the clock at which the parent's deadline comes, and whether it has one there. It sets
// up if it can.
func (d *Deadline) parentEnds() (int64, bool) {
	if up, ok := d.parent.(*Deadline); ok && identical(up.clock, d.clock) {
		d.up = up
		return up.ends, true
	}
	return deadlineOn(d.parent, d.clock)
}

// Cancel ends the context, if it has not ended, and stops its timer. If the parent has ended before, Err and Cause are
// the parent's. It does not read the clock: a deadline that passed before Cancel without a call of Err, Done or Expired
// to notice it, on this context or on a parent, does not count as an end.
func (d *Deadline) Cancel() {
	if d.state.Load() == nil {
		if d.parentHasEnded() {
			d.arm() // which settles what ended first
		} else if d.state.CompareAndSwap(nil, ended) {
			return
		}
	}
	d.state.Load().cancel()
}

// parentHasEnded reports whether the parent is known to have ended, without reading the clock for nested deadlines.
func (d *Deadline) parentHasEnded() bool {
	for d.up != nil {
		d = d.up
		if s := d.state.Load(); s != nil {
			return s.Err() != nil
		}
	}
	return d.parent.Err() != nil
}

// Expired reports whether it was this deadline that ended the context: not its parent, and not Cancel. It knows it
// by the cause, which should be one that nobody else uses. Where nobody waited and both the deadline and the parent's
// end have come, the parent had the first say unless it is known to have ended later.
func (d *Deadline) Expired() bool {
	s := d.state.Load()
	if s == nil {
		if !d.due() {
			return false
		}
		s = d.arm() // so that no later Cancel changes the answer
	}
	return d.nanos != never && s.Err() == context.DeadlineExceeded && identical(context.Cause(s), d.cause)
}

// due reports whether an unarmed deadline has ended the context.
func (d *Deadline) due() bool {
	if d.clock.Nanos() < d.nanos {
		return false
	}
	switch d.parent.Err() {
	case nil:
		return true
	case context.DeadlineExceeded:
		_, ok := deadlineOn(d.parent, d.clock)
		return ok // its deadline came later, or it would have ended this context
	default:
		return false
	}
}

// Deadline is the earlier of this deadline and the parent's, where the parent's is on the same clock.
func (d *Deadline) Deadline() (time.Time, bool) { return d.when(), true }

func (d *Deadline) when() time.Time { return Time(d.clock, d.ends) }

// Done is closed when the context ends. The first call starts the timer.
func (d *Deadline) Done() <-chan struct{} { return d.arm().Done() }

// Err is nil until the context ends, then context.DeadlineExceeded or what ended the parent.
func (d *Deadline) Err() error {
	if s := d.state.Load(); s != nil {
		return s.Err()
	}
	if d.calm(d.clock.Nanos()) {
		return nil
	}
	return d.arm().Err() // what is told once stays so
}

// calm reports whether the unarmed context has not ended at the time now. Nested deadlines on one clock are asked in a
// loop, with one reading of the clock.
func (d *Deadline) calm(now int64) bool {
	for now < d.nanos {
		if d.up == nil {
			return d.parent.Err() == nil
		}
		d = d.up
		if s := d.state.Load(); s != nil {
			return s.Err() == nil
		}
	}
	return false
}

// String says what the context is made of, as package context does. It also keeps package fmt from reading the fields.
func (d *Deadline) String() string { return fmt.Sprintf("%v.WithTimeout(%v)", d.parent, d.when()) }

// Value is the parent's, but for package context's own key, by which it finds a context's cause and attaches children.
func (d *Deadline) Value(key any) any {
	switch key {
	case any(deadlineKey{}), any(hookKey{}):
		return d
	case cancelKey:
		return d.arm().Value(key)
	}
	return d.parent.Value(key)
}

// cancelKey is the key by which package context asks a context for its own: what Cause asks an ended one for.
var cancelKey = func() any {
	a := &asked{Context: context.Background()}
	_ = context.Cause(a)
	return a.key
}()

// asked is an ended context that remembers what it was asked for.
type asked struct {
	context.Context
	key any
}

func (a *asked) Err() error { return context.Canceled }

func (a *asked) Value(key any) any {
	a.key = key
	return nil
}

// AfterFunc lets package context end children with this context, at once and without a goroutine.
func (d *Deadline) AfterFunc(f func()) (stop func() bool) {
	s := d.arm()
	if w, ok := s.Context.(*watched); ok {
		return w.AfterFunc(f)
	}
	return context.AfterFunc(s.Context, f)
}

// arm starts the timer, once. Goroutines that arm at the same time may each start one; the losers stop theirs.
func (d *Deadline) arm() *armed {
	if s := d.state.Load(); s != nil {
		return s
	}
	s := d.start()
	if !d.state.CompareAndSwap(nil, s) {
		s.cancel()
	}
	return d.state.Load()
}

func (d *Deadline) start() *armed {
	parent := d.parent
	if d.parent.Err() != nil && d.due() {
		parent = context.WithoutCancel(parent) // it ended after this deadline had passed
	}
	if d.clock == System {
		ctx, cancel := context.WithDeadlineCause(parent, systemTime(d.nanos), d.cause)
		return &armed{ctx, cancel}
	}
	w := watch(parent, d)
	return &armed{w, w.cancel}
}

// owns reports whether done has been handed out by Done, without arming the deadline.
func (d *Deadline) owns(done <-chan struct{}) bool {
	s := d.state.Load()
	return s != nil && s.Done() == done
}

func (d *Deadline) hook() (*Virtual, *source, context.Context) { //nolint:unparam // the interface has it
	if w, ok := d.arm().Context.(*watched); ok {
		return w.clock, &w.source, nil
	}
	return nil, nil, nil
}
