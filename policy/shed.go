package policy

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-go/holdfast/clock"
)

// A Shed refuses the calls that its Throttle draws, and tells it how the others ended. A refusal is a *Rejection for
// ErrThrottled; the func is not called then. A panic or runtime.Goexit inside counts as not accepted. It is safe for
// concurrent use and allocates nothing.
type Shed[T any] struct {
	Name     string        // for events and Explain; empty means the Throttle's
	Throttle *Throttle     // required; may be shared with other pipelines and result types
	Classify Classifier[T] // what was accepted; nil means Classify

	meant   meant
	discard func(T) // of a Meaning
}

var errNoThrottle = errors.New("policy: Shed.Throttle is nil; want a Throttle")

// Execute implements Policy.
func (s *Shed[T]) Execute(ctx context.Context, next Next[T]) (v T, err error) {
	t := s.Throttle
	if t == nil {
		return v, errNoThrottle
	}
	if ctx.Err() != nil {
		return v, context.Cause(ctx)
	}
	if err := t.Acquire(); err != nil {
		next.Emit(ctx, Event{Kind: Rejected, Policy: "shed", Name: s.name(), Outcome: Ignored, Err: err})
		return v, err
	}
	at := calling
	defer func() {
		switch at {
		case calling:
			t.Done(unwound(ctx))
		case judging:
			defer lose(s.discard, &v, new(bool))
			t.Done(TransientFailure)
		case settling, over:
		}
	}()
	v, err = next.Do(ctx)
	at = judging
	outcome := s.Classify.Apply(ctx, v, err)
	at = over
	t.Done(outcome)
	return v, err
}

// Interpret implements Interpreter.
func (s *Shed[T]) Interpret(m Meaning[T]) Policy[T] {
	meant := *s
	if meant.discard == nil {
		meant.discard = m.Discard
	}
	if meant.Classify == nil && m.Classify != nil {
		meant.Classify, meant.meant.classify = m.Classify, true
	}
	return &meant
}

// Refusal implements Refuser: which calls it refuses is drawn.
func (s *Shed[T]) Refusal(time.Duration) error { return nil }

func (s *Shed[T]) name() string {
	if s.Name == "" && s.Throttle != nil {
		return s.Throttle.Name
	}
	return s.Name
}

// Validate names every field that is wrong, the Throttle's included.
func (s *Shed[T]) Validate() error {
	p := problems{owner: "Shed"}
	if s.Throttle == nil {
		p.add(".Throttle is nil; want a Throttle")
		return p.join()
	}
	return s.Throttle.Validate()
}

// Describe implements Describer.
func (s *Shed[T]) Describe() Description {
	s.Throttle.mu.Lock()
	t := s.Throttle.settings()
	s.Throttle.mu.Unlock()
	d := Description{
		Kind: "shed", Name: s.name(), Clock: clock.OrSystem(s.Throttle.Clock), Core: s.Throttle,
		Bounds: func(inner Bounds) Bounds { return inner },
		Settings: []Setting{
			setting("K", t.K, defaultK), setting("window", t.Window, defaultSheds),
			setting("max drop", t.MaxDrop, defaultMaxDrop),
		},
	}
	d.custom("classify", s.Classify != nil && !s.meant.classify)
	return d
}
