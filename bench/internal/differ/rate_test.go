package differ_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/policy"
)

// limiters are a Bucket and a limiter of x/time/rate with the same rate and burst. Both are full at the start.
func limiters(turns int, per time.Duration, burst int, c clock.Clock) (*policy.Bucket, *rate.Limiter) {
	return &policy.Bucket{Rate: turns, Per: per, Burst: burst, MaxWait: time.Hour, Clock: c},
		rate.NewLimiter(rate.Limit(float64(turns)/per.Seconds()), burst)
}

// A Bucket allows exactly what x/time/rate allows, if the time between two turns is a whole number of nanoseconds, and
// so many that a rounding error of one is not met by chance.
func TestBucketAllowsWhatARateLimiterAllows(t *testing.T) {
	r := random(t)
	calls, allowed := 0, 0
	for calls < 600_000 {
		turns := []int{1, 2, 5, 8, 10, 25, 64, 100, 125, 200, 1000}[r.IntN(11)]
		per := []time.Duration{time.Second, 7 * time.Second, time.Minute}[r.IntN(3)]
		if per%time.Duration(turns) != 0 {
			continue
		}
		interval := per / time.Duration(turns)
		burst := 1 + r.IntN(20)
		v := clock.NewVirtual()
		bucket, limiter := limiters(turns, per, burst, v)
		for range 2_000 {
			switch r.IntN(12) {
			case 0:
				v.Advance(upTo(r, 3*interval))
			case 1:
				v.Advance(interval)
			case 2:
				v.Advance(upTo(r, 2*time.Duration(burst)*interval))
			}
			calls++
			ours := bucket.Allow()
			require.Equal(t, limiter.AllowN(clock.Time(v, v.Nanos()), 1), ours, "call %d: %d per %v, burst %d", calls, turns, per, burst)
			if ours {
				allowed++
			}
		}
	}
	require.Greater(t, allowed, 100_000)
	require.Less(t, allowed, 500_000)
}

// x/time/rate rounds the time until a token is there down to a nanosecond, and allows a call that comes within it. A
// Bucket never allows a call early.
func TestBucketIsNotEarlyByAFractionOfANanosecondAsARateLimiterIs(t *testing.T) {
	v := clock.NewVirtual()
	bucket, limiter := limiters(3, time.Second, 1, v)
	require.True(t, bucket.Allow())
	require.True(t, limiter.AllowN(clock.Time(v, v.Nanos()), 1))
	v.Advance(333_333_333) // a third of a nanosecond before the next turn
	require.False(t, bucket.Allow())
	require.True(t, limiter.AllowN(clock.Time(v, v.Nanos()), 1))
	v.Advance(1)
	require.True(t, bucket.Allow())
}

// Callers of a Bucket wait for as long as those of x/time/rate do, in queues, and those that cannot get a turn before
// their deadline are refused at once by both. The waits of x/time/rate are rounded down, and up to a nanosecond shorter.
func TestBucketWaitsAsLongAsARateLimiter(t *testing.T) {
	r := random(t)
	waits, refused, queued := 0, 0, 0
	for waits < 20_000 {
		synctest.Test(t, func(t *testing.T) {
			turns, burst := 1+r.IntN(200), 1+r.IntN(5)
			bucket, limiter := limiters(turns, time.Second, burst, nil)
			interval := time.Second / time.Duration(turns)
			type result struct {
				after time.Duration
				err   error
			}
			waiting := func(patience time.Duration, wait func(context.Context) error) chan result {
				end := make(chan result, 1)
				go func() {
					start := time.Now()
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					defer cancel()
					err := wait(ctx)
					end <- result{time.Since(start), err}
				}()
				synctest.Wait() // each is in the queue before the next comes
				return end
			}
			var theirs, ours []chan result
			for range 100 {
				time.Sleep(upTo(r, 2*interval))
				for range r.IntN(4) {
					waits++
					patience := upTo(r, 8*interval)
					theirs = append(theirs, waiting(patience, limiter.Wait))
					ours = append(ours, waiting(patience, bucket.Acquire))
				}
			}
			for i := range theirs {
				b, a := <-ours[i], <-theirs[i]
				require.Equal(t, a.err == nil, b.err == nil, "x/time/rate: %v, Bucket: %v", a.err, b.err)
				if a.err != nil {
					require.Zero(t, a.after+b.after, "refused at once")
					refused++
					continue
				}
				if b.after > 0 {
					queued++
				}
				require.Contains(t, []time.Duration{0, 1}, b.after-a.after)
			}
		})
	}
	require.Greater(t, refused, 1_000)
	require.Greater(t, queued, 5_000)
}

// The turn of a canceled waiter is not lost to a Bucket: those that came later go a turn earlier. x/time/rate keeps it if a
// later caller has reserved a turn since.
func TestBucketUsesACanceledTurnAndARateLimiterDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket, limiter := limiters(1, time.Second, 1, nil)
		for name, x := range map[string]struct {
			wait func(context.Context) error
			last time.Duration
		}{"ours": {bucket.Acquire, 2 * time.Second}, "theirs": {limiter.Wait, 3 * time.Second}} {
			start := time.Now()
			require.NoError(t, x.wait(t.Context()))
			first, cancel := context.WithCancel(t.Context())
			go func() { _ = x.wait(first) }()
			synctest.Wait()
			go func() { _ = x.wait(t.Context()) }()
			synctest.Wait()
			cancel()
			synctest.Wait()
			require.NoError(t, x.wait(t.Context()))
			require.Equal(t, x.last, time.Since(start), name)
			time.Sleep(time.Minute)
		}
	})
}
