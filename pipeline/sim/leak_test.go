package sim_test

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/pipeline/sim"
)

func TestARunLeavesNoGoroutines(t *testing.T) {
	before := runtime.NumGoroutine()
	sim.Run(everything(1))
	for range 100_000 { // those that are ending need a moment
		if runtime.NumGoroutine() <= before {
			return
		}
		runtime.Gosched()
	}
	require.LessOrEqual(t, runtime.NumGoroutine(), before)
}
