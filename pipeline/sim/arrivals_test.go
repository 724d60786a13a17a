package sim_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/pipeline/sim"
)

func offered(s sim.Setup) []int {
	var counts []int
	for _, p := range sim.Run(s).Timeline {
		counts = append(counts, p.Offered)
	}
	return counts
}

func TestSteadyArrivalsAreEvenAndFollowThePhases(t *testing.T) {
	s := sim.Setup{
		Length: 5 * time.Second, Arrivals: sim.Steady(4),
		Phases: []sim.Phase{
			{From: time.Second, To: 3 * time.Second, Rate: 8},
			{From: 2 * time.Second, To: 3 * time.Second, Rate: 2}, // the later in the list has its way
		},
	}
	require.Equal(t, []int{3, 8, 2, 4, 4}, offered(s)) // the first after an interval; what is due on an edge comes after it
}

func TestPoissonArrivalsVaryAsTheyShould(t *testing.T) {
	s := sim.Setup{
		Length: 2000 * time.Second, Step: time.Second, Arrivals: sim.Poisson(5),
		Phases: []sim.Phase{{From: 1000 * time.Second, To: 2000 * time.Second, Rate: 20}},
	}
	counts := offered(s)
	for _, part := range []struct {
		counts []int
		rate   float64
	}{{counts[:1000], 5}, {counts[1000:], 20}} {
		sum, squares := 0.0, 0.0
		for _, n := range part.counts {
			sum += float64(n)
			squares += (float64(n) - part.rate) * (float64(n) - part.rate)
		}
		require.InEpsilon(t, part.rate, sum/1000, 0.05)
		require.InEpsilon(t, part.rate, squares/1000, 0.15) // the variance of a Poisson distribution is its mean
	}
}

func TestDelaysAreDistributedAsTheyAreNamed(t *testing.T) {
	const n = 50_000
	for name, d := range map[string]struct {
		delay           sim.Delay
		mean, deviation float64
	}{
		"fixed":       {sim.Fixed(10 * ms), 10, 0},
		"exponential": {sim.Exponential(10 * ms), 10, 10},
		"normal":      {sim.Normal(10*ms, 2*ms), 10, 2},
	} {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			sum, squares := 0.0, 0.0
			for range n {
				x := float64(d.delay(r)) / float64(ms)
				sum += x
				squares += (x - d.mean) * (x - d.mean)
			}
			require.InEpsilon(t, d.mean, sum/n, 0.01)
			require.InDelta(t, d.deviation, math.Sqrt(squares/n), 0.02*d.mean)
		})
	}
}
