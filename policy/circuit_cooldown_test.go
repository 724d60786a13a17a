package policy_test

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/policy"
)

// cools is for how long the circuit is open from now on.
func cools(t *testing.T, c *policy.Circuit) time.Duration {
	t.Helper()
	_, err := c.Acquire()
	require.ErrorIs(t, err, policy.ErrOpen)
	return policy.HintOf(err)
}

// Scenario 10: whatever a jittered cooldown draws, the circuit is never open for less than no time.
func TestAJitteredCooldownIsNeverNegative(t *testing.T) {
	for _, r := range []float64{0, 0.25, 0.5, 0.999999, -1, math.NaN()} {
		c, v := onVirtual(&policy.Circuit{Cooldown: policy.Jitter(policy.Constant(time.Minute), 1), Rand: func() float64 { return r }})
		report(t, c, policy.TransientFailure)
		until := c.Snapshot().Until
		require.False(t, until.Before(time.Unix(0, v.Nanos())), "%v", r)
		require.False(t, until.After(time.Unix(0, v.Nanos()).Add(2*time.Minute)), "%v", r)
	}
}

// Scenario 10: a cooldown of somebody else's that is negative counts as none, and one without end never ends.
func TestACooldownBeyondAllRangesIsHeldWithinThem(t *testing.T) {
	said := time.Duration(math.MinInt64)
	c, v := onVirtual(&policy.Circuit{Cooldown: policy.BackoffFunc(func(policy.Step) time.Duration { return said })})
	report(t, c, policy.TransientFailure)
	require.Equal(t, time.Unix(0, v.Nanos()), c.Snapshot().Until)
	probe := begin(t, c)
	said = math.MaxInt64
	probe.Done(policy.TransientFailure)
	v.Advance(100 * 365 * 24 * time.Hour)
	_, err := c.Acquire()
	require.ErrorIs(t, err, policy.ErrOpen)
}

// Scenario 10: the cooldown grows with every opening in a row, and starts again once the circuit has closed.
func TestTheCooldownGrowsInARowAndStartsAgainAfterClosing(t *testing.T) {
	c, v := onVirtual(&policy.Circuit{Cooldown: policy.Exponential(time.Second, time.Hour), Successes: 2})
	report(t, c, policy.TransientFailure)
	for _, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second} {
		require.Equal(t, want, cools(t, c))
		v.Advance(want)
		report(t, c, policy.Success) // one is not enough to close
		report(t, c, policy.TransientFailure)
	}
	v.Advance(16 * time.Second)
	report(t, c, policy.Success)
	report(t, c, policy.Success)
	require.Equal(t, policy.Closed, c.State())
	report(t, c, policy.TransientFailure)
	require.Equal(t, time.Second, cools(t, c))
}

// Scenario 10: a Cooldown is told what it said before, and how much in all.
func TestACooldownKnowsWhatItSaidBefore(t *testing.T) {
	var steps []policy.Step
	draws := 0
	c, v := onVirtual(&policy.Circuit{
		Rand: func() float64 { draws++; return 0 },
		Cooldown: policy.BackoffFunc(func(s policy.Step) time.Duration {
			s.Rand()
			s.Rand = nil
			steps = append(steps, s)
			return time.Duration(len(steps)) * time.Second
		}),
	})
	report(t, c, policy.TransientFailure)
	for range 2 {
		v.Advance(time.Hour)
		report(t, c, policy.TransientFailure)
	}
	require.Equal(t, []policy.Step{{Retry: 1}, {Retry: 2, Previous: 1e9, Total: 1e9}, {Retry: 3, Previous: 2e9, Total: 3e9}}, steps)
	require.Equal(t, 3, draws)
}

// A cooldown is computed without the lock: it may look at the circuit, and sees it open.
func TestACooldownMayLookAtItsCircuit(t *testing.T) {
	var c *policy.Circuit
	var during policy.Snapshot
	c, _ = onVirtual(&policy.Circuit{Cooldown: policy.BackoffFunc(func(policy.Step) time.Duration {
		during = c.Snapshot()
		_, err := c.Acquire()
		require.ErrorIs(t, err, policy.ErrOpen)
		return time.Second
	})})
	report(t, c, policy.TransientFailure)
	require.Equal(t, policy.Snapshot{State: policy.Open, Generation: 2}, during)
}

