package pipeline_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

// drawBounded draws a policy that describes itself, on v, with short times so that limits meet.
func drawBounded(t *rapid.T, v *clock.Virtual, random func() float64) policy.Policy[int] {
	ms := func(name string, least, most int) time.Duration {
		return time.Duration(rapid.IntRange(least, most).Draw(t, name)) * time.Millisecond
	}
	switch rapid.SampledFrom([]string{"retry", "retry", "timeout", "breaker", "fallback", "detach"}).Draw(t, "policy") {
	case "retry":
		base, most := ms("base", 0, 20), ms("more", 0, 60)
		backoff := rapid.SampledFrom([]policy.Backoff{
			policy.Constant(base), policy.Linear(base, base+most), policy.Exponential(base, base+most),
			policy.FullJitter(policy.Exponential(base, base+most)), policy.EqualJitter(policy.Constant(base)),
			policy.Decorrelated(base, base+most), policy.SmoothJitter(base, base+most), policy.Jitter(policy.Constant(base), 0.5),
		}).Draw(t, "backoff")
		return &policy.Retry[int]{
			Attempts: rapid.IntRange(1, 4).Draw(t, "attempts"), Backoff: backoff, Clock: v, Rand: random,
			MaxElapsed: rapid.SampledFrom([]time.Duration{0, 0, base + most}).Draw(t, "max elapsed"),
			MaxHint:    ms("max hint", 1, 50),
		}
	case "timeout":
		return &policy.Timeout[int]{Limit: ms("limit", 1, 100), Clock: v}
	case "detach":
		return &policy.Timeout[int]{Limit: ms("limit", 1, 100), Detach: true, Clock: v}
	case "breaker":
		return &policy.Breaker[int]{Circuit: &policy.Circuit{Trip: policy.Consecutive(rapid.IntRange(1, 9).Draw(t, "trip")), Clock: v}}
	default:
		return &policy.Fallback[int]{Func: func(_ context.Context, v int, err error) (int, error) { return v, err }}
	}
}

// A run is what one execution of a pipeline came to.
type run struct {
	calls, atOnce  int
	wait, duration time.Duration
}

// execute runs p against a func that fails after latency, asking to be left alone for hint.
func execute(p pipeline.Pipeline[int], v *clock.Virtual, latency, hint time.Duration, deaf bool) run {
	var r run
	live := 0
	start := v.Nanos()
	p = p.Observe(policy.ObserverFunc(func(_ context.Context, e policy.Event) {
		if e.Kind == policy.Retrying {
			r.wait += e.Delay
		}
	}))
	v.Go(func() {
		_, _ = p.Do(context.Background(), func(ctx context.Context) (int, error) {
			r.calls++
			live++
			r.atOnce = max(r.atOnce, live)
			defer func() { live-- }()
			if deaf {
				ctx = context.WithoutCancel(ctx)
			}
			if err := v.Sleep(ctx, latency); err != nil {
				return 0, err
			}
			return 0, policy.RetryAfter(errors.New("down"), hint)
		})
		r.duration = time.Duration(v.Nanos() - start)
	})
	v.Run()
	return r
}

// Explain's bounds hold: no execution of any pipeline, against any dependency, exceeds them.
func TestPropertyNoRunExceedsItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := clock.NewVirtual()
		worst := rapid.Bool().Draw(t, "worst luck")
		random := func() float64 { return 0.999999 }
		if !worst {
			random = func() float64 { return rapid.Float64Range(0, 0.999).Draw(t, "random") }
		}
		policies := make([]policy.Policy[int], rapid.IntRange(1, 4).Draw(t, "policies"))
		limits, detaching := 0, 0
		for i := range policies {
			policies[i] = drawBounded(t, v, random)
			if timeout, ok := policies[i].(*policy.Timeout[int]); ok {
				limits++
				if timeout.Detach {
					detaching++
				}
			}
		}
		p := pipeline.Wrap(policies...)
		bounds := p.Explain().Bounds
		latency := time.Duration(rapid.SampledFrom([]int{0, 1, 10, 100, 1000}).Draw(t, "latency")) * time.Millisecond
		hint := time.Duration(rapid.SampledFrom([]int{0, 0, 1, 20, 50}).Draw(t, "hint")) * time.Millisecond
		// The bounds allow for a func that does not heed its context where every limit detaches.
		deaf := detaching > 0 && detaching == limits && rapid.Bool().Draw(t, "deaf")
		r := execute(p, v, latency, hint, deaf)

		wait, duration, suffix := bounds.Wait, bounds.Duration, ""
		if hint > 0 {
			wait, duration, suffix = bounds.HintedWait, bounds.HintedDuration, " with hints"
		}
		within := func(what string, got, most int64, known bool) {
			if known && got > most {
				t.Fatalf("%s: %d, and %d at worst\n%v", what, got, most, p)
			}
		}
		within("calls", int64(r.calls), int64(bounds.Calls.Most), bounds.Calls.Known())
		within("calls at once", int64(r.atOnce), int64(bounds.AtOnce.Most), bounds.AtOnce.Known())
		within("wait"+suffix, int64(r.wait), int64(wait.Most), wait.Known())
		within("duration"+suffix, int64(r.duration), int64(duration.Most), duration.Known())
	})
}

// The bounds are worth something: each is reached, within 5 %, by a dependency that is as slow and as demanding as it
// may be.
func TestBoundsAreReached(t *testing.T) {
	ms := time.Millisecond
	for _, backoff := range []policy.Backoff{
		policy.Constant(20 * ms), policy.FullJitter(policy.Exponential(5*ms, 40*ms)), policy.Decorrelated(5*ms, 40*ms),
		policy.SmoothJitter(5*ms, 40*ms), policy.Jitter(policy.Linear(5*ms, 40*ms), 0.5),
	} {
		for _, detach := range []bool{false, true} {
			v := clock.NewVirtual()
			p := pipeline.Wrap(
				&policy.Retry[int]{Attempts: 5, Backoff: backoff, MaxHint: 60 * ms, Clock: v, Rand: func() float64 { return 0.999999 }},
				&policy.Timeout[int]{Limit: 30 * ms, Detach: detach, Clock: v},
			)
			bounds := p.Explain().Bounds
			plain := execute(p, v, time.Hour, 0, detach)
			hinted := execute(p, v, 30*ms-1, 60*ms, false)
			require.Equal(t, bounds.Calls.Most, plain.calls)
			require.Equal(t, bounds.AtOnce.Most, plain.atOnce)
			require.InEpsilon(t, bounds.Wait.Most, plain.wait, 0.05)
			require.InEpsilon(t, bounds.Duration.Most, plain.duration, 0.05)
			require.InEpsilon(t, bounds.HintedWait.Most, hinted.wait, 0.05)
			require.InEpsilon(t, bounds.HintedDuration.Most, hinted.duration, 0.05)
		}
	}
}
