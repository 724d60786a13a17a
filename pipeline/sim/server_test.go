package sim_test

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/pipeline/sim"
	"github.com/holdfast-go/holdfast/policy"
)

const ms = time.Millisecond

func fixed(d time.Duration) func(sim.Load) time.Duration {
	return func(sim.Load) time.Duration { return d }
}

// calls is how long n calls at once take, and how they end.
func calls(t *testing.T, n int, server sim.Server, phases ...sim.Phase) (took []time.Duration, errs []error) {
	t.Helper()
	sim.Run(sim.Setup{Arrivals: sim.AtOnce(n), Server: server, Phases: phases, Call: func(ctx context.Context, env sim.Env) error {
		begun := env.Clock.Nanos()
		err := env.Serve(ctx)
		took, errs = append(took, time.Duration(env.Clock.Nanos()-begun)), append(errs, err)
		return err
	}})
	require.Len(t, took, n)
	return took, errs
}

func TestACallTakesLatencyAndTwoTripsThroughTheNetwork(t *testing.T) {
	took, errs := calls(t, 1, sim.Server{Latency: fixed(50 * ms), Network: sim.Fixed(3 * ms)})
	require.Equal(t, []time.Duration{56 * ms}, took)
	require.Equal(t, []error{nil}, errs)
}

func TestLatencySeesTheCallsInFlight(t *testing.T) {
	took, _ := calls(t, 3, sim.Server{Latency: func(l sim.Load) time.Duration { return time.Duration(1+l.InFlight) * ms }})
	require.ElementsMatch(t, []time.Duration{ms, 2 * ms, 3 * ms}, took)
}

func TestCallsBeyondCapacityWaitInLineAndBeyondTheQueueAreTurnedAway(t *testing.T) {
	took, errs := calls(t, 6, sim.Server{Latency: fixed(10 * ms), Capacity: 2, Queue: 3})
	require.Equal(t, []time.Duration{0, 10 * ms, 10 * ms, 20 * ms, 20 * ms, 30 * ms}, took)
	require.Equal(t, []error{sim.ErrBusy, nil, nil, nil, nil, nil}, errs)
}

func TestPhasesChangeTheServer(t *testing.T) {
	server := sim.Server{Latency: fixed(10 * ms)}
	now := sim.Phase{To: 5 * ms}

	slower := now
	slower.Slower = 2.5
	took, _ := calls(t, 1, server, slower)
	require.Equal(t, []time.Duration{25 * ms}, took)

	outage := now
	outage.Failures = 1
	took, errs := calls(t, 1, server, outage)
	require.Equal(t, []time.Duration{10 * ms}, took)
	require.Equal(t, []error{sim.ErrFailed}, errs)

	stall := now
	stall.Stalled = true
	took, _ = calls(t, 2, server, stall)
	require.Equal(t, []time.Duration{15 * ms, 15 * ms}, took)

	took, _ = calls(t, 1, server, sim.Phase{From: 1 * ms, To: 2 * ms, Slower: 9})
	require.Equal(t, []time.Duration{10 * ms}, took)
}

func TestWhoGivesUpDoesNotRelieveTheServer(t *testing.T) {
	for _, network := range []sim.Delay{nil, sim.Fixed(40 * ms)} {
		var loads []int
		r := sim.Run(sim.Setup{
			Length: time.Second, Arrivals: sim.Steady(20),
			Server: sim.Server{Network: network, Latency: func(l sim.Load) time.Duration {
				loads = append(loads, l.InFlight)
				return 100 * ms
			}},
			Build: build(func(env sim.Env) []policy.Policy[none] { return []policy.Policy[none]{timeout(env, 30*ms)} }),
		})
		require.Zero(t, r.Succeeded)
		require.Equal(t, []int{0, 1, 1, 1}, loads[:4])
	}
}

// A ctx that can be cancelled, and not only by a deadline, is heeded at once, too; and so is a deadline outside of
// the nearest.
func TestACallEndsWhenItsContextDoes(t *testing.T) {
	cancelling := func(env sim.Env) policy.Policy[none] {
		return policy.PolicyFunc[none](func(ctx context.Context, next policy.Next[none]) (none, error) {
			ctx, cancel := context.WithCancel(ctx)
			env.Clock.AfterFunc(20*ms, cancel)
			return next.Do(ctx)
		})
	}
	for name, policies := range map[string]func(env sim.Env) []policy.Policy[none]{
		"cancelled": func(env sim.Env) []policy.Policy[none] { return []policy.Policy[none]{cancelling(env)} },
		"deadline":  func(env sim.Env) []policy.Policy[none] { return []policy.Policy[none]{timeout(env, 20*ms)} },
		"outer deadline": func(env sim.Env) []policy.Policy[none] {
			return []policy.Policy[none]{timeout(env, 20*ms), timeout(env, 30*ms)}
		},
		"cancelled outside": func(env sim.Env) []policy.Policy[none] {
			return []policy.Policy[none]{cancelling(env), timeout(env, 30*ms)}
		},
		"cancelled inside": func(env sim.Env) []policy.Policy[none] {
			return []policy.Policy[none]{timeout(env, 30*ms), cancelling(env)}
		},
		"detached": func(env sim.Env) []policy.Policy[none] {
			return []policy.Policy[none]{&policy.Timeout[none]{Limit: 20 * ms, Detach: true, Clock: env.Clock}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var ended []time.Duration
			r := sim.Run(sim.Setup{
				Arrivals: sim.AtOnce(3), Server: sim.Server{Latency: fixed(time.Second)}, Step: ms,
				Build: func(env sim.Env) pipeline.Pipeline[none] { return pipeline.Wrap(policies(env)...) },
				Call: func(ctx context.Context, env sim.Env) error {
					begun := env.Clock.Nanos()
					err := env.Serve(ctx)
					ended = append(ended, time.Duration(env.Clock.Nanos()-begun))
					return err
				},
			})
			require.Equal(t, 3, r.Failed)
			require.Equal(t, 20*ms, r.Length)
			require.Equal(t, []time.Duration{20 * ms, 20 * ms, 20 * ms}, ended)
		})
	}
}

// The longest duration that there is stands for a server that never answers, or a network that loses the answers; no
// sum with it wraps round.
func TestAServerThatNeverAnswers(t *testing.T) {
	for name, c := range map[string]struct{ latency, back time.Duration }{
		"as told": {math.MaxInt64, 0}, "as slowed": {math.MaxInt64 / 2, 0}, "on the way back": {ms, math.MaxInt64},
	} {
		for _, capacity := range []int{0, 3} {
			there, trips := 0, 0
			r := sim.Run(sim.Setup{
				Length: 10 * time.Second, Arrivals: sim.Steady(10), Phases: []sim.Phase{{To: time.Hour, Slower: 3}},
				Server: sim.Server{
					Capacity: capacity,
					Latency:  func(l sim.Load) time.Duration { there = max(there, l.InFlight); return c.latency },
					Network: func(*rand.Rand) time.Duration {
						trips++
						return time.Duration(1-trips%2) * c.back // there in no time
					},
				},
			})
			require.Zero(t, r.Succeeded, name)
			require.Equal(t, r.Requests, r.Unfinished, name)
			if c.back == 0 {
				require.Equal(t, r.Requests-1, there, name)
			}
		}
	}
}
