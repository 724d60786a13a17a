package clock_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
)

// A context of the standard library that ended while nobody drove the clock ends a process's sleep at that time, not
// when something else falls due.
func TestProcessHearsOfAnEndBetweenDrives(t *testing.T) {
	v := clock.NewVirtual()
	start := v.Nanos()
	ctx, cancel := context.WithCancel(t.Context())
	var woke time.Duration
	v.Go(func() {
		require.ErrorIs(t, v.Sleep(ctx, time.Hour), context.Canceled)
		woke = time.Duration(v.Nanos() - start)
	})
	v.Advance(time.Minute)
	cancel()
	v.Run()
	require.Equal(t, time.Minute, woke)
}

// Scenario 52: a panic, or the end of its goroutine, in one process or in a timer's func ends the drive, and leaves
// none of the other processes behind.
func TestDriveThatEndsEarlyStopsTheProcesses(t *testing.T) {
	for name, end := range map[string]func(*clock.Virtual){
		"panic":   func(v *clock.Virtual) { v.Go(func() { panic("boom") }) },
		"timer":   func(v *clock.Virtual) { v.AfterFunc(0, func() { panic("boom") }) },
		"goexit":  func(v *clock.Virtual) { v.Go(runtime.Goexit) },
		"cleanup": func(v *clock.Virtual) { v.Go(func() { panic("first") }) },
	} {
		v := clock.NewVirtual()
		var ended []int
		for i := range 3 {
			v.Go(func() {
				defer func() {
					ended = append(ended, i)
					if name == "cleanup" && i == 1 {
						panic("boom")
					}
				}()
				_ = v.Sleep(t.Context(), time.Hour)
			})
		}
		v.Advance(time.Second)
		end(v)
		over := make(chan any)
		go func() {
			defer func() { over <- recover() }()
			v.Run()
		}()
		if got := <-over; name == "goexit" {
			require.Nil(t, got, name)
		} else {
			require.Equal(t, "boom", got, name)
		}
		require.Equal(t, []int{2, 1, 0}, ended, name)
		v.Run() // and the clock goes on
	}
}

// A sleep that is over at once does not give way.
func TestProcessDoesNotGiveWayForNothing(t *testing.T) {
	v := clock.NewVirtual()
	var order []int
	for i := range 2 {
		v.Go(func() {
			order = append(order, i)
			require.NoError(t, v.Sleep(t.Context(), 0))
			order = append(order, i)
		})
	}
	v.Run()
	require.Equal(t, []int{0, 0, 1, 1}, order)
}

// A context whose Done is closed before its Err says so does not open the latch.
type liar struct{ context.Context }

func (liar) Done() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

func TestLatchIsNotOpenedByAContext(t *testing.T) {
	require.Error(t, new(clock.Latch).Wait(liar{t.Context()}, clock.System))
}
