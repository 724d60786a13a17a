package policy_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/policy"
)

// The oldest credit is spent first, so that what is left lasts longest.
func TestBudgetSpendsTheOldestCreditFirst(t *testing.T) {
	v := clock.NewVirtual()
	b := &policy.Budget{Ratio: 1, Cap: 10, TTL: 10 * time.Second, Clock: v}
	b.Deposit()
	v.Advance(5 * time.Second)
	b.Deposit()
	v.Advance(time.Second)
	require.True(t, b.Withdraw())
	v.Advance(6 * time.Second)
	require.InDelta(t, 1, b.Credit(), 0, "the later deposit is left")
	v.Advance(4 * time.Second)
	require.Zero(t, b.Credit())
}

// After a leg that was refused no other starts: it would be refused, too.
func TestHedgeStartsNoLegAfterARefusedOne(t *testing.T) {
	v := clock.NewVirtual()
	refused := &policy.Rejection{Policy: "test", Reason: policy.ErrFull}
	calls := 0
	h := &policy.Hedge[int]{Delay: time.Second, Max: 5, Clock: v}
	got, err := policy.Through(func(ctx context.Context) (int, error) {
		calls++
		mine := calls
		if mine == 2 {
			return 0, refused
		}
		return mine, v.Sleep(ctx, 10*time.Second)
	}, h).Do(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, got)
	require.Equal(t, 2, calls)
	v.Run()
}

// A Script decides alone: Rate, Fault and Result do not count beside it.
func TestChaosScriptOverrulesTheRest(t *testing.T) {
	on := new(policy.Switch)
	on.Set(true)
	c := &policy.Chaos[int]{
		Switch: on, Rate: 1, Fault: policy.Fault{Panic: "no"},
		Result: func(context.Context) (int, error) { return 9, nil },
		Script: func(call int) policy.Fault {
			if call == 2 {
				return policy.Fault{Err: errDown}
			}
			return policy.Fault{}
		},
	}
	next := policy.Through(func(context.Context) (int, error) { return 1, nil }, c)
	for call := 1; call <= 3; call++ {
		got, err := next.Do(t.Context())
		if call == 2 {
			require.Equal(t, errDown, err)
		} else {
			require.NoError(t, err)
			require.Equal(t, 1, got)
		}
	}
}

// A refusal by a policy inside is no drop, although it says when to come back: the dependency was not asked.
func TestAdaptiveIsNotLoweredByARefusalWithAHint(t *testing.T) {
	v := clock.NewVirtual()
	l := &policy.Limit{Algorithm: policy.AIMD{}, Clock: v}
	circuit := &policy.Circuit{Trip: policy.Consecutive(1), Clock: v}
	report(t, circuit, policy.TransientFailure)
	next := policy.Through(func(context.Context) (int, error) { return 0, nil },
		&policy.Adaptive[int]{Limit: l}, &policy.Breaker[int]{Circuit: circuit})
	for range 100 {
		_, err := next.Do(t.Context())
		require.ErrorIs(t, err, policy.ErrOpen)
		require.Positive(t, policy.HintOf(err))
	}
	_, limit := l.Load()
	require.Equal(t, 20, limit)
}

// A caller whose context has ended joins no call, and the shared call's context ends with it.
func TestDedupeContexts(t *testing.T) {
	v := clock.NewVirtual()
	d := &policy.Dedupe[context.Context]{Key: func(context.Context) string { return "k" }, Clock: v}
	next := policy.Through(func(ctx context.Context) (context.Context, error) { return ctx, v.Sleep(ctx, time.Second) }, d)
	v.Go(func() {
		got, err := next.Do(t.Context())
		require.NoError(t, err)
		require.Error(t, got.Err(), "it has ended with the call")
	})
	v.Go(func() {
		_ = v.Sleep(t.Context(), time.Millisecond)
		ended, cancel := context.WithCancelCause(t.Context())
		cancel(errHungUp)
		before := v.Nanos()
		_, err := next.Do(ended)
		require.Equal(t, errHungUp, err)
		require.Equal(t, before, v.Nanos(), "at once")
	})
	v.Run()
}
