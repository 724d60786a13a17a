package policy_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

// A hinting error is another package's with a wish of its own.
type hinting struct{ wish time.Duration }

func (h hinting) Error() string             { return "try again later" }
func (h hinting) RetryAfter() time.Duration { return h.wish }

// Scenario 39: a hint is a lower bound on the wait. None below 0 counts, and one too long ends retrying.
func TestRetryWaitsForAsLongAsTheDependencyWishes(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		name    string
		hint    time.Duration
		maxHint time.Duration
		waits   time.Duration
		calls   int
	}{
		{"none", 0, 0, s, 2},
		{"less than the backoff", s / 2, 0, s, 2},
		{"more than the backoff", 5 * s, 0, 5 * s, 2},
		{"negative", -5 * s, 0, s, 2},
		{"the most negative", math.MinInt64, 0, s, 2},
		{"the longest that is granted", time.Minute, 0, time.Minute, 2},
		{"longer than is granted", time.Minute + 1, 0, 0, 1},
		{"absurd", math.MaxInt64, 0, 0, 1},
		{"the longest by MaxHint", 2 * time.Hour, 2 * time.Hour, 2 * time.Hour, 2},
		{"longer than MaxHint", 2 * s, 2*s - 1, 0, 1},
	} {
		marks := map[string]error{
			"marked":              policy.RetryAfter(errDown, c.hint),
			"marked, and wrapped": fmt.Errorf("user 7: %w", policy.RetryAfter(errDown, c.hint)),
			"another package's":   errors.Join(errors.New("no"), hinting{c.hint}),
		}
		for how, err := range marks {
			t.Run(c.name+", "+how, func(t *testing.T) {
				v, calls := clock.NewVirtual(), 0
				p := pipeline.Wrap(&policy.Retry[int]{Attempts: 2, Clock: v, Backoff: policy.Constant(s), MaxHint: c.maxHint})
				start := v.Nanos()
				_, got := p.Do(t.Context(), failing(&calls, err))
				require.Equal(t, err, got)
				require.Equal(t, c.calls, calls)
				require.Equal(t, c.waits, time.Duration(v.Nanos()-start))
			})
		}
	}
}

// A Hint of the Retry's own is asked instead of the error, about the value too.
func TestRetryAsksItsOwnHint(t *testing.T) {
	v, calls := clock.NewVirtual(), 0
	p := pipeline.Wrap(&policy.Retry[int]{
		Attempts: 2, Clock: v, Backoff: policy.Constant(0),
		Hint: func(v int, _ error) time.Duration { return time.Duration(-v) * time.Second },
	})
	start := v.Nanos()
	_, _ = p.Do(t.Context(), failing(&calls, policy.RetryAfter(errDown, time.Hour)))
	require.Equal(t, 2, calls)
	require.Equal(t, time.Second, time.Duration(v.Nanos()-start))
}

// The delay that grows is the backoff's own: a hint does not become part of it.
func TestRetryDoesNotTakeAHintForItsBackoff(t *testing.T) {
	v, calls := clock.NewVirtual(), 0
	var steps []policy.Step
	p := pipeline.Wrap(&policy.Retry[int]{
		Attempts: 4, Clock: v, Hint: func(int, error) time.Duration { return time.Minute },
		Backoff: policy.BackoffFunc(func(s policy.Step) time.Duration {
			steps = append(steps, policy.Step{Retry: s.Retry, Previous: s.Previous, Total: s.Total})
			return time.Duration(s.Retry) * time.Second
		}),
	})
	_, _ = p.Do(t.Context(), failing(&calls, errDown))
	require.Equal(t, []policy.Step{
		{Retry: 1}, {Retry: 2, Previous: time.Second, Total: time.Second}, {Retry: 3, Previous: 2 * time.Second, Total: 3 * time.Second},
	}, steps)
}

// A Backoff that says less than 0 does not wait, and does not make the next delay shorter either.
func TestRetryTakesANegativeDelayForNone(t *testing.T) {
	v, calls := clock.NewVirtual(), 0
	var totals []time.Duration
	p := pipeline.Wrap(&policy.Retry[int]{Clock: v, Backoff: policy.BackoffFunc(func(s policy.Step) time.Duration {
		totals = append(totals, s.Total)
		return -time.Hour
	})})
	start := v.Nanos()
	_, _ = p.Do(t.Context(), failing(&calls, errDown))
	require.Equal(t, 3, calls)
	require.Equal(t, start, v.Nanos())
	require.Equal(t, []time.Duration{0, 0}, totals)
}

