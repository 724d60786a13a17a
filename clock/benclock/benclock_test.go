package benclock_test

import (
	"context"
	"fmt"
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
