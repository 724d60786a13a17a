package policy_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/policy"
)

// windowed is a circuit that counts the calls of a time window, and never opens.
func windowed(window time.Duration) *policy.Circuit {
	return &policy.Circuit{Trip: policy.FailureRate{Ratio: 1, Window: window, MinCalls: 1e9}}
}

// Scenario 15: after an idle time longer than the window, nothing is counted any more, to the nanosecond.
func TestAWindowIsEmptyAfterAnIdleTime(t *testing.T) {
	for _, window := range []time.Duration{1, 10, 99, time.Second, 365 * 24 * time.Hour} {
		for _, idle := range []time.Duration{window + 1, 2*window + 1, 10 * window, 100*window + window/3, window << 24 % (40 * 365 * 24 * time.Hour)} {
			c, v := onVirtual(windowed(window))
			for range 3 {
				report(t, c, policy.TransientFailure)
				report(t, c, policy.Success)
				v.Advance(window / 4)
			}
			require.NotZero(t, c.Snapshot().Calls, "%v", window)
			v.Advance(max(idle, window+1))
			s := c.Snapshot()
			require.Zero(t, s.Calls, "%v idle for %v", window, idle)
			require.Zero(t, s.Failures, "%v idle for %v", window, idle)
		}
	}
}

// Scenario 15: what is younger than nine tenths of the window counts, to the nanosecond.
func TestAWindowCountsWhatIsYoungerThanNineTenthsOfIt(t *testing.T) {
	for _, offset := range []time.Duration{0, 1, 99, 100, 101, 950, 999} {
		c, v := onVirtual(windowed(1000))
		report(t, c, policy.Success)
		v.Advance(offset)
		report(t, c, policy.TransientFailure)
		v.Advance(899)
		require.Equal(t, 1, c.Snapshot().Failures, "%v", offset)
		v.Advance(102)
		require.Zero(t, c.Snapshot().Failures, "%v", offset)
	}
}

// Scenario 16: of a burst after an idle gap no call is lost, nor counted twice, while buckets roll.
func TestOfABurstAfterAnIdleGapNoCallIsLost(t *testing.T) {
	for _, gap := range []time.Duration{0, 100, 1000, 1001, 10_000, 1000 << 24, time.Hour} {
		c, v := onVirtual(windowed(1000))
		report(t, c, policy.Success)
		v.Advance(gap + 1000)
		permits := make([]*policy.Permit, 400)
		for i := range permits {
			permits[i] = begin(t, c)
		}
		var burst sync.WaitGroup
		for i, permit := range permits {
			burst.Go(func() {
				if i%4 == 0 {
					permit.Done(policy.TransientFailure)
				} else {
					permit.Done(policy.Success)
				}
			})
		}
		burst.Wait()
		s := c.Snapshot()
		require.Equal(t, []int{400, 100}, []int{s.Calls, s.Failures}, "after %v", gap)
	}
}

// Scenario 16: a window that slides forgets one tenth at a time.
func TestAWindowForgetsOneTenthAtATime(t *testing.T) {
	c, v := onVirtual(windowed(time.Second))
	for i := range 40 {
		report(t, c, policy.Success)
		report(t, c, policy.TransientFailure)
		s := c.Snapshot()
		require.Equal(t, []int{2 * min(10, i+1), min(10, i+1)}, []int{s.Calls, s.Failures})
		v.Advance(100 * time.Millisecond)
	}
	for i := range 11 {
		require.Equal(t, 9-min(9, i), c.Snapshot().Failures)
		v.Advance(100 * time.Millisecond)
	}
}

// Scenario 18: a window shorter than its number of buckets, in nanoseconds, counts like any other, and so do windows
// after a time far longer than theirs.
func TestAWindowOfAFewNanosecondsCounts(t *testing.T) {
	for window := time.Duration(1); window <= 12; window++ {
		c, v := onVirtual(windowed(window))
		for _, idle := range []time.Duration{0, 1, window, window << 24, window << 40, 100 * 365 * 24 * time.Hour / 13} {
			v.Advance(idle)
			for range 3 {
				report(t, c, policy.TransientFailure)
			}
			require.Equal(t, 3, c.Snapshot().Failures, "%d after %d", window, idle)
			v.Advance(window - (window+9)/10)
			require.Equal(t, 3, c.Snapshot().Failures, "%d after %d", window, idle)
			v.Advance((window+9)/10 + 1)
			require.Zero(t, c.Snapshot().Failures, "%d after %d", window, idle)
		}
	}
}

// Scenario 20: however sparse the calls, failures in a row are in a row.
func TestFailuresInARowCountHoweverFarApart(t *testing.T) {
	c, v := onVirtual(&policy.Circuit{Trip: policy.Consecutive(5)})
	for i := range 5 {
		require.Equal(t, policy.Closed, c.State(), "%d", i)
		v.Advance(365 * 24 * time.Hour)
		report(t, c, policy.TransientFailure)
	}
	require.Equal(t, policy.Open, c.State())
}

// Scenario 20: only a call that worked ends a row; an ignored one does not.
func TestOnlyACallThatWorkedEndsARow(t *testing.T) {
	for o, ends := range map[policy.Outcome]bool{policy.Success: true, policy.PermanentFailure: true, policy.Ignored: false} {
		c, _ := onVirtual(&policy.Circuit{Trip: policy.Consecutive(3)})
		report(t, c, policy.TransientFailure)
		report(t, c, policy.TransientFailure)
		report(t, c, o)
		report(t, c, policy.TransientFailure)
		require.Equal(t, ends, c.State() == policy.Closed, "%v", o)
	}
}
