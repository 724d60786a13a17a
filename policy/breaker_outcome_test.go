package policy_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/policy"
)

// Scenario 29: every call has exactly one outcome, whichever way it ends: it is classified at most once, and counts
// once or not at all.
func TestEveryCallHasOneOutcome(t *testing.T) {
	ends := []struct {
		name            string
		fn              policy.Func[int]
		calls, failures int
		classified      int
	}{
		{"works", func(context.Context) (int, error) { return 1, nil }, 1, 0, 1},
		{"fails", func(context.Context) (int, error) { return 1, errBackend }, 1, 1, 1},
		{"cannot work", func(context.Context) (int, error) { return 1, policy.Permanent(errBackend) }, 1, 0, 1},
		{"times out", func(context.Context) (int, error) { return 1, &policy.TimeoutError{} }, 1, 1, 1},
		{"is late", func(context.Context) (int, error) { return 1, context.DeadlineExceeded }, 1, 1, 1},
		{"is refused inside", func(context.Context) (int, error) { return 1, &policy.Rejection{Reason: policy.ErrIsolated} }, 0, 0, 1},
		{"panics", func(context.Context) (int, error) { panic(errBackend) }, 1, 1, 0},
		{"panics with nothing to say", func(context.Context) (int, error) { panic(nil) }, 1, 1, 0},
		{"ends its goroutine", func(context.Context) (int, error) { runtime.Goexit(); return 1, nil }, 1, 1, 0},
	}
	for _, end := range ends {
		for slowness, slow := range map[string]time.Duration{"whatever it takes": 0, "where slowness matters": time.Hour} {
			for _, trip := range []policy.Trip{
				policy.FailureCount{Ratio: 1, Last: 10}, policy.FailureRate{Ratio: 1, Window: time.Hour},
			} {
				t.Run(end.name+" "+slowness, func(t *testing.T) {
					classified := 0
					counting := func(v int, err error) policy.Outcome {
						classified++
						return policy.Classify(v, err)
					}
					for _, classify := range []policy.Classifier[int]{nil, counting} {
						c, _ := onVirtual(&policy.Circuit{Trip: trip, Slow: slow})
						next := policy.Through(end.fn, &policy.Breaker[int]{Circuit: c, Classify: classify})
						ended := make(chan struct{})
						go func() {
							defer close(ended)
							defer func() { _ = recover() }()
							_, _ = next.Do(t.Context())
						}()
						<-ended
						require.Equal(t, policy.Snapshot{Generation: 1, Calls: end.calls, Failures: end.failures}, c.Snapshot())
					}
					require.Equal(t, end.classified, classified)
				})
			}
		}
	}
}

// Scenario 29: a call that has counted as slow does not count again when it ends.
func TestASlowCallCountsOnce(t *testing.T) {
	for _, end := range []policy.Outcome{policy.Success, policy.TransientFailure, policy.PermanentFailure, policy.Ignored} {
		for state, bypass := range map[string]func(*policy.Circuit){"closed": func(*policy.Circuit) {}, "bypassed": (*policy.Circuit).Bypass} {
			t.Run(end.String()+" while "+state, func(t *testing.T) {
				c, v := onVirtual(&policy.Circuit{Trip: policy.FailureCount{Ratio: 1, Last: 10}, Slow: time.Second})
				bypass(c)
				slow, noticed := begin(t, c), begin(t, c)
				v.Advance(time.Second - 1)
				require.Equal(t, 2, c.Snapshot().InFlight)
				v.Advance(1)
				slow.Done(end) // notices itself
				s := c.Snapshot()
				require.Equal(t, []int{2, 2, 0}, []int{s.Calls, s.Failures, s.InFlight})
				noticed.Done(end)
				require.Equal(t, s, c.Snapshot())
			})
		}
	}
}

// Scenario 29: a call counts as slow once it is slow, also if it never ends.
func TestCallsThatHangOpenTheCircuit(t *testing.T) {
	c, v := onVirtual(&policy.Circuit{Trip: policy.Consecutive(3), Slow: time.Second})
	for range 3 {
		require.Equal(t, policy.Closed, c.State())
		begin(t, c)
		v.Advance(100 * time.Millisecond)
	}
	v.Advance(900 * time.Millisecond)
	require.Equal(t, policy.Open, c.State())
}

