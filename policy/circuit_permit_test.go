package policy_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/policy"
)

// onVirtual completes c: one failure opens it, for a second of the clock that is returned.
func onVirtual(c *policy.Circuit) (*policy.Circuit, *clock.Virtual) {
	v := clock.NewVirtual()
	c.Clock = v
	if c.Trip == nil {
		c.Trip = policy.Consecutive(1)
	}
	if c.Cooldown == nil {
		c.Cooldown = policy.Constant(time.Second)
	}
	return c, v
}

// cooledDown is a circuit that has been opened, and whose next call is a probe.
func cooledDown(t *testing.T, c *policy.Circuit) (*policy.Circuit, *clock.Virtual) {
	t.Helper()
	c, v := onVirtual(c)
	report(t, c, policy.TransientFailure)
	require.Equal(t, policy.Open, c.State())
	v.Advance(time.Second)
	return c, v
}

// begin makes a call, which must be admitted.
func begin(t *testing.T, c *policy.Circuit) *policy.Permit {
	t.Helper()
	permit, err := c.Acquire()
	require.NoError(t, err)
	return &permit
}

// report makes a call that ends at once.
func report(t *testing.T, c *policy.Circuit, o policy.Outcome) {
	t.Helper()
	begin(t, c).Done(o)
}

// requireFull is that a half-open circuit has so many probes in flight and no room for another.
func requireFull(t *testing.T, c *policy.Circuit, probes int) {
	t.Helper()
	s := c.Snapshot()
	require.Equal(t, policy.HalfOpen, s.State)
	require.Equal(t, probes, s.InFlight)
	_, err := c.Acquire()
	require.ErrorIs(t, err, policy.ErrOpen)
}

// forms are the ways to make a call by a func.
var forms = map[string]func(c *policy.Circuit, ctx context.Context, fn func(context.Context) error) error{
	"Do": func(c *policy.Circuit, ctx context.Context, fn func(context.Context) error) error {
		return c.Do(ctx, fn)
	},
	"Breaker": func(c *policy.Circuit, ctx context.Context, fn func(context.Context) error) error {
		_, err := policy.Through(func(ctx context.Context) (int, error) { return 0, fn(ctx) }, &policy.Breaker[int]{Circuit: c}).Do(ctx)
		return err
	},
	"Breaker with Classify": func(c *policy.Circuit, ctx context.Context, fn func(context.Context) error) error {
		_, err := policy.Through(func(ctx context.Context) (int, error) { return 0, fn(ctx) },
			&policy.Breaker[int]{Circuit: c, Classify: policy.Classify[int]}).Do(ctx)
		return err
	},
}

// Scenario 1: a panic in a probe frees its slot and counts as failed, and goes on.
func TestAPanicInAProbeOpensTheCircuitAndGoesOn(t *testing.T) {
	for name, do := range forms {
		t.Run(name, func(t *testing.T) {
			var causes []error
			c, v := cooledDown(t, &policy.Circuit{OnChange: func(c policy.Change) { causes = append(causes, c.Cause) }})
			require.PanicsWithValue(t, "boom", func() {
				_ = do(c, t.Context(), func(context.Context) error { panic("boom") })
			})
			require.Equal(t, policy.Snapshot{State: policy.Open, Generation: 4, Until: time.Unix(0, v.Nanos()).Add(time.Second)}, c.Snapshot())
			require.Equal(t, []error{nil, nil, policy.ErrPanicked}, causes)
			v.Advance(time.Second)
			report(t, c, policy.Success)
			require.Equal(t, policy.Closed, c.State())
		})
	}
}

// Scenario 1: so does a panic of the classifier.
func TestAPanicOfTheClassifierInAProbeOpensTheCircuit(t *testing.T) {
	c, _ := cooledDown(t, &policy.Circuit{})
	next := policy.Through(func(context.Context) (int, error) { return 0, nil }, &policy.Breaker[int]{
		Circuit: c, Classify: func(int, error) policy.Outcome { panic("boom") },
	})
	require.PanicsWithValue(t, "boom", func() { _, _ = next.Do(t.Context()) })
	require.Equal(t, policy.Open, c.State())
}

// Scenario 2: runtime.Goexit in a probe, as t.FailNow does it, frees its slot and counts as failed.
func TestAProbeThatEndsItsGoroutineOpensTheCircuit(t *testing.T) {
	for name, do := range forms {
		t.Run(name, func(t *testing.T) {
			c, v := cooledDown(t, &policy.Circuit{})
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				_ = do(c, t.Context(), func(context.Context) error { runtime.Goexit(); return nil })
			}()
			<-ended
			require.Equal(t, policy.Open, c.State())
			require.Zero(t, c.Snapshot().InFlight)
			v.Advance(time.Second)
			report(t, c, policy.Success)
			require.Equal(t, policy.Closed, c.State())
		})
	}
}

