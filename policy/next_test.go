package policy_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

// named is a policy that writes down when it is entered and left.
func named(name string, log *[]string) policy.Policy[string] {
	return policy.PolicyFunc[string](func(ctx context.Context, next policy.Next[string]) (string, error) {
		*log = append(*log, "into "+name)
		v, err := next.Do(ctx)
		*log = append(*log, "out of "+name)
		return name + "(" + v + ")", err
	})
}

// The first policy is the outermost.
func TestThroughGoesFromTheOutsideIn(t *testing.T) {
	var log []string
	next := policy.Through(func(context.Context) (string, error) {
		log = append(log, "func")
		return "v", errDown
	}, named("a", &log), named("b", &log))
	v, err := next.Do(t.Context())
	require.Same(t, errDown, err)
	require.Equal(t, "a(b(v))", v)
	require.Equal(t, []string{"into a", "into b", "func", "out of b", "out of a"}, log)
}

// Without policies there is the func.
func TestThroughNothingIsTheFunc(t *testing.T) {
	v, err := policy.Through(func(context.Context) (int, error) { return 7, errDown }).Do(t.Context())
	require.Same(t, errDown, err)
	require.Equal(t, 7, v)
}

// A Next may be called many times, copied, and called from several goroutines.
func TestNextIsAValue(t *testing.T) {
	const branches = 20
	hedged := policy.PolicyFunc[int](func(ctx context.Context, next policy.Next[int]) (int, error) {
		var all sync.WaitGroup
		results := make([]int, branches)
		for i := range branches {
			all.Go(func() { results[i], _ = next.Do(context.WithValue(ctx, branch{}, i)) })
		}
		all.Wait()
		sum := 0
		for _, v := range results {
			sum += v
		}
		return sum, nil
	})
	add := policy.PolicyFunc[int](func(ctx context.Context, next policy.Next[int]) (int, error) {
		v, err := next.Do(ctx)
		return v + 100, err
	})
	next := policy.Through(func(ctx context.Context) (int, error) { return ctx.Value(branch{}).(int), nil }, policy.Policy[int](hedged), add)
	v, err := next.Do(t.Context())
	require.NoError(t, err)
	require.Equal(t, branches*100+branches*(branches-1)/2, v)
}

type branch struct{}

// A nil func is an error that names the mistake, and is not tried again.
func TestNoFuncToCallIsAPermanentError(t *testing.T) {
	v := clock.NewVirtual()
	start := v.Nanos()
	circuit := &policy.Circuit{Trip: policy.Consecutive(1), Clock: v}
	p := pipeline.Wrap(&policy.Retry[int]{Clock: v}, &policy.Breaker[int]{Circuit: circuit})
	_, err := p.Do(t.Context(), nil)
	require.EqualError(t, err, "policy: no func to call: the func given to a pipeline is nil")
	require.Equal(t, policy.PermanentFailure, policy.Classify(0, err))
	require.Equal(t, start, v.Nanos(), "and not waited for")
	require.Equal(t, policy.Closed, circuit.State(), "nor is the dependency to blame")

	_, err = policy.Through[int](nil).Do(t.Context())
	require.Error(t, err)
	_, err = policy.Next[int]{}.Do(t.Context())
	require.Error(t, err)
}

// Where nobody observes, Emit does nothing and Observed says so; in a pipeline of one's own as well.
func TestEmitReachesTheScopeOfThePolicyThatEmits(t *testing.T) {
	var heard []string
	scope := func(name string) *policy.Scope {
		return &policy.Scope{Pipeline: name, Observers: []policy.Observer{policy.ObserverFunc(func(_ context.Context, e policy.Event) {
			heard = append(heard, name+" hears "+e.Policy+" in "+e.Pipeline)
		})}}
	}
	emitting := func(name string, observed bool) policy.Policy[int] {
		return policy.PolicyFunc[int](func(ctx context.Context, next policy.Next[int]) (int, error) {
			require.Equal(t, observed, next.Observed(), name)
			next.Emit(ctx, policy.Event{Policy: name})
			return next.Do(ctx)
		})
	}
	one := func(context.Context) (int, error) { return 1, nil }
	_, _ = policy.Connect(
		policy.Layer[int]{Policy: emitting("a", true), Scope: scope("first")},
		policy.Layer[int]{Policy: emitting("b", false)},
		policy.Layer[int]{Policy: emitting("c", false), Scope: &policy.Scope{Pipeline: "nobody"}},
		policy.Layer[int]{Policy: emitting("d", true), Scope: scope("last")},
		policy.Layer[int]{Policy: emitting("e", false), Scope: scope("not inside any")},
	).With(one).Do(t.Context())
	require.Equal(t, []string{"first hears a in first", "last hears d in last"}, heard)
	_, _ = policy.Through(one, emitting("f", false)).Do(t.Context())
	require.Len(t, heard, 2)
}

