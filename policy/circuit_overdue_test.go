package policy_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/policy"
)

// Whoever notices that a call has become slow, and so opens the circuit, learns until when it is open.
func TestWhoeverNoticesASlowCallLearnsUntilWhenTheCircuitIsOpen(t *testing.T) {
	slow := func(t *testing.T, cooldown time.Duration) (c *policy.Circuit, until time.Time) {
		t.Helper()
		v := clock.NewVirtual()
		c = &policy.Circuit{Trip: policy.Consecutive(1), Slow: time.Second, Cooldown: policy.Constant(cooldown), Clock: v}
		_, err := c.Acquire() // and never Done
		require.NoError(t, err)
		v.Advance(time.Second)
		return c, time.Unix(0, v.Nanos()).Add(cooldown)
	}
	t.Run("the caller of Acquire", func(t *testing.T) {
		c, until := slow(t, time.Minute)
		_, err := c.Acquire()
		var rejection *policy.Rejection
		require.ErrorAs(t, err, &rejection)
		require.Equal(t, until, rejection.Until)
		require.Equal(t, time.Minute, rejection.RetryAfter())
	})
	t.Run("the caller of Snapshot", func(t *testing.T) {
		c, until := slow(t, time.Minute)
		require.Equal(t, policy.Snapshot{State: policy.Open, Generation: 2, Until: until}, c.Snapshot())
	})
	t.Run("and where it is open for no time, the call is a probe", func(t *testing.T) {
		c, _ := slow(t, 0)
		_, err := c.Acquire()
		require.NoError(t, err)
		require.Equal(t, policy.HalfOpen, c.State())
	})
}