// A cooldown that resets the circuit has the last word.
func TestACooldownMayResetItsCircuit(t *testing.T) {
	var c *policy.Circuit
	c, _ = onVirtual(&policy.Circuit{Cooldown: policy.BackoffFunc(func(policy.Step) time.Duration {
		c.Reset()
		return time.Hour
	})})
	report(t, c, policy.TransientFailure)
	require.Equal(t, policy.Snapshot{State: policy.Closed, Generation: 3}, c.Snapshot())
}

// A cooldown that panics leaves the circuit open for 30 seconds, and the change is told all the same.
func TestACooldownThatPanicsLeavesTheCircuitOpenForAWhile(t *testing.T) {
	var heard []policy.State
	c, v := onVirtual(&policy.Circuit{
		Cooldown: policy.BackoffFunc(func(policy.Step) time.Duration { panic("boom") }),
		OnChange: func(c policy.Change) { heard = append(heard, c.To) },
	})
	permit := begin(t, c)
	require.PanicsWithValue(t, "boom", func() { permit.Done(policy.TransientFailure) })
	require.Equal(t, []policy.State{policy.Open}, heard)
	require.Equal(t, 30*time.Second, cools(t, c))
	v.Advance(30 * time.Second)
	report(t, c, policy.Success)
	require.Equal(t, policy.Closed, c.State())
}

// Scenario 14: on the system's clock a circuit's times are monotonic ones, which steps of the wall clock leave alone.
func TestOnTheSystemsClockTimesAreMonotonic(t *testing.T) {
	var at time.Time
	c := &policy.Circuit{Trip: policy.Consecutive(1), Cooldown: policy.Constant(time.Hour), OnChange: func(c policy.Change) { at = c.At }}
	report(t, c, policy.TransientFailure)
	_, err := c.Acquire()
	var rejection *policy.Rejection
	require.ErrorAs(t, err, &rejection)
	for _, instant := range []time.Time{rejection.Until, c.Snapshot().Until, at} {
		require.Contains(t, instant.String(), " m=", "no monotonic reading")
	}
}

// Scenario 14: a clock that is set back counts as one that stands still: what was counted stays, nothing is let in too
// early, and a clock that is set forward ends the cooldown.
func TestAClockThatIsSetBackStandsStill(t *testing.T) {
	j := &jumpy{now: 1e15}
	c := &policy.Circuit{Clock: j, Cooldown: policy.Constant(time.Minute), Trip: policy.FailureRate{Ratio: 1, Window: time.Second, MinCalls: 3}}
	report(t, c, policy.TransientFailure)
	j.now -= int64(time.Hour)
	report(t, c, policy.TransientFailure)
	require.Equal(t, 2, c.Snapshot().Failures)
	report(t, c, policy.TransientFailure)
	require.Equal(t, policy.Snapshot{State: policy.Open, Generation: 2, Until: time.Unix(0, 1e15).Add(time.Minute)}, c.Snapshot())
	refused := func() {
		t.Helper()
		require.ErrorIs(t, c.Do(t.Context(), func(context.Context) error { return nil }), policy.ErrOpen)
	}
	refused()
	j.now = 1e15 + int64(time.Minute) - 1
	refused()
	j.now = 1e15 + int64(time.Minute)
	begin(t, c)
}

// Scenario 14: a probe that begins after the clock was set back has its whole lease before it.
func TestAProbeAfterTheClockWasSetBackHasItsWholeLease(t *testing.T) {
	j := &jumpy{now: 1e15}
	c := &policy.Circuit{Clock: j, Trip: policy.Consecutive(1), Cooldown: policy.Constant(0), ProbeLease: time.Minute}
	report(t, c, policy.TransientFailure)
	begin(t, c).Done(policy.Ignored)
	j.now -= int64(time.Hour)
	begin(t, c)
	requireFull(t, c, 1)
	j.now = 1e15 + int64(time.Minute) - 1
	requireFull(t, c, 1)
	j.now++
	begin(t, c)
}
