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
	done   chan struct{}

	mu      sync.Mutex // guards the fields below
	err     error
	cause   context.Context // carries the cause where context.Cause looks for it; nil until ended
	waiting list.List       // of func(): what AfterFunc put off, in order
	release []func()        // what to undo at the end: the timer, the watch over the parent
}

func watch(parent context.Context, d *Deadline) *watched {
	w := &watched{parent: parent, done: make(chan struct{})}
	if parent.Err() != nil {
		w.parentEnded()
		return w
	}
	left := Since(d.clock.Nanos(), d.nanos)
	if left == 0 {
		w.end(context.DeadlineExceeded, d.cause)
		return w
	}
	if parent.Done() != nil {
		stop := afterFunc(parent, d.clock, w.parentEnded)
		w.onEnd(func() { stop() })
	}
	timer := d.clock.AfterFunc(left, func() {
		if !w.checkParent() {
			w.end(context.DeadlineExceeded, d.cause)
		}
	})
	w.onEnd(func() { timer.Stop() })
	return w
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

// onEnd calls f when the context ends, or now.
func (w *watched) onEnd(f func()) {
	w.mu.Lock()
	over := w.err != nil
	if !over {
		w.release = append(w.release, f)
	}
	w.mu.Unlock()
	if over {
		f()
	}
}

func (w *watched) end(err, cause error) {
	carrier, cancel := context.WithCancelCause(context.Background())
	cancel(cause)

	w.mu.Lock()
	if w.err != nil {
		w.mu.Unlock()
		return
	}
	w.err, w.cause = err, carrier
	close(w.done)
	release, waiting := w.release, make([]func(), 0, w.waiting.Len())
	for e := w.waiting.Front(); e != nil; e = e.Next() {
		waiting = append(waiting, e.Value.(func()))
	}
	w.release = nil
	w.waiting.Init()
	w.mu.Unlock()

	for _, f := range release {
		f()
	}
	for _, f := range waiting {
		f()
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
		before := w.waiting.Len()
		w.waiting.Remove(e) // does nothing once the list was emptied
		return w.waiting.Len() < before
	}
}

func (w *watched) Deadline() (time.Time, bool) { return time.Time{}, false }
func (w *watched) Done() <-chan struct{}       { return w.done }

func (w *watched) Err() error {
	w.checkParent()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func (w *watched) Value(key any) any {
	w.mu.Lock()
	cause := w.cause
	w.mu.Unlock()
	if cause == nil {
		return nil
	}
	return cause.Value(key)
}
