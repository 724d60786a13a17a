package policy_test

import (
	"context"
	"errors"
	"math"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

// waiters starts so many callers of b at once, and returns when each was admitted, since then.
func waiters(t *testing.T, v *clock.Virtual, b *policy.Bucket, n int) *[]time.Duration {
	start, came := v.Nanos(), new([]time.Duration)
	for range n {
		v.Go(func() {
			if b.Acquire(t.Context()) == nil {
				*came = append(*came, time.Duration(v.Nanos()-start))
			}
		})
	}
	return came
}

// Callers that wait go by the settings of now, as soon as these change.
func TestBucketWaitersGoByTheSettingsOfNow(t *testing.T) {
	v := clock.NewVirtual()
	b := &policy.Bucket{Rate: 1, Per: 10 * time.Second, MaxWait: time.Hour, Clock: v}
	came := waiters(t, v, b, 4)
	v.AfterFunc(time.Second, func() {
		require.NoError(t, b.Configure(func(b *policy.Bucket) { b.Rate = 100 }))
	})
	v.Run()
	owed := 90 * time.Millisecond // nine tenths of a turn
	require.Equal(t, []time.Duration{0, time.Second + owed, time.Second + owed + 100*time.Millisecond, time.Second + owed + 200*time.Millisecond}, *came)

	v = clock.NewVirtual()
	b = &policy.Bucket{Rate: 100, MaxWait: time.Hour, Clock: v}
	came = waiters(t, v, b, 100)
	v.AfterFunc(50*time.Millisecond-1, func() {
		require.NoError(t, b.Configure(func(b *policy.Bucket) { b.Rate = 1 }))
	})
	v.Run()
	require.Len(t, *came, 100)
	require.Equal(t, 40*time.Millisecond, (*came)[4])
	require.Less(t, (*came)[5], 51*time.Millisecond, "hardly anything was owed")
	for i := 6; i < 100; i++ {
		require.Equal(t, time.Second, (*came)[i]-(*came)[i-1])
	}
}

// A waiter whose turn would come too late by new settings is refused at once, and says until when. So is one past its
// context's deadline. Those behind it move up.
func TestBucketRefusesWaitersThatNewSettingsAskTooMuchOf(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(*policy.Bucket)
		refused int
	}{
		"a slower rate":      {func(b *policy.Bucket) { b.Per = 10 * time.Second }, 3}, // half a turn is owed: at 5.5, 15.5, 25.5 s
		"less patience":      {func(b *policy.Bucket) { b.MaxWait = 3 * time.Second }, 2},
		"none":               {func(b *policy.Bucket) { b.MaxWait = 0 }, 5},
		"the same":           {func(*policy.Bucket) {}, 0},
		"more of everything": {func(b *policy.Bucket) { b.Rate, b.Burst, b.MaxWait = 100, 10, time.Hour }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			v := clock.NewVirtual()
			start := v.Nanos()
			b := &policy.Bucket{Rate: 1, Per: time.Second, MaxWait: 20 * time.Second, Clock: v}
			require.True(t, b.Allow())
			refused := 0
			for range 5 { // at 1, 2, … 5 s
				v.Go(func() {
					err := b.Acquire(t.Context())
					if err == nil {
						return
					}
					refused++
					var r *policy.Rejection
					require.ErrorAs(t, err, &r)
					require.Equal(t, 500*time.Millisecond, time.Duration(v.Nanos()-start), "at once")
					require.Positive(t, r.RetryAfter())
				})
			}
			v.AfterFunc(500*time.Millisecond, func() { require.NoError(t, b.Configure(c.change)) })
			v.Run()
			require.Equal(t, c.refused, refused)
			require.True(t, b.Idle() || v.Nanos() > start)
			require.Zero(t, v.Pending())
		})
	}
	v := clock.NewVirtual()
	b := &policy.Bucket{Rate: 1, Per: time.Second, MaxWait: time.Minute, Clock: v}
	require.True(t, b.Allow())
	v.Go(func() {
		ctx, cancel := clock.WithTimeout(t.Context(), v, 3*time.Second, nil)
		defer cancel()
		require.ErrorIs(t, b.Acquire(ctx), policy.ErrLimited)
	})
	v.AfterFunc(500*time.Millisecond, func() {
		require.NoError(t, b.Configure(func(b *policy.Bucket) { b.Per = 10 * time.Second }))
	})
	v.Run()
}

// Allow does not overtake callers that wait, and takes a turn once they are gone.
func TestBucketAllowDoesNotOvertake(t *testing.T) {
	v := clock.NewVirtual()
	b := &policy.Bucket{Rate: 1, Per: time.Second, MaxWait: time.Minute, Clock: v}
	waiters(t, v, b, 3)
	var allowed []time.Duration
	start := v.Nanos()
	v.Go(func() {
		for range 50 {
			_ = v.Sleep(t.Context(), 100*time.Millisecond)
			if b.Allow() {
				allowed = append(allowed, time.Duration(v.Nanos()-start))
			}
		}
	})
	v.Run()
	require.Equal(t, []time.Duration{3 * time.Second, 4 * time.Second, 5 * time.Second}, allowed)
}

