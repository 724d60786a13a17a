package main

import (
	"time"

	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/pipeline/sim"
	"github.com/holdfast-go/holdfast/policy"
)

const (
	begin  = 20 * time.Second // of the surge
	end    = 30 * time.Second
	middle = (begin + end) / 2
)

type none = struct{} // what the calls return besides an error

// A row is a policy to try, outermost part first; every attempt has a timeout inside of it all.
type row struct {
	name     string
	policies func(env sim.Env) []policy.Policy[none]
}

var rows = []row{
	{"no retry", func(sim.Env) []policy.Policy[none] {
		return nil
	}},
	{"3 attempts at once", func(env sim.Env) []policy.Policy[none] {
		return []policy.Policy[none]{attempts(env, policy.Constant(0))}
	}},
	{"3 attempts, full jitter", func(env sim.Env) []policy.Policy[none] {
		return []policy.Policy[none]{attempts(env, policy.FullJitter(policy.Exponential(time.Second, time.Minute)))}
	}},
	{"3 attempts, budget of a tenth", func(env sim.Env) []policy.Policy[none] {
		retry := attempts(env, policy.Constant(0))
		retry.Budget = &policy.Budget{Clock: env.Clock}
		return []policy.Policy[none]{retry}
	}},
	{"3 attempts, at most 100 in flight", func(env sim.Env) []policy.Policy[none] {
		return []policy.Policy[none]{
			attempts(env, policy.Constant(0)),
			&policy.Bulkhead[none]{Gate: &policy.Gate{Name: "server", Limit: 100, Clock: env.Clock}},
		}
	}},
	{"3 attempts, breaker around each", func(env sim.Env) []policy.Policy[none] {
		return []policy.Policy[none]{
			attempts(env, policy.Constant(0)),
			&policy.Breaker[none]{Circuit: &policy.Circuit{
				Name:     "server",
				Trip:     policy.FailureRate{Ratio: 0.5, Window: 10 * time.Second, MinCalls: 20},
				Cooldown: policy.Constant(5 * time.Second),
				Clock:    env.Clock,
			}},
		}
	}},
}

func attempts(env sim.Env, backoff policy.Backoff) *policy.Retry[none] {
	return &policy.Retry[none]{Attempts: 3, Backoff: backoff, Clock: env.Clock, Rand: env.Rand.Float64}
}

// setup is the model of M. Brooker's simple_collapse_sim, "Fixing retries with token buckets and circuit breakers"
// (https://brooker.co.za/blog/2022/02/28/retries.html).
func setup(r row, seed uint64) sim.Setup {
	return sim.Setup{
		Name: r.name, Seed: seed, Length: 300 * time.Second,
		Arrivals: sim.Poisson(40),
		Server: sim.Server{
			Latency: func(l sim.Load) time.Duration {
				return time.Second + time.Duration(l.InFlight)*10*time.Millisecond
			},
			Network: sim.Exponential(100 * time.Millisecond),
		},
		Phases: []sim.Phase{{Name: "surge", From: begin, To: end, Rate: 80}},
		Build: func(env sim.Env) pipeline.Pipeline[none] {
			timeout := &policy.Timeout[none]{Limit: 3 * time.Second, Clock: env.Clock}
			return pipeline.Wrap(append(r.policies(env), timeout)...)
		},
	}
}
