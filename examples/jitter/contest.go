package main

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/pipeline/sim"
	"github.com/holdfast-go/holdfast/policy"
)

const (
	base = 5 * time.Millisecond
	top  = 2 * time.Second
)

var sizes = []int{10, 100} // of the contests, in clients

// rows are the backoffs to compare. The model's first exponential wait is already twice the base.
var rows = []struct {
	name    string
	backoff policy.Backoff
}{
	{"no wait", policy.Constant(0)},
	{"exponential, no jitter", policy.Exponential(2*base, top)},
	{"equal jitter", policy.EqualJitter(policy.Exponential(2*base, top))},
	{"decorrelated jitter", policy.Decorrelated(base, top)},
	{"full jitter", policy.FullJitter(policy.Exponential(2*base, top))},
}

type none = struct{} // what the calls return besides an error

var errConflict = errors.New("somebody else has written the row")

// result is what a contest comes to, on average.
type result struct{ ms, calls float64 }

func measure(clients, runs int, backoff policy.Backoff) result {
	reports := sim.Repeat(runs, func(seed uint64) sim.Setup { return contest(clients, seed, backoff) })
	return result{
		ms:    reports.Mean(func(r sim.Report) float64 { return r.Length.Seconds() * 1000 }),
		calls: reports.Mean(func(r sim.Report) float64 { return float64(r.Calls) }),
	}
}

// contest is the model of https://github.com/aws-samples/aws-arch-backoff-simulator.
func contest(clients int, seed uint64, backoff policy.Backoff) sim.Setup {
	trip := sim.Normal(10*time.Millisecond, 2*time.Millisecond)
	version := 0 // of the row
	return sim.Setup{
		Seed: seed, Arrivals: sim.AtOnce(clients), Clients: clients, Step: time.Minute,
		Build: func(env sim.Env) pipeline.Pipeline[none] {
			return pipeline.Wrap(&policy.Retry[none]{
				Attempts: math.MaxInt32, Backoff: backoff, Clock: env.Clock, Rand: env.Rand.Float64,
			})
		},
		Call: func(ctx context.Context, env sim.Env) error {
			travel := func() { _ = env.Clock.Sleep(ctx, trip(env.Rand)) }
			travel()
			read := version
			travel()
			travel()
			won := read == version
			if won {
				version++
			}
			travel()
			if !won {
				return errConflict
			}
			return nil
		},
	}
}
