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
