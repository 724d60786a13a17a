package policytest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/policy"
)

// A Recording takes down how a real dependency behaves: as the innermost policy of a pipeline, it sees every call. Its
// Schedule, written to a log, replays as a test. The zero value works. It is safe for concurrent use and must not be
// copied.
type Recording[T any] struct {
	Classify policy.Classifier[T] // what is OK, Fail, Permanent and Cancel; nil means policy.Classify
	Grain    time.Duration        // that latencies are rounded to; 0 means 1ms
	Last     int                  // calls remembered at most, the latest; 0 means 10,000
	Clock    clock.Clock          // nil means clock.System

	mu    sync.Mutex // guards the field below
	calls []*call
}

// A call is one that a Recording has seen begin.
type call struct{ step Step }

// Execute implements policy.Policy.
func (r *Recording[T]) Execute(ctx context.Context, next policy.Next[T]) (v T, err error) {
	c := clock.OrSystem(r.Clock)
	begun := r.begin()
	start := c.Nanos()
	step := Step{Act: Panic} // stays so if next panics
	defer func() {
		step.Latency = clock.Since(start, c.Nanos())
		r.end(begun, step)
	}()
	v, err = next.Do(ctx)
	step = r.step(ctx, v, err)
	return v, err
}

// Schedule is how the calls went that are remembered, in the order in which they began. What has not ended counts as
// hanging, as does what ended only because its context did; a goroutine that ended counts as a panic.
func (r *Recording[T]) Schedule() Calls {
	r.mu.Lock()
	defer r.mu.Unlock()
	steps := make(Calls, len(r.calls))
	for i, c := range r.calls {
		steps[i] = c.step
	}
	return steps
}

func (r *Recording[T]) begin() *call {
	begun := &call{Step{Act: Hang}}
	r.mu.Lock()
	defer r.mu.Unlock()
	if last := orDefault(r.Last, 10_000); len(r.calls) >= last {
		r.calls = slices.Delete(r.calls, 0, len(r.calls)-last+1)
	}
	r.calls = append(r.calls, begun)
	return begun
}

func (r *Recording[T]) end(begun *call, step Step) {
	grain := orDefault(r.Grain, time.Millisecond)
	step.Latency, step.Hint = step.Latency.Round(grain), step.Hint.Round(grain)
	if step.Act == Hang {
		step.Latency = 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	begun.step = step
}

// step is what a call did, but for how long it took.
func (r *Recording[T]) step(ctx context.Context, v T, err error) Step {
	if err != nil && ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx))) {
		return Step{Act: Hang}
	}
	switch r.Classify.Apply(ctx, v, err) {
	case policy.Success:
		return Step{}
	case policy.PermanentFailure:
		return Step{Act: Permanent}
	case policy.Ignored:
		return Step{Act: Cancel}
	default:
		s := Step{Act: Fail}
		if errors.Is(err, context.Canceled) {
			s.Act = Cancel
		} else if hinting, ok := errors.AsType[interface {
			error
			RetryAfter() time.Duration
		}](err); ok {
			s.Hint = max(0, hinting.RetryAfter())
		}
		return s
	}
}

func orDefault[N int | time.Duration](n, def N) N {
	if n <= 0 {
		return def
	}
	return n
}
