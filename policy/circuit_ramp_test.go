package policy_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

// recovering is a circuit that a probe has just closed.
func recovering(t *testing.T, c *policy.Circuit) (*policy.Circuit, func(time.Duration)) {
	t.Helper()
	c.Trip, c.Cooldown = policy.Consecutive(1), policy.Constant(time.Second)
	c, v := onVirtual(c)
	report(t, c, policy.TransientFailure)
	v.Advance(time.Second)
	report(t, c, policy.Success)
	require.Equal(t, policy.Closed, c.State())
	return c, func(d time.Duration) { v.Advance(d) }
}

// After closing a share of the calls is admitted that grows from a tenth to all; who is refused is told until when.
func TestRampUpAdmitsAGrowingShare(t *testing.T) {
	draw := 0.0
	c, advance := recovering(t, &policy.Circuit{Name: "users", RampUp: 9 * time.Second, Rand: func() float64 { return draw }})
	for _, step := range []struct {
		admitted, refused float64
		after             time.Duration
	}{{0.099, 0.101, 0}, {0.199, 0.201, time.Second}, {0.499, 0.501, 3 * time.Second}, {0.899, 0.901, 4 * time.Second}} {
		advance(step.after)
		draw = step.admitted
		report(t, c, policy.Success)
		draw = step.refused
		_, err := c.Acquire()
		require.ErrorIs(t, err, policy.ErrOpen)
		require.ErrorContains(t, err, "breaker users: circuit is open: only a share of the calls is admitted")
	}
	require.Equal(t, time.Second, policy.HintOf(refusal(c)))
	require.False(t, c.Snapshot().Until.IsZero())
	draw = 0.999
	advance(time.Second)
	report(t, c, policy.Success)
	require.Zero(t, c.Snapshot().InFlight, "nothing is watched any more")
	require.True(t, c.Snapshot().Until.IsZero())
}

func refusal(c *policy.Circuit) error {
	_, err := c.Acquire()
	return err
}

// A failure meanwhile opens the circuit as ever, a result of before does not, Reset admits everything at once, and a call
// that outlives the ramp-up counts.
func TestRampUpEnds(t *testing.T) {
	never := func() float64 { return 0 }
	c, _ := recovering(t, &policy.Circuit{RampUp: time.Minute, Rand: never})
	report(t, c, policy.TransientFailure)
	require.Equal(t, policy.Open, c.State())

	c, advance := recovering(t, &policy.Circuit{RampUp: time.Minute, Rand: never})
	late := begin(t, c)
	advance(time.Minute)
	report(t, c, policy.Success)
	late.Done(policy.TransientFailure)
	require.Equal(t, policy.Open, c.State())

	c, _ = recovering(t, &policy.Circuit{RampUp: time.Minute, Rand: func() float64 { return 0.9 }})
	require.ErrorIs(t, refusal(c), policy.ErrOpen)
	c.Reset()
	report(t, c, policy.Success)

	c, _ = recovering(t, &policy.Circuit{RampUp: time.Minute, Rand: func() float64 { return 0.9 }})
	require.NoError(t, c.Configure(func(c *policy.Circuit) { c.Trip, c.RampUp = policy.Consecutive(7), 0 }))
	require.ErrorIs(t, refusal(c), policy.ErrOpen, "a ramp-up lasts as long as it was to")
}

// What probes have not earned has no ramp-up, and what a circuit watches it watches after one, too.
func TestRampUpBesideResetAndSlow(t *testing.T) {
	c, v := onVirtual(&policy.Circuit{RampUp: time.Minute, Rand: func() float64 { return 0.9 }})
	report(t, c, policy.TransientFailure)
	v.Advance(time.Second)
	probe := begin(t, c)
	require.Equal(t, policy.HalfOpen, c.State())
	c.Reset()
	report(t, c, policy.Success)
	probe.Done(policy.Success)

	c, advance := recovering(t, &policy.Circuit{RampUp: time.Minute, Slow: time.Second, Rand: func() float64 { return 0 }})
	advance(time.Minute)
	report(t, c, policy.Success)
	_ = begin(t, c)
	advance(time.Second)
	require.Equal(t, policy.Open, c.State(), "a call has been slow")
}

// A retry does not try again what a ramp-up refuses, and Explain tells of it.
func TestRampUpInAPipeline(t *testing.T) {
	c, _ := recovering(t, &policy.Circuit{RampUp: time.Minute, Rand: func() float64 { return 0.9 }})
	p := pipeline.Wrap(&policy.Retry[int]{Clock: c.Clock}, &policy.Breaker[int]{Circuit: c})
	_, err := p.Do(t.Context(), func(context.Context) (int, error) { return 0, errors.New("called") })
	require.ErrorIs(t, err, policy.ErrOpen)
	require.Contains(t, p.String(), "ramp-up 1m0s")
	require.ErrorContains(t, (&policy.Circuit{RampUp: -1}).Validate(), "Circuit.RampUp is -1ns; want 0 or more")
}

// What is done by decree needs no probes, and has no ramp-up, even where Configure has made do with those there were.
func TestRampUpIsNotForWhatIsDoneByDecree(t *testing.T) {
	for _, decree := range []func(*policy.Circuit){(*policy.Circuit).Bypass, (*policy.Circuit).Reset} {
		c, v := onVirtual(&policy.Circuit{Successes: 3, RampUp: time.Hour, Rand: func() float64 { return 0.999 }})
		report(t, c, policy.TransientFailure)
		v.Advance(time.Second)
		report(t, c, policy.Success)
		require.NoError(t, c.Configure(func(c *policy.Circuit) { c.Successes = 1 }))
		decree(c)
		report(t, c, policy.Success)
	}
}
