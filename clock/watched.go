package clock

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// watched is an armed context on a clock that package context knows nothing of. It ends when its timer fires or its
// parent ends, whichever is noticed first.
//
// Package context attaches children to a context that has an AfterFunc method through that method. It never takes
// this one for one of its own, because Value answers its key only once there is a cause to tell.
type watched struct {
	parent context.Context

	mu      sync.Mutex // guards the fields below
	err     error
	cause   error
	done    chan struct{} // nil until somebody asks for it
	waiting list.List     // of func(): what AfterFunc put off, in order
	timer   Timer         // to be stopped at the end; nil for none
	forget  func() bool   // ends the watch over the parent; nil for none
}

func watch(parent context.Context, d *Deadline) *watched {
	w := &watched{parent: parent}
	if parent.Err() != nil {
		w.parentEnded()
		return w
	}
	left := Since(d.clock.Nanos(), d.nanos)
	if left == 0 {
		w.end(context.DeadlineExceeded, d.cause)
		return w
	}
	var forget func() bool
	if parent.Done() != nil {
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

func release(timer Timer, forget func() bool) {
	if timer != nil {
		timer.Stop()
	}
	if forget != nil {
		forget()
	}
}

// afterFunc is context.AfterFunc without a goroutine where the context, or the clock, can do without.
func afterFunc(ctx context.Context, c Clock, f func()) (stop func() bool) {
	if v, ok := c.(*Virtual); ok {
		return v.afterEnd(ctx, f)
	}
	if own, ok := ctx.(interface{ AfterFunc(func()) func() bool }); ok {
		return own.AfterFunc(f)
	}
	return context.AfterFunc(ctx, f)
}

func (w *watched) parentEnded() { w.end(w.parent.Err(), context.Cause(w.parent)) }

// checkParent notices a parent that has ended but whose word has yet to arrive.
func (w *watched) checkParent() bool {
	if w.parent.Err() == nil {
		return false
	}
	w.parentEnded()
	return true
}

func (w *watched) cancel() { w.end(context.Canceled, context.Canceled) }

func (w *watched) end(err, cause error) {
	w.mu.Lock()
	if w.err != nil {
		w.mu.Unlock()
		return
	}
	w.err, w.cause = err, cause
	if w.done != nil {
		close(w.done)
	}
	timer, forget := w.timer, w.forget
	w.timer, w.forget = nil, nil
	w.mu.Unlock()

	release(timer, forget)
	for e := w.waiting.Front(); e != nil; e = e.Next() { // nobody adds or removes any more
		e.Value.(func())()
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

func (w *watched) Done() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done == nil {
		w.done = make(chan struct{})
		if w.err != nil {
			close(w.done)
		}
	}
	return w.done
}

func (w *watched) Err() error {
	w.checkParent()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Value answers package context's own key with a context that carries the cause, and that only once there is one.
func (w *watched) Value(key any) any {
	w.mu.Lock()
	cause := w.cause
	w.mu.Unlock()
	if cause == nil {
		return nil
	}
	carrier, cancel := context.WithCancelCause(context.Background())
	cancel(cause)
	return carrier.Value(key)
}
