package guard

import (
	"github.com/holdfast-go/holdfast/bench/internal/load"
	"github.com/holdfast-go/holdfast/bench/internal/peers"
)

// The tables below are what the guard holds a change to. A change that makes one of these paths quicker should lower
// its bound; one that has to raise a bound says in its commit message what the price buys.
//
// To set a bound: run `go -C bench run . -guard` a few times, take the largest ratio it shows, and add a quarter,
// because compilers and processors differ. A goal is what the design wants of a path; the guard shows it, and does not
// fail for it.

// Pins are the most allocations of one call of ours.
var Pins = map[string]uint64{
	load.Layers(load.MostLayers): 0,
	load.Retry:                   0,
	load.Breaker:                 0,
	load.BreakerCount:            0,
	load.BreakerTime:             0,
	load.BreakerSlow:             0,
	load.Fallback:                0,
	load.Three:                   0,
	load.ThreeRequest:            0,
	load.Refusal:                 0,
	load.BlockThree:              0,
	load.Shared:                  0,
	load.Timeout:                 1, // its context
	load.Four:                    1, // the timeout's
	load.Failing:                 3, // one context a retry, which knows the attempt
	load.CaptureRetry:            1, // the func itself: policies are called through an interface, so it escapes
	load.CaptureBreaker:          1,
	load.CaptureThree:            1,
	load.Budgeted:                0,
	load.Bulkhead:                0,
	load.RateLimit:               0,
	load.Adaptive:                0,
	load.Shed:                    0,
	load.TimeoutDone:             7, // package context's, timer included, and ours
}

func ours(workload string) Term  { return Term{1, workload, peers.Ours, 1} }
func plain(workload string) Term { return Term{1, workload, peers.Limit, 1} }

func theirs(peer, workload string) Term { return Term{1, workload, peer, 1} }

// call and read are the two units: a call of the func, and a reading of the clock without it.
var (
	call = plain(load.Direct)
	read = Sum{plain(load.ClockRead), call.times(-1)}
)

// Bounds are the most that ours may cost, by what it is measured with in the same run.
var Bounds = []Bound{
	{
		Name: "each further layer, by a call",
		Of:   Sum{ours(load.Layers(load.MostLayers)), ours(load.Layers(0)).times(-1)}, By: Sum{call.times(load.MostLayers)},
		Most: 3.2, Goal: 2.5,
	},
	{Name: "the three, by a call", Of: Sum{ours(load.Three)}, By: Sum{call}, Most: 20, Goal: 12},
	{Name: "the three in a context ten deep, by in none", Of: Sum{ours(load.ThreeRequest)}, By: Sum{ours(load.Three)}, Most: 2.5, Goal: 1.3},
	{Name: "the three, by failsafe-go's", Of: Sum{ours(load.Three)}, By: Sum{theirs("failsafe-go", load.Three)}, Most: 0.055, Goal: 0.04},
	{
		Name: "the three, by backoff around gobreaker",
		Of:   Sum{ours(load.Three)}, By: Sum{theirs("backoff + gobreaker", load.Three)},
		Most: 0.125, Goal: 0.125,
	},
	{
		Name: "breaker with a time window, by 2 clock reads and 11 calls",
		Of:   Sum{ours(load.BreakerTime)}, By: read.times(2).and(call.times(11)),
		Most: 0.8, Goal: 1,
	},
	{
		Name: "the same from 8 goroutines",
		Of:   Sum{ours(load.BreakerTime).crowded()}, By: read.times(2).and(call.times(11)).crowded(),
		Most: 1.25, Goal: 1, // how far the cores are apart matters here more than the code does

	},
	{
		Name: "breaker with a time window from 8 goroutines, by from 1",
		Of:   Sum{ours(load.BreakerTime).crowded()}, By: Sum{ours(load.BreakerTime)},
		Most: 2.2, Goal: 1,
	},
	{
		Name: "refusal, by 15 calls and a clock read",
		Of:   Sum{ours(load.Refusal)}, By: read.and(call.times(15)),
		Most: 1, Goal: 1,
	},
	{
		Name: "timeout that nobody asks for Done, by context.WithTimeout",
		Of:   Sum{ours(load.Timeout)}, By: Sum{plain(load.Timeout)},
		Most: 0.35, Goal: 0.35,
	},
	{
		Name: "timeout that is asked for Done, by context.WithTimeout",
		Of:   Sum{ours(load.TimeoutDone)}, By: Sum{plain(load.TimeoutDone)},
		Most: 1.45, Goal: 1.2,
	},
	{Name: "3 failed retries, by go-resiliency's", Of: Sum{ours(load.Failing)}, By: Sum{theirs("go-resiliency", load.Failing)}, Most: 0.36, Goal: 1.0 / 6},
	{Name: "3 failed retries, by retry-go's", Of: Sum{ours(load.Failing)}, By: Sum{theirs("retry-go", load.Failing)}, Most: 0.36, Goal: 1.0 / 6},

	{Name: "retry, by the hand-written", Of: Sum{ours(load.Retry)}, By: Sum{plain(load.Retry)}, Most: 3.75},
	{Name: "breaker, by the hand-written", Of: Sum{ours(load.Breaker)}, By: Sum{plain(load.Breaker)}, Most: 3.25},
	{Name: "breaker with a count window, by the hand-written", Of: Sum{ours(load.BreakerCount)}, By: Sum{plain(load.BreakerCount)}, Most: 6},
	{Name: "fallback, by the hand-written", Of: Sum{ours(load.Fallback)}, By: Sum{plain(load.Fallback)}, Most: 4},
	{Name: "the three, by the hand-written", Of: Sum{ours(load.Three)}, By: Sum{plain(load.Three)}, Most: 5.25},
	{Name: "bulkhead, by the hand-written", Of: Sum{ours(load.Bulkhead)}, By: Sum{plain(load.Bulkhead)}, Most: 0.95},
	{Name: "bulkhead from 8 goroutines, by the hand-written", Of: Sum{ours(load.Bulkhead).crowded()}, By: Sum{plain(load.Bulkhead).crowded()}, Most: 1.7},
	{Name: "throttle, by 2 clock reads and 15 calls", Of: Sum{ours(load.Shed)}, By: read.times(2).and(call.times(15)), Most: 1.2},
	{Name: "the three, by the hand-written, from 8 goroutines", Of: Sum{ours(load.Three).crowded()}, By: Sum{plain(load.Three).crowded()}, Most: 5.25},
}
