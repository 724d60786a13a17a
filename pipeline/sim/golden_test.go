package sim_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/pipeline/sim"
	"github.com/holdfast-go/holdfast/policy"
)

type none = struct{}

func storm(seed uint64, build func(env sim.Env) pipeline.Pipeline[none]) sim.Setup {
	return sim.Setup{
		Seed: seed, Length: 300 * time.Second,
		Arrivals: sim.Poisson(40),
		Server: sim.Server{
			Latency: func(l sim.Load) time.Duration { return time.Second + time.Duration(l.InFlight)*10*time.Millisecond },
			Network: sim.Exponential(100 * time.Millisecond),
		},
		Phases: []sim.Phase{{Name: "surge", From: 20 * time.Second, To: 30 * time.Second, Rate: 80}},
		Build:  build,
	}
}

func TestTry(t *testing.T) {
	timeout := func(env sim.Env) policy.Policy[none] {
		return &policy.Timeout[none]{Limit: 3 * time.Second, Clock: env.Clock}
	}
	for name, build := range map[string]func(env sim.Env) pipeline.Pipeline[none]{
		"none": func(env sim.Env) pipeline.Pipeline[none] { return pipeline.Wrap(timeout(env)) },
		"3": func(env sim.Env) pipeline.Pipeline[none] {
			return pipeline.Wrap(&policy.Retry[none]{Backoff: policy.Constant(0), Clock: env.Clock}, timeout(env))
		},
		"jit": func(env sim.Env) pipeline.Pipeline[none] {
			return pipeline.Wrap(&policy.Retry[none]{Backoff: policy.FullJitter(policy.Exponential(time.Second, time.Minute)), Clock: env.Clock, Rand: env.Rand.Float64}, timeout(env))
		},
		"breaker": func(env sim.Env) pipeline.Pipeline[none] {
			return pipeline.Wrap(&policy.Retry[none]{Backoff: policy.Constant(0), Clock: env.Clock},
				&policy.Breaker[none]{Circuit: &policy.Circuit{Trip: policy.FailureRate{Ratio: .5, Window: 10 * time.Second, MinCalls: 20}, Cooldown: policy.Constant(5 * time.Second), Clock: env.Clock}}, timeout(env))
		},
	} {
		for seed := range uint64(10) {
			r := sim.Run(storm(seed, build))
			fmt.Println(name, seed, r.Requests, r.Calls, r.Recovery.Recovered, r.Recovery.At-25*time.Second, r.Goodput(60*time.Second, 120*time.Second), len(r.Changes))
		}
	}
}
