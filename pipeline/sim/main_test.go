package sim_test

import (
	"time"

	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/pipeline/sim"
	"github.com/holdfast-go/holdfast/policy"
)

// none is what the calls of a simulation return besides an error.
type none = struct{}

// share is how many of the runs that they want to make the golden tests make, and tolerance how far from the golden
// numbers they may be.
var share, tolerance = 1.0, 0.05

func runs(n int) int { return max(1, int(share*float64(n))) }

// timeout, retry and breaker are those that the tests combine.
func timeout(env sim.Env, limit time.Duration) policy.Policy[none] {
	return &policy.Timeout[none]{Limit: limit, Clock: env.Clock}
}

func retry(env sim.Env, attempts int, backoff policy.Backoff) *policy.Retry[none] {
	return &policy.Retry[none]{Attempts: attempts, Backoff: backoff, Clock: env.Clock, Rand: env.Rand.Float64}
}

func breaker(env sim.Env) policy.Policy[none] {
	return &policy.Breaker[none]{Circuit: &policy.Circuit{
		Name: "server", Clock: env.Clock,
		Trip:     policy.FailureRate{Ratio: 0.5, Window: 10 * time.Second, MinCalls: 20},
		Cooldown: policy.Constant(5 * time.Second),
	}}
}

// build is Setup.Build of the policies that it is given a func for.
func build(policies func(env sim.Env) []policy.Policy[none]) func(env sim.Env) pipeline.Pipeline[none] {
	return func(env sim.Env) pipeline.Pipeline[none] { return pipeline.Wrap(policies(env)...) }
}