// A private context minds being asked.
type private struct{ context.Context }

func (private) Value(any) any { panic("asked") }

// Where nobody observes, nothing is found out for an event.
func TestEmitAsksNothingWhereNobodyObserves(t *testing.T) {
	scope := &policy.Scope{Pipeline: "p"}
	require.NotPanics(t, func() { scope.Emit(private{t.Context()}, policy.Event{}) })
	scope.Observers = []policy.Observer{policy.ObserverFunc(func(context.Context, policy.Event) {})}
	require.PanicsWithValue(t, "asked", func() { scope.Emit(private{t.Context()}, policy.Event{}) })
}

// Attempt is that of the nearest Retry, 1 outside any, and known under contexts derived from it.
func TestAttemptIsThatOfTheNearestRetry(t *testing.T) {
	require.Equal(t, 1, policy.Attempt(t.Context()))
	var seen [][2]int
	var outer int
	again := func() *policy.Retry[int] { return &policy.Retry[int]{Attempts: 2, Backoff: policy.Constant(0)} }
	p := pipeline.Wrap[int](
		again(),
		policy.PolicyFunc[int](func(ctx context.Context, next policy.Next[int]) (int, error) {
			outer = policy.Attempt(ctx)
			return next.Do(ctx)
		}),
		again(),
		&policy.Timeout[int]{Limit: time.Hour},
	)
	_, _ = p.Do(t.Context(), func(ctx context.Context) (int, error) {
		derived, cancel := context.WithCancel(context.WithValue(ctx, branch{}, 1))
		defer cancel()
		seen = append(seen, [2]int{outer, policy.Attempt(derived)})
		return 0, errDown
	})
	require.Equal(t, [][2]int{{1, 1}, {1, 2}, {2, 1}, {2, 2}}, seen)
}

// A context derived from an attempt's ends with the caller's, without a goroutine to watch it.
func TestAContextDerivedFromAnAttemptEndsWithTheCallers(t *testing.T) {
	v := clock.NewVirtual()
	ctx, cancel := clock.WithTimeout(t.Context(), v, time.Second, nil)
	defer cancel()
	p := pipeline.Wrap(&policy.Retry[int]{Attempts: 2, Backoff: policy.Constant(0), Clock: v})
	_, err := p.Do(ctx, func(ctx context.Context) (int, error) {
		if policy.Attempt(ctx) == 1 {
			return 0, errDown
		}
		derived, cancel := context.WithCancel(ctx)
		defer cancel()
		require.NoError(t, derived.Err())
		v.Advance(time.Second)
		require.ErrorIs(t, derived.Err(), context.DeadlineExceeded, "at once: there is nothing to wait for")
		return 7, nil
	})
	require.NoError(t, err)
}

// Once ends retrying after the first call, under any Retry, with what that call returned.
func TestOnceIsNotRepeated(t *testing.T) {
	c := composedCase{
		layers: []layer{{kind: "retry", attempts: 3}, {kind: "timeout", limit: time.Hour}, {kind: "retry", attempts: 3}},
		script: script{{does: fails}, {does: fails}},
		caller: caller{once: true},
	}
	r := c.run()
	require.Len(t, r.calls, 1)
	require.Same(t, r.calls[0].err, r.err)
	require.Equal(t, -1, r.v)
	require.Empty(t, r.discarded)
	require.Equal(t, policy.NotRepeatable, r.of(policy.GaveUp)[0].Reason)
}