// A turn that comes at the very moment its caller leaves goes to the next one.
func TestBucketTurnOfACallerThatLeavesAsItComes(t *testing.T) {
	gaveBack := 0
	for seed := range uint64(50) {
		v := clock.NewVirtual()
		v.Shuffle(seed)
		start := v.Nanos()
		b := &policy.Bucket{Rate: 1, Per: time.Second, MaxWait: time.Minute, Clock: v}
		require.True(t, b.Allow())
		ctx, cancel := context.WithCancel(t.Context())
		v.AfterFunc(time.Second, cancel)
		var left error
		v.Go(func() { left = b.Acquire(ctx) })
		var next time.Duration
		v.Go(func() {
			_ = v.Sleep(t.Context(), time.Millisecond)
			require.NoError(t, b.Acquire(t.Context()))
			next = time.Duration(v.Nanos() - start)
		})
		v.Run()
		if left != nil {
			gaveBack++
			require.Equal(t, time.Second, next)
		} else {
			require.Equal(t, 2*time.Second, next)
		}
	}
	require.Positive(t, gaveBack)
}

// L1: over every interval, whatever is asked, called off and configured in it, no more turns come than the Burst at its
// start and what each rate allows while it is in force. And they come in the order of arrival. The clock shows a turn
// between two nanoseconds at the later one.
func TestBucketPropertyNeverTooManyInAnyInterval(t *testing.T) { rapid.Check(t, boundBucket) }

func FuzzBucketConfigure(f *testing.F) { f.Fuzz(rapid.MakeFuzz(boundBucket)) }

// A regime is the settings of a bucket from a time on.
type regime struct {
	at               int64
	rate, per, burst int
}

func boundBucket(t *rapid.T) {
	v := clock.NewVirtual()
	start := v.Nanos()
	draw := func(label string) regime {
		return regime{
			rate: rapid.IntRange(1, 3).Draw(t, label+" rate"), per: rapid.IntRange(1, 20).Draw(t, label+" per"),
			burst: rapid.IntRange(1, 4).Draw(t, label+" burst"),
		}
	}
	first := draw("first")
	first.at = -1
	regimes := []regime{first}
	b := &policy.Bucket{Rate: first.rate, Per: time.Duration(first.per), Burst: first.burst, MaxWait: 60, Clock: v}
	var admitted []int64
	type arrival struct {
		number int
		at     int64
	}
	queued, came := 0, []arrival{}
	for range rapid.IntRange(1, 30).Draw(t, "events") {
		at := time.Duration(rapid.IntRange(0, 80).Draw(t, "at"))
		kind := rapid.IntRange(0, 5).Draw(t, "kind")
		var next regime
		var wait, patience time.Duration
		if kind == 0 {
			next, wait = draw("next"), time.Duration(rapid.SampledFrom([]int{0, 20, 60}).Draw(t, "max wait"))
		} else {
			patience = time.Duration(rapid.SampledFrom([]int{3, 11, 1000, 1000}).Draw(t, "patience"))
		}
		v.Go(func() {
			_ = v.Sleep(context.Background(), at)
			switch kind {
			case 0:
				next.at = v.Nanos() - start
				regimes = append(regimes, next)
				if err := b.Configure(func(b *policy.Bucket) {
					b.Rate, b.Per, b.Burst, b.MaxWait = next.rate, time.Duration(next.per), next.burst, wait
				}); err != nil {
					t.Fatal(err)
				}
			case 1:
				if b.Allow() {
					admitted = append(admitted, v.Nanos()-start)
				}
			default:
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				defer v.AfterFunc(patience, cancel).Stop()
				mine := queued
				queued++
				if err := b.Acquire(ctx); err == nil {
					admitted, came = append(admitted, v.Nanos()-start), append(came, arrival{mine, v.Nanos() - start})
				} else if !errors.Is(err, policy.ErrLimited) && !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
			}
		})
	}
	v.Run()
	if v.Pending() > 0 {
		t.Fatal("something is left behind")
	}
	for i := range came {
		if i > 0 && came[i].number < came[i-1].number && came[i].at > came[i-1].at {
			t.Fatalf("out of order: %v", came)
		}
	}
	for i := range admitted {
		for j := i; j < len(admitted); j++ {
			if most := allowance(regimes, admitted[i]-1, admitted[j]); big.NewRat(int64(j-i+1), 1).Cmp(most) > 0 {
				t.Fatalf("%d turns from %d to %d, at most %v allowed: %v", j-i+1, admitted[i], admitted[j], most, admitted)
			}
		}
	}
}

