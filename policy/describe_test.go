package policy_test

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/policy"
)

// Bounds are held at the greatest number, also where an int has 32 bits, and never wrap round.
func TestBoundIsHeldAtTheGreatest(t *testing.T) {
	calls := policy.Most(65_536).Times(65_536)
	require.GreaterOrEqual(t, calls.Most, math.MaxInt32, "at least what 32 bits hold")
	require.Equal(t, math.MaxInt, policy.Most(math.MaxInt).Times(3).Most)
	require.Equal(t, math.MaxInt, policy.Most(math.MaxInt).Plus(policy.Most(1)).Most)
	require.Equal(t, time.Duration(math.MaxInt64), policy.Most(time.Duration(math.MaxInt64)).Times(2).Most)
	require.Equal(t, 12, policy.Most(5).Plus(policy.Most(1)).Times(2).Most)
}

// What a Chaos answers with may take any time: the bounds say so.
func TestBoundsLeaveOutWhatAChaosAnswers(t *testing.T) {
	c := &policy.Chaos[int]{Switch: new(policy.Switch), Fault: policy.Fault{Latency: time.Second}}
	require.Empty(t, c.Describe().Bounds(policy.BareBounds()).Besides)
	c.Result = func(context.Context) (int, error) { return 0, nil }
	bounds := c.Describe().Bounds(policy.BareBounds())
	require.Equal(t, "Chaos.Result", bounds.Besides)
	both := (&policy.Fallback[int]{Func: policy.Static(1)}).Describe().Bounds(bounds)
	require.Equal(t, "Chaos.Result and Fallback.Func", both.Besides)
	limited := (&policy.Timeout[int]{Limit: time.Minute}).Describe().Bounds(both)
	require.Equal(t, policy.Most(time.Minute), limited.Duration)
	require.Empty(t, limited.Besides)
}

// A Backoff is asked for each different wait once, however many attempts there are.
func TestExplainingManyAttemptsAsksLittle(t *testing.T) {
	for _, b := range []policy.Backoff{
		policy.Constant(time.Second), policy.Exponential(time.Second, time.Minute), policy.Linear(time.Second, time.Minute),
		policy.SmoothJitter(time.Second, time.Minute), policy.FullJitter(policy.Exponential(time.Second, time.Minute)),
		policy.Decorrelated(time.Second, time.Minute), policy.EqualJitter(policy.Linear(1, math.MaxInt64)),
	} {
		d := (&policy.Retry[int]{Attempts: math.MaxInt, Backoff: b}).Describe()
		bounds := d.Bounds(policy.BareBounds())
		require.Positive(t, bounds.Wait.Most)
		require.GreaterOrEqual(t, bounds.HintedWait.Most, bounds.Wait.Most)
		require.LessOrEqual(t, d.Repeats.LeastWait(math.MaxInt-1), bounds.Wait.Most)
	}
}

// Static cannot fail, so that a Fallback with it answers whatever there is to answer.
func TestDescriptionOfAFallbackThatCannotFail(t *testing.T) {
	require.True(t, (&policy.Fallback[int]{Func: policy.Static(1)}).Describe().Sure)
	require.False(t, (&policy.Fallback[int]{Func: func(context.Context, int, error) (int, error) { return 1, nil }}).Describe().Sure)
	require.False(t, (&policy.Fallback[int]{Func: policy.Static(1), Classify: policy.Classify[int]}).Describe().Sure)
}
