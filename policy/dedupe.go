package policy

import (
	"context"
	"errors"
	"sync"

	"github.com/holdfast-go/holdfast/clock"
)

// A Dedupe makes one call for all who ask for the same thing at the same time: those who come while a call for their
// Key is under way share its result. A caller whose context ends leaves without the others; when the last has left,
// the shared call's context is cancelled. That context has the values of the first caller's, and no deadline of its
// own: put a Timeout inside.
//
// The shared context ends with the call, unless a [Meaning] of the pipeline holds it until what the call returned is done
// with. All callers get the same value, so T must be safe to share. If all have left, a Meaning's Discard gets the value. A
// caller under [Once] makes a call of its own: the shared one may be an attempt that is repeated.
//
// A panic reaches every caller, as a *Panic. If all have left, the pipeline's observers get a Panicked event; without
// observers it ends the program, as with any goroutine.
//
// It is safe for concurrent use. Every shared call runs on a goroutine of its own.
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
	held    bool // guarded by Dedupe.mu: the context lasts until the value is done with
	cancel  context.CancelFunc
	over    clock.Latch // opened at the end, once the result is set
	result[T]
}

var errNoKey = errors.New("policy: Dedupe.Key is nil; want a func")

// Execute implements Policy.
func (d *Dedupe[T]) Execute(ctx context.Context, next Next[T]) (T, error) {
	return d.execute(ctx, next, Meaning[T]{})
}

// Interpret implements Interpreter.
func (d *Dedupe[T]) Interpret(m Meaning[T]) Policy[T] { return meantDedupe[T]{d, m} }

// A meantDedupe is a Dedupe in a pipeline whose results have a meaning of their own.
type meantDedupe[T any] struct {
	*Dedupe[T]
	means Meaning[T]
}

func (d meantDedupe[T]) Execute(ctx context.Context, next Next[T]) (T, error) {
	return d.execute(ctx, next, d.means)
}

func (d meantDedupe[T]) Interpret(m Meaning[T]) Policy[T] {
	return meantDedupe[T]{d.Dedupe, d.means.Or(m)}
}

func (d meantDedupe[T]) Describe() Description {
	described := d.Dedupe.Describe()
	described.EndsContext = described.EndsContext && d.means.Hold == nil
	return described
}

// execute holds and discards values as m does.
func (d *Dedupe[T]) execute(ctx context.Context, next Next[T], m Meaning[T]) (T, error) {
	var zero T
	if d.Key == nil {
		return zero, errNoKey
	}
	key := d.Key(ctx)
	if key == "" || isOnce(ctx) {
		return next.Do(ctx)
	}
	if ctx.Err() != nil {
		return zero, context.Cause(ctx)
	}
	s, start := d.join(ctx, key, next, m)
	if ended, err := d.await(ctx, key, s, start); !ended {
		return zero, err
	}
	return s.deliver()
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
func (d *Dedupe[T]) join(ctx context.Context, key string, next Next[T], m Meaning[T]) (s *shared[T], start func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.shared[key]; s != nil {
		s.callers++
		return s, nil
	}
	own, cancel := clock.WithCancel(context.WithoutCancel(ctx), d.Clock)
	s = &shared[T]{callers: 1, cancel: cancel}
	if d.shared == nil {
		d.shared = make(map[string]*shared[T])
	}
	d.shared[key] = s
	return s, func() {
		if own.Err() != nil {
			return // all have left before this goroutine came to run
		}
		defer d.end(own, key, s, next, m.Discard)
		s.run(own, next)
		if m.Hold != nil {
			d.hold(s, m)
		}
	}
}

// hold has the value of s keep its context.
func (d *Dedupe[T]) hold(s *shared[T], m Meaning[T]) {
	s.returned = false // until Hold has returned
	defer lose(m.Discard, &s.v, &s.returned)
	s.v = m.Hold(s.v, s.cancel)
	s.returned = true
	d.mu.Lock()
	defer d.mu.Unlock()
	s.held = true
}

// end notifies the callers, and lets the next one for key start anew. It is deferred by the shared call.
func (d *Dedupe[T]) end(ctx context.Context, key string, s *shared[T], next Next[T], discard func(T)) {
	d.mu.Lock()
	if d.shared[key] == s {
		delete(d.shared, key)
	}
	if s.callers > 0 {
		defer d.mu.Unlock()
		if !s.returned {
			s.catch(recover())
		}
		s.ended = true
		s.over.Open()
		return
	}
	d.mu.Unlock()
	switch {
	case s.returned && discard != nil:
		discard(s.v)
	case !s.returned && next.Observed():
		if s.catch(recover()); s.panicked != nil {
			late(ctx, next, "dedupe", d.Name, s.panicked)
		}
	}
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
	held := s.held && s.ended
	d.mu.Unlock()
	if last && !held {
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
		EndsContext: !isPlain[T](),
		Bounds: func(inner Bounds) Bounds {
			inner.Detaches = true // the call outlives a caller who leaves before the others
			return inner
		},
	}
}
