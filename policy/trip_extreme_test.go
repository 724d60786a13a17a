package policy

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// Scenario 17: ratios are exact where neither 64 bits nor a float64 would do.
func TestASharesProductsAreExact(t *testing.T) {
	nearlyOne := shareOf(0.9999999999999999, 1)
	require.True(t, nearlyOne.reached(math.MaxInt, math.MaxInt))
	require.False(t, nearlyOne.reached(math.MaxInt32, math.MaxInt32-1))

	third := shareOf(0.3333333333333333, 1)
	require.True(t, third.reached(5530, 1845), "only the one product is beyond 64 bits")
	require.False(t, third.reached(5540, 1845))

	half := shareOf(0.5, 1)
	require.True(t, half.reached(math.MaxInt-1, math.MaxInt/2))
	require.False(t, half.reached(math.MaxInt, math.MaxInt/2), "half a call is missing")

	tiny := shareOf(math.SmallestNonzeroFloat64, 1)
	require.False(t, tiny.reached(math.MaxInt, 0))
	require.True(t, tiny.reached(math.MaxInt32, 1))
}

// A ratio is the simplest fraction that rounds to it: a quotient of whole numbers as well as a decimal.
func TestShareIsTheFractionThatWasMeant(t *testing.T) {
	for ratio, want := range map[float64][2]uint64{
		0.57: {57, 100}, 0.1: {1, 10}, 0.999: {999, 1000}, 1: {1, 1}, 1.0 / 3: {1, 3}, 5.0 / 6: {5, 6}, 2.0 / 7: {2, 7},
		0.004: {1, 250}, 0.123456: {1929, 15625},
	} {
		s := shareOf(ratio, 1)
		require.Equal(t, want, [2]uint64{s.num, s.den}, "%v", ratio)
	}
	for calls := uint64(1); calls <= 200; calls++ {
		for failures := uint64(1); failures <= calls; failures++ {
			s := shareOf(float64(failures)/float64(calls), 1)
			require.True(t, s.reached(int(calls), int(failures)), "%d of %d", failures, calls)
			require.False(t, s.reached(int(calls), int(failures)-1), "%d of %d", failures-1, calls)
		}
	}
}
