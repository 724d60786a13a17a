package measure_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/bench/internal/measure"
)

func TestMedianAndSpreadIgnoreWhatIsFarOut(t *testing.T) {
	values := []float64{10, 11, 9, 10, 1000}
	require.InDelta(t, 10, measure.Median(values), 0)
	require.InDelta(t, 0.05, measure.Spread(values), 1e-9)
	require.Equal(t, []float64{10, 11, 9, 10, 1000}, values, "the values stay in their order")
}

func TestQuantileLiesBetweenNeighbours(t *testing.T) {
	require.InDelta(t, 1.5, measure.Median([]float64{2, 1}), 1e-9)
	require.InDelta(t, 3, measure.Quantile([]float64{1, 2, 3}, 1), 1e-9)
	require.True(t, math.IsNaN(measure.Median(nil)))
}

func TestRatiosCompareWithinARound(t *testing.T) {
	slowRound := measure.Ratios([]float64{20, 200, 20}, []float64{10, 100, 10})
	require.Equal(t, []float64{2, 2, 2}, slowRound)
}
