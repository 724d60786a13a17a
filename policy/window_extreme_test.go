package policy

import (
	"math"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// bucketOf is which of the buckets since the start a time is in, by big numbers.
func bucketOf(t, length int64) int64 {
	n := new(big.Int).Mul(big.NewInt(t), big.NewInt(steps))
	return n.Quo(n, big.NewInt(length)).Int64()
}

// Scenario 18: times and windows at the ends of their ranges find their bucket, and its end is the first time that is
// not in it.
func TestWindowPropertyEveryTimeIsInItsBucket(t *testing.T) {
	extremes := []int64{1, 2, 9, 10, 11, 99, 1 << 62, math.MaxInt64 / 10, math.MaxInt64 / 2, math.MaxInt64 - 1, math.MaxInt64}
	for _, length := range extremes {
		for _, at := range append(extremes, 0) {
			requireBucket(t, length, at)
		}
	}
	numbers := rapid.OneOf(rapid.Int64Range(0, 1000), rapid.Int64Range(0, math.MaxInt64))
	rapid.Check(t, func(t *rapid.T) {
		requireBucket(t, max(1, numbers.Draw(t, "length")), numbers.Draw(t, "at"))
	})
}

func requireBucket(t rapid.TB, length, at int64) {
	w := &window{length: length}
	turn, slot := w.bucket(at)
	if slot < 0 || slot >= steps || turn != at/length {
		t.Fatalf("%d of %d: turn %d, slot %d", at, length, turn, slot)
	}
	if length >= steps || at <= math.MaxInt64/steps { // else the number of the bucket has no room
		if got, want := turn*steps+int64(slot), bucketOf(at, length); got != want {
			t.Fatalf("%d of %d: bucket %d; want %d", at, length, got, want)
		}
	}
	end := w.bucketEnd(turn, slot)
	if end == math.MaxInt64 {
		return // held at the end of time
	}
	if end <= at {
		t.Fatalf("%d of %d: over at %d", at, length, end)
	}
	if lastTurn, lastSlot := w.bucket(end - 1); lastTurn != turn || lastSlot != slot {
		t.Fatalf("%d of %d: %d is in turn %d, slot %d", at, length, end-1, lastTurn, lastSlot)
	}
	if nextTurn, nextSlot := w.bucket(end); nextTurn == turn && nextSlot == slot {
		t.Fatalf("%d of %d: %d is still in it", at, length, end)
	}
}

// Scenarios 15 and 18: after an idle time of up to 290 years, a window of any length counts what is young enough.
func TestAWindowCountsAfterAnyIdleTime(t *testing.T) {
	const years = 365 * 24 * int64(time.Hour)
	for _, length := range []int64{1, 2, 7, 10, 1000, int64(time.Second), years, 29 * years, 290 * years, math.MaxInt64 - 1, math.MaxInt64} {
		for _, start := range []int64{0, math.MinInt64, -1, math.MaxInt64 - 290*years, 1 << 61} {
			for _, idle := range []int64{0, 1, years, 100 * years, 290 * years} {
				w := &window{start: start, length: length}
				w.count(start, true)
				require.True(t, w.quick(start))
				now := start + idle
				if now < start {
					continue // beyond the range of time
				}
				before := w.sumAt(now)
				if idle < length { // the first bucket is among the newest ten
					require.Equal(t, 2, before, "%d after %d from %d", length, idle, start)
				} else {
					require.Zero(t, before, "%d after %d from %d", length, idle, start)
				}
				w.count(now, true)
				w.count(now, false)
				require.Equal(t, before+2, w.sumAt(now), "%d after %d from %d", length, idle, start)
				w.count(start, true) // a clock that was set back
				require.Equal(t, before+3, w.sumAt(now))
			}
		}
	}
}

func (w *window) sumAt(now int64) int {
	calls, _ := w.counts(now)
	return calls
}

// A call that worked is not counted without the lock once its bucket is over, nor before the first call that was
// counted with it; and a bucket left from an earlier turn, even one that looks alike when cut short, is no place for it.
func TestCountingWithoutTheLockIsForTheCurrentBucketOnly(t *testing.T) {
	w := &window{start: 100, length: 1000}
	require.False(t, w.quick(100), "nothing has been counted")
	w.count(100, false)
	require.True(t, w.quick(199))
	require.False(t, w.quick(200), "the next bucket")
	require.False(t, w.quick(1100), "the same slot, a turn later")
	require.False(t, w.quick(100+1000<<turnBits), "the same slot, and a turn that is cut to the same")
	require.Equal(t, 2, w.sumAt(199))

	stale := w.current.Load()
	w.count(1100, false) // the same slot, a turn later
	require.Equal(t, 1, w.sumAt(1100))
	w.current.Store(stale) // as another goroutine has read it long ago
	require.False(t, w.quick(1100))
	require.Equal(t, 1, w.sumAt(1100))
}

// Scenario 21: counters do not wrap round where 32 bits would.
func TestCountersGoBeyondThirtyTwoBits(t *testing.T) {
	r := &row{limit: math.MaxInt64}
	r.failures.Store(math.MaxUint32)
	r.count(0, true)
	require.Equal(t, int64(1<<32), r.failures.Load())

	w := &window{length: 1000}
	w.count(0, false)
	w.calls[0].Add(math.MaxUint32 - 1)
	require.True(t, w.quick(0))
	require.Equal(t, uint64(1<<32), w.calls[0].Load()&(1<<countBits-1))
	require.Zero(t, w.calls[0].Load()>>countBits, "the turn")
	require.False(t, w.quick(100), "the next bucket")
}
