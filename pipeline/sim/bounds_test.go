package sim_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/pipeline/sim"
	"github.com/holdfast-go/holdfast/policy"
)

// worst is the most of what Explain gives bounds for, as seen in runs.
type worst struct {
	calls    int
	duration time.Duration
}

// What Explain calls the worst case is never exceeded, and some request comes within 5 % of it.
func TestRunsStayWithinTheBoundsThatExplainGivesAndComeClose(t *testing.T) {
	for name, policies := range map[string]func(env sim.Env) []policy.Policy[none]{
		"timeout in retry": func(env sim.Env) []policy.Policy[none] {
			return []policy.Policy[none]{retry(env, 4, policy.Linear(100*ms, time.Second)), timeout(env, 300*ms)}
		},
		"jitter": func(env sim.Env) []policy.Policy[none] {
			return []policy.Policy[none]{retry(env, 3, policy.FullJitter(policy.Exponential(100*ms, time.Second))), timeout(env, 300*ms)}
		},
		"smooth jitter": func(env sim.Env) []policy.Policy[none] {
			return []policy.Policy[none]{retry(env, 2, policy.SmoothJitter(100*ms, time.Second)), timeout(env, 300*ms)}
		},
		"timeout around it": func(env sim.Env) []policy.Policy[none] {
			return []policy.Policy[none]{timeout(env, time.Second), retry(env, 5, policy.Constant(150*ms)), breaker(env), timeout(env, 300*ms)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var seen worst
			var plan pipeline.Plan
			sim.Run(sim.Setup{
				Seed: 1, Length: time.Minute, Arrivals: sim.Poisson(20),
				Server: sim.Server{Latency: fixed(250 * ms), Failures: 0.2},
				Phases: []sim.Phase{{From: 20 * time.Second, To: 40 * time.Second, Slower: 2}},
				Build: func(env sim.Env) pipeline.Pipeline[none] {
					p := pipeline.Wrap(policies(env)...)
					plan = p.Explain()
					return pipeline.Wrap(seen.watch(env), p)
				},
				Call: func(ctx context.Context, env sim.Env) error {
					count(ctx)
					return env.Serve(ctx)
				},
			})
			b := plan.Bounds
			require.LessOrEqual(t, seen.duration, b.Duration.Most)
			require.GreaterOrEqual(t, float64(seen.duration), 0.95*float64(b.Duration.Most))
			require.LessOrEqual(t, seen.calls, b.Calls.Most)
			if name != "timeout around it" { // which leaves no time for the last call
				require.Equal(t, b.Calls.Most, seen.calls)
			}
		})
	}
}

type callsKey struct{}

func count(ctx context.Context) { *ctx.Value(callsKey{}).(*int)++ }

// watch is a policy that notes the worst of what passes through it.
func (w *worst) watch(env sim.Env) policy.Policy[none] {
	return policy.PolicyFunc[none](func(ctx context.Context, next policy.Next[none]) (none, error) {
		begun, calls := env.Clock.Nanos(), 0
		v, err := next.Do(context.WithValue(ctx, callsKey{}, &calls))
		w.calls = max(w.calls, calls)
		w.duration = max(w.duration, time.Duration(env.Clock.Nanos()-begun))
		return v, err
	})
}
