package policy_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/policy"
)

// Scenario 8: of 500 goroutines that come just as the cooldown ends, as many get in as there may be probes.
func TestACrowdAtTheEndOfTheCooldownGetsOnlyTheProbesIn(t *testing.T) {
	for _, probes := range []int{1, 7} {
		synctest.Test(t, func(t *testing.T) {
			c := &policy.Circuit{Trip: policy.Consecutive(1), Cooldown: policy.Constant(time.Second), Probes: probes, Successes: probes}
			report(t, c, policy.TransientFailure)
			var called, under, most atomic.Int64
			var crowd sync.WaitGroup
			for range 500 {
				crowd.Go(func() {
					time.Sleep(time.Second)
					err := c.Do(t.Context(), func(context.Context) error {
						called.Add(1)
						if now := under.Add(1); now > most.Load() {
							most.Store(now)
						}
						time.Sleep(time.Millisecond)
						under.Add(-1)
						return nil
					})
					if err != nil {
						require.ErrorIs(t, err, policy.ErrOpen)
					}
				})
			}
			crowd.Wait()
			require.EqualValues(t, probes, called.Load())
			require.EqualValues(t, probes, most.Load())
			require.Equal(t, policy.Closed, c.State())
		})
	}
}

// Scenario 9: of failures that all come at once, at the threshold, one opens the circuit: there is one change and one
// cooldown.
func TestFailuresAtOnceOpenTheCircuitOnce(t *testing.T) {
	for name, trip := range map[string]policy.Trip{
		"a row": policy.Consecutive(50), "a count": policy.FailureCount{Ratio: 1, Last: 50},
		"a rate": policy.FailureRate{Ratio: 1, Window: time.Minute, MinCalls: 50},
	} {
		t.Run(name, func(t *testing.T) {
			var changes, coolDowns atomic.Int64
			c, _ := onVirtual(&policy.Circuit{
				Trip: trip, OnChange: func(policy.Change) { changes.Add(1) },
				Cooldown: policy.BackoffFunc(func(s policy.Step) time.Duration {
					coolDowns.Add(int64(s.Retry))
					return time.Second
				}),
			})
			var crowd sync.WaitGroup
			start := make(chan struct{})
			for range 200 {
				permit := begin(t, c)
				crowd.Go(func() {
					<-start
					permit.Done(policy.TransientFailure)
				})
			}
			close(start)
			crowd.Wait()
			require.Equal(t, policy.Open, c.State())
			require.EqualValues(t, 2, c.Snapshot().Generation)
			require.EqualValues(t, 1, changes.Load())
			require.EqualValues(t, 1, coolDowns.Load())
		})
	}
}

// Scenario 11: of two goroutines that settle one permit at the same time, one does.
func TestOnlyOneOfTwoGoroutinesSettlesAPermit(t *testing.T) {
	const rounds = 10_000
	c, _ := onVirtual(&policy.Circuit{Trip: policy.Consecutive(1e9)})
	permits := make([]*policy.Permit, rounds)
	for i := range permits {
		permits[i] = begin(t, c)
	}
	var at [2]atomic.Int64 // they go side by side, the one ahead of the other by all kinds of distances
	together(2, func(worker int) {
		for i, permit := range permits {
			at[worker].Store(int64(i))
			for patience := 300; patience > 0 && at[1-worker].Load() < int64(i); patience-- {
				runtime.KeepAlive(permit)
			}
			for range worker * (i % 200) {
				runtime.KeepAlive(permit)
			}
			permit.Done(policy.TransientFailure)
		}
	})
	require.Equal(t, rounds, c.Snapshot().Failures)
}
