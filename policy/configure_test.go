package policy_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

// Another Trip counts anew, in the same state and generation; calls of before count towards it; what cannot be counted
// anew stays.
func TestCircuitConfigure(t *testing.T) {
	c, v := onVirtual(&policy.Circuit{Trip: policy.Consecutive(3)})
	early, earlier := begin(t, c), begin(t, c)
	report(t, c, policy.TransientFailure)
	report(t, c, policy.TransientFailure)
	require.NoError(t, c.Configure(func(c *policy.Circuit) {
		require.Equal(t, policy.Consecutive(3), c.Trip)
		c.Trip, c.Cooldown, c.Successes = policy.Consecutive(2), policy.Constant(time.Hour), 2
	}))
	require.Equal(t, policy.Snapshot{State: policy.Closed, Generation: 1}, c.Snapshot())
	report(t, c, policy.TransientFailure)
	early.Done(policy.Success) // of before, and counts: the row begins anew
	report(t, c, policy.TransientFailure)
	require.Equal(t, policy.Closed, c.State())
	earlier.Done(policy.TransientFailure)
	require.Equal(t, policy.Open, c.State())

	require.NoError(t, c.Configure(func(c *policy.Circuit) { c.Cooldown, c.Probes = policy.Constant(time.Second), 2 }))
	v.Advance(time.Second - 1)
	_, err := c.Acquire()
	require.ErrorIs(t, err, policy.ErrOpen)
	v.Advance(1)
	one, two := begin(t, c), begin(t, c)
	require.NoError(t, c.Configure(func(c *policy.Circuit) { c.Successes = 1 }))
	one.Done(policy.Success)
	require.Equal(t, policy.Closed, c.State())
	two.Done(policy.TransientFailure)
	require.Zero(t, c.Snapshot().Failures, "stale")
}

// A call of before counts by the trip of now, whichever trips those are, and however it ends.
func TestCircuitConfigureWithCallsInFlight(t *testing.T) {
	trips := []policy.Trip{
		policy.Consecutive(3), policy.FailureCount{Ratio: 1, Last: 9}, policy.FailureRate{Ratio: 1, Window: time.Minute},
		policy.FailureRate{Ratio: 1, Window: time.Hour},
	}
	for _, before := range trips {
		for _, now := range trips[1:] {
			if before == now {
				continue
			}
			c, _ := onVirtual(&policy.Circuit{Trip: before})
			report(t, c, policy.Success)
			worked, failed := begin(t, c), begin(t, c)
			require.NoError(t, c.Configure(func(c *policy.Circuit) { c.Trip = now }))
			require.Zero(t, c.Snapshot().Calls)
			worked.Done(policy.Success)
			require.Equal(t, 1, c.Snapshot().Calls, "%v, then %v", before, now)
			failed.Done(policy.TransientFailure)
			require.Equal(t, 2, c.Snapshot().Calls)
			require.Equal(t, 1, c.Snapshot().Failures)
		}
	}
}

// With Slow switched on and off, calls that were watched are let go, and those that were not are not waited for.
func TestCircuitConfigureSlow(t *testing.T) {
	c, v := onVirtual(&policy.Circuit{Trip: policy.Consecutive(2), Slow: time.Second})
	watched := begin(t, c)
	require.NoError(t, c.Configure(func(c *policy.Circuit) { c.Slow = 0 }))
	v.Advance(time.Minute)
	require.Equal(t, policy.Snapshot{State: policy.Closed, Generation: 1, InFlight: 1}, c.Snapshot())
	watched.Done(policy.Success)
	require.Zero(t, c.Snapshot().InFlight)

	free := begin(t, c)
	require.NoError(t, c.Configure(func(c *policy.Circuit) { c.Slow = time.Second }))
	v.Advance(time.Minute)
	require.Zero(t, c.Snapshot().Failures)
	free.Done(policy.TransientFailure)
	require.Equal(t, 1, c.Snapshot().Failures)
}

