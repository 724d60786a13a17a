package pipeline

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Bounds are rounded for people, and never to less than they are.
func TestLegibleRoundsUp(t *testing.T) {
	for d, want := range map[time.Duration]time.Duration{
		0: 0, 1: 1, 9_999: 9_999, 10_001: 10_010, 283_724_955: 283_800_000, 120_300 * time.Millisecond: 120_300 * time.Millisecond,
		time.Hour: time.Hour, math.MaxInt64: math.MaxInt64,
	} {
		require.Equal(t, want, legible(d), "%v", d)
		require.GreaterOrEqual(t, legible(d), d)
	}
}
