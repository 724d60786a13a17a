package differ_test

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/policy"
)

var statesOfFailsafe = map[circuitbreaker.State]policy.State{
	circuitbreaker.ClosedState: policy.Closed, circuitbreaker.OpenState: policy.Open, circuitbreaker.HalfOpenState: policy.HalfOpen,
}

// A both asks a Circuit and a breaker of failsafe-go for the same calls, which end at once.
type both struct {
	circuit *policy.Circuit
	breaker circuitbreaker.CircuitBreaker[any]
}

func (b both) call(t *testing.T, fails bool) {
	permit, err := b.circuit.Acquire()
	require.Equal(t, b.breaker.TryAcquirePermit(), err == nil, "%v", err)
	switch {
	case err != nil:
	case fails:
		permit.Done(policy.TransientFailure)
		b.breaker.RecordFailure()
	default:
		permit.Done(policy.Success)
		b.breaker.RecordSuccess()
	}
	require.Equal(t, statesOfFailsafe[b.breaker.State()], b.circuit.State())
}

// counting are breakers that open at least failures of the last calls, and close at a probe that works.
func counting(failures, last int) both {
	return both{
		&policy.Circuit{Trip: policy.FailureCount{Ratio: float64(failures) / float64(last), Last: last}, Cooldown: policy.Constant(cooldown)},
		circuitbreaker.NewBuilder[any]().WithFailureThresholdRatio(uint(failures), uint(last)).
			WithSuccessThreshold(1).WithDelay(cooldown).Build(),
	}
}

// A Circuit that counts its last calls opens with failsafe-go's, once there have been as many calls.
func TestCircuitCountsCallsAsFailsafeDoes(t *testing.T) {
	r := random(t)
	opened := 0
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			last := []int{1, 2, 4, 5, 8, 10, 16, 20, 25, 32}[r.IntN(10)] // so that failures of them are a decimal
			failures := 1 + r.IntN(last)
			b := counting(failures, last)
			fill := func() {
				for range last {
					b.call(t, false)
				}
			}
			fill()
			failing := r.IntN(100)
			for range 500 {
				if b.circuit.State() == policy.Open {
					opened++
					time.Sleep([]time.Duration{cooldown, cooldown / 3, cooldown - 1}[r.IntN(3)])
				}
				before := b.circuit.State()
				b.call(t, r.IntN(100) < failing)
				if before == policy.Open && b.circuit.State() == policy.Closed {
					fill()
				}
			}
		})
	}
	require.Greater(t, opened, 1_000)
}

// Failsafe-go opens at as many failures also before there have been as many calls. A Circuit waits for MinCalls.
func TestCircuitWaitsForMinCallsAndFailsafeDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := counting(2, 4)
		for range 2 {
			permit, err := b.circuit.Acquire()
			require.NoError(t, err)
			permit.Done(policy.TransientFailure)
			b.breaker.RecordFailure()
		}
		require.Equal(t, policy.Closed, b.circuit.State())
		require.Equal(t, circuitbreaker.OpenState, b.breaker.State())
	})
}

// A Circuit takes a Ratio for the fraction it was written as, decimal or not: 5.0/6 is 0.8333333333333334, and means 5 of 6.
func TestCircuitTakesAQuotientForAQuotient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := counting(5, 6)
		for i := range 6 {
			permit, err := b.circuit.Acquire()
			require.NoError(t, err)
			if i == 0 {
				permit.Done(policy.Success)
				b.breaker.RecordSuccess()
				continue
			}
			permit.Done(policy.TransientFailure)
			b.breaker.RecordFailure()
		}
		require.Equal(t, policy.Open, b.circuit.State())
		require.Equal(t, circuitbreaker.OpenState, b.breaker.State())
	})
}

// timing are breakers that open when half of at least so many calls failed within a window. Failsafe-go rounds the rate
// to two digits, so there must be fewer than 100 calls in it.
func timing(least int, window time.Duration) both {
	return both{
		&policy.Circuit{Trip: policy.FailureRate{Ratio: 0.5, Window: window, MinCalls: least}, Cooldown: policy.Constant(cooldown)},
		circuitbreaker.NewBuilder[any]().WithFailureRateThreshold(0.5, uint(least), window).
			WithSuccessThreshold(1).WithDelay(cooldown).Build(),
	}
}

// A Circuit counts a time window of ten steps as failsafe-go does, if its steps begin when failsafe-go's do: at multiples
// of a step on the clock. They differ only in that failsafe-go also opens at a call that worked, if the failures of
// before are enough of the calls that count by then. A Circuit opens at a failure, and never at a success.
func TestCircuitCountsATimeWindowAsFailsafeDoes(t *testing.T) {
	r := random(t)
	opened, atSuccess := 0, 0
	for range 1_000 {
		synctest.Test(t, func(t *testing.T) {
			window := []time.Duration{time.Second, 10 * time.Second, time.Minute}[r.IntN(3)]
			least, failing := 2+r.IntN(20), r.IntN(60)
			b := timing(least, window)
			for range 200 {
				fails := r.IntN(100) < failing
				require.True(t, b.breaker.TryAcquirePermit())
				permit, err := b.circuit.Acquire()
				require.NoError(t, err)
				if fails {
					b.breaker.RecordFailure()
					permit.Done(policy.TransientFailure)
				} else {
					b.breaker.RecordSuccess()
					permit.Done(policy.Success)
				}
				ours, theirs := b.circuit.Snapshot(), statesOfFailsafe[b.breaker.State()]
				if !fails && theirs == policy.Open {
					require.Equal(t, policy.Closed, ours.State)
					require.GreaterOrEqual(t, ours.Calls, least)
					require.GreaterOrEqual(t, 2*ours.Failures, ours.Calls)
					atSuccess++
					return
				}
				require.Equal(t, theirs, ours.State)
				if theirs == policy.Open {
					opened++
					return
				}
				require.Less(t, ours.Calls, 100)
				time.Sleep(pause(r, window))
			}
		})
	}
	require.Greater(t, opened, 200)
	require.Greater(t, atSuccess, 5)
}

// pause is mostly so short that about 40 calls are within a window.
func pause(r *rand.Rand, window time.Duration) time.Duration {
	return []time.Duration{0, window / 10, upTo(r, window/4), upTo(r, 3*window), upTo(r, window/20)}[min(4, r.IntN(40))]
}