func TestBudgetConfigure(t *testing.T) {
	b := &policy.Budget{Ratio: 1, Cap: 5, Clock: clock.NewVirtual()}
	for range 5 {
		b.Deposit()
	}
	require.NoError(t, b.Configure(func(b *policy.Budget) { b.Ratio, b.Cap = 0.5, 2 }))
	require.InDelta(t, 2, b.Credit(), 0)
	require.True(t, b.Withdraw())
	b.Deposit()
	require.InDelta(t, 1.5, b.Credit(), 0)
}

// What is taken in advance stays so many turns, and no more is admitted than the two rates allow.
func TestBucketConfigure(t *testing.T) {
	v := clock.NewVirtual()
	b := &policy.Bucket{Rate: 1, Per: time.Second, Burst: 10, Clock: v}
	for range 10 {
		require.True(t, b.Allow())
	}
	require.False(t, b.Allow())
	require.NoError(t, b.Configure(func(b *policy.Bucket) { b.Rate = 100 }))
	require.False(t, b.Allow(), "nothing was saved up meanwhile")
	v.Advance(10 * time.Millisecond)
	require.True(t, b.Allow())
	require.False(t, b.Allow())
	require.NoError(t, b.Configure(func(b *policy.Bucket) { b.Rate, b.Burst = 1, 3 }))
	require.False(t, b.Allow(), "nor by another burst")
	v.Advance(2 * time.Second)
	require.True(t, b.Allow())
	require.True(t, b.Allow())
	require.False(t, b.Allow())
	v.Advance(8 * time.Second)
	for range 3 {
		require.True(t, b.Allow())
	}
	require.False(t, b.Allow())
}

// Callers that wait move up when one leaves, before a change of the rate and after it.
func TestBucketConfigureWithTurnsGivenBack(t *testing.T) {
	for rate, want := range map[int][]time.Duration{
		1:  {2000, 3000, 4000, 5000},
		10: {650, 750, 850, 950}, // half a turn was owed, and the other waiter goes at 550
	} {
		v := clock.NewVirtual()
		start := v.Nanos()
		b := &policy.Bucket{Rate: 1, MaxWait: time.Hour, Clock: v}
		require.NoError(t, b.Acquire(t.Context()))
		ctx, cancel := context.WithCancel(t.Context())
		v.Go(func() { require.ErrorIs(t, b.Acquire(ctx), context.Canceled) }) // for the turn at 1 s
		v.Go(func() { require.NoError(t, b.Acquire(t.Context())) })           // for that at 2 s
		var came []time.Duration
		v.Go(func() {
			_ = v.Sleep(t.Context(), 500*time.Millisecond)
			if rate == 1 {
				cancel() // before it is configured
				_ = v.Sleep(t.Context(), time.Millisecond)
			}
			require.NoError(t, b.Configure(func(b *policy.Bucket) { b.Rate, b.MaxWait = rate, time.Minute }))
			cancel()
			_ = v.Sleep(t.Context(), time.Millisecond)
			for range want {
				require.NoError(t, b.Acquire(t.Context()))
				came = append(came, time.Duration(v.Nanos()-start)/time.Millisecond)
			}
		})
		v.Run()
		require.Equal(t, want, came)
	}
}

func TestThrottleConfigure(t *testing.T) {
	v := clock.NewVirtual()
	throttle := &policy.Throttle{Clock: v}
	for range 98 {
		throttle.Done(policy.TransientFailure)
	}
	require.InDelta(t, 0.9, throttle.DropRate(), 1e-9)
	require.NoError(t, throttle.Configure(func(th *policy.Throttle) { th.MaxDrop = 0.5 }))
	require.InDelta(t, 0.5, throttle.DropRate(), 1e-9)
	require.NoError(t, throttle.Configure(func(th *policy.Throttle) { th.Window = time.Second }))
	require.InDelta(t, 0.5, throttle.DropRate(), 1e-9, "a dependency that is down is spared on")
	throttle.Done(policy.Success)
	v.Advance(time.Second + time.Millisecond)
	require.Zero(t, throttle.DropRate(), "by the new window")
	require.NoError(t, throttle.Configure(func(th *policy.Throttle) { th.Window = time.Minute }))
	require.True(t, throttle.Idle(), "nothing was carried over")
}

