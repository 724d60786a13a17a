package policy_test

import (
	"context"
	"errors"
	"math"
	"math/big"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/policy"
)

// L1, L2, L5: a Bucket admits exactly when a token bucket kept in fractions holds a token, at rates that are no whole
// number of nanoseconds apart, and after idle times of any length.
func TestBucketModel(t *testing.T) { rapid.Check(t, takeFromBucket) }

func FuzzBucket(f *testing.F) { f.Fuzz(rapid.MakeFuzz(takeFromBucket)) }

func takeFromBucket(t *rapid.T) {
	v := clock.NewVirtual()
	rate := rapid.IntRange(1, 7).Draw(t, "rate")
	per := time.Duration(rapid.IntRange(1, 20).Draw(t, "per"))
	burst := rapid.IntRange(1, 4).Draw(t, "burst")
	b := &policy.Bucket{Rate: rate, Per: per, Burst: burst, Clock: v}
	one, full := big.NewRat(1, 1), big.NewRat(int64(burst), 1)
	tokens := new(big.Rat).Set(full)
	for range rapid.IntRange(1, 40).Draw(t, "calls") {
		d := rapid.OneOf(rapid.Int64Range(0, 12), rapid.Just(int64(3*365*24*time.Hour))).Draw(t, "later")
		v.Advance(time.Duration(d))
		gained := new(big.Rat).SetFrac(new(big.Int).Mul(big.NewInt(d), big.NewInt(int64(rate))), big.NewInt(int64(per)))
		if tokens.Add(tokens, gained); tokens.Cmp(full) > 0 {
			tokens.Set(full)
		}
		want := tokens.Cmp(one) >= 0
		if got := b.Allow(); got != want {
			t.Fatalf("Allow is %v with %v tokens", got, tokens)
		}
		if want {
			tokens.Sub(tokens, one)
		}
	}
}

// L1, L3 and L4, scenario 58: callers that wait are admitted in order of arrival, never too many in any interval
// whoever goes away, and at once as far as the rate allows it.
func TestBucketWithWaitersProperty(t *testing.T) { rapid.Check(t, waitForBucket) }

func FuzzBucketWithWaiters(f *testing.F) { f.Fuzz(rapid.MakeFuzz(waitForBucket)) }

func waitForBucket(t *rapid.T) {
	v := clock.NewVirtual()
	start := v.Nanos()
	burst := rapid.IntRange(1, 3).Draw(t, "burst")
	b := &policy.Bucket{Rate: 1, Per: 10, Burst: burst, MaxWait: 45, Clock: v}
	var admitted []int64
	for range rapid.IntRange(1, 12).Draw(t, "callers") {
		at := time.Duration(rapid.IntRange(0, 60).Draw(t, "arrives"))
		patience := time.Duration(rapid.SampledFrom([]int{7, 13, 1000, 1000}).Draw(t, "patience"))
		v.Go(func() {
			_ = v.Sleep(t.Context(), at)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			defer v.AfterFunc(patience, cancel).Stop()
			before := v.Nanos()
			switch err := b.Acquire(ctx); {
			case err == nil:
				admitted = append(admitted, v.Nanos()-start)
			case errors.Is(err, policy.ErrLimited):
				require.Equal(t, before, v.Nanos(), "a refusal is decided before waiting")
				var r *policy.Rejection
				require.ErrorAs(t, err, &r)
				require.Greater(t, r.RetryAfter(), time.Duration(45))
			default:
				require.ErrorIs(t, err, context.Canceled)
			}
		})
	}
	v.Run()
	slices.Sort(admitted)
	for i := range admitted {
		for j := i; j < len(admitted); j++ {
			if span := admitted[j] - admitted[i]; int64(j-i+1) > int64(burst)+span/10 {
				t.Fatalf("%d admitted within %d: %v", j-i+1, span, admitted)
			}
		}
	}
}

