package policy_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
	"github.com/holdfast-go/holdfast/policy/policytest"
)

// A circuit that the first attempt opens would refuse the second: the wait is not begun, the failure that the caller's
// func returned is not lost, and the refusal is joined to it.
func TestRetryDoesNotWaitForAnAttemptThatWillBeRefused(t *testing.T) {
	for name, inside := range map[string]func(*policy.Circuit, clock.Clock) []policy.Policy[int]{
		"breaker": func(c *policy.Circuit, _ clock.Clock) []policy.Policy[int] {
			return []policy.Policy[int]{&policy.Breaker[int]{Circuit: c}}
		},
		"breaker under policies that pass refusals on": func(c *policy.Circuit, v clock.Clock) []policy.Policy[int] {
			return []policy.Policy[int]{
				&policy.Timeout[int]{Limit: time.Hour, Clock: v}, &policy.Shed[int]{Throttle: &policy.Throttle{Clock: v}},
				&policy.RateLimit[int]{Bucket: &policy.Bucket{Burst: 9, Clock: v}}, &policy.Bulkhead[int]{Gate: &policy.Gate{Clock: v}},
				&policy.Adaptive[int]{Limit: &policy.Limit{Clock: v}}, &policy.Hedge[int]{Delay: time.Hour, Max: 1, Clock: v},
				pipeline.Wrap[int](&policy.Breaker[int]{Circuit: c}).Named("inner"),
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			v, calls := clock.NewVirtual(), 0
			recorder := &policytest.Recorder{Clock: v}
			circuit := &policy.Circuit{Name: "users", Trip: policy.Consecutive(1), Clock: v}
			policies := append([]policy.Policy[int]{&policy.Retry[int]{Backoff: policy.Constant(2 * time.Second), Clock: v}}, inside(circuit, v)...)
			start := v.Nanos()
			got, err := pipeline.Wrap(policies...).Observe(recorder).Do(t.Context(), failing(&calls, errDown))
			require.Equal(t, 1, calls)
			require.Equal(t, start, v.Nanos(), "no wait")
			require.Equal(t, -1, got, "the failed attempt's value")
			require.ErrorIs(t, err, errDown)
			require.ErrorIs(t, err, policy.ErrOpen)
			require.Equal(t, "down\nbreaker users: circuit is open", err.Error(), "the cause is not repeated")
			gaveUp := recorder.Events(policy.GaveUp)
			require.Len(t, gaveUp, 1)
			require.Equal(t, policy.AttemptRefused, gaveUp[0].Reason)
			require.Equal(t, 1, gaveUp[0].Attempt)
			require.Equal(t, errDown, gaveUp[0].Err)
			require.Empty(t, recorder.Events(policy.Retrying))
		})
	}
}

// What cannot be known before the wait is waited for: a cooldown that is over by then, a policy that may answer, a policy
// that says nothing of itself, and a classifier that tries refusals again.
func TestRetryWaitsForAnAttemptThatMayBeAdmitted(t *testing.T) {
	for name, c := range map[string]struct {
		cooldown time.Duration
		classify policy.Classifier[int]
		between  policy.Policy[int]
	}{
		"the cooldown ends with the wait": {cooldown: time.Second},
		"a fallback that answers refusals": {cooldown: time.Minute, between: &policy.Fallback[int]{
			Func: policy.Static(7), Classify: func(_ int, err error) policy.Outcome {
				if errors.Is(err, policy.ErrOpen) {
					return policy.TransientFailure
				}
				return policy.Success
			},
		}},
		"a policy that says nothing": {cooldown: time.Minute, between: policy.PolicyFunc[int](func(ctx context.Context, next policy.Next[int]) (int, error) {
			return next.Do(ctx)
		})},
		"a classifier that retries refusals": {cooldown: time.Minute, classify: func(_ int, err error) policy.Outcome {
			if err == nil {
				return policy.Success
			}
			return policy.TransientFailure
		}},
	} {
		t.Run(name, func(t *testing.T) {
			v, calls := clock.NewVirtual(), 0
			policies := []policy.Policy[int]{&policy.Retry[int]{Attempts: 2, Backoff: policy.Constant(time.Second), Classify: c.classify, Clock: v}}
			if c.between != nil {
				policies = append(policies, c.between)
			}
			policies = append(policies, &policy.Breaker[int]{Circuit: &policy.Circuit{
				Trip: policy.Consecutive(1), Cooldown: policy.Constant(c.cooldown), Clock: v,
			}})
			start := v.Nanos()
			_, _ = pipeline.Wrap(policies...).Do(t.Context(), failing(&calls, errDown))
			require.GreaterOrEqual(t, time.Duration(v.Nanos()-start), time.Second)
		})
	}
}