// What was counted before another Window counts in it as it was: calls and failures alike.
func TestThrottleConfigureKeepsTheShare(t *testing.T) {
	v := clock.NewVirtual()
	throttle := &policy.Throttle{Clock: v}
	for i := range 100 {
		throttle.Done([]policy.Outcome{policy.TransientFailure, policy.TransientFailure, policy.TransientFailure, policy.Success}[i%4])
	}
	before := throttle.DropRate()
	require.InDelta(t, 50.0/101, before, 1e-9)
	require.NoError(t, throttle.Configure(func(th *policy.Throttle) { th.Window = 10 * time.Second }))
	require.InDelta(t, before, throttle.DropRate(), 1e-9)
	require.False(t, throttle.Idle())
}

// A throttle whose window changes while a call is being drawn counts that call.
func TestThrottleConfigureWhileACallIsDrawn(t *testing.T) {
	v := clock.NewVirtual()
	th := &policy.Throttle{MaxDrop: 0.99, Clock: v}
	th.Rand = func() float64 {
		require.NoError(t, th.Configure(func(n *policy.Throttle) { n.Window = time.Second }))
		return 0
	}
	for range 10 {
		th.Done(policy.TransientFailure)
	}
	require.ErrorIs(t, th.Acquire(), policy.ErrThrottled)
	require.InDelta(t, 11.0/12, th.DropRate(), 1e-9, "eleven of eleven")
}

func TestLimitConfigure(t *testing.T) {
	l := &policy.Limit{Initial: 40, Clock: clock.NewVirtual()}
	a, err := l.Acquire(0)
	require.NoError(t, err)
	require.NoError(t, l.Configure(func(l *policy.Limit) { l.Initial, l.Max, l.Algorithm = 0, 10, policy.AIMD{Backoff: 0.5} }))
	inFlight, limit := l.Load()
	require.Equal(t, []int{1, 10}, []int{inFlight, limit})
	a.Done(policy.TransientFailure)
	inFlight, limit = l.Load()
	require.Equal(t, []int{0, 5}, []int{inFlight, limit})
}

// What is wrong changes nothing, and is told by name.
func TestConfigureRefusesNonsense(t *testing.T) {
	v := clock.NewVirtual()
	for want, err := range map[string]error{
		"Configure was given a nil func":  new(policy.Circuit).Configure(nil),
		"Circuit.Probes is -1":            new(policy.Circuit).Configure(func(c *policy.Circuit) { c.Probes = -1 }),
		"Circuit.Name cannot be changed":  new(policy.Circuit).Configure(func(c *policy.Circuit) { c.Name = "other" }),
		"Circuit.Clock cannot be changed": new(policy.Circuit).Configure(func(c *policy.Circuit) { c.Clock = v }),
		"Budget.Cap is 0.5":               new(policy.Budget).Configure(func(b *policy.Budget) { b.Cap = 0.5 }),
		"Bucket.Rate is -1":               new(policy.Bucket).Configure(func(b *policy.Bucket) { b.Rate = -1 }),
		"Gate.Clock cannot be changed":    new(policy.Gate).Configure(func(g *policy.Gate) { g.Clock = v }),
		"Throttle.K is 0.5":               new(policy.Throttle).Configure(func(th *policy.Throttle) { th.K = 0.5 }),
		"Throttle.Rand cannot be changed": new(policy.Throttle).Configure(func(th *policy.Throttle) { th.Rand = func() float64 { return 0 } }),
		"Limit.Min is -1":                 new(policy.Limit).Configure(func(l *policy.Limit) { l.Min = -1 }),
	} {
		require.ErrorContains(t, err, want)
	}
	c := &policy.Circuit{Trip: policy.Consecutive(1)}
	require.Error(t, c.Configure(func(c *policy.Circuit) { c.Trip, c.Probes = policy.Consecutive(9), -1 }))
	report(t, c, policy.TransientFailure)
	require.Equal(t, policy.Open, c.State(), "the Trip is as it was")
}

