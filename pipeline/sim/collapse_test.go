package sim_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/pipeline/sim"
	"github.com/holdfast-go/holdfast/policy"
)

// collapse is the model of M. Brooker's simple_collapse_sim: a server that gets slower with load, and ten seconds of
// twice the load.
func collapse(seed uint64, policies func(env sim.Env) []policy.Policy[none]) sim.Setup {
	return sim.Setup{
		Seed: seed, Length: 300 * time.Second, Arrivals: sim.Poisson(40),
		Server: sim.Server{
			Latency: func(l sim.Load) time.Duration { return time.Second + time.Duration(l.InFlight)*10*time.Millisecond },
			Network: sim.Exponential(100 * time.Millisecond),
		},
		Phases: []sim.Phase{{Name: "surge", From: 20 * time.Second, To: 30 * time.Second, Rate: 80}},
		Build: build(func(env sim.Env) []policy.Policy[none] {
			return append(policies(env), timeout(env, 3*time.Second))
		}),
	}
}

func TestRetriesKeepACollapsedServerDownAndABreakerLetsItRecover(t *testing.T) {
	at := func(env sim.Env, b policy.Backoff) []policy.Policy[none] {
		return []policy.Policy[none]{retry(env, 3, b)}
	}
	jitter := func(base time.Duration) policy.Backoff {
		return policy.FullJitter(policy.Exponential(base, time.Minute))
	}
	medians := map[string]time.Duration{}
	for _, row := range []struct {
		name     string
		goodput  float64 // from 60 s to 120 s; 0 for a server that stays down
		policies func(env sim.Env) []policy.Policy[none]
	}{
		{"no retry", 39.8, func(sim.Env) []policy.Policy[none] { return nil }},
		{"at once", 0, func(env sim.Env) []policy.Policy[none] { return at(env, policy.Constant(0)) }},
		{"full jitter, base 0.1 s", 0, func(env sim.Env) []policy.Policy[none] { return at(env, jitter(100*time.Millisecond)) }},
		{"full jitter, base 1 s", 0, func(env sim.Env) []policy.Policy[none] { return at(env, jitter(time.Second)) }},
		{"breaker", 40, func(env sim.Env) []policy.Policy[none] { return append(at(env, policy.Constant(0)), breaker(env)) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			seeds := 10
			if row.goodput == 0 {
				seeds = 3 // they are long, and all alike
			}
			reports := sim.Repeat(runs(seeds), func(seed uint64) sim.Setup { return collapse(seed, row.policies) })
			goodput := reports.Mean(func(r sim.Report) float64 { return r.Goodput(60*time.Second, 120*time.Second) })
			median := reports.MedianRecovery() - 25*time.Second
			t.Logf("recovered %d/%d, median %v, goodput %.1f/s, %.2f calls per request", reports.Recovered(), len(reports), median,
				goodput, reports.Mean(sim.Report.CallsPerRequest))
			if row.goodput == 0 {
				require.Zero(t, reports.Recovered())
				require.Less(t, goodput, 0.5)
				return
			}
			require.Len(t, reports, reports.Recovered())
			require.InEpsilon(t, row.goodput, goodput, tolerance)
			medians[row.name] = median
		})
	}
	require.InDelta(t, 9, medians["no retry"].Seconds(), 2)
	require.Greater(t, medians["breaker"], medians["no retry"])
	require.LessOrEqual(t, medians["breaker"], 30*time.Second)
}
