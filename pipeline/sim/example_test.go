package sim_test

import (
	"fmt"
	"time"

	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/pipeline/sim"
	"github.com/holdfast-go/holdfast/policy"
)

// An outage of ten seconds, seen by fifty clients that each have a circuit of their own.
func ExampleRun() {
	report := sim.Run(sim.Setup{
		Seed:     1,
		Length:   time.Minute,
		Clients:  50,
		Arrivals: sim.Poisson(500),
		Server: sim.Server{
			Latency: func(l sim.Load) time.Duration {
				return 20*time.Millisecond + time.Duration(l.InFlight)*time.Millisecond
			},
			Network: sim.Exponential(2 * time.Millisecond),
		},
		Phases: []sim.Phase{{Name: "outage", From: 20 * time.Second, To: 30 * time.Second, Failures: 1}},
		Build: func(env sim.Env) pipeline.Pipeline[struct{}] {
			return pipeline.Wrap(
				&policy.Retry[struct{}]{Attempts: 3, Clock: env.Clock, Rand: env.Rand.Float64},
				&policy.Breaker[struct{}]{Circuit: &policy.Circuit{Cooldown: policy.Constant(2 * time.Second), Clock: env.Clock}},
				&policy.Timeout[struct{}]{Limit: 500 * time.Millisecond, Clock: env.Clock},
			)
		},
	})
	calls := 0
	for _, p := range report.Timeline[20:30] {
		calls += p.Calls
	}
	fmt.Println(report.Verdict())
	fmt.Printf("%d calls in the ten seconds of the outage\n", calls)
	fmt.Printf("%d calls in the second before\n", report.Timeline[19].Calls)
	// Output:
	// Recovered: goodput was back as soon as the outage was over
	// 552 calls in the ten seconds of the outage
	// 507 calls in the second before
}

// Many runs say how sure a result is.
func ExampleRepeat() {
	reports := sim.Repeat(5, func(seed uint64) sim.Setup {
		return sim.Setup{
			Seed: seed, Length: time.Minute, Arrivals: sim.Poisson(20),
			Server: sim.Server{Capacity: 4, Latency: func(sim.Load) time.Duration { return 100 * time.Millisecond }},
			Phases: []sim.Phase{{Name: "surge", From: 10 * time.Second, To: 20 * time.Second, Rate: 80}},
			Build: func(env sim.Env) pipeline.Pipeline[struct{}] {
				return pipeline.Wrap(&policy.Timeout[struct{}]{Limit: time.Second, Clock: env.Clock})
			},
		}
	})
	fmt.Printf("recovered in %d of %d runs, at %v\n", reports.Recovered(), len(reports), reports.MedianRecovery())
	// Output: recovered in 5 of 5 runs, at 40s
}
