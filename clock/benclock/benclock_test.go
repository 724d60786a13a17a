package benclock_test

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	theirs "github.com/benbjohnson/clock"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/clock/benclock"
)

// Mock.Set may go back; Nanos stands still meanwhile.
func TestNanosNeverGoesBackwards(t *testing.T) {
	mock := theirs.NewMock()
	c := benclock.From(mock)
	mock.Set(time.Unix(100, 0))
	require.Equal(t, time.Unix(100, 0).UnixNano(), c.Nanos())
	mock.Set(time.Unix(50, 0))
	require.Equal(t, time.Unix(100, 0).UnixNano(), c.Nanos())
	mock.Set(time.Unix(101, 0))
	require.Equal(t, time.Unix(101, 0).UnixNano(), c.Nanos())
}

// A Mock may stand at a time that nanoseconds since 1970 do not reach. What a wait lasts is right all the same.
func TestNanosOfATimeThatUnixNanoDoesNotReach(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for _, start := range []time.Time{{}, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)} {
		mock := theirs.NewMock()
		mock.Set(start)
		c := benclock.From(mock)
		begun := c.Nanos()
		require.Equal(t, int64(math.MinInt64), begun)
		for n := range 290 {
			mock.Set(mock.Now().Add(year))
			require.Equal(t, time.Duration(n+1)*year, clock.Since(begun, c.Nanos()))
		}
		mock.Set(start)
		require.Equal(t, 290*year, clock.Since(begun, c.Nanos()), "Nanos stands still while the Mock is set back")
		now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		mock.Set(now)
		require.Equal(t, now.UnixNano(), c.Nanos(), "a time that it reaches")
	}
}

// The ends of the range are told as they are.
func TestNanosAtTheEndsOfItsRange(t *testing.T) {
	mock := theirs.NewMock()
	c := benclock.From(mock)
	for _, n := range []int64{math.MinInt64, math.MinInt64 + 1, -1, 0, 1, math.MaxInt64 - 1, math.MaxInt64} {
		mock.Set(time.Unix(0, n))
		require.Equal(t, n, c.Nanos())
	}
	mock.Set(time.Unix(0, math.MaxInt64).Add(1))
	require.Equal(t, int64(math.MaxInt64), c.Nanos(), "it stands still past the end")
}

// A callback is called once, however often the Mock is moved over its time, and at once for a time that has come.
func TestAfterFuncCallsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mock := theirs.NewMock()
		c := benclock.From(mock)
		var calls atomic.Int64
		for _, d := range []time.Duration{-1, 0, time.Second} {
			c.AfterFunc(d, func() { calls.Add(1) })
		}
		synctest.Wait()
		require.EqualValues(t, 2, calls.Load())
		require.Equal(t, 1, c.Pending())
		for range 3 {
			mock.Add(time.Second)
			mock.Set(mock.Now().Add(-time.Second))
		}
		synctest.Wait()
		require.EqualValues(t, 3, calls.Load())
		require.Zero(t, c.Pending())
	})
}

// BlockUntil lets a test move the Mock only once what it is to fire is there: no wake-up is lost, 200 times of 200.
func TestBlockUntilLosesNoWakeUp(t *testing.T) {
	mock := theirs.NewMock()
	c := benclock.From(mock)
	for range 200 {
		done := make(chan error)
		go func() { done <- c.Sleep(context.Background(), time.Minute) }()
		c.BlockUntil(1)
		mock.Add(time.Minute)
		require.NoError(t, <-done)
	}
	require.Zero(t, c.Pending())
}

// A deadline made here fires by the Mock, which the standard library's never does.
func TestDeadlineFollowsTheMock(t *testing.T) {
	mock := theirs.NewMock()
	c := benclock.From(mock)
	ctx, cancel := clock.WithTimeout(t.Context(), c, time.Hour, nil)
	defer cancel()
	done := ctx.Done()
	mock.Add(time.Hour)
	<-done
	require.Equal(t, context.DeadlineExceeded, ctx.Err())
}

func ExampleFrom() {
	mock := theirs.NewMock()
	c := benclock.From(mock)
	done := make(chan error)
	go func() { done <- c.Sleep(context.Background(), time.Hour) }()
	c.BlockUntil(1) // it sleeps
	mock.Add(time.Hour)
	fmt.Println(<-done)
	// Output: <nil>
}
