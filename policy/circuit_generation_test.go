package policy_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/policy"
)

// Scenario 7: what a call that began in a closed circuit reports once it has opened, is half-open, or has closed
// again changes nothing.
func TestAStaleResultChangesNothing(t *testing.T) {
	for _, slow := range []time.Duration{0, time.Hour} {
		for _, late := range []policy.Outcome{policy.Success, policy.PermanentFailure, policy.TransientFailure, policy.Ignored} {
			t.Run(late.String(), func(t *testing.T) {
				c, v := onVirtual(&policy.Circuit{Trip: policy.Consecutive(2), Slow: slow})
				var calls []*policy.Permit
				for range 5 {
					calls = append(calls, begin(t, c))
				}
				unchanged := func(by *policy.Permit) {
					t.Helper()
					before := c.Snapshot()
					by.Done(late)
					require.Equal(t, before, c.Snapshot())
				}
				calls[0].Done(policy.TransientFailure)
				calls[1].Done(policy.TransientFailure)
				require.Equal(t, policy.Open, c.State())
				unchanged(calls[2])

				v.Advance(time.Second)
				probe := begin(t, c)
				unchanged(calls[3])
				requireFull(t, c, 1)

				probe.Done(policy.Success)
				require.Equal(t, policy.Closed, c.State())
				report(t, c, policy.TransientFailure)
				unchanged(calls[4])
				require.Equal(t, 1, c.Snapshot().Failures)
			})
		}
	}
}

// Scenario 7: stale successes neither close a half-open circuit nor make room for more probes.
func TestStaleResultsMakeNoRoomForProbes(t *testing.T) {
	c, v := onVirtual(&policy.Circuit{Probes: 3, Successes: 2})
	stale := []*policy.Permit{begin(t, c), begin(t, c), begin(t, c)}
	report(t, c, policy.TransientFailure)
	v.Advance(time.Second)
	for range 3 {
		begin(t, c)
	}
	for _, permit := range stale {
		permit.Done(policy.Success)
		requireFull(t, c, 3)
	}
}

// Scenario 7: a probe that fails late neither opens again a circuit that others have closed, nor one that is
// half-open for the next time.
func TestAStaleProbeOpensNothing(t *testing.T) {
	c, v := cooledDown(t, &policy.Circuit{Probes: 3})
	first, late, later := begin(t, c), begin(t, c), begin(t, c)
	first.Done(policy.Success)
	late.Done(policy.TransientFailure)
	require.Equal(t, policy.Snapshot{State: policy.Closed, Generation: 4}, c.Snapshot())
	report(t, c, policy.TransientFailure)
	v.Advance(time.Second)
	begin(t, c)
	later.Done(policy.TransientFailure)
	require.Equal(t, policy.Snapshot{State: policy.HalfOpen, Generation: 6, InFlight: 1}, c.Snapshot())
}

// Scenario 7: Reset of a closed circuit makes the calls under way stale as well.
func TestResetOfAClosedCircuitForgetsTheCallsUnderWay(t *testing.T) {
	changes := 0
	c, _ := onVirtual(&policy.Circuit{OnChange: func(policy.Change) { changes++ }})
	call := begin(t, c)
	c.Reset()
	call.Done(policy.TransientFailure)
	require.Equal(t, policy.Snapshot{State: policy.Closed, Generation: 2}, c.Snapshot())
	require.Zero(t, changes)
}

// A meddler is a clock that does something else the next time it is read.
type meddler struct {
	*clock.Virtual
	meddle func()
}

func (m *meddler) Nanos() int64 {
	if meddle := m.meddle; meddle != nil {
		m.meddle = nil
		meddle()
	}
	return m.Virtual.Nanos()
}

// Scenario 7: a result that becomes stale just while its time is read changes nothing.
func TestAResultThatBecomesStaleOnItsWayChangesNothing(t *testing.T) {
	for _, late := range []policy.Outcome{policy.Success, policy.TransientFailure} {
		m := &meddler{Virtual: clock.NewVirtual()}
		c := &policy.Circuit{Clock: m, Trip: policy.FailureCount{Ratio: 1, Last: 2}}
		call := begin(t, c)
		m.meddle = c.Reset
		call.Done(late)
		require.Equal(t, policy.Snapshot{Generation: 2}, c.Snapshot())

		call = begin(t, c)
		m.meddle = func() {
			report(t, c, policy.TransientFailure)
			report(t, c, policy.TransientFailure)
		}
		call.Done(late)
		require.Equal(t, policy.Open, c.State())
	}
}

// Scenario 8: of two calls at the end of the cooldown, the one that reads the time first but comes second is refused.
func TestACallThatComesSecondAfterTheCooldownIsRefused(t *testing.T) {
	m := &meddler{Virtual: clock.NewVirtual()}
	c := &policy.Circuit{Clock: m, Trip: policy.Consecutive(1), Cooldown: policy.Constant(time.Second)}
	report(t, c, policy.TransientFailure)
	m.Advance(time.Second)
	m.meddle = func() { begin(t, c) }
	_, err := c.Acquire()
	require.ErrorIs(t, err, policy.ErrOpen)
	requireFull(t, c, 1)
}

