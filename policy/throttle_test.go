package policy_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/policy"
)

// The steady state of the SRE book: offered 1000 calls a second, a dependency that can do 200 is sent K times that,
// 403, and does its 200.
func TestThrottleSteadyState(t *testing.T) {
	v := clock.NewVirtual()
	random := rand.New(rand.NewPCG(1, 2))
	th := &policy.Throttle{Clock: v, Rand: random.Float64}
	const offered, capacity = 1000, 200
	sent, accepted := 0, 0
	for second := range 600 {
		room := capacity
		for range offered {
			v.Advance(time.Second / offered)
			if th.Acquire() != nil {
				continue
			}
			outcome := policy.TransientFailure
			if room > 0 {
				room--
				outcome = policy.Success
			}
			th.Done(outcome)
			if second >= 300 {
				sent++
				if outcome == policy.Success {
					accepted++
				}
			}
		}
	}
	require.InEpsilon(t, 403, float64(sent)/300, 0.05)
	require.InEpsilon(t, 200, float64(accepted)/300, 0.05)
}

// A dependency that accepts everything is never refused anything; one that accepts nothing still gets probes; and what
// is older than the window is forgotten.
func TestThrottleAtTheEnds(t *testing.T) {
	v := clock.NewVirtual()
	th := &policy.Throttle{Name: "db", Window: time.Minute, Clock: v, Rand: rand.New(rand.NewPCG(1, 2)).Float64}
	for range 1000 {
		require.NoError(t, th.Acquire())
		th.Done(policy.Success)
	}
	require.Zero(t, th.DropRate())
	v.Advance(2 * time.Minute)
	through := 0
	for range 10_000 {
		if err := th.Acquire(); err != nil {
			require.ErrorIs(t, err, policy.ErrThrottled)
			var r *policy.Rejection
			require.ErrorAs(t, err, &r)
			require.Equal(t, "db", r.Name)
			continue
		}
		through++
		th.Done(policy.TransientFailure)
	}
	require.InDelta(t, 1000, through, 150, "a tenth gets through, by the default MaxDrop")
	v.Advance(2 * time.Minute)
	require.Zero(t, th.DropRate())
}

// Shed counts a panic as not accepted, what Classify ignores not at all, and allocates nothing.
func TestShedCountsHowCallsEnd(t *testing.T) {
	v := clock.NewVirtual()
	th := &policy.Throttle{Clock: v, Rand: func() float64 { return 1 }}
	shed := policy.Policy[int](&policy.Shed[int]{Throttle: th})
	func() {
		defer func() { require.Equal(t, "boom", recover()) }()
		_, _ = policy.Through(func(context.Context) (int, error) { panic("boom") }, shed).Do(t.Context())
	}()
	require.InDelta(t, 1.0/2, th.DropRate(), 1e-9, "one request, not accepted")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := policy.Through(func(ctx context.Context) (int, error) { return 0, ctx.Err() }, shed).Do(gone)
	require.ErrorIs(t, err, context.Canceled)
	require.InDelta(t, 1.0/2, th.DropRate(), 1e-9, "the caller's cancellation proves nothing")
	ok := policy.Through(func(context.Context) (int, error) { return 1, nil }, shed)
	ctx := context.Background()
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = ok.Do(ctx) }))
}

// A failure counts for as long as the window, and a throttle that has seen none for that long draws nobody.
func TestThrottleForgetsAFailureWithItsWindow(t *testing.T) {
	v := clock.NewVirtual()
	draws := 0
	th := &policy.Throttle{K: 1, Window: 10 * time.Second, Clock: v, Rand: func() float64 { draws++; return 1 }}
	th.Done(policy.TransientFailure)
	for range 9 {
		require.Positive(t, th.DropRate())
		require.NoError(t, th.Acquire())
		v.Advance(time.Second - 1)
	}
	require.Equal(t, 9, draws)
	v.Advance(time.Second + 9)
	require.Zero(t, th.DropRate())
	require.NoError(t, th.Acquire())
	require.Equal(t, 9, draws)
}

// Refusing is cheap, which is what it is for.
func TestShedRefusesWithoutAllocating(t *testing.T) {
	th := &policy.Throttle{Name: "api", Rand: func() float64 { return 0 }} // everything is drawn
	th.Done(policy.TransientFailure)
	p := policy.Through(func(context.Context) (int, error) { return 1, nil }, policy.Policy[int](&policy.Shed[int]{Throttle: th}))
	ctx := context.Background()
	_, err := p.Do(ctx)
	require.ErrorIs(t, err, policy.ErrThrottled)
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = p.Do(ctx) }))
}