// A Retry outside of one that would have been refused does not wait for it either. A Breaker outside has seen a failure.
func TestRetryDoesNotRepeatARetryThatWasRefused(t *testing.T) {
	v, calls := clock.NewVirtual(), 0
	outer := &policy.Circuit{Trip: policy.Consecutive(1), Clock: v}
	start := v.Nanos()
	_, err := pipeline.Wrap[int](
		&policy.Breaker[int]{Circuit: outer}, &policy.Retry[int]{Clock: v}, &policy.Retry[int]{Clock: v},
		&policy.Breaker[int]{Circuit: &policy.Circuit{Trip: policy.Consecutive(1), Clock: v}},
	).Do(t.Context(), failing(&calls, errDown))
	require.ErrorIs(t, err, errDown)
	require.ErrorIs(t, err, policy.ErrOpen)
	require.Equal(t, 1, calls)
	require.Equal(t, start, v.Nanos())
	require.Equal(t, policy.Open, outer.State())
}

// A hedge some of whose legs were refused has asked, and one whose legs all were has not.
func TestHedgeWithRefusedLegs(t *testing.T) {
	refused := &policy.Rejection{Policy: "test", Reason: policy.ErrOpen}
	for _, c := range []struct {
		errs  []error
		state policy.State
	}{{[]error{errDown, refused}, policy.Open}, {[]error{refused, refused}, policy.Closed}} {
		v, calls := clock.NewVirtual(), 0
		circuit := &policy.Circuit{Trip: policy.Consecutive(1), Clock: v}
		_, err := pipeline.Wrap[int](&policy.Breaker[int]{Circuit: circuit}, &policy.Hedge[int]{Delay: time.Second, Clock: v}).
			Do(t.Context(), func(context.Context) (int, error) { calls++; return 0, c.errs[calls-1] })
		require.ErrorIs(t, err, policy.ErrOpen)
		require.Equal(t, c.state, circuit.State())
	}
}

// An isolated circuit refuses whatever the wait. Asking takes no probe.
func TestRetryAsksWithoutTakingAProbe(t *testing.T) {
	v := clock.NewVirtual()
	circuit := &policy.Circuit{Trip: policy.Consecutive(1), Cooldown: policy.Constant(time.Second), Clock: v}
	next := policy.Through[int](nil, &policy.Breaker[int]{Circuit: circuit})
	require.NoError(t, next.Refusal(0), "not used yet")
	report(t, circuit, policy.TransientFailure)
	require.ErrorIs(t, next.Refusal(time.Second-1), policy.ErrOpen)
	require.NoError(t, next.Refusal(time.Second))
	v.Advance(time.Second)
	require.NoError(t, next.Refusal(0))
	require.Equal(t, policy.Open, circuit.State(), "asking changes nothing")
	circuit.Isolate()
	require.ErrorIs(t, next.Refusal(time.Hour), policy.ErrIsolated)
	require.NoError(t, policy.Through[int](nil, &policy.Breaker[int]{}).Refusal(0), "a breaker without a circuit")
}

// A later attempt that is refused for another call's sake comes back with the failure before it.
func TestRetryKeepsTheFailureBeforeARefusal(t *testing.T) {
	for name, discarding := range map[string]bool{"values kept": false, "values discarded": true} {
		t.Run(name, func(t *testing.T) {
			v, calls := clock.NewVirtual(), 0
			recorder := &policytest.Recorder{Clock: v}
			circuit := &policy.Circuit{Clock: v}
			retry := &policy.Retry[int]{Backoff: policy.Constant(time.Second), Clock: v}
			var discarded []int
			if discarding {
				retry.Discard = func(n int) { discarded = append(discarded, n) }
			}
			v.AfterFunc(time.Millisecond, circuit.Isolate)
			got, err := pipeline.Wrap[int](retry, &policy.Breaker[int]{Circuit: circuit}).Observe(recorder).Do(t.Context(), failing(&calls, errDown))
			require.ErrorIs(t, err, errDown)
			require.ErrorIs(t, err, policy.ErrIsolated)
			require.Equal(t, "down\nbreaker: circuit is isolated", err.Error())
			gaveUp := recorder.Events(policy.GaveUp)
			require.Len(t, gaveUp, 1)
			require.Equal(t, policy.AttemptRefused, gaveUp[0].Reason)
			require.Equal(t, 1, gaveUp[0].Attempt)
			if discarding {
				require.Zero(t, got)
				require.Equal(t, []int{-1}, discarded)
			} else {
				require.Equal(t, -1, got)
			}
		})
	}
}