// An outcome that is none of the four counts as nothing, whatever the trip.
func TestAnUnknownOutcomeCountsAsNothing(t *testing.T) {
	for _, trip := range []policy.Trip{
		policy.Consecutive(3), policy.FailureCount{Ratio: 1, Last: 10}, policy.FailureRate{Ratio: 1, Window: time.Hour},
	} {
		c, _ := onVirtual(&policy.Circuit{Trip: trip})
		report(t, c, policy.TransientFailure)
		before := c.Snapshot()
		report(t, c, policy.Outcome(100))
		require.Equal(t, before, c.Snapshot(), "%v", trip)
	}
}

// A refusal leaves the func alone, costs no time, and says who refused, why and until when.
func TestARefusalSaysWhoWhyAndUntilWhen(t *testing.T) {
	c, v := onVirtual(&policy.Circuit{Name: "users"})
	report(t, c, policy.TransientFailure)
	next := policy.Through(func(context.Context) (int, error) { panic("called") }, &policy.Breaker[int]{Name: "other", Circuit: c})
	v.Advance(400 * time.Millisecond)
	now := v.Nanos()
	_, err := next.Do(t.Context())
	require.Equal(t, now, v.Nanos())
	var rejection *policy.Rejection
	require.ErrorAs(t, err, &rejection)
	require.Equal(t, []any{"breaker", "users", policy.ErrOpen, 600 * time.Millisecond},
		[]any{rejection.Policy, rejection.Name, rejection.Reason, rejection.RetryAfter()})
	require.True(t, errors.Is(err, policy.ErrOpen) && !errors.Is(err, policy.ErrIsolated))
	require.Equal(t, policy.Ignored, policy.Classify(0, err))
	_, again := next.Do(t.Context())
	require.Same(t, rejection, again)
}

// Observers hear of a refusal once, with the time that is left; a call that is admitted is not the breaker's to tell.
func TestObserversHearOfARefusal(t *testing.T) {
	c, v := onVirtual(&policy.Circuit{Name: "users"})
	var heard []policy.Event
	scope := &policy.Scope{Pipeline: "p", Observers: []policy.Observer{
		policy.ObserverFunc(func(_ context.Context, e policy.Event) { heard = append(heard, e) }),
	}}
	for _, name := range []string{"", "other"} {
		heard = nil
		c.Reset()
		next := policy.Connect(policy.Layer[int]{Policy: &policy.Breaker[int]{Name: name, Circuit: c}, Scope: scope},
			policy.Layer[int]{Policy: policy.PolicyFunc[int](func(ctx context.Context, next policy.Next[int]) (int, error) { return next.Do(ctx) }), Scope: scope}).
			With(func(context.Context) (int, error) { return 0, errBackend })
		_, err := next.Do(t.Context())
		require.Same(t, errBackend, err)
		require.Empty(t, heard)
		v.Advance(400 * time.Millisecond)
		_, err = next.Do(t.Context())
		require.ErrorIs(t, err, policy.ErrOpen)
		require.Equal(t, []policy.Event{{
			Kind: policy.Rejected, Pipeline: "p", Policy: "breaker", Name: map[string]string{"": "users", "other": "other"}[name],
			Attempt: 1, Outcome: policy.Ignored, Err: err, Delay: 600 * time.Millisecond,
		}}, heard)
	}
}

// A Breaker without a Circuit, which only an unchecked pipeline can have, and a nil func, are errors and no panics.
func TestABreakerWithoutACircuitOrAFuncIsAnError(t *testing.T) {
	_, err := policy.Through(func(context.Context) (int, error) { panic("called") }, &policy.Breaker[int]{}).Do(t.Context())
	require.ErrorContains(t, err, "Breaker.Circuit is nil")
	c, _ := onVirtual(&policy.Circuit{})
	require.ErrorContains(t, c.Do(t.Context(), nil), "no func")
	require.Equal(t, policy.Snapshot{Generation: 1}, c.Snapshot())
}
