package policy

import (
	"context"
	"time"

	"github.com/holdfast-go/holdfast/clock"
)

// A Timeout gives a call a context that ends after Limit. When it does, the call's error becomes a *TimeoutError,
// which matches ErrTimeout and context.DeadlineExceeded. Where something else ended the context first, an outer
// deadline or the caller, the error stays what it was.
//
// It is cooperative: it waits for the func, which should heed its context, and what the func still returns
// successfully is returned. With Detach it returns on time, whatever the func does.
//
// The context ends with the call, so that a response's body must be read within it, unless a [Meaning] of the pipeline holds
// it until the value is done with; the limit counts from the start of the call even so.
//
// It is safe for concurrent use. It allocates its context once per call. The timer starts only when somebody asks
// the context for Done, or derives a context from it, so that a func which does neither pays for no timer.
type Timeout[T any] struct {
	Name  string        // for events, Explain and the TimeoutError
	Limit time.Duration // how long a call may take; required, more than 0

	// Detach runs the func on a goroutine of its own and, once the context has ended, leaves it there to end by
	// itself. Its context has ended by then; what it still returns goes to Discard. If it panics by then nobody is
	// there to be told, and the program ends, as with any goroutine; if it panics before, the caller gets a *Panic.
	// Use it only around what cannot be made to heed a context. On a clock.Virtual the func is a process of the clock.
	Detach bool

	// Discard is called with the value that a detached func returns too late, on the func's goroutine: close it here. It is
	// also called with a value that the panic of an observer takes the place of.
	Discard func(T)

	Clock clock.Clock // nil means clock.System

	hold func(v T, release func()) T // of a Meaning
}

// A limit is the context of one call by a Timeout, and the cause that it ends with.
type limit struct {
	clock.Deadline
	cause TimeoutError
}

func (t *Timeout[T]) begin(ctx context.Context) *limit {
	l := &limit{cause: TimeoutError{Name: t.Name, Limit: t.Limit}}
	l.Begin(ctx, t.Clock, t.Limit, &l.cause)
	return l
}

// Execute implements Policy.
func (t *Timeout[T]) Execute(ctx context.Context, next Next[T]) (T, error) {
	if t.Detach {
		return t.detach(ctx, next)
	}
	l := t.begin(ctx)
	if t.hold != nil {
		return t.holding(ctx, next, l)
	}
	defer l.Cancel()
	v, err := next.Do(&l.Deadline)
	if err == nil {
		return v, nil
	}
	return v, t.label(ctx, next, l, v, err)
}

// holding is Execute for values that may need the context for longer than the call lasts.
func (t *Timeout[T]) holding(ctx context.Context, next Next[T], l *limit) (v T, err error) {
	held := false
	defer func() {
		if !held {
			l.Cancel()
		}
	}()
	v, err = next.Do(&l.Deadline)
	v, err = t.finish(ctx, next, l, v, err)
	held = true
	return v, err
}

// finish labels the error of a call that has returned, and has its value hold the context.
func (t *Timeout[T]) finish(ctx context.Context, next Next[T], l *limit, v T, err error) (T, error) {
	if err != nil {
		err = t.label(ctx, next, l, v, err)
	}
	held := false
	defer lose(t.Discard, &v, &held)
	v = hold(t.hold, v, l.Cancel)
	held = true
	return v, err
}

// Interpret implements Interpreter.
func (t *Timeout[T]) Interpret(m Meaning[T]) Policy[T] {
	meant := *t
	if meant.Discard == nil {
		meant.Discard = m.Discard
	}
	if meant.hold == nil {
		meant.hold = m.Hold
	}
	return &meant
}

// Refusal implements Refuser.
func (t *Timeout[T]) Refusal(time.Duration) error { return nil }

// label returns err, as a *TimeoutError if this Timeout's limit had come. v came with it.
func (t *Timeout[T]) label(ctx context.Context, next Next[T], l *limit, v T, err error) error {
	if !l.Expired() {
		return err
	}
	if err != error(&l.cause) { // else the func returned its context's cause
		err = &TimeoutError{Name: t.Name, Limit: t.Limit, Err: err}
	}
	next.emitHolding(ctx, t.event(TimedOut, err), v, t.Discard)
	return err
}

func (t *Timeout[T]) event(kind Kind, err error) Event {
	return Event{Kind: kind, Policy: "timeout", Name: t.Name, Outcome: TransientFailure, Err: err}
}

// Validate names every field that is out of range.
func (t *Timeout[T]) Validate() error {
	p := problems{owner: "Timeout"}
	if t.Limit <= 0 {
		p.add(".Limit is %v; want more than 0", t.Limit)
	}
	p.clock(t.Clock)
	return p.join()
}

// Describe implements Describer.
func (t *Timeout[T]) Describe() Description {
	d := Description{Kind: "timeout", Name: t.Name, Clock: clock.OrSystem(t.Clock), Bounds: t.bounds, Limit: t.Limit}
	d.EndsContext = t.hold == nil && !isPlain[T]()
	d.Settings = []Setting{setting("limit", t.Limit, 0)}
	if t.Detach {
		d.Settings = append(d.Settings, Setting{"detach", "yes", false})
	}
	return d
}

func (t *Timeout[T]) bounds(inner Bounds) Bounds {
	limit := Most(t.Limit)
	inner.Wait, inner.HintedWait = inner.Wait.Min(limit), inner.HintedWait.Min(limit)
	if inner.Besides != "" { // which may take all the time there is
		inner.Duration, inner.HintedDuration, inner.Besides = limit, limit, ""
	}
	inner.Duration, inner.HintedDuration = inner.Duration.Min(limit), inner.HintedDuration.Min(limit)
	inner.Detaches = inner.Detaches || t.Detach
	return inner
}
