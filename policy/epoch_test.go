package policy_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/policy"
)

// Every core works by a clock that shows times before 1970, such as a fake that starts at time.Time{}: 0 is a time like
// any other, and not one that has yet to be set.
func TestCoresWorkBefore1970(t *testing.T) {
	for name, by := range map[string]int64{"as it is": 0, "long before": -8_000_000_000_000_000_000, "just before": -4102444800*int64(time.Second) - int64(time.Minute)} {
		t.Run(name, func(t *testing.T) {
			v := shifted{clock.NewVirtual(), by}

			budget := &policy.Budget{Ratio: 1, TTL: time.Second, Clock: v}
			budget.Deposit()
			require.InDelta(t, 1, budget.Credit(), 0)
			v.Advance(2 * time.Second)
			require.Zero(t, budget.Credit(), "it has expired")

			throttle := &policy.Throttle{Window: time.Second, Clock: v}
			require.True(t, throttle.Idle())
			throttle.Done(policy.TransientFailure)
			require.Positive(t, throttle.DropRate())
			require.False(t, throttle.Idle())
			v.Advance(2 * time.Second)
			require.Zero(t, throttle.DropRate())
			require.True(t, throttle.Idle())

			bucket := &policy.Bucket{Rate: 1, Per: time.Second, Clock: v}
			require.True(t, bucket.Allow())
			require.False(t, bucket.Allow())
			v.Advance(time.Second)
			require.True(t, bucket.Allow())

			circuit := &policy.Circuit{Trip: policy.FailureRate{Ratio: 1, Window: time.Second, MinCalls: 2}, Cooldown: policy.Constant(time.Second), Clock: v}
			report(t, circuit, policy.TransientFailure)
			v.Advance(2 * time.Second)
			report(t, circuit, policy.TransientFailure)
			require.Equal(t, policy.Closed, circuit.State(), "the first is out of the window")
			report(t, circuit, policy.TransientFailure)
			require.Equal(t, policy.Open, circuit.State())
			v.Advance(time.Second)
			report(t, circuit, policy.Success)
			require.Equal(t, policy.Closed, circuit.State())

			gate := &policy.Gate{Limit: 1, Queue: 1, MaxWait: time.Second, Clock: v}
			slot, err := gate.Acquire(t.Context())
			require.NoError(t, err)
			_, err = gate.Acquire(t.Context())
			require.ErrorIs(t, err, policy.ErrFull)
			slot.Release()

			calls := 0
			retry := &policy.Retry[int]{Attempts: 9, Backoff: policy.Constant(time.Second), MaxElapsed: 3 * time.Second, Clock: v}
			_, err = policy.Through(failing(&calls, errDown), retry).Do(t.Context())
			require.ErrorIs(t, err, errDown)
			require.Equal(t, 4, calls)
		})
	}
}