// Scenario 12: an isolated circuit admits nothing, not even a probe, however long ago its cooldown ended.
func TestAnIsolatedCircuitAdmitsNothing(t *testing.T) {
	c, v := cooledDown(t, &policy.Circuit{Name: "users"})
	c.Isolate()
	for range 3 {
		v.Advance(time.Hour)
		called := false
		err := c.Do(t.Context(), func(context.Context) error { called = true; return nil })
		require.ErrorIs(t, err, policy.ErrIsolated)
		require.EqualError(t, err, "breaker users: circuit is isolated")
		require.False(t, called)
		require.Equal(t, policy.Isolated, c.State())
	}
	c.Reset()
	require.Equal(t, policy.Snapshot{Name: "users", State: policy.Closed, Generation: 4}, c.Snapshot())
	report(t, c, policy.Success)
}

// Scenario 12: a bypassed circuit admits everything, goes on counting, and does not open.
func TestABypassedCircuitAdmitsAndCountsEverything(t *testing.T) {
	for name, trip := range map[string]policy.Trip{
		"a row": policy.Consecutive(1), "a count": policy.FailureCount{Ratio: 0.1, Last: 10, MinCalls: 1},
		"a rate": policy.FailureRate{Ratio: 0.1, Window: time.Minute, MinCalls: 1},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := onVirtual(&policy.Circuit{Trip: trip, Probes: 1})
			report(t, c, policy.TransientFailure)
			require.Equal(t, policy.Open, c.State())
			c.Bypass()
			for range 7 {
				report(t, c, policy.TransientFailure)
			}
			require.Equal(t, policy.Snapshot{State: policy.Bypassed, Generation: 3, Calls: 7, Failures: 7}, c.Snapshot())
		})
	}
}

// Scenario 12: a call that has found the cooldown over, but comes second after Isolate, is refused.
func TestACallThatComesSecondAfterIsolateIsRefused(t *testing.T) {
	m := &meddler{Virtual: clock.NewVirtual()}
	c := &policy.Circuit{Clock: m, Trip: policy.Consecutive(1), Cooldown: policy.Constant(time.Second)}
	report(t, c, policy.TransientFailure)
	m.Advance(time.Second)
	m.meddle = c.Isolate
	_, err := c.Acquire()
	require.ErrorIs(t, err, policy.ErrIsolated)
	require.Equal(t, policy.Isolated, c.State())
}

// Scenario 12: when an override is taken back nothing springs back: the circuit is closed, and has counted nothing.
func TestAfterAnOverrideTheCircuitIsClosedWithNothingRemembered(t *testing.T) {
	for name, override := range map[string]func(*policy.Circuit){"isolated": (*policy.Circuit).Isolate, "bypassed": (*policy.Circuit).Bypass} {
		t.Run(name, func(t *testing.T) {
			c, v := onVirtual(&policy.Circuit{Trip: policy.Consecutive(2), Cooldown: policy.Exponential(time.Second, time.Hour)})
			report(t, c, policy.TransientFailure)
			report(t, c, policy.TransientFailure)
			override(c)
			override(c) // once more is nothing new
			v.Advance(time.Minute)
			c.Reset()
			require.Equal(t, policy.Snapshot{State: policy.Closed, Generation: 4}, c.Snapshot())
			report(t, c, policy.TransientFailure)
			require.Equal(t, policy.Closed, c.State())
			report(t, c, policy.TransientFailure)
			require.Equal(t, time.Unix(0, v.Nanos()).Add(time.Second), c.Snapshot().Until)
		})
	}
}

// Scenario 13: a pipeline that is built around a circuit while it is open knows that it is open, and results of either
// pipeline count for both.
func TestANewPipelineKnowsThatItsCircuitIsOpen(t *testing.T) {
	c, v := onVirtual(&policy.Circuit{})
	report(t, c, policy.TransientFailure)
	next := policy.Through(func(context.Context) (string, error) { return "fine", nil }, &policy.Breaker[string]{Circuit: c})
	_, err := next.Do(t.Context())
	require.ErrorIs(t, err, policy.ErrOpen)
	v.Advance(time.Second)
	got, err := next.Do(t.Context())
	require.NoError(t, err)
	require.Equal(t, "fine", got)
	require.Equal(t, policy.Closed, c.State())
}

// Scenario 13: what is under way when an operator intervenes neither fills a slot of the probes that come later nor
// frees one.
func TestProbesUnderWayDuringAnOverrideAreForgotten(t *testing.T) {
	c, v := cooledDown(t, &policy.Circuit{Probes: 2})
	before := []*policy.Permit{begin(t, c), begin(t, c)}
	c.Isolate()
	require.Zero(t, c.Snapshot().InFlight)
	c.Reset()
	report(t, c, policy.TransientFailure)
	v.Advance(time.Second)
	begin(t, c)
	begin(t, c)
	before[0].Done(policy.Ignored)
	before[1].Done(policy.Success)
	requireFull(t, c, 2)
}
