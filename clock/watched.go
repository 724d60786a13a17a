package clock

import (
	"cmp"
	"container/list"
	"context"
	"sync"
	"time"
)

// watched is an armed context on a clock that package context knows nothing of. It ends when its timer fires or its
// parent ends, whichever is noticed first.
//
// It ends a context of package context's own, its core, so that children attach to that, whatever stands between: a
// context with a value has no AfterFunc method, and package context would watch it by a goroutine.
type watched struct {
	parent     context.Context
	asks       context.Context         // the closest ancestor that may end before this context is notified
	core       context.Context         // package context's own; its Done and its children are those of this context
	cancelCore context.CancelCauseFunc // ends core with context.Canceled
	finish     func()                  // ends core with any other error: err, and cause
	clock      *Virtual                // to be notified of the end; nil for any other clock
	source     source                  // guarded by clock.mu

	mu      sync.Mutex // guards the fields below
	err     error
	cause   error
	waiting list.List // of func(): what AfterFunc put off, in order
	timer   Timer     // to be stopped at the end; nil for none
	forget  func()    // ends the watch over the parent; nil for none
}

func watch(parent context.Context, d *Deadline) *watched {
	w := &watched{parent: parent, asks: parent}
	w.clock, _ = d.clock.(*Virtual)
	w.core, w.cancelCore = context.WithCancelCause((*trigger)(w))
	if parent.Err() != nil {
		w.parentEnded()
		return w
	}
	left := Since(d.clock.Nanos(), d.nanos)
	if left == 0 {
		w.end(context.DeadlineExceeded, d.cause)
		return w
	}
	var forget func()
	if parent.Done() != nil {
		w.asks = mayLag(d)
		forget = afterFunc(parent, d.clock, w.parentEnded)
	}
	var timer Timer
	if d.nanos != never {
		fire := func() {
			if !w.checkParent() {
				w.end(context.DeadlineExceeded, d.cause)
			}
		}
		timer = d.clock.AfterFunc(left, fire)
		if d.clock.Nanos() >= d.nanos {
			fire() // somebody moved the time since it was read, and may not move it again
		}
	}
	w.mu.Lock()
	over := w.err != nil
	if !over {
		w.timer, w.forget = timer, forget
	}
	w.mu.Unlock()
	if over {
		release(timer, forget)
	}
	return w
}

// mayLag returns the closest of d's ancestors that may have ended although a context that watches d's parent has not
// been notified. A watched context notifies at once, so it is the one that its parent must ask. Without it, each Err
// would ask every ancestor.
func mayLag(d *Deadline) context.Context {
	if d.up != nil {
		if w, ok := d.up.arm().Context.(*watched); ok {
			return w.asks
		}
	}
	return d.parent
}

func release(timer Timer, forget func()) {
	if timer != nil {
		timer.Stop()
	}
	if forget != nil {
		forget()
	}
}

// afterFunc is context.AfterFunc without a goroutine where the context, or the clock, can do without.
func afterFunc(ctx context.Context, c Clock, f func()) (forget func()) {
	if v, ok := c.(*Virtual); ok {
		return v.afterEnd(ctx, f)
	}
	var stop func() bool
	if own, ok := ctx.(interface{ AfterFunc(func()) func() bool }); ok {
		stop = own.AfterFunc(f)
	} else {
		stop = context.AfterFunc(ctx, f)
	}
	return func() { stop() }
}

func (w *watched) parentEnded() {
	err := cmp.Or(w.parent.Err(), context.Canceled) // never nil, whatever the parent says
	w.end(err, cmp.Or(context.Cause(w.parent), err))
}

// checkParent notices a parent that has ended but whose word has yet to arrive.
func (w *watched) checkParent() bool {
	if w.asks.Err() == nil {
		return false
	}
	w.parentEnded()
	return true
}

func (w *watched) cancel() {
	w.checkParent()
	w.end(context.Canceled, context.Canceled)
}

func (w *watched) end(err, cause error) {
	w.mu.Lock()
	if w.err != nil {
		w.mu.Unlock()
		return
	}
	w.err, w.cause = err, cause
	// Under the lock, so that Done is closed before Err says why.
	if err == context.Canceled {
		w.cancelCore(cause)
	} else {
		w.finish()
	}
	timer, forget := w.timer, w.forget
	w.timer, w.forget = nil, nil
	w.mu.Unlock()

	release(timer, forget)
	for e := w.waiting.Front(); e != nil; e = e.Next() { // nobody adds or removes any more
		e.Value.(func())()
	}
	if w.clock != nil {
		w.clock.sourceEnded(&w.source)
	}
}

// AfterFunc calls f as soon as the context ends. Where it has ended already f gets a goroutine, because package
// context calls this with the lock held that f will want.
func (w *watched) AfterFunc(f func()) (stop func() bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		go f()
		return func() bool { return false }
	}
	e := w.waiting.PushBack(f)
	return func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.err != nil {
			return false
		}
		before := w.waiting.Len()
		w.waiting.Remove(e)
		return w.waiting.Len() < before
	}
}

func (w *watched) Deadline() (time.Time, bool) { return time.Time{}, false }

func (w *watched) Done() <-chan struct{} { return w.core.Done() }

func (w *watched) Err() error {
	if err := w.settled(); err != nil {
		return err // without asking again: each ancestor would be asked once more by each of its descendants
	}
	w.checkParent()
	return w.settled()
}

// settled returns the error that the context has ended with, or nil if it is not known to have ended.
func (w *watched) settled() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func (w *watched) Value(key any) any { return w.core.Value(key) }

// trigger is the parent of a watched context's core. Package context gives it the func that ends the core, and then
// asks it for the error and the cause. It is asked with the lock of the watched context held.
type trigger watched

func (t *trigger) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done returns a channel that is never closed: the core ends by the func.
func (t *trigger) Done() <-chan struct{} { return unclosed }

var unclosed = make(chan struct{})

func (t *trigger) Err() error { return t.err }

// Value answers package context's own key with a context that carries the cause.
func (t *trigger) Value(key any) any {
	if key != cancelKey || t.cause == nil || identical(t.cause, t.err) {
		return nil
	}
	carrier, cancel := context.WithCancelCause(context.Background())
	cancel(t.cause)
	return carrier.Value(key)
}

func (t *trigger) AfterFunc(f func()) (stop func() bool) {
	t.finish = f
	return func() bool { return false }
}
