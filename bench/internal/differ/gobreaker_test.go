package differ_test

import (
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sony/gobreaker/v2"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/policy"
)

var (
	errDown    = errors.New("down")
	errIgnored = errors.New("ignored")
)

const cooldown = 10 * time.Second

// breakers are a Circuit and a two-step breaker of gobreaker that open and close alike. Gobreaker's timeout is over a
// nanosecond after it, so it gets one less.
func breakers(trip policy.Trip, settings gobreaker.Settings) (*policy.Circuit, *gobreaker.TwoStepCircuitBreaker[any]) {
	settings.Timeout = cooldown - 1
	settings.IsExcluded = func(err error) bool { return errors.Is(err, errIgnored) }
	return &policy.Circuit{Trip: trip, Cooldown: policy.Constant(cooldown), ProbeLease: 1000 * time.Hour},
		gobreaker.NewTwoStepCircuitBreaker[any](settings)
}

// A pair is a call that both have admitted.
type pair struct {
	ours   *policy.Permit
	theirs func(error)
}

func (p pair) done(r *rand.Rand, failing int) {
	switch n := r.IntN(10); {
	case n < failing:
		p.ours.Done(policy.TransientFailure)
		p.theirs(errDown)
	case n == 9:
		p.ours.Done(policy.Ignored)
		p.theirs(errIgnored)
	default:
		p.ours.Done(policy.Success)
		p.theirs(nil)
	}
}

func acquire(t *testing.T, circuit *policy.Circuit, breaker *gobreaker.TwoStepCircuitBreaker[any]) (p pair, ok bool) {
	permit, err := circuit.Acquire()
	done, theirs := breaker.Allow()
	require.Equal(t, theirs == nil, err == nil, "gobreaker: %v, Circuit: %v", theirs, err)
	return pair{&permit, done}, err == nil
}

var statesOf = map[gobreaker.State]policy.State{
	gobreaker.StateClosed: policy.Closed, gobreaker.StateOpen: policy.Open, gobreaker.StateHalfOpen: policy.HalfOpen,
}

// A Circuit admits the calls that gobreaker admits, and is in the same state, over 120 000 operations with calls that
// overlap, end late or do not count.
func TestCircuitAdmitsWhatGobreakerAdmits(t *testing.T) {
	r := random(t)
	seen := map[policy.State]int{}
	for range 120 {
		synctest.Test(t, func(t *testing.T) {
			n, failing := 1+r.IntN(6), 1+r.IntN(8)
			circuit, breaker := breakers(policy.Consecutive(n), gobreaker.Settings{
				MaxRequests: 1, ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= uint32(n) },
			})
			var calls []pair
			for range 1_000 {
				switch r.IntN(6) {
				case 0:
					time.Sleep([]time.Duration{cooldown, cooldown / 4, upTo(r, cooldown), 1}[r.IntN(4)])
				case 1, 2:
					if p, ok := acquire(t, circuit, breaker); ok {
						calls = append(calls, p)
					}
				default:
					if len(calls) > 0 {
						i := r.IntN(len(calls))
						calls[i].done(r, failing)
						calls = append(calls[:i], calls[i+1:]...)
					}
				}
				state := circuit.State()
				seen[state]++
				if theirs := statesOf[breaker.State()]; theirs != state {
					// Asking gobreaker for its state takes it half-open once its timeout is over. A Circuit waits for a call.
					require.Equal(t, policy.HalfOpen, theirs)
					require.Equal(t, policy.Open, state)
					require.False(t, circuit.Snapshot().Until.After(time.Now()))
				}
			}
		})
	}
	for state, least := range map[policy.State]int{policy.Closed: 10_000, policy.Open: 10_000, policy.HalfOpen: 1_000} {
		require.Greater(t, seen[state], least, state)
	}
}

// Over a time window of ten buckets, calls that end at once open a Circuit when they open gobreaker's.
func TestCircuitCountsATimeWindowAsGobreakerDoes(t *testing.T) {
	r := random(t)
	opened := 0
	for range 120 {
		synctest.Test(t, func(t *testing.T) {
			window, failing, least := []time.Duration{time.Second, 10 * time.Second, time.Minute}[r.IntN(3)], 1+r.IntN(7), 1+r.IntN(20)
			circuit, breaker := breakers(policy.FailureRate{Ratio: 0.5, Window: window, MinCalls: least}, gobreaker.Settings{
				MaxRequests: 1, Interval: window, BucketPeriod: window / 10,
				ReadyToTrip: func(c gobreaker.Counts) bool {
					return c.Requests-c.TotalExclusions >= uint32(least) && 2*c.TotalFailures >= c.Requests-c.TotalExclusions
				},
			})
			circuit.Reset() // so that its window begins now, as gobreaker's does, and not with the first call
			for range 1_000 {
				time.Sleep([]time.Duration{0, window / 10, upTo(r, window/4), upTo(r, 3*window), 1}[min(4, r.IntN(20))])
				if p, ok := acquire(t, circuit, breaker); ok {
					p.done(r, failing)
				}
				if circuit.State() == policy.Open {
					opened++
					require.Equal(t, gobreaker.StateOpen, breaker.State())
					time.Sleep(cooldown)
				}
			}
		})
	}
	require.Greater(t, opened, 1_000)
}

// Gobreaker is open a nanosecond longer than its Timeout; a Circuit's cooldown is over when it is over.
func TestCircuitCoolsDownANanosecondShorterThanGobreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		circuit := &policy.Circuit{Trip: policy.Consecutive(1), Cooldown: policy.Constant(cooldown)}
		breaker := gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{
			Timeout: cooldown, ReadyToTrip: func(gobreaker.Counts) bool { return true },
		})
		p, ok := acquire(t, circuit, breaker)
		require.True(t, ok)
		p.ours.Done(policy.TransientFailure)
		p.theirs(errDown)
		time.Sleep(cooldown)
		_, err := circuit.Acquire()
		require.NoError(t, err)
		_, err = breaker.Allow()
		require.ErrorIs(t, err, gobreaker.ErrOpenState)
		time.Sleep(time.Nanosecond)
		_, err = breaker.Allow()
		require.NoError(t, err)
	})
}

// Gobreaker lets MaxRequests calls through while it is half-open, and closes when all have worked. A Circuit lets Probes
// through at a time, so that the next may begin when one has ended.
func TestCircuitCountsProbesInFlightAndGobreakerCountsThemAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		circuit, breaker := breakers(policy.Consecutive(1), gobreaker.Settings{
			MaxRequests: 2, ReadyToTrip: func(gobreaker.Counts) bool { return true },
		})
		circuit.Probes, circuit.Successes = 2, 2
		p, _ := acquire(t, circuit, breaker)
		p.ours.Done(policy.TransientFailure)
		p.theirs(errDown)
		time.Sleep(cooldown)
		first, _ := acquire(t, circuit, breaker)
		second, _ := acquire(t, circuit, breaker)
		_, ok := acquire(t, circuit, breaker)
		require.False(t, ok)
		first.ours.Done(policy.Success)
		first.theirs(nil)
		_, err := circuit.Acquire()
		require.NoError(t, err)
		_, err = breaker.Allow()
		require.ErrorIs(t, err, gobreaker.ErrTooManyRequests)
		second.ours.Done(policy.Success)
		second.theirs(nil)
		require.Equal(t, policy.Closed, circuit.State())
		require.Equal(t, gobreaker.StateClosed, breaker.State())
	})
}
