package clock

import (
	"cmp"
	"container/list"
	"context"
	"sync"
)

// A Scheduler is a Clock that runs what waits on it. Policies find it by assertion, so that a Clock need not be one.
type Scheduler interface {
	Clock

	// Go runs f as a process of the clock.
	Go(f func())

	// Wait returns nil once l is open, or context.Cause(ctx) if ctx ends first.
	Wait(ctx context.Context, l *Latch) error
}

// Go runs f beside its caller: as a process of c, if c is a Scheduler, or on a goroutine.
func Go(c Clock, f func()) {
	if s, ok := c.(Scheduler); ok {
		s.Go(f)
		return
	}
	go f()
}

// A Latch is opened once, for all who wait: how one process tells others of something on any Clock. The zero value is
// shut. It is safe for concurrent use, and must not be copied.
type Latch struct {
	mu      sync.Mutex // guards the fields below
	open    bool
	opened  chan struct{} // closed by Open; nil until somebody asks
	waiting list.List     // of func(), called by Open
}

// Open opens the latch. Opening it again does nothing.
func (l *Latch) Open() {
	l.mu.Lock()
	if l.open {
		l.mu.Unlock()
		return
	}
	l.open = true
	if l.opened != nil {
		close(l.opened)
	}
	l.mu.Unlock()
	for e := l.waiting.Front(); e != nil; e = e.Next() { // nobody adds or removes any more
		e.Value.(func())()
	}
}

// IsOpen reports whether the latch has been opened.
func (l *Latch) IsOpen() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}

// Wait returns nil once the latch is open, also where ctx has ended too, or context.Cause(ctx) if ctx ends first.
// Everyone who waits for a latch must do so by the same clock.
func (l *Latch) Wait(ctx context.Context, c Clock) error {
	if l.IsOpen() {
		return nil
	}
	if s, ok := c.(Scheduler); ok {
		return s.Wait(ctx, l)
	}
	select {
	case <-l.channel():
		return nil
	case <-ctx.Done():
		if l.IsOpen() {
			return nil
		}
		return cmp.Or(context.Cause(ctx), context.Canceled) // never nil, whatever the context says
	}
}

func (l *Latch) channel() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.opened == nil {
		l.opened = make(chan struct{})
		if l.open {
			close(l.opened)
		}
	}
	return l.opened
}

// onOpen has f called when the latch opens, or now, unless forget is called before.
func (l *Latch) onOpen(f func()) (forget func()) {
	l.mu.Lock()
	if l.open {
		l.mu.Unlock()
		f()
		return func() {}
	}
	defer l.mu.Unlock()
	e := l.waiting.PushBack(f)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if !l.open {
			l.waiting.Remove(e)
		}
	}
}
