package policy

import (
	"context"
	"sync/atomic"

	"github.com/holdfast-go/holdfast/clock"
)

// A detached is a call on a goroutine of its own, and the one result that it and its caller settle between them.
type detached[T any] struct {
	over  clock.Latch // opened once the result is set, unless the caller has left
	taken atomic.Bool // the call has ended and the caller will see it, or the caller has left: whoever is first
	result[T]
}

// detach runs the call on a goroutine and returns when the context ends, if not before. A result that has arrived by
// then wins.
func (t *Timeout[T]) detach(ctx context.Context, next Next[T]) (v T, err error) {
	l := t.begin(ctx)
	d := new(detached[T])
	c := clock.OrSystem(t.Clock)
	clock.Go(c, func() { t.run(&l.Deadline, d, next) })
	if d.over.Wait(&l.Deadline, c) != nil {
		if d.taken.CompareAndSwap(false, true) {
			return t.abandon(ctx, next, l)
		}
		_ = d.over.Wait(context.Background(), c) // it has ended, and is about to say so
	}
	held := false
	defer func() {
		if !held {
			l.Cancel()
		}
	}()
	v, err = d.deliver()
	v, err = t.finish(ctx, next, l, v, err)
	held = true
	return v, err
}

// run makes the call of d.
func (t *Timeout[T]) run(ctx context.Context, d *detached[T], next Next[T]) {
	defer func() {
		if d.taken.CompareAndSwap(false, true) {
			if !d.returned {
				d.catch(recover())
			}
			d.over.Open()
			return
		}
		switch {
		case d.returned && t.Discard != nil:
			t.Discard(d.v)
		case !d.returned && next.Observed():
			if d.catch(recover()); d.panicked != nil {
				late(ctx, next, "timeout", t.Name, d.panicked)
			}
		}
	}()
	d.run(ctx, next)
}

// abandon returns without the call.
func (t *Timeout[T]) abandon(ctx context.Context, next Next[T], l *limit) (T, error) {
	var zero T
	err := context.Cause(&l.Deadline)
	if l.Expired() {
		next.Emit(ctx, t.event(TimedOut, err))
	}
	next.Emit(ctx, t.event(Abandoned, err))
	return zero, err
}
