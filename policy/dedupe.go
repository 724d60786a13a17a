package policy

import (
	"context"
	"errors"
	"runtime"
	"runtime/debug"
	"sync"

	"github.com/holdfast-go/holdfast/clock"
)

// A Dedupe makes one call for all who ask for the same thing at the same time: those who come while a call for their
// Key is under way share its result. A caller whose context ends leaves without the others; when the last has left,
// the shared call's context is cancelled. That context has the values of the first caller's, and no deadline of its
// own: put a Timeout inside.
//
// A panic reaches every caller, as a *Panic; if all have left, it ends the program, as with any goroutine. All callers
// get the same value, so T must be safe to share. It is safe for concurrent use. Every shared call runs on a goroutine
// of its own.
type Dedupe[T any] struct {
	Name  string                           // for Explain
	Key   func(ctx context.Context) string // what is asked for; required. An empty key is not shared
	Clock clock.Clock                      // nil means clock.System

	mu     sync.Mutex            // guards the field below
	shared map[string]*shared[T] // calls under way
}

// A shared is one call for several callers.
type shared[T any] struct {
	callers int  // guarded by Dedupe.mu
	ended   bool // guarded by Dedupe.mu
	cancel  context.CancelFunc
	over    clock.Latch // opened at the end, after the fields below were set

	v        T
	err      error
	returned bool
	panicked *Panic // nil with returned false means runtime.Goexit
}

var errNoKey = errors.New("policy: Dedupe.Key is nil; want a func")

// Execute implements Policy.
func (d *Dedupe[T]) Execute(ctx context.Context, next Next[T]) (T, error) {
	var zero T
	if d.Key == nil {
		return zero, errNoKey
	}
	key := d.Key(ctx)
	if key == "" {
		return next.Do(ctx)
	}
	if ctx.Err() != nil {
		return zero, context.Cause(ctx)
	}
	s, start := d.join(ctx, key, next)
	ended, err := d.await(ctx, key, s, start)
	switch {
	case !ended:
		return zero, err
	case s.panicked != nil:
		panic(s.panicked)
	case !s.returned:
		runtime.Goexit()
	}
	return s.v, s.err
}

// await returns when s has ended, which it reports, or else ctx has. The caller with a func to start starts it.
func (d *Dedupe[T]) await(ctx context.Context, key string, s *shared[T], start func()) (ended bool, err error) {
	defer func() { ended = d.leave(key, s) }()
	c := clock.OrSystem(d.Clock)
	if start != nil {
		clock.Go(c, start)
	}
	return false, s.over.Wait(ctx, c)
}

// join is the call under way for key, or a new one, which start begins.
func (d *Dedupe[T]) join(ctx context.Context, key string, next Next[T]) (s *shared[T], start func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.shared[key]; s != nil {
		s.callers++
		return s, nil
	}
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s = &shared[T]{callers: 1, cancel: cancel}
	if d.shared == nil {
		d.shared = make(map[string]*shared[T])
	}
	d.shared[key] = s
	return s, func() {
		if own.Err() != nil {
			return // all have left before this goroutine came to run
		}
		defer d.end(key, s)
		s.v, s.err = next.Do(own)
		s.returned = true
	}
}

// end tells the callers, and lets the next one for key start anew. It is deferred by the shared call.
func (d *Dedupe[T]) end(key string, s *shared[T]) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.shared[key] == s {
		delete(d.shared, key)
	}
	if s.callers == 0 {
		return // a panic goes on: nobody is left who could be told
	}
	if !s.returned {
		if p := recover(); p != nil {
			s.panicked = &Panic{Value: p, Stack: debug.Stack()}
		}
	}
	s.ended = true
	s.over.Open()
}

// leave reports whether s has ended. Else, with its last caller, it is cancelled.
func (d *Dedupe[T]) leave(key string, s *shared[T]) (ended bool) {
	d.mu.Lock()
	s.callers--
	last := s.callers == 0
	if last && d.shared[key] == s {
		delete(d.shared, key) // nobody may join a call that is being cancelled
	}
	ended = s.ended
	d.mu.Unlock()
	if last {
		s.cancel()
	}
	return ended
}

// Validate names every field that is wrong.
func (d *Dedupe[T]) Validate() error {
	p := problems{owner: "Dedupe"}
	if d.Key == nil {
		p.add(".Key is nil; want a func")
	}
	p.clock(d.Clock)
	return p.join()
}

// Describe implements Describer.
func (d *Dedupe[T]) Describe() Description {
	return Description{
		Kind: "dedupe", Name: d.Name, Clock: clock.OrSystem(d.Clock), Core: d, // twice, it would wait for itself
		Bounds: func(inner Bounds) Bounds {
			inner.Detaches = true // the call outlives a caller who leaves before the others
			return inner
		},
	}
}
