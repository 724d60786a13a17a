package sim_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/pipeline/sim"
	"github.com/holdfast-go/holdfast/policy"
)

// budgeted is three attempts at once, the further ones as far as a client's own budget allows.
func budgeted(ratio, most float64) func(env sim.Env) []policy.Policy[none] {
	return func(env sim.Env) []policy.Policy[none] {
		r := retry(env, 3, policy.Constant(0))
		r.Budget = &policy.Budget{Ratio: ratio, Cap: most, Clock: env.Clock}
		return []policy.Policy[none]{r}
	}
}

// A budget without a floor ends a collapse, however many clients share the load; and a limit on calls in flight does not
// let it come about.
func TestABudgetEndsACollapseAndAGatePreventsIt(t *testing.T) {
	gated := func(env sim.Env) []policy.Policy[none] {
		return []policy.Policy[none]{
			retry(env, 3, policy.Constant(0)),
			&policy.Bulkhead[none]{Gate: &policy.Gate{Limit: 100, Clock: env.Clock}},
		}
	}
	for _, row := range []struct {
		name     string
		clients  int
		goodput  float64       // from 60 s to 120 s
		recovery time.Duration // the median, at most
		policies func(env sim.Env) []policy.Policy[none]
	}{
		{"default budget", 1, 39.7, 15 * time.Second, budgeted(0, 0)},
		{"default budget", 10, 39.7, 15 * time.Second, budgeted(0, 0)},
		{"default budget", 100, 39.7, 15 * time.Second, budgeted(0, 0)},
		{"default budget", 1000, 39.7, 15 * time.Second, budgeted(0, 0)},
		{"a fifth, up to 10", 1, 39.6, 20 * time.Second, budgeted(0.2, 10)},
		{"a fifth, up to 10", 100, 39.3, 45 * time.Second, budgeted(0.2, 10)},
		{"gate of 100", 1, 39.9, 0, gated},
	} {
		t.Run(fmt.Sprintf("%s, %d clients", row.name, row.clients), func(t *testing.T) {
			reports := sim.Repeat(runs(10), func(seed uint64) sim.Setup {
				s := collapse(seed, row.policies)
				s.Clients = row.clients
				return s
			})
			goodput := reports.Mean(func(r sim.Report) float64 { return r.Goodput(60*time.Second, 120*time.Second) })
			median := reports.MedianRecovery() - 25*time.Second
			t.Logf("recovered %d/10, median %v, goodput %.1f/s, %.3f calls per request", reports.Recovered(), median, goodput,
				reports.Mean(sim.Report.CallsPerRequest))
			require.Len(t, reports, reports.Recovered())
			require.InEpsilon(t, row.goodput, goodput, tolerance)
			require.LessOrEqual(t, median, row.recovery)
		})
	}
}

// The rows with token buckets of M. Brooker's "Fixing retries with token buckets and circuit breakers" (2022).
func TestABudgetKeepsRetriesFromAmplifyingLoad(t *testing.T) {
	for _, row := range []struct{ failures, success, calls float64 }{{0.1, 0.985, 1.095}, {0.5, 0.551, 1.104}, {1, 0, 1.104}} {
		t.Run(fmt.Sprint(row.failures), func(t *testing.T) {
			r := sim.Run(sim.Setup{
				Seed: 1, Length: 60 * time.Second, Arrivals: sim.Poisson(100 * 10), Clients: 100,
				Server: sim.Server{Failures: row.failures},
				Build: build(func(env sim.Env) []policy.Policy[none] {
					r := retry(env, 4, policy.Constant(0))
					r.Budget = &policy.Budget{Ratio: 0.1, Cap: 5, TTL: time.Hour, Clock: env.Clock}
					return []policy.Policy[none]{r}
				}),
			})
			t.Logf("%.3f of requests succeeded, want %.3f; %.3f calls per request, want %.3f", r.SuccessRate(), row.success, r.CallsPerRequest(), row.calls)
			require.InDelta(t, row.success, r.SuccessRate(), 0.05*row.success)
			require.InEpsilon(t, row.calls, r.CallsPerRequest(), 0.05)
		})
	}
}

// The closed forms of hedging: with a delay at the 95th percentile, a twentieth more calls cut the 99th from 49 ms to 33.
func TestHedgesCutTheTailForATwentiethMoreCalls(t *testing.T) {
	latency := func(l sim.Load) time.Duration {
		ms := 10 * math.Exp(0.5*l.Rand.NormFloat64())
		if l.Rand.Float64() < 0.01 {
			ms *= 10
		}
		return time.Duration(ms * float64(time.Millisecond))
	}
	for _, row := range []struct {
		name     string
		hedge    *policy.Hedge[none]
		calls    float64
		p50, p99 float64 // milliseconds
	}{
		{"alone", nil, 1, 10.1, 49.3},
		{"hedged at 24 ms", &policy.Hedge[none]{Delay: 24 * time.Millisecond}, 1.0499, 10.1, 33.3},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := sim.Run(sim.Setup{
				Seed: 1, Length: 100 * time.Second, Arrivals: sim.Poisson(1000), Server: sim.Server{Latency: latency},
				Build: build(func(env sim.Env) []policy.Policy[none] {
					if row.hedge == nil {
						return nil
					}
					row.hedge.Clock = env.Clock
					return []policy.Policy[none]{row.hedge}
				}),
			})
			t.Logf("%v, %.4f calls per request", r.Latency, r.CallsPerRequest())
			require.InEpsilon(t, row.p50, r.Latency.P50.Seconds()*1000, 0.05)
			require.InEpsilon(t, row.p99, r.Latency.P99.Seconds()*1000, 0.05)
			require.InDelta(t, row.calls, r.CallsPerRequest(), 0.0025) // a twentieth of the twentieth
		})
	}
}
