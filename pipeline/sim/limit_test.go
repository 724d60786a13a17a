package sim_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/pipeline/sim"
	"github.com/holdfast-go/holdfast/policy"
)

// overloaded is a server that works on any number of calls at once, so many of them without getting slower, and is
// asked for more than it can do all the time. What it can do at once halves, doubles twice, and halves.
func overloaded(policies func(env sim.Env) []policy.Policy[none]) sim.Setup {
	capacity := func(at time.Duration) float64 {
		return []float64{40, 20, 40, 80, 40}[min(4, int(at/(30*time.Second)))]
	}
	return sim.Setup{
		Seed: 1, Length: 150 * time.Second, Arrivals: sim.Poisson(1200),
		Server: sim.Server{Latency: func(l sim.Load) time.Duration {
			crowded := max(1, float64(l.InFlight+1)/capacity(l.At))
			return time.Duration(float64(100*time.Millisecond) * crowded * (0.9 + 0.2*l.Rand.Float64()))
		}},
		Build: build(func(env sim.Env) []policy.Policy[none] {
			return append(policies(env), timeout(env, time.Second))
		}),
	}
}

// Each algorithm keeps the goodput within a tenth of what the best fixed limit would, while the capacity halves and
// doubles.
func TestAnAdaptiveLimitFollowsTheCapacity(t *testing.T) {
	goodput := func(r sim.Report) float64 { return r.Goodput(0, r.Length) }
	best := 0.0
	for _, limit := range []int{20, 40, 60, 80, 120, 160, 240} {
		got := goodput(sim.Run(overloaded(func(env sim.Env) []policy.Policy[none] {
			return []policy.Policy[none]{&policy.Bulkhead[none]{Gate: &policy.Gate{Limit: limit, Clock: env.Clock}}}
		})))
		t.Logf("%3d at most: %.1f/s", limit, got)
		best = max(best, got)
	}
	unlimited := goodput(sim.Run(overloaded(func(sim.Env) []policy.Policy[none] { return nil })))
	require.Less(t, unlimited, best/2, "without a limit it collapses")
	for _, algorithm := range []policy.Algorithm{nil, policy.Gradient{}, policy.Vegas{}, policy.AIMD{}} {
		var limit *policy.Limit
		r := sim.Run(overloaded(func(env sim.Env) []policy.Policy[none] {
			limit = &policy.Limit{Algorithm: algorithm, Clock: env.Clock}
			return []policy.Policy[none]{&policy.Adaptive[none]{Limit: limit}}
		}))
		_, most := limit.Load()
		t.Logf("%v: %.1f/s, %.1f %% of the best, half within %v, ends with %d at most", algorithm, goodput(r), 100*goodput(r)/best, r.Latency.P50, most)
		require.Greater(t, goodput(r), 0.9*best, "%v", algorithm)
	}
}
