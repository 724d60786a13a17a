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

// The closed forms of M. Brooker's "Fixing retries with token buckets and circuit breakers" (2022): of calls that each
// fail with probability f, four in a row fail with f⁴, and 1 + f + f² + f³ are made.
func TestRetriesAmplifyLoadAsTheClosedFormsSay(t *testing.T) {
	for _, f := range []float64{0, 0.1, 0.25, 0.5, 0.75, 0.9, 1} {
		t.Run(fmt.Sprint(f), func(t *testing.T) {
			r := sim.Run(sim.Setup{
				Seed: 1, Length: 20 * time.Second, Arrivals: sim.Poisson(100 * 10), Clients: 100,
				Server: sim.Server{Failures: f},
				Build: build(func(env sim.Env) []policy.Policy[none] {
					return []policy.Policy[none]{retry(env, 4, policy.Constant(0))}
				}),
			})
			success, calls := 1-math.Pow(f, 4), 1+f+f*f+f*f*f
			t.Logf("%.4f of requests succeeded, want %.4f; %.3f calls per request, want %.3f", r.SuccessRate(), success, r.CallsPerRequest(), calls)
			require.InDelta(t, success, r.SuccessRate(), 0.05*success)
			require.InEpsilon(t, calls, r.CallsPerRequest(), 0.05)
		})
	}
}
