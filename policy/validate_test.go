package policy_test

import (
	"context"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/policy"
)

// Everything that has a Clock says so where it is one that cannot work, whatever else is wrong.
func TestEveryClockIsChecked(t *testing.T) {
	for _, v := range []policy.Validator{
		new(policy.Budget), new(policy.Bucket), new(policy.Circuit), new(policy.Gate), new(policy.Limit), new(policy.Throttle),
		new(policy.Chaos[int]), new(policy.Dedupe[int]), new(policy.Hedge[int]), new(policy.Retry[int]), new(policy.Stale[int]),
		new(policy.Timeout[int]),
	} {
		field := reflect.ValueOf(v).Elem().FieldByName("Clock")
		for text, c := range map[string]clock.Clock{
			".Clock is a nil *clock.Virtual":                             (*clock.Virtual)(nil),
			".Clock is a policy_test.slippery, which cannot be compared": slippery{clock.System, nil},
		} {
			field.Set(reflect.ValueOf(c))
			require.ErrorContains(t, v.Validate(), text, "%T", v)
		}
	}
}

// A core that is wrong says so to those, too, who use it without a pipeline, and lets nothing through; not even what
// is wrong with its clock comes out as a panic.
func TestAnInvalidCoreLetsNothingThrough(t *testing.T) {
	var noClock *clock.Virtual
	acquire := map[string]func() error{}
	for name, l := range map[string]*policy.Limit{
		"Limit.Min is -5": {Min: -5}, "Limit.Max is 1000001": {Max: 1_000_001}, "Limit.Clock is a nil": {Clock: noClock},
	} {
		acquire[name] = func() error { _, err := l.Acquire(0); return err }
		require.ErrorContains(t, l.Configure(func(l *policy.Limit) {}), name)
	}
	for name, g := range map[string]*policy.Gate{
		"Gate.MaxWait is -1": {MaxWait: -1}, "Gate.Queue is -1": {Queue: -1}, "Gate.Clock is a nil": {Clock: noClock},
	} {
		acquire[name] = func() error { _, err := g.Acquire(context.Background()); return err }
		require.ErrorContains(t, g.Configure(func(g *policy.Gate) {}), name)
	}
	for name, b := range map[string]*policy.Bucket{
		"Bucket.Burst is": {Per: time.Hour, Burst: math.MaxInt}, "Bucket.MaxWait is -1": {MaxWait: -1}, "Bucket.Clock is a nil": {Clock: noClock},
	} {
		acquire[name] = func() error { return b.Acquire(context.Background()) }
		require.ErrorContains(t, b.Configure(func(b *policy.Bucket) {}), name)
		require.False(t, b.Allow(), name)
	}
	for name, s := range map[string]*policy.Throttle{
		"Throttle.K is NaN": {K: math.NaN()}, "Throttle.K is 0.5": {K: 0.5}, "Throttle.Clock is a nil": {Clock: noClock},
	} {
		acquire[name] = s.Acquire
		require.ErrorContains(t, s.Configure(func(s *policy.Throttle) {}), name)
		s.Done(policy.Success)
		require.InDelta(t, 1, s.DropRate(), 0, name)
	}
	for name, acquire := range acquire {
		require.ErrorContains(t, acquire(), name)
		require.ErrorContains(t, acquire(), name, "and again")
	}
	for name, b := range map[string]*policy.Budget{
		"Budget.Cap is -1": {Cap: -1}, "Budget.Ratio is NaN": {Ratio: math.NaN()}, "Budget.Clock is a nil": {Clock: noClock},
	} {
		for range 20 {
			b.Deposit()
		}
		require.Zero(t, b.Credit(), name)
		require.False(t, b.Withdraw(), name)
		require.ErrorContains(t, b.Configure(func(b *policy.Budget) {}), name)
	}
}

// The largest numbers that are valid are safe to count with, on 32 bits, too.
func TestALimitOfAMillionIsOne(t *testing.T) {
	l := &policy.Limit{Min: 1_000_000, Max: 1_000_000, Clock: clock.NewVirtual()}
	for range 100_000 {
		_, err := l.Acquire(9)
		require.NoError(t, err)
	}
	_, err := l.Acquire(9)
	require.ErrorIs(t, err, policy.ErrFull, "a tenth is for the lowest priority")
	_, err = l.Acquire(8)
	require.NoError(t, err)
}

// slippery is a clock whose values cannot be compared.
type slippery struct {
	clock.Clock
	_ []int
}

// A budget tells the time by the clock of the policy that has it.
func TestABudgetIsOnThePolicysClock(t *testing.T) {
	v := clock.NewVirtual()
	const want = ".Budget.Clock is another clock than .Clock"
	require.ErrorContains(t, (&policy.Retry[int]{Clock: v, Budget: &policy.Budget{}}).Validate(), want)
	require.ErrorContains(t, (&policy.Hedge[int]{Delay: 1, Budget: &policy.Budget{Clock: v}}).Validate(), want)
	require.NoError(t, (&policy.Retry[int]{Clock: v, Budget: &policy.Budget{Clock: v}}).Validate())
	require.NoError(t, (&policy.Hedge[int]{Delay: 1, Budget: &policy.Budget{Clock: clock.System}}).Validate())
}

// Extremes that a core cannot work with are refused, with the range that it can.
func TestValidateStatesTheRangeOfExtremes(t *testing.T) {
	for want, core := range map[string]policy.Validator{
		"Bucket.Per is 2562047h47m16.854775807s; want 0 to 876000h0m0s": &policy.Bucket{Per: math.MaxInt64},
		"Bucket.Rate is 1000000001; want 0 to 1000000000":               &policy.Bucket{Rate: 1_000_000_001},
		"Budget.TTL is 19ns; want 1µs or more, or 0 for 10s":            &policy.Budget{TTL: 19},
		"Budget.TTL is -1ns; want 1µs or more":                          &policy.Budget{TTL: -1},
		"Limit.Algorithm: a struct { policy.Algorithm } has no Algorithm in it; want an AIMD, a Vegas or a Gradient": &policy.Limit{
			Algorithm: struct{ policy.Algorithm }{},
		},
	} {
		require.ErrorContains(t, core.Validate(), want)
	}
	require.NotContains(t, (&policy.Bucket{Per: math.MaxInt64, Burst: 3}).Validate().Error(), "at most 0")
	require.NoError(t, (&policy.Bucket{Rate: 1_000_000_000, Per: 100 * 365 * 24 * time.Hour}).Validate())
	require.NoError(t, (&policy.Budget{TTL: time.Microsecond}).Validate())
}
