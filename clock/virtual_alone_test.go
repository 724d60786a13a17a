package clock_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
)

// drive runs a clock on a goroutine of its own, and reports whether it came to the end, and what it panicked with.
func driven(v *clock.Virtual) (over bool, panicked any) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { panicked = recover() }()
		v.Run()
		over = true
	}()
	<-done
	return over, panicked
}

// A process that ends its goroutine ends that which drives and, with EndAlone, no other process: another Run goes on.
func TestVirtualProcessesEndAlone(t *testing.T) {
	for _, alone := range []bool{true, false} {
		v := clock.NewVirtual()
		if alone {
			v.EndAlone()
		}
		var woke []time.Duration
		start := v.Nanos()
		for i := range 3 {
			v.Go(func() {
				_ = v.Sleep(context.Background(), time.Duration(i+1)*time.Second)
				if i == 1 {
					runtime.Goexit()
				}
				woke = append(woke, time.Duration(v.Nanos()-start))
			})
		}
		over, panicked := driven(v)
		require.False(t, over)
		require.Nil(t, panicked)
		over, panicked = driven(v)
		require.True(t, over)
		require.Nil(t, panicked)
		if alone {
			require.Equal(t, []time.Duration{time.Second, 3 * time.Second}, woke)
		} else {
			require.Equal(t, []time.Duration{time.Second}, woke)
		}
	}
}

// A panic stops the others all the same.
func TestVirtualPanicStopsTheOthers(t *testing.T) {
	v := clock.NewVirtual()
	v.EndAlone()
	stopped := false
	v.Go(func() {
		defer func() { stopped = true }()
		_ = v.Sleep(context.Background(), time.Hour)
		t.Error("it went on")
	})
	v.Go(func() { panic("boom") })
	over, panicked := driven(v)
	require.False(t, over)
	require.Equal(t, "boom", panicked)
	require.True(t, stopped)
}
