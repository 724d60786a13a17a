package policytest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/policy"
)

// A Script is a dependency that answers as a Schedule tells it to: give its Call to a pipeline in the place of the real
// one. The zero value always works, at once, with T's zero value. It is safe for concurrent use and must not be copied.
type Script[T any] struct {
	Schedule Schedule             // nil means that everything is OK
	Value    func(call int) T     // what a call is answered, by its number from 1; nil means T's zero value
	Err      func(call int) error // what a call fails with; nil means a *CallError
	Clock    clock.Clock          // that latencies pass on; nil means clock.System
	Rand     func() float64       // luck of the calls, in [0, 1), one after the other; nil means the same luck every time

	draws sync.Mutex // has one drawn after the other
	own   *rand.Rand // in the place of Rand; guarded by draws

	mu     sync.Mutex // guards the fields below
	begun  bool
	start  int64 // of the first call
	live   int
	peak   int
	over   bool
	visits []Visit
}

// A Visit is one call of a Script.
type Visit struct {
	Number  int             // from 1
	Context context.Context // the call's
	Attempt int             // of the nearest Retry around the call
	Step    Step            // how the call was to go
	Begin   time.Duration   // since the first call
	End     time.Duration   // since the first call; 0 while it is running
	Ended   bool
	Err     error // what it returned; policy.ErrPanicked where it did not return
}

// A CallError is the error of a call that was told to fail.
type CallError struct{ Call int }

func (f *CallError) Error() string { return fmt.Sprintf("call %d failed, as scheduled", f.Call) }

// Call is the policy.Func to run. Where it fails it returns the Value too, as real dependencies may.
func (s *Script[T]) Call(ctx context.Context) (v T, err error) {
	number, step := s.begin(ctx)
	err = policy.ErrPanicked
	defer func() { s.end(number, err) }()
	if s.Value != nil {
		v = s.Value(number)
	}
	err = s.perform(ctx, number, step)
	return v, err
}

// Visits are the calls so far, in the order in which they began.
func (s *Script[T]) Visits() []Visit {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.visits)
}

// Live is the number of calls in flight.
func (s *Script[T]) Live() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live
}

// Peak is the most calls that were ever in flight at once.
func (s *Script[T]) Peak() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peak
}

// Heal ends the schedule: what is called from now on works.
func (s *Script[T]) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
}

func (s *Script[T]) begin(ctx context.Context) (int, Step) {
	now := clock.OrSystem(s.Clock).Nanos()
	luck := s.luck()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.begun {
		s.begun, s.start = true, now
	}
	s.live++
	s.peak = max(s.peak, s.live)
	v := Visit{Number: len(s.visits) + 1, Context: ctx, Attempt: policy.Attempt(ctx), Begin: clock.Since(s.start, now)}
	if s.Schedule != nil && !s.over {
		v.Step = s.Schedule.At(Call{v.Number, v.Begin, s.live, luck})
	}
	s.visits = append(s.visits, v)
	return v.Number, v.Step
}

func (s *Script[T]) luck() float64 {
	if s.Schedule == nil {
		return 0
	}
	s.draws.Lock()
	defer s.draws.Unlock()
	if s.Rand != nil {
		return s.Rand()
	}
	if s.own == nil {
		s.own = rand.New(rand.NewPCG(0, 0))
	}
	return s.own.Float64()
}

func (s *Script[T]) end(number int, err error) {
	now := clock.OrSystem(s.Clock).Nanos()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live--
	v := &s.visits[number-1]
	v.End, v.Ended, v.Err = clock.Since(s.start, now), true, err
}

// perform does what a step says.
func (s *Script[T]) perform(ctx context.Context, number int, step Step) error {
	heeded := ctx
	if step.Deaf {
		heeded = context.WithoutCancel(ctx)
	}
	c := clock.OrSystem(s.Clock)
	if step.Latency > 0 && c.Sleep(heeded, step.Latency) != nil {
		return ctx.Err()
	}
	switch step.Act {
	case OK:
		return nil
	case Permanent:
		return policy.Permanent(s.failure(number))
	case Cancel:
		return fmt.Errorf("%w: %w", s.failure(number), context.Canceled)
	case Panic:
		panic(s.failure(number))
	case Exit:
		runtime.Goexit()
	case Hang:
		_ = new(clock.Latch).Wait(heeded, c)
		return ctx.Err()
	case Fail:
		if step.Hint > 0 {
			return policy.RetryAfter(s.failure(number), step.Hint)
		}
	}
	return s.failure(number)
}

func (s *Script[T]) failure(number int) error {
	if s.Err != nil {
		return s.Err(number)
	}
	return &CallError{number}
}

// Faults are s for the Script of a policy.Chaos: a drill instead of a test. What s lets fail fails with err; where it
// hangs, the call is held up until its context ends. Capacity has no say, because Chaos knows nothing of what is in
// flight. Time counts on c, nil for clock.System, from the first call on; luck is drawn from random, nil for
// math/rand/v2.
func Faults(s Schedule, err error, c clock.Clock, random func() float64) func(call int) policy.Fault {
	c = clock.OrSystem(c)
	if random == nil {
		random = rand.Float64
	}
	start := sync.OnceValue(c.Nanos)
	return func(call int) policy.Fault {
		step := s.At(Call{Number: call, Since: clock.Since(start(), c.Nanos()), Luck: random()})
		fault := policy.Fault{Latency: step.Latency}
		switch step.Act {
		case OK:
		case Hang:
			fault.Latency, fault.Err = forever, err
		case Panic, Exit:
			fault.Panic = err
		case Permanent:
			fault.Err = policy.Permanent(err)
		case Cancel:
			fault.Err = fmt.Errorf("%w: %w", err, context.Canceled)
		case Fail:
			fault.Err = err
			if step.Hint > 0 {
				fault.Err = policy.RetryAfter(err, step.Hint)
			}
		}
		return fault
	}
}

// forever is the longest that a duration can be: 292 years.
const forever = 1<<63 - 1
