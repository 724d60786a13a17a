package policy_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/policy"
)

// everyTrip is one trip of each kind, that does not open a circuit of a test.
var everyTrip = map[string]policy.Trip{
	"no trip": nil, "a row": policy.Consecutive(1000), "a count": policy.FailureCount{Ratio: 1, Last: 1000},
	"a rate": policy.FailureRate{Ratio: 1, Window: time.Minute, MinCalls: 1e6},
}

func TestACallThatWorksAllocatesNothing(t *testing.T) {
	for name, trip := range everyTrip {
		for slowness, slow := range map[string]time.Duration{"whatever it takes": 0, "where slowness matters": time.Hour} {
			t.Run(name+", "+slowness, func(t *testing.T) {
				c := &policy.Circuit{Trip: trip, Slow: slow}
				next := policy.Through(func(context.Context) (int, error) { return 1, nil }, &policy.Breaker[int]{Circuit: c})
				fn := func(context.Context) error { return nil }
				ctx := t.Context()
				_, _ = next.Do(ctx) // warms up: the first call makes the circuit ready
				require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = next.Do(ctx) }), "Breaker")
				require.Zero(t, testing.AllocsPerRun(100, func() { _ = c.Do(ctx, fn) }), "Do")
				require.Zero(t, testing.AllocsPerRun(100, func() {
					permit, _ := c.Acquire()
					permit.Done(policy.Success)
				}), "Acquire and Done")
				require.Zero(t, testing.AllocsPerRun(100, func() { c.State() }), "State")
				require.Zero(t, testing.AllocsPerRun(100, func() { c.Snapshot() }), "Snapshot")
			})
		}
	}
}

func TestACallThatFailsAllocatesNothingWhileNothingChanges(t *testing.T) {
	for name, trip := range everyTrip {
		t.Run(name, func(t *testing.T) {
			c := &policy.Circuit{Trip: trip}
			c.Bypass()
			next := policy.Through(func(context.Context) (int, error) { return 1, errBackend }, &policy.Breaker[int]{Circuit: c})
			ctx := t.Context()
			_, _ = next.Do(ctx)
			require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = next.Do(ctx) }))
		})
	}
}

func TestARefusalAllocatesNothing(t *testing.T) {
	refusals := map[string]func(*testing.T) (*policy.Circuit, error){
		"by an open circuit": func(t *testing.T) (*policy.Circuit, error) {
			t.Helper()
			c := &policy.Circuit{Trip: policy.Consecutive(1), Cooldown: policy.Constant(time.Hour)}
			report(t, c, policy.TransientFailure)
			return c, policy.ErrOpen
		},
		"by a half-open circuit": func(t *testing.T) (*policy.Circuit, error) {
			t.Helper()
			c, _ := cooledDown(t, &policy.Circuit{})
			begin(t, c)
			return c, policy.ErrOpen
		},
		"by an isolated circuit": func(t *testing.T) (*policy.Circuit, error) {
			t.Helper()
			c := &policy.Circuit{}
			c.Isolate()
			return c, policy.ErrIsolated
		},
	}
	for name, refusing := range refusals {
		t.Run(name, func(t *testing.T) {
			c, reason := refusing(t)
			next := policy.Through(func(context.Context) (int, error) { return 1, nil }, &policy.Breaker[int]{Circuit: c})
			ctx := t.Context()
			require.Zero(t, testing.AllocsPerRun(100, func() {
				if _, err := next.Do(ctx); !errors.Is(err, reason) {
					t.Error("not refused")
				}
			}))
		})
	}
}

func TestAProbeAllocatesNothing(t *testing.T) {
	c, _ := cooledDown(t, &policy.Circuit{Probes: 2, Successes: 1e6})
	next := policy.Through(func(context.Context) (int, error) { return 1, nil }, &policy.Breaker[int]{Circuit: c})
	ctx := t.Context()
	_, _ = next.Do(ctx) // warms up: the first makes the circuit half-open
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, err := next.Do(ctx); err != nil {
			t.Error("refused")
		}
	}))
	require.Zero(t, testing.AllocsPerRun(100, func() {
		first, _ := c.Acquire()
		second, _ := c.Acquire()
		second.Done(policy.Ignored)
		first.Done(policy.Ignored)
	}), "two at once")
	require.Equal(t, policy.HalfOpen, c.State())
}

// A window that rolls over allocates nothing either.
func TestAWindowThatRollsAllocatesNothing(t *testing.T) {
	c, v := onVirtual(windowed(10))
	next := policy.Through(func(context.Context) (int, error) { return 1, nil }, &policy.Breaker[int]{Circuit: c})
	ctx := t.Context()
	_, _ = next.Do(ctx)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		v.Advance(3)
		_, _ = next.Do(ctx)
	}))
}
