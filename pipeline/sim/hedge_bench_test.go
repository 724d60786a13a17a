package sim_test

import (
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/pipeline/sim"
	"github.com/holdfast-go/holdfast/policy"
)

// BenchmarkRunHedged simulates b.N calls, with and without a hedge, of which 10, 100 or 1000 are in flight. What a call
// costs must not grow with those in flight: their legs wait under contexts that notify the clock of their end.
func BenchmarkRunHedged(b *testing.B) {
	for _, bench := range []struct {
		name   string
		rate   int
		hedged bool
	}{
		{"plain, 1000 in flight", 10_000, false},
		{"hedged, 10 in flight", 100, true},
		{"hedged, 100 in flight", 1000, true},
		{"hedged, 1000 in flight", 10_000, true},
	} {
		b.Run(bench.name, func(b *testing.B) {
			s := sim.Setup{
				Length: time.Second + time.Duration(b.N)*time.Second/time.Duration(bench.rate), Arrivals: sim.Poisson(float64(bench.rate)),
				Step: time.Second,
				Server: sim.Server{Latency: func(l sim.Load) time.Duration {
					return 90*time.Millisecond + time.Duration(l.Rand.IntN(20_000_000))
				}},
				Build: func(env sim.Env) pipeline.Pipeline[none] {
					timeout := &policy.Timeout[none]{Limit: time.Second, Clock: env.Clock}
					if !bench.hedged {
						return pipeline.Wrap[none](timeout)
					}
					return pipeline.Wrap[none](timeout, &policy.Hedge[none]{Delay: 100 * time.Millisecond, Clock: env.Clock})
				},
			}
			b.ReportAllocs()
			b.ReportMetric(float64(sim.Run(s).Calls)/b.Elapsed().Seconds(), "calls/s")
		})
	}
}