// Scenario 3: a probe that hangs gives its slot back at the end of its lease, and what it reports later is dropped.
func TestAHungProbeGivesItsSlotBackAndItsLateResultIsDropped(t *testing.T) {
	for _, late := range []policy.Outcome{policy.Success, policy.TransientFailure} {
		t.Run(late.String(), func(t *testing.T) {
			c, v := cooledDown(t, &policy.Circuit{ProbeLease: time.Minute})
			hung := begin(t, c)
			v.Advance(time.Minute - 1)
			requireFull(t, c, 1)
			v.Advance(1)
			probe := begin(t, c)
			hung.Done(late)
			requireFull(t, c, 1)
			probe.Done(policy.Success)
			require.Equal(t, policy.Closed, c.State())
		})
	}
}

// Scenario 3: unless told otherwise, a lease lasts 30 seconds.
func TestAProbesLeaseIsThirtySecondsByDefault(t *testing.T) {
	c, v := cooledDown(t, &policy.Circuit{})
	begin(t, c)
	v.Advance(30*time.Second - 1)
	requireFull(t, c, 1)
	v.Advance(1)
	begin(t, c)
}

// Scenario 4: a probe whose caller has gone away, before or while it ran, frees its slot and proves nothing.
func TestAProbeWhoseCallerGoesAwayProvesNothing(t *testing.T) {
	for name, do := range forms {
		t.Run(name, func(t *testing.T) {
			c, _ := cooledDown(t, &policy.Circuit{})
			before, cancel := context.WithCancel(t.Context())
			cancel()
			opened := c.Snapshot()
			require.ErrorIs(t, do(c, before, func(context.Context) error { t.Fatal("called"); return nil }), context.Canceled)
			require.Equal(t, opened, c.Snapshot(), "it was not admitted")
			while, cancel := context.WithCancel(t.Context())
			require.ErrorIs(t, do(c, while, func(ctx context.Context) error { cancel(); return ctx.Err() }), context.Canceled)
			require.Equal(t, policy.Snapshot{State: policy.HalfOpen, Generation: 3}, c.Snapshot())
			require.NoError(t, do(c, t.Context(), func(context.Context) error { return nil }))
			require.Equal(t, policy.Closed, c.State())
		})
	}
}

// Scenario 5: a circuit recovers though 19 of 20 results are ignored.
func TestACircuitRecoversThroughIgnoredResults(t *testing.T) {
	c, _ := cooledDown(t, &policy.Circuit{Successes: 3})
	for i := range 60 {
		require.NotEqual(t, policy.Closed, c.State(), "after %d", i)
		if i%20 == 19 {
			report(t, c, policy.Success)
		} else {
			report(t, c, policy.Ignored)
		}
		require.Zero(t, c.Snapshot().InFlight)
	}
	require.Equal(t, policy.Closed, c.State())
}

// Scenario 6: a policy further in that refuses does not use up the probe.
func TestAProbeRefusedFurtherInGivesItsSlotBack(t *testing.T) {
	c, _ := cooledDown(t, &policy.Circuit{})
	inner, _ := onVirtual(&policy.Circuit{Name: "inner"})
	inner.Clock = c.Clock
	inner.Isolate()
	next := policy.Through(func(context.Context) (int, error) { return 1, nil },
		&policy.Breaker[int]{Circuit: c}, &policy.Breaker[int]{Circuit: inner})
	_, err := next.Do(t.Context())
	require.ErrorIs(t, err, policy.ErrIsolated)
	require.Equal(t, policy.Snapshot{State: policy.HalfOpen, Generation: 3}, c.Snapshot())
	inner.Reset()
	_, err = next.Do(t.Context())
	require.NoError(t, err)
	require.Equal(t, policy.Closed, c.State())
}

// Scenario 11: only the first Done counts, and that of a zero Permit does nothing.
func TestOnlyTheFirstDoneCounts(t *testing.T) {
	c, _ := onVirtual(&policy.Circuit{Trip: policy.Consecutive(3)})
	permit := begin(t, c)
	for range 5 {
		permit.Done(policy.TransientFailure)
	}
	require.Equal(t, 1, c.Snapshot().Failures)
	permit.Done(policy.Success)
	require.Equal(t, 1, c.Snapshot().Failures)
	var zero policy.Permit
	zero.Done(policy.TransientFailure)

	c, _ = cooledDown(t, &policy.Circuit{Probes: 2, Successes: 2})
	first, second := begin(t, c), begin(t, c)
	first.Done(policy.Success)
	first.Done(policy.Success)
	first.Done(policy.Ignored)
	require.Equal(t, policy.Snapshot{State: policy.HalfOpen, Generation: 3, InFlight: 1}, c.Snapshot())
	second.Done(policy.Success)
	require.Equal(t, policy.Closed, c.State())
}

// The caller's error, and its value too, come back as they were.
func TestABreakerReturnsWhatTheFuncReturned(t *testing.T) {
	c, _ := onVirtual(&policy.Circuit{Trip: policy.Consecutive(5)})
	failure := errors.New("down")
	v, err := policy.Through(func(context.Context) (int, error) { return 503, failure }, &policy.Breaker[int]{Circuit: c}).Do(t.Context())
	require.Equal(t, 503, v)
	require.Same(t, failure, err)
}
