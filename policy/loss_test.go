package policy_test

import (
	"cmp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/policy"
)

// A circuit is idle if a new one would do as well. What is lost grows with the failures counted, and is all of it while
// the circuit refuses calls, or watches them.
func TestCircuitLoss(t *testing.T) {
	const minute = time.Minute
	fail := func(n int) func(*policy.Circuit) {
		return func(c *policy.Circuit) {
			for range n {
				if p, err := c.Acquire(); err == nil {
					p.Done(policy.TransientFailure)
				}
			}
		}
	}
	work := func(c *policy.Circuit) {
		if p, err := c.Acquire(); err == nil {
			p.Done(policy.Success)
		}
	}
	for name, x := range map[string]struct {
		circuit *policy.Circuit
		do      func(*policy.Circuit)
		after   time.Duration
		loss    float64
	}{
		"never used":              {loss: 0},
		"worked":                  {do: work},
		"a streak":                {do: fail(4), loss: 0.8},
		"a streak that has ended": {do: func(c *policy.Circuit) { fail(4)(c); work(c) }},
		"a young streak":          {do: fail(4), after: minute - 1, loss: 0.8},
		"an old streak":           {do: fail(4), after: minute},
		"a long cooldown":         {circuit: &policy.Circuit{Cooldown: policy.Constant(minute)}, do: fail(4), after: 2*minute - 1, loss: 0.8},
		"a long cooldown, quiet":  {circuit: &policy.Circuit{Cooldown: policy.Constant(minute)}, do: fail(4), after: 2 * minute},
		"a short cooldown":        {circuit: &policy.Circuit{Cooldown: policy.Constant(1)}, do: fail(1), after: minute - 1, loss: 0.2},
		"nearly open":             {circuit: &policy.Circuit{Trip: policy.Consecutive(100)}, do: fail(99), loss: 0.9},
		"open":                    {do: fail(5), after: 30*time.Second - 1, loss: 1},
		"open, the cooldown over": {do: fail(5), after: 30 * time.Second, loss: 0.9},
		"open, quiet":             {do: fail(5), after: minute},
		"open by a cooldown of its own": {circuit: &policy.Circuit{Cooldown: policy.BackoffFunc(func(policy.Step) time.Duration { return time.Hour })},
			do: fail(5), after: 2*time.Hour - 1, loss: 0.9},
		"open by a cooldown of its own, quiet": {circuit: &policy.Circuit{Cooldown: policy.BackoffFunc(func(policy.Step) time.Duration { return time.Hour })},
			do: fail(5), after: 2 * time.Hour},
		"isolated":                  {do: (*policy.Circuit).Isolate, after: time.Hour, loss: 1},
		"bypassed":                  {do: (*policy.Circuit).Bypass, after: time.Hour, loss: 1},
		"a count":                   {circuit: &policy.Circuit{Trip: policy.FailureCount{Ratio: 0.5, Last: 10}}, do: fail(2), loss: 0.4},
		"a count, old":              {circuit: &policy.Circuit{Trip: policy.FailureCount{Ratio: 0.5, Last: 10}}, do: fail(2), after: minute},
		"a count of what worked":    {circuit: &policy.Circuit{Trip: policy.FailureCount{Ratio: 0.5, Last: 10}}, do: work},
		"a rate":                    {circuit: &policy.Circuit{Trip: policy.FailureRate{Ratio: 0.5, Window: time.Hour}}, do: fail(5), after: 50 * minute, loss: 0.5},
		"a rate, out of its window": {circuit: &policy.Circuit{Trip: policy.FailureRate{Ratio: 0.5, Window: time.Hour}}, do: fail(5), after: time.Hour},
		"a short rate":              {circuit: &policy.Circuit{Trip: policy.FailureRate{Ratio: 0.5, Window: time.Second}}, do: fail(5), after: time.Second},
		"in flight, watched":        {circuit: &policy.Circuit{Slow: time.Hour}, do: func(c *policy.Circuit) { _, _ = c.Acquire() }, loss: 1},
		"invalid":                   {circuit: &policy.Circuit{Probes: -1}, do: work},
	} {
		v := clock.NewVirtual()
		c := cmp.Or(x.circuit, &policy.Circuit{})
		c.Clock = v
		if x.do != nil {
			x.do(c)
		}
		v.Advance(x.after)
		require.InDelta(t, x.loss, c.Loss(), 1e-9, name)
		require.Equal(t, x.loss == 0, c.Idle(), name)
	}
}

// Half-open and ramping up are states of their own.
func TestCircuitLossWhileItRecovers(t *testing.T) {
	v := clock.NewVirtual()
	c := &policy.Circuit{Trip: policy.Consecutive(2), Successes: 2, RampUp: time.Minute, Clock: v, Rand: func() float64 { return 0 }}
	acquire := func() *policy.Permit {
		p, err := c.Acquire()
		require.NoError(t, err)
		return &p
	}
	acquire().Done(policy.TransientFailure)
	acquire().Done(policy.TransientFailure)
	v.Advance(30 * time.Second)
	probe := acquire()
	require.InDelta(t, 1, c.Loss(), 0, "a probe is in flight")
	probe.Done(policy.Success)
	require.InDelta(t, 0.9, c.Loss(), 0, "half-open")
	v.Advance(time.Minute)
	require.True(t, c.Idle(), "half-open, quiet")
	acquire().Done(policy.Success)
	require.Equal(t, policy.Closed, c.State())
	v.Advance(time.Minute - 1)
	require.InDelta(t, 1, c.Loss(), 0, "ramping up")
	v.Advance(1)
	require.True(t, c.Idle(), "ramped up, and nothing has failed")
	acquire().Done(policy.TransientFailure)
	require.InDelta(t, 0.5, c.Loss(), 0)
}

// A clock may read less than 0.
func TestCircuitLossBefore1970(t *testing.T) {
	c := &policy.Circuit{Clock: &jumpy{now: -1_000}}
	p, err := c.Acquire()
	require.NoError(t, err)
	p.Done(policy.TransientFailure)
	require.InDelta(t, 0.2, c.Loss(), 1e-9)
}