// Every core is configured, described and used at the same time, and loses no place.
func TestConfigureUnderStress(t *testing.T) {
	circuit, budget, gate := &policy.Circuit{}, &policy.Budget{}, &policy.Gate{}
	bucket, throttle, limit := &policy.Bucket{Rate: 1_000_000, Burst: 1000}, &policy.Throttle{}, &policy.Limit{}
	p := pipeline.Wrap(
		&policy.Shed[int]{Throttle: throttle}, &policy.RateLimit[int]{Bucket: bucket}, &policy.Bulkhead[int]{Gate: gate},
		&policy.Adaptive[int]{Limit: limit}, &policy.Retry[int]{Backoff: policy.Constant(0), Budget: budget}, &policy.Breaker[int]{Circuit: circuit},
	)
	var users, all sync.WaitGroup
	done := make(chan struct{})
	for user := range 4 {
		users.Go(func() {
			for call := range 500 {
				_, _ = p.Do(t.Context(), func(context.Context) (int, error) {
					if (call+user)%3 == 0 {
						return 0, errors.New("failed")
					}
					return 1, nil
				})
			}
		})
	}
	all.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-done:
				return
			default:
			}
			odd := n%2 == 1
			slow := map[bool]time.Duration{true: time.Hour}[odd]
			require.NoError(t, circuit.Configure(func(c *policy.Circuit) { c.Trip, c.Slow = policy.Consecutive(3+n%7), slow }))
			require.NoError(t, budget.Configure(func(b *policy.Budget) { b.Cap = float64(1 + n%3) }))
			require.NoError(t, gate.Configure(func(g *policy.Gate) { g.Limit, g.Queue = 1+n%5, n%3 }))
			require.NoError(t, bucket.Configure(func(b *policy.Bucket) { b.Burst = 1000 + n%7 }))
			require.NoError(t, throttle.Configure(func(th *policy.Throttle) { th.K = float64(2 + n%3) }))
			require.NoError(t, limit.Configure(func(l *policy.Limit) { l.Max = 20 + n%9 }))
			_ = p.String()
		}
	})
	users.Wait()
	close(done)
	all.Wait()
	inFlight, waiting := gate.Load()
	require.Zero(t, inFlight+waiting)
	inFlight, _ = limit.Load()
	require.Zero(t, inFlight)
	if circuit.State() == policy.Closed {
		require.Zero(t, circuit.Snapshot().InFlight)
	}
}

// Turns that were given under a rate of before are gone, also where the rate is the same again.
func TestBucketConfigureThereAndBack(t *testing.T) {
	v := clock.NewVirtual()
	b := &policy.Bucket{Rate: 1, MaxWait: time.Minute, Clock: v}
	ctx, cancel := context.WithCancel(t.Context())
	for range 20 {
		v.Go(func() { _ = b.Acquire(ctx) }) // for turns up to 19 s
	}
	admitted := 0
	v.Go(func() {
		_ = v.Sleep(t.Context(), 500*time.Millisecond)
		require.NoError(t, b.Configure(func(b *policy.Bucket) { b.Rate = 1000 }))
		_ = v.Sleep(t.Context(), time.Second)
		require.NoError(t, b.Configure(func(b *policy.Bucket) { b.Rate = 1 }))
		cancel()
		for range 16_500 {
			_ = v.Sleep(t.Context(), time.Millisecond)
			if b.Allow() {
				admitted++
			}
		}
	})
	v.Run()
	require.LessOrEqual(t, admitted, 18)
}