// A failed value without an error comes back as it is if the refusal is foreseen, and by its Meaning's name if the refusal
// comes after it was discarded.
func TestRetryKeepsAFailedValueBeforeARefusal(t *testing.T) {
	meaning := policy.Meaning[int]{
		Classify: func(v int, err error) policy.Outcome {
			if v == 503 {
				return policy.TransientFailure
			}
			return policy.Classify(v, err)
		},
		Failure: func(int) error { return errDown },
		Discard: func(int) {},
	}
	for name, c := range map[string]struct {
		isolated bool // after the first attempt
		meaning  policy.Meaning[int]
		want     []error
		value    int
	}{
		"foreseen":                         {false, meaning, nil, 503},
		"as a surprise":                    {true, meaning, []error{errDown, policy.ErrIsolated}, 0},
		"as a surprise, without a Failure": {true, policy.Meaning[int]{Classify: meaning.Classify}, []error{policy.ErrIsolated}, 503},
	} {
		t.Run(name, func(t *testing.T) {
			v := clock.NewVirtual()
			circuit := &policy.Circuit{Trip: policy.Consecutive(1), Clock: v}
			if c.isolated {
				circuit.Trip = policy.Consecutive(9)
				v.AfterFunc(time.Millisecond, circuit.Isolate)
			}
			got, err := pipeline.Wrap[int](&policy.Retry[int]{Backoff: policy.Constant(time.Second), Clock: v}, &policy.Breaker[int]{Circuit: circuit}).
				Means(c.meaning).Do(t.Context(), func(context.Context) (int, error) { return 503, nil })
			require.Equal(t, c.value, got)
			if c.want == nil {
				require.NoError(t, err)
			}
			for _, want := range c.want {
				require.ErrorIs(t, err, want)
			}
		})
	}
}

// What reached nothing may be sent again even if the call must not be repeated.
func TestRetryRepeatsUnsentCallsUnderOnce(t *testing.T) {
	v, calls := clock.NewVirtual(), 0
	p := pipeline.Wrap(&policy.Retry[int]{Attempts: 5, Backoff: policy.Constant(0), Clock: v})
	_, err := p.Do(policy.Once(t.Context()), func(context.Context) (int, error) {
		if calls++; calls < 3 {
			return 0, policy.Unsent(errDown)
		}
		return 0, errDown
	})
	require.Equal(t, errDown, err)
	require.Equal(t, 3, calls, "the third was sent")
	require.NoError(t, policy.Unsent(nil))
	marked := policy.Unsent(errDown)
	require.ErrorIs(t, marked, errDown)
	require.Equal(t, "down", marked.Error())
	require.Equal(t, policy.TransientFailure, policy.Classify(0, marked), "a refused connection is the dependency's failure all the same")
}

// Calls that were refused pay for no extra calls: not for retries, and not for hedges.
func TestBudgetIsNotFilledByRefusedCalls(t *testing.T) {
	for name, build := range map[string]func(*policy.Budget, clock.Clock) policy.Policy[int]{
		"retry": func(b *policy.Budget, v clock.Clock) policy.Policy[int] {
			return &policy.Retry[int]{Budget: b, Backoff: policy.Constant(0), Clock: v}
		},
		"hedge": func(b *policy.Budget, v clock.Clock) policy.Policy[int] {
			return &policy.Hedge[int]{Delay: time.Second, Budget: b, Clock: v}
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := clock.NewVirtual()
			budget := &policy.Budget{Ratio: 0.1, Cap: 1000, TTL: time.Hour, Clock: v}
			circuit := &policy.Circuit{Clock: v}
			p := pipeline.Wrap(build(budget, v), &policy.Breaker[int]{Circuit: circuit})
			circuit.Isolate()
			for range 1000 {
				_, err := p.Do(t.Context(), func(context.Context) (int, error) { return 0, nil })
				require.ErrorIs(t, err, policy.ErrIsolated)
			}
			require.Zero(t, budget.Credit())
			circuit.Reset()
			for range 10 {
				_, err := p.Do(t.Context(), func(context.Context) (int, error) { return 0, nil })
				require.NoError(t, err)
			}
			require.InDelta(t, 1, budget.Credit(), 1e-9)
			v.Run()
		})
	}
}
