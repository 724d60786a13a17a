package policy

import (
	"context"
	"runtime"
	"runtime/debug"
	"sync/atomic"

	"github.com/holdfast-go/holdfast/clock"
)

// A detached is a call on a goroutine of its own, and the one result that it and its caller settle between them.
type detached[T any] struct {
	over  clock.Latch // opened once the fields below are set, unless the caller has left
	taken atomic.Bool // the call has ended and the caller will see it, or the caller has left: whoever is first

	v        T
	err      error
	returned bool   // it returned v and err
	panicked *Panic // it panicked; nil with returned false means runtime.Goexit
}

// detach runs the call on a goroutine and returns when the context ends, if not before. A result that has arrived by
// then wins.
func (t *Timeout[T]) detach(ctx context.Context, next Next[T]) (T, error) {
	l := t.begin(ctx)
	d := new(detached[T])
	c := clock.OrSystem(t.Clock)
	clock.Go(c, func() { d.run(&l.Deadline, next, t.Discard) })
	if d.over.Wait(&l.Deadline, c) != nil {
		if d.taken.CompareAndSwap(false, true) {
			return t.abandon(ctx, next, l)
		}
		_ = d.over.Wait(context.Background(), c) // it has ended, and is about to say so
	}
	defer l.Cancel()
	switch {
	case d.panicked != nil:
		panic(d.panicked)
	case !d.returned:
		runtime.Goexit()
	case d.err != nil:
		return d.v, t.label(ctx, next, l, d.err)
	}
	return d.v, nil
}

func (d *detached[T]) run(ctx context.Context, next Next[T], discard func(T)) {
	defer func() {
		if !d.taken.CompareAndSwap(false, true) {
			if d.returned && discard != nil {
				discard(d.v)
			}
			return // a panic goes on: nobody is left who could be told
		}
		if !d.returned {
			if p := recover(); p != nil {
				d.panicked = &Panic{Value: p, Stack: debug.Stack()}
			}
		}
		d.over.Open()
	}()
	d.v, d.err = next.Do(ctx)
	d.returned = true
}

// abandon returns without the call.
func (t *Timeout[T]) abandon(ctx context.Context, next Next[T], l *limit) (T, error) {
	var zero T
	err := context.Cause(&l.Deadline)
	if l.Expired() {
		t.emit(ctx, next, TimedOut, err)
	}
	t.emit(ctx, next, Abandoned, err)
	return zero, err
}
