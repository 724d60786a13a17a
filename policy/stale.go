package policy

import (
	"context"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/clock"
)

// A Stale answers with the last good value of the same key while the dependency is failing: what it answers is old, at
// most MaxAge, and never made up. Before there was a success it answers nothing. It answers what a Fallback with the
// same Classify would. It is safe for concurrent use; T must be safe to hand out more than once, which a response body
// is not.
type Stale[T any] struct {
	Name     string                           // for events and Explain
	MaxAge   time.Duration                    // how old an answer may be; required, more than 0
	Key      func(ctx context.Context) string // what the answer depends on; nil means that all calls ask for the same
	Keys     int                              // answers kept at most; 0 means 1024
	Classify Classifier[T]                    // what to answer; nil means both kinds of failure and rejections
	Clock    clock.Clock                      // nil means clock.System

	once sync.Once
	kept Keyed[*answer[T]]
}

// An answer is the last good value of a key.
type answer[T any] struct {
	mu    sync.Mutex // guards the fields below
	good  bool
	value T
	at    int64
}

// Execute implements Policy.
func (s *Stale[T]) Execute(ctx context.Context, next Next[T]) (T, error) {
	return s.execute(ctx, next, Meaning[T]{})
}

// Interpret implements Interpreter.
func (s *Stale[T]) Interpret(m Meaning[T]) Policy[T] { return meantStale[T]{s, m} }

// A meantStale is a Stale in a pipeline whose results have a meaning of their own.
type meantStale[T any] struct {
	*Stale[T]
	means Meaning[T]
}

func (s meantStale[T]) Execute(ctx context.Context, next Next[T]) (T, error) {
	return s.execute(ctx, next, s.means)
}

func (s meantStale[T]) Interpret(m Meaning[T]) Policy[T] {
	return meantStale[T]{s.Stale, s.means.Or(m)}
}

// execute goes by m if Classify is nil.
func (s *Stale[T]) execute(ctx context.Context, next Next[T], m Meaning[T]) (T, error) {
	v, err := next.Do(ctx)
	o, answered := answers(ctx, s.Classify, m.Classify, v, err)
	switch {
	case o == Success:
		s.keep(ctx, v)
		return v, err
	case !answered:
		return v, err
	}
	old, ok := s.recall(ctx)
	if !ok {
		return v, err
	}
	next.Emit(ctx, Event{Kind: FellBack, Policy: "stale", Name: s.Name, Outcome: o, Err: m.ErrorOf(v, err)})
	return old, nil
}

func (s *Stale[T]) key(ctx context.Context) string {
	s.once.Do(func() {
		s.kept.Max = s.Keys
		s.kept.New = func(string) *answer[T] { return new(answer[T]) }
	})
	if s.Key == nil {
		return ""
	}
	return s.Key(ctx)
}

func (s *Stale[T]) keep(ctx context.Context, v T) {
	now := clock.OrSystem(s.Clock).Nanos()
	a := s.kept.Get(s.key(ctx))
	a.mu.Lock()
	defer a.mu.Unlock()
	a.good, a.value, a.at = true, v, now
}

func (s *Stale[T]) recall(ctx context.Context) (v T, ok bool) {
	now := clock.OrSystem(s.Clock).Nanos()
	a, ok := s.kept.peek(s.key(ctx)) // Get would make room for a key that has no answer
	if !ok {
		return v, false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.good || clock.Since(a.at, now) > s.MaxAge {
		return v, false
	}
	return a.value, true
}

// Validate names every field that is out of range.
func (s *Stale[T]) Validate() error {
	p := problems{owner: "Stale"}
	if s.MaxAge <= 0 {
		p.add(".MaxAge is %v; want more than 0", s.MaxAge)
	}
	notNegative(&p, "Keys", s.Keys)
	p.clock(s.Clock)
	return p.join()
}

// Describe implements Describer.
func (s *Stale[T]) Describe() Description {
	d := Description{
		Kind: "stale", Name: s.Name, Clock: clock.OrSystem(s.Clock), Answers: true,
		Settings: []Setting{setting("max age", s.MaxAge, 0), setting("keys", s.Keys, defaultKeys)},
		Bounds:   func(inner Bounds) Bounds { return inner },
	}
	d.custom("key", s.Key != nil)
	d.custom("classify", s.Classify != nil)
	return d
}
