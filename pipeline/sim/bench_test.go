package sim_test

import (
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/pipeline/sim"
	"github.com/holdfast-go/holdfast/policy"
)

// BenchmarkRun simulates b.N calls through Retry ∘ Breaker ∘ Timeout, with 10 000 in flight: one takes a second, and
// 10 000 arrive each second. Target on one core (-cpu 1): 500 000 calls/s.
func BenchmarkRun(b *testing.B) {
	for _, bench := range []struct {
		name  string
		trips sim.Delay
	}{
		{"no network", nil},
		{"network", sim.Fixed(10 * time.Millisecond)},
	} {
		b.Run(bench.name, func(b *testing.B) {
			const rate = 10_000
			s := sim.Setup{
				Length: 2*time.Second + time.Duration(b.N)*time.Second/rate, Arrivals: sim.Poisson(rate), Step: time.Second,
				Server: sim.Server{Network: bench.trips, Latency: func(l sim.Load) time.Duration {
					return time.Second - 10*time.Millisecond + time.Duration(l.Rand.IntN(20_000_000))
				}},
				Build: func(env sim.Env) pipeline.Pipeline[none] {
					return pipeline.Wrap(
						&policy.Retry[none]{Clock: env.Clock, Rand: env.Rand.Float64},
						&policy.Breaker[none]{Circuit: &policy.Circuit{Clock: env.Clock}},
						&policy.Timeout[none]{Limit: 10 * time.Second, Clock: env.Clock},
					)
				},
			}
			b.ReportAllocs()
			r := sim.Run(s)
			b.ReportMetric(float64(r.Calls)/b.Elapsed().Seconds(), "calls/s")
		})
	}
}