// Scenario 58: a waiter that leaves takes no turn, and those behind it move up.
func TestBucketTurnsComeBack(t *testing.T) {
	v := clock.NewVirtual()
	start := v.Nanos()
	b := &policy.Bucket{Rate: 1, Per: time.Second, MaxWait: time.Minute, Clock: v}
	var admitted []time.Duration
	caller := func(ctx context.Context) func() {
		return func() {
			if b.Acquire(ctx) == nil {
				admitted = append(admitted, time.Duration(v.Nanos()-start))
			}
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	v.Go(caller(t.Context())) // now
	v.Go(caller(gone))        // would be after 1s
	v.Go(caller(t.Context())) // would be after 2s, and moves up to 1s
	v.AfterFunc(500*time.Millisecond, cancel)
	v.AfterFunc(600*time.Millisecond, func() { v.Go(caller(t.Context())) }) // after 2s
	v.AfterFunc(700*time.Millisecond, func() { v.Go(caller(t.Context())) }) // after 3s
	v.Run()
	require.Equal(t, []time.Duration{0, time.Second, 2 * time.Second, 3 * time.Second}, admitted)
}

// A wait that would end at or after the context's deadline is not begun.
func TestBucketRefusesAWaitPastTheDeadline(t *testing.T) {
	v := clock.NewVirtual()
	b := &policy.Bucket{Rate: 1, Per: time.Second, MaxWait: time.Minute, Clock: v}
	require.True(t, b.Allow())
	for _, limit := range []time.Duration{time.Millisecond, time.Second} {
		ctx, cancel := clock.WithTimeout(t.Context(), v, limit, nil)
		before := v.Nanos()
		require.ErrorIs(t, b.Acquire(ctx), policy.ErrLimited)
		require.Equal(t, before, v.Nanos())
		cancel()
	}
	ctx, cancel := clock.WithTimeout(t.Context(), v, time.Second+1, nil)
	defer cancel()
	require.NoError(t, b.Acquire(ctx))
}

// Many goroutines at one instant get exactly a burst.
func TestBucketAdmitsABurstUnderConcurrency(t *testing.T) {
	b := &policy.Bucket{Rate: 1, Per: time.Hour, Burst: 50, Clock: clock.NewVirtual()}
	var admitted atomic.Int64
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 100 {
				if b.Allow() {
					admitted.Add(1)
				}
			}
		})
	}
	group.Wait()
	require.EqualValues(t, 50, admitted.Load())
}

// Two turns in one nanosecond are still two, also for callers that move up when one leaves.
func TestBucketTellsTurnsWithinANanosecondApart(t *testing.T) {
	v := clock.NewVirtual()
	start := v.Nanos()
	b := &policy.Bucket{Rate: 4, Per: 1, MaxWait: time.Second, Clock: v}
	came := map[string]int64{}
	caller := func(name string, at time.Duration, leaves bool) {
		v.Go(func() {
			_ = v.Sleep(t.Context(), at)
			ctx, cancel := clock.WithTimeout(t.Context(), v, time.Hour, nil)
			defer cancel()
			if leaves {
				v.AfterFunc(1, cancel)
			}
			if b.Acquire(ctx) == nil {
				came[name] = v.Nanos() - start
			}
		})
	}
	for i := range 40 { // turns 0 to 9.75
		caller(strconv.Itoa(i), 0, false)
	}
	caller("leaves 10", 1, true)
	caller("moves up to 10", 1, false)
	caller("gets 10.25", 3, false)
	caller("gets 10.5", 3, false)
	v.Run()
	require.EqualValues(t, 10, came["moves up to 10"])
	require.EqualValues(t, 11, came["gets 10.25"])
	require.EqualValues(t, 11, came["gets 10.5"])
	require.Len(t, came, 43)
}

// Neither a turn nor a refusal allocates, once the first refusal before a turn has been built.
func TestRateLimitAllocatesNothingWithoutAWait(t *testing.T) {
	v := clock.NewVirtual()
	b := &policy.Bucket{Rate: 1, Per: time.Second, Burst: 1000, Clock: v}
	p := policy.Through(func(context.Context) (int, error) { return 1, nil }, policy.Policy[int](&policy.RateLimit[int]{Bucket: b}))
	ctx := context.Background()
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = p.Do(ctx) }))
	for b.Allow() {
	}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, err := p.Do(ctx); !errors.Is(err, policy.ErrLimited) {
			t.Fatal(err)
		}
	}))
}

func TestBucketRefusesNonsense(t *testing.T) {
	b := &policy.Bucket{Rate: -1, Per: -1, Burst: -1, MaxWait: -1}
	err := (&policy.RateLimit[int]{Bucket: b}).Validate()
	for _, field := range []string{"Rate", "Per", "Burst", "MaxWait"} {
		require.ErrorContains(t, err, "Bucket."+field+" is -1")
	}
	require.Error(t, b.Acquire(t.Context()))
	require.ErrorContains(t, (&policy.Bucket{Per: time.Hour, Burst: math.MaxInt}).Validate(), "Bucket.Burst")
	require.NoError(t, (&policy.Bucket{}).Validate())
}

// At the end of time the next turn is never, instead of long ago.
func TestBucketAtTheEndOfTime(t *testing.T) {
	v := clock.NewVirtual()
	b := &policy.Bucket{Rate: 1, Per: 100 * 365 * 24 * time.Hour, Burst: 1, MaxWait: 200 * 365 * 24 * time.Hour, Clock: v}
	require.NoError(t, b.Validate())
	admitted := 0
	start := v.Nanos()
	for range 10 {
		if b.Acquire(t.Context()) == nil {
			admitted++
		}
	}
	require.LessOrEqual(t, admitted-1, int(time.Duration(v.Nanos()-start)/b.Per))
}
