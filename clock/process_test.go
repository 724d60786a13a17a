package clock_test

import (
	"context"
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