// Another Burst saves nothing up, and takes nothing away that is: there are as many turns as before, as far as it goes.
func TestBucketConfigureBurst(t *testing.T) {
	allowed := func(b *policy.Bucket) (n int) {
		for b.Allow() {
			n++
		}
		return n
	}
	for _, c := range []struct{ before, after, used, left, later int }{
		{10, 1, 10, 0, 1}, {1, 10, 1, 0, 1}, {1, 10, 0, 1, 1}, {10, 20, 4, 6, 1}, {20, 10, 4, 10, 1},
	} {
		v := clock.NewVirtual()
		b := &policy.Bucket{Rate: 1, Burst: c.before, Clock: v}
		require.NoError(t, b.Configure(func(*policy.Bucket) {}))
		for range c.used {
			require.True(t, b.Allow())
		}
		if c.used == 0 {
			require.True(t, b.Allow())
			v.Advance(time.Hour)
		}
		require.NoError(t, b.Configure(func(b *policy.Bucket) { b.Burst = c.after }))
		require.Equal(t, c.left, allowed(b), "%+v", c)
		v.Advance(time.Second)
		require.Equal(t, c.later, allowed(b), "%+v", c)
	}
}

// What a budget holds has the whole of a new TTL before it.
func TestBudgetConfigureTTL(t *testing.T) {
	v := clock.NewVirtual()
	b := &policy.Budget{Ratio: 1, TTL: time.Hour, Clock: v}
	b.Deposit()
	require.True(t, b.Withdraw())
	v.Advance(5 * time.Minute)
	b.Deposit()
	require.NoError(t, b.Configure(func(b *policy.Budget) { b.TTL = 10 * time.Second }))
	require.InDelta(t, 1, b.Credit(), 0)
	v.Advance(9 * time.Second)
	require.InDelta(t, 1, b.Credit(), 0)
	v.Advance(time.Second)
	require.Zero(t, b.Credit())
	b.Deposit()
	v.Advance(11 * time.Second)
	require.NoError(t, b.Configure(func(b *policy.Budget) { b.TTL = time.Hour }))
	require.Zero(t, b.Credit(), "it was gone before")
}

// Another Cooldown holds for the opening under way, counted from when the circuit opened.
func TestCircuitConfigureCooldownWhileOpen(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*policy.Circuit)
		until  time.Duration // after the opening
	}{
		"shorter":               {func(c *policy.Circuit) { c.Cooldown = policy.Constant(20 * time.Second) }, 20 * time.Second},
		"shorter than has gone": {func(c *policy.Circuit) { c.Cooldown = policy.Constant(time.Second) }, time.Second},
		"longer":                {func(c *policy.Circuit) { c.Cooldown = policy.Constant(time.Hour) }, time.Hour},
		"by the first opening":  {func(c *policy.Circuit) { c.Cooldown = policy.Exponential(7*time.Second, time.Hour) }, 7 * time.Second},
		"a func": {func(c *policy.Circuit) {
			c.Cooldown = policy.BackoffFunc(func(s policy.Step) time.Duration { return time.Duration(s.Retry) * 9 * time.Second })
		}, 9 * time.Second},
		"the default":    {func(c *policy.Circuit) { c.Cooldown = nil }, 30 * time.Second},
		"something else": {func(c *policy.Circuit) { c.Probes = 2 }, 40 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			circuit, v := onVirtual(&policy.Circuit{Cooldown: policy.Constant(40 * time.Second)})
			opened := v.Nanos()
			report(t, circuit, policy.TransientFailure)
			v.Advance(5 * time.Second)
			require.NoError(t, circuit.Configure(c.change))
			require.Equal(t, policy.Open, circuit.State())
			require.Equal(t, c.until, circuit.Snapshot().Until.Sub(time.Unix(0, opened)))
			if left := c.until - 5*time.Second; left > 0 {
				v.Advance(left - 1)
				_, err := circuit.Acquire()
				require.ErrorIs(t, err, policy.ErrOpen)
				v.Advance(1)
			}
			begin(t, circuit).Done(policy.TransientFailure)
			require.Equal(t, policy.Open, circuit.State())
			if name == "by the first opening" {
				require.Equal(t, 14*time.Second, circuit.Snapshot().Until.Sub(time.Unix(0, v.Nanos())), "the second in a row")
			}
		})
	}
}
