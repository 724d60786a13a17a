package clock_test

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/holdfast-go/holdfast/clock"
)

func TestOrSystem(t *testing.T) {
	v := clock.NewVirtual()
	require.Equal(t, clock.System, clock.OrSystem(nil))
	require.Equal(t, clock.Clock(v), clock.OrSystem(v))
}

// A nil clock is System also to a context, whose time is that of the machine and can be compared with it.
func TestDeadlineWithoutAClockIsOnSystem(t *testing.T) {
	before := time.Now()
	ctx, cancel := clock.WithTimeout(t.Context(), nil, time.Hour, nil)
	defer cancel()
	when, ok := ctx.Deadline()
	require.True(t, ok)
	require.False(t, when.Before(before.Add(time.Hour)))
	require.False(t, when.After(time.Now().Add(time.Hour)))
	_, ok = clock.Remaining(ctx, nil)
	require.True(t, ok)
	require.NoError(t, ctx.Err())
}

func TestTimeOnSystemHasAMonotonicReading(t *testing.T) {
	require.Contains(t, clock.Time(clock.System, clock.System.Nanos()).String(), " m=")
	require.NotContains(t, clock.Time(clock.NewVirtual(), 0).String(), " m=")
}

func TestAfterAndSinceAtTheEndsOfTheRange(t *testing.T) {
	const lowest, highest = math.MinInt64, math.MaxInt64
	for _, test := range []struct {
		n    int64
		d    time.Duration
		want int64
	}{
		{0, 0, 0}, {0, 1, 1}, {0, -1, -1}, {-5, 10, 5}, {5, -10, -5},
		{highest, 0, highest}, {highest, 1, highest}, {highest, highest, highest}, {highest, lowest, -1}, {highest - 1, 1, highest},
		{lowest, 0, lowest}, {lowest, -1, lowest}, {lowest, lowest, lowest}, {lowest, highest, -1}, {lowest + 1, -1, lowest},
	} {
		require.Equal(t, test.want, clock.After(test.n, test.d), "%+v", test)
	}
	for _, test := range []struct {
		start, now int64
		want       time.Duration
	}{
		{0, 0, 0}, {0, 1, 1}, {1, 0, 0}, {-1, 1, 2}, {-3, -1, 2}, {-1, -3, 0},
		{lowest, lowest, 0}, {lowest, -1, highest}, {lowest, 0, highest}, {lowest, highest, highest}, {-1, highest, highest},
		{-1, highest - 1, highest}, {highest, lowest, 0}, {highest, highest, 0}, {lowest, lowest + 1, 1},
	} {
		require.Equal(t, test.want, clock.Since(test.start, test.now), "%+v", test)
	}
}

// Where nothing is beyond the range, Since is what After has added.
func TestSinceIsTheInverseOfAfter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64().Draw(t, "n")
		d := rapid.Int64Range(0, math.MaxInt64).Draw(t, "d")
		sum := clock.After(n, time.Duration(d))
		require.GreaterOrEqual(t, sum, n)
		if sum < math.MaxInt64 {
			require.Equal(t, time.Duration(d), clock.Since(n, sum))
			require.Equal(t, n, clock.After(sum, -time.Duration(d)))
		}
		require.Zero(t, clock.Since(sum, n))
	})
}

// A clock may tell any time, the ends of the range of int64 too: what a deadline leaves is right everywhere.
func TestRemainingAtTheEndsOfTheRange(t *testing.T) {
	const lowest, highest = math.MinInt64, math.MaxInt64
	for _, start := range []int64{lowest, lowest + 1, -int64(time.Second), -1, 0, highest - int64(time.Hour)} {
		v := clock.NewVirtual()
		c := shifted{v, v.Nanos(), start}
		ctx, cancel := clock.WithTimeout(context.Background(), c, time.Minute, nil)
		past, cancelPast := clock.WithTimeout(context.Background(), c, lowest, nil)
		left, ok := clock.Remaining(ctx, c)
		require.True(t, ok)
		require.Equal(t, time.Minute, left)
		when, _ := ctx.Deadline()
		require.True(t, when.Equal(time.Unix(0, start).Add(time.Minute)))
		if start > lowest {
			require.Equal(t, context.DeadlineExceeded, past.Err())
			left, _ = clock.Remaining(past, c)
			require.Negative(t, left)
		}
		v.Advance(time.Minute - 1)
		require.NoError(t, ctx.Err())
		v.Advance(1)
		require.Equal(t, context.DeadlineExceeded, ctx.Err())
		cancel()
		cancelPast()
	}
}

// A virtual clock stands still at the end of its range, where everything is due.
func TestVirtualAtTheEndOfItsRange(t *testing.T) {
	v := clock.NewVirtual()
	v.Advance(math.MaxInt64)
	require.Equal(t, int64(math.MaxInt64), v.Nanos())
	ran := false
	v.AfterFunc(time.Hour, func() { ran = true })
	require.NoError(t, v.Sleep(t.Context(), time.Hour))
	require.Equal(t, int64(math.MaxInt64), v.Nanos())
	require.True(t, ran)
}

// A sleep that a context ended returns an error, whatever the context says.
func TestSleepEndedByAContextReturnsAnError(t *testing.T) {
	require.ErrorIs(t, clock.System.Sleep(liar{t.Context()}, time.Hour), context.Canceled)
}