func TestThrottleRefusesNonsense(t *testing.T) {
	err := (&policy.Shed[int]{Throttle: &policy.Throttle{K: math.NaN(), Window: -1, MaxDrop: 1}}).Validate()
	for _, field := range []string{"Throttle.K is NaN", "Throttle.Window is -1ns", "Throttle.MaxDrop is 1"} {
		require.ErrorContains(t, err, field)
	}
	require.NoError(t, (&policy.Throttle{}).Validate())
	require.NoError(t, (&policy.Throttle{K: 1e6, MaxDrop: 0.999}).Validate())
	require.ErrorContains(t, (&policy.Throttle{K: 1e6 + 1}).Validate(), "Throttle.K is 1.000001e+06; want 1 to 1000000")
	require.ErrorContains(t, (&policy.Shed[int]{}).Validate(), "Shed.Throttle is nil")
}

// Chaos does nothing until it is switched on, then hurts the share it is told to, and the same calls by the same seed.
func TestChaosHurtsAShare(t *testing.T) {
	v := clock.NewVirtual()
	start := v.Nanos()
	down := errors.New("down")
	run := func() (failed int) {
		random := rand.New(rand.NewPCG(3, 4))
		drill := new(policy.Switch)
		c := &policy.Chaos[int]{Switch: drill, Rate: 0.25, Fault: policy.Fault{Latency: time.Second, Err: down}, Clock: v, Rand: random.Float64}
		next := policy.Through(func(context.Context) (int, error) { return 1, nil }, policy.Policy[int](c))
		for i := range 2000 {
			drill.Set(i >= 1000)
			if _, err := next.Do(t.Context()); err != nil {
				require.True(t, err == down)
				require.GreaterOrEqual(t, i, 1000, "it is off")
				failed++
			}
		}
		return failed
	}
	failed := run()
	require.InDelta(t, 250, failed, 50)
	require.Equal(t, time.Duration(failed)*time.Second, time.Duration(v.Nanos()-start))
	require.Equal(t, failed, run())
}

// A script decides call by call; a fault's wait ends with the context.
func TestChaosByScript(t *testing.T) {
	v := clock.NewVirtual()
	drill := new(policy.Switch)
	drill.Set(true)
	down := errors.New("down")
	c := &policy.Chaos[int]{Switch: drill, Clock: v, Script: func(call int) policy.Fault {
		return [...]policy.Fault{{}, {Err: down}, {Panic: "boom"}, {Latency: time.Hour}}[(call-1)%4]
	}}
	next := policy.Through(func(context.Context) (int, error) { return 1, nil }, policy.Policy[int](c))
	_, err := next.Do(t.Context())
	require.NoError(t, err)
	_, err = next.Do(t.Context())
	require.True(t, err == down)
	require.PanicsWithValue(t, "boom", func() { _, _ = next.Do(t.Context()) })
	ctx, cancel := clock.WithTimeout(t.Context(), v, time.Minute, nil)
	defer cancel()
	_, err = next.Do(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, (&policy.Chaos[int]{Rate: 2}).Validate(), "Chaos.Rate is 2")
	require.ErrorContains(t, (&policy.Chaos[int]{Rate: 2}).Validate(), "Chaos.Switch is nil")
	require.ErrorContains(t, (&policy.Chaos[int]{Fault: policy.Fault{Latency: -1}}).Validate(), "Chaos.Fault.Latency is -1ns; want 0 or more")
}

// A source of random numbers that is broken does no harm: a share of the calls still goes through.
func TestDrawsOutOfRangeAreHarmless(t *testing.T) {
	for _, broken := range []float64{math.NaN(), -1, 2, math.Inf(1), math.Inf(-1)} {
		source := func() float64 { return broken }
		throttle := &policy.Throttle{Clock: clock.NewVirtual(), Rand: source}
		for range 200 {
			throttle.Done(policy.TransientFailure)
		}
		admitted := 0
		for range 1000 {
			if throttle.Acquire() == nil {
				admitted++
			}
		}
		require.InDelta(t, 100, admitted, 60, "%v", broken)

		on := new(policy.Switch)
		on.Set(true)
		chaos := &policy.Chaos[int]{Switch: on, Rate: 0.5, Fault: policy.Fault{Err: errDown}, Rand: source}
		hurt := 0
		for range 1000 {
			if _, err := policy.Through(func(context.Context) (int, error) { return 0, nil }, chaos).Do(t.Context()); err != nil {
				hurt++
			}
		}
		require.InDelta(t, 500, hurt, 120, "%v", broken)

		c, v := cooledDown(t, &policy.Circuit{RampUp: time.Second, Rand: source})
		report(t, c, policy.Success)
		v.Advance(500 * time.Millisecond)
		admitted = 0
		for range 1000 {
			if permit, err := c.Acquire(); err == nil {
				permit.Done(policy.Ignored)
				admitted++
			}
		}
		require.InDelta(t, 550, admitted, 120, "%v", broken)
	}
}
