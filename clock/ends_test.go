package clock_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
)

// The end of a context of the standard library's reaches what derives from a deadline on a Virtual clock at the very
// time, every time, also where package context had to be asked to tell of it.
func TestVirtualSleepEndsWithAStandardChildOfADeadline(t *testing.T) {
	for range 100 {
		v := clock.NewVirtual()
		start := v.Nanos()
		parent, end := context.WithCancel(t.Context())
		ours, cancel := clock.WithTimeout(parent, v, 1000*time.Hour, nil)
		child, cancelChild := context.WithCancel(ours)
		v.AfterFunc(time.Minute, end)
		require.ErrorIs(t, v.Sleep(child, time.Hour), context.Canceled)
		require.Equal(t, time.Minute, time.Duration(v.Nanos()-start))
		cancelChild()
		cancel()
	}
}

// The same, where the end came before anybody drove.
func TestVirtualSleepDoesNotBeginWhereAChildHasEnded(t *testing.T) {
	for range 100 {
		v := clock.NewVirtual()
		start := v.Nanos()
		parent, end := context.WithCancel(t.Context())
		ours, cancel := clock.WithTimeout(parent, v, 1000*time.Hour, nil)
		child, cancelChild := context.WithCancel(ours)
		end()
		require.ErrorIs(t, v.Sleep(child, time.Hour), context.Canceled)
		require.Equal(t, start, v.Nanos())
		cancelChild()
		cancel()
	}
}

// What package context derives from a deadline on a Virtual clock ends at the very time, whatever stands between: a
// value, a context of another's making.
func TestVirtualEndsWhatDerivesFromADeadlineAtItsTime(t *testing.T) {
	type wrapped struct{ context.Context }
	for name, between := range map[string]func(context.Context) context.Context{
		"nothing":   func(ctx context.Context) context.Context { return ctx },
		"a value":   func(ctx context.Context) context.Context { return context.WithValue(ctx, t, t) },
		"a wrapper": func(ctx context.Context) context.Context { return wrapped{ctx} },
	} {
		for range 20 {
			v := clock.NewVirtual()
			start := v.Nanos()
			why := errors.New("why")
			ours, cancel := clock.WithTimeout(t.Context(), v, time.Minute, why)
			child, cancelChild := context.WithCancel(between(ours))
			grandchild, cancelGrandchild := context.WithTimeout(between(child), 1000*time.Hour)
			v.AfterFunc(2*time.Minute, func() {})
			v.Go(func() {
				require.Equal(t, why, v.Sleep(grandchild, time.Hour), name)
				require.Equal(t, time.Minute, time.Duration(v.Nanos()-start), name)
				require.Equal(t, context.DeadlineExceeded, grandchild.Err(), name)
			})
			v.Run()
			cancelGrandchild()
			cancelChild()
			cancel()
		}
	}
}

// Nobody needs to drive the clock for an end to arrive.
func TestVirtualTellsOfAnEndWhileNobodyDrives(t *testing.T) {
	v := clock.NewVirtual()
	why := errors.New("why")
	parent, end := context.WithCancelCause(t.Context())
	ours, cancel := clock.WithTimeout(parent, v, time.Hour, nil)
	defer cancel()
	child, cancelChild := context.WithCancel(ours)
	defer cancelChild()
	end(why)
	<-child.Done()
	require.Equal(t, why, context.Cause(child))
	require.Zero(t, v.Pending())
}

// Every deadline under one parent hears of its end, not only the first.
func TestVirtualTellsAllWhoseParentEnds(t *testing.T) {
	v := clock.NewVirtual()
	start := v.Nanos()
	parent, end := context.WithCancel(t.Context())
	woken := 0
	for range 3 {
		v.Go(func() {
			ours, cancel := clock.WithTimeout(parent, v, 1000*time.Hour, nil)
			defer cancel()
			child, cancelChild := context.WithCancel(ours)
			defer cancelChild()
			require.ErrorIs(t, v.Sleep(child, time.Hour), context.Canceled)
			require.Equal(t, time.Minute, time.Duration(v.Nanos()-start))
			woken++
		})
	}
	v.AfterFunc(time.Minute, end)
	v.Run()
	require.Equal(t, 3, woken)
}

// A process that panics is over: the clock goes on without it.
func TestVirtualForgetsAProcessThatPanics(t *testing.T) {
	v := clock.NewVirtual()
	v.Go(func() {
		_ = v.Sleep(t.Context(), time.Second)
		panic("boom")
	})
	require.PanicsWithValue(t, "boom", v.Run)
	ran := false
	v.Go(func() { ran = true })
	v.Run()
	require.True(t, ran)
}
