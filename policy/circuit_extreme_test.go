package policy_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/policy"
)

// Times at the ends of their ranges neither wrap round nor end anything before its time.
func TestACircuitWithTheLongestTimesNeitherWrapsRoundNorEndsThem(t *testing.T) {
	const longest = time.Duration(math.MaxInt64)
	j := &jumpy{now: math.MinInt64}
	c := &policy.Circuit{
		Clock: j, Trip: policy.FailureRate{Ratio: 1, Window: longest, MinCalls: 2},
		Cooldown: policy.Constant(longest), ProbeLease: longest, Slow: longest,
	}
	hangs := begin(t, c)
	j.now = -2
	require.Equal(t, policy.Snapshot{Generation: 1, InFlight: 1}, c.Snapshot())
	hangs.Done(policy.TransientFailure)
	report(t, c, policy.TransientFailure)
	require.Equal(t, policy.Open, c.State())
	j.now = math.MaxInt64 - 3
	_, err := c.Acquire()
	require.ErrorIs(t, err, policy.ErrOpen)
	j.now++
	begin(t, c)
	j.now = math.MaxInt64 - 1
	requireFull(t, c, 1)
}

// 0 is a time like any other, and so are those before it.
func TestACircuitWorksAroundTimeZero(t *testing.T) {
	j := &jumpy{now: -1}
	c := &policy.Circuit{Clock: j, Trip: policy.FailureRate{Ratio: 1, Window: 10, MinCalls: 2}, Cooldown: policy.Constant(1), Slow: 5}
	report(t, c, policy.TransientFailure)
	j.now = 0
	report(t, c, policy.TransientFailure)
	require.Equal(t, policy.Snapshot{State: policy.Open, Generation: 2, Until: time.Unix(0, 1)}, c.Snapshot())
	j.now = 1
	probe := begin(t, c)
	probe.Done(policy.Success)
	require.Equal(t, policy.Closed, c.State())
}