// Scenario 46: an open circuit ends retrying at once by default. Whoever retries it all the same waits until it is
// worth trying.
func TestRetryAndAnOpenCircuit(t *testing.T) {
	for name, c := range map[string]struct {
		classify policy.Classifier[int]
		calls    int
		took     time.Duration
	}{
		"by default":        {nil, 1, 0},
		"if it retries all": {func(int, error) policy.Outcome { return policy.TransientFailure }, 3, 20 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			v, calls := clock.NewVirtual(), 0
			p := pipeline.Wrap(
				&policy.Retry[int]{Attempts: 5, Clock: v, Backoff: policy.Constant(0), Classify: c.classify},
				&policy.Breaker[int]{Circuit: &policy.Circuit{Trip: policy.Consecutive(1), Cooldown: policy.Constant(10 * time.Second), Clock: v}},
			)
			start := v.Nanos()
			_, err := p.Do(t.Context(), failing(&calls, errDown))
			require.Error(t, err)
			require.Equal(t, c.calls, calls)
			require.Equal(t, c.took, time.Duration(v.Nanos()-start))
		})
	}
}

// Scenario 36: why the context ended is told through every layer.
func TestTheCauseIsToldThroughEveryLayer(t *testing.T) {
	v := clock.NewVirtual()
	p := pipeline.Wrap(
		&policy.Fallback[int]{Func: policy.Static(1)},
		&policy.Timeout[int]{Limit: time.Hour, Clock: v},
		&policy.Retry[int]{Backoff: policy.Constant(10 * time.Second), Clock: v},
		&policy.Breaker[int]{Circuit: &policy.Circuit{Clock: v}},
		&policy.Timeout[int]{Limit: time.Minute, Clock: v},
	)
	for name, takes := range map[string]time.Duration{"while waiting": 0, "while calling": time.Minute - 1} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			v.AfterFunc(5*time.Second, func() { cancel(errHungUp) })
			_, err := p.Do(ctx, func(ctx context.Context) (int, error) {
				if err := v.Sleep(ctx, takes); err != nil {
					return 0, err // the cause, as Sleep has it
				}
				return 0, errDown
			})
			require.ErrorIs(t, err, errHungUp)
			require.NotErrorIs(t, err, policy.ErrTimeout)
		})
	}
}

// A call that says itself why the context ended comes back as it is: the cause is not joined to it once more.
func TestRetryDoesNotRepeatTheCause(t *testing.T) {
	for _, cause := range []error{nil, errTooLate} {
		v := clock.NewVirtual()
		ctx, cancel := clock.WithTimeout(t.Context(), v, time.Second, cause)
		p := pipeline.Wrap(&policy.Retry[int]{Backoff: policy.Constant(0), Clock: v})
		var said error
		_, err := p.Do(ctx, func(ctx context.Context) (int, error) {
			said = fmt.Errorf("user 7: %w", v.Sleep(ctx, time.Minute))
			return 0, said
		})
		require.Same(t, said, err)
		require.ErrorIs(t, err, context.Cause(ctx))
		cancel()
	}
}

// Once the context has ended nobody is asked how long to wait, no wait is told of, and the cause is, whatever the hint.
func TestRetryAsksNobodyOnceTheContextHasEnded(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	p := pipeline.Wrap(&policy.Retry[int]{
		Backoff: policy.BackoffFunc(func(policy.Step) time.Duration { t.Fatal("asked"); return 0 }),
	}).Observe(policy.ObserverFunc(func(_ context.Context, e policy.Event) { require.NotEqual(t, policy.Retrying, e.Kind) }))
	_, err := p.Do(ctx, func(context.Context) (int, error) {
		cancel(errHungUp)
		return 0, policy.RetryAfter(errDown, time.Hour)
	})
	require.ErrorIs(t, err, errHungUp)
	require.ErrorIs(t, err, errDown)
}