// allowance is the most turns that may come from one time to another.
func allowance(regimes []regime, from, to int64) *big.Rat {
	most := new(big.Rat)
	for i, r := range regimes { // at the very moment of a change the burst of before counts, too
		if r.at <= from+1 && (i+1 == len(regimes) || from <= regimes[i+1].at) {
			if burst := big.NewRat(int64(r.burst), 1); burst.Cmp(most) > 0 {
				most = burst
			}
		}
	}
	for i, r := range regimes {
		ends := int64(math.MaxInt64)
		if i+1 < len(regimes) {
			ends = regimes[i+1].at
		}
		if begins, stops := max(from, r.at), min(to, ends); stops > begins {
			most.Add(most, big.NewRat((stops-begins)*int64(r.rate), int64(r.per)))
		}
	}
	return most
}

// Waiters that leave cost those that stay nothing: each leaves in constant time, and no timer is left.
func TestBucketWaitersLeaveCheaply(t *testing.T) {
	v := &countingTimers{Virtual: clock.NewVirtual()}
	b := &policy.Bucket{Rate: 1, Per: time.Hour, MaxWait: math.MaxInt64, Clock: v}
	require.True(t, b.Allow())
	ctx, cancel := context.WithCancel(t.Context())
	const crowd = 2_000
	for range crowd {
		v.Go(func() { require.ErrorIs(t, b.Acquire(ctx), context.Canceled) })
	}
	v.AfterFunc(time.Second, cancel)
	v.Run()
	require.Less(t, v.timers, crowd+10, "only the first of the queue waits for a time")
	require.Zero(t, v.Pending())
}

// countingTimers counts the timers that are started.
type countingTimers struct {
	*clock.Virtual
	timers int
}

func (c *countingTimers) AfterFunc(d time.Duration, f func()) clock.Timer {
	c.timers++
	return c.Virtual.AfterFunc(d, f)
}

// A Retry does not wait for an attempt that a rate limit inside would refuse, and waits for one that it may admit.
func TestBucketIsAskedBeforeARetryWaits(t *testing.T) {
	for name, c := range map[string]struct {
		bucket *policy.Bucket
		taken  int
		calls  int
	}{
		"refused after the wait":         {&policy.Bucket{Rate: 1, Per: time.Minute}, 0, 1},
		"admitted after the wait":        {&policy.Bucket{Rate: 1, Per: time.Second}, 0, 2},
		"admitted by waiting for a turn": {&policy.Bucket{Rate: 1, Per: time.Minute, MaxWait: 59 * time.Second}, 0, 2},
		"a wait that is too short":       {&policy.Bucket{Rate: 1, Per: time.Minute, MaxWait: 59*time.Second - 1}, 0, 1},
		"what was saved up":              {&policy.Bucket{Rate: 1, Per: time.Minute, Burst: 2}, 0, 2},
	} {
		t.Run(name, func(t *testing.T) {
			v, calls := clock.NewVirtual(), 0
			b := c.bucket
			b.Clock = v
			p := pipeline.Wrap[int](
				&policy.Retry[int]{Attempts: 2, Backoff: policy.Constant(time.Second), Clock: v}, &policy.RateLimit[int]{Bucket: b},
			)
			start := v.Nanos()
			_, err := p.Do(t.Context(), failing(&calls, errDown))
			require.ErrorIs(t, err, errDown)
			require.Equal(t, c.calls, calls)
			if calls == 1 {
				require.ErrorIs(t, err, policy.ErrLimited)
				require.Equal(t, start, v.Nanos(), "without a wait")
			}
		})
	}
	limit := func(b *policy.Bucket) error {
		return policy.Through[int](nil, &policy.RateLimit[int]{Bucket: b}).Refusal(0)
	}
	require.NoError(t, limit(nil))
	require.NoError(t, limit(&policy.Bucket{Rate: -1}), "the call itself says what is wrong")
	require.NoError(t, limit(&policy.Bucket{Clock: clock.NewVirtual()}), "not used yet")
}

// A bucket whose callers wait is in use.
func TestBucketWithWaitersIsNotIdle(t *testing.T) {
	v := clock.NewVirtual()
	b := &policy.Bucket{Rate: 1, Per: time.Second, MaxWait: time.Minute, Clock: v}
	require.True(t, b.Idle())
	waiters(t, v, b, 3)
	v.AfterFunc(500*time.Millisecond, func() { require.False(t, b.Idle()) })
	v.Run()
	v.Advance(time.Second)
	require.True(t, b.Idle())
}

// A caller that waits when the clock's Wait panics leaves the queue.
func TestBucketWithAClockThatPanics(t *testing.T) {
	b := &policy.Bucket{Rate: 1, Per: time.Second, MaxWait: time.Minute, Clock: brokenClock{clock.NewVirtual()}}
	require.True(t, b.Allow())
	require.PanicsWithValue(t, "broken", func() { _ = b.Acquire(t.Context()) })
	b.Clock.(brokenClock).Advance(time.Second)
	require.True(t, b.Allow(), "no caller waits")
}
