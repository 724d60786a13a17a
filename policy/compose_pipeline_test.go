package policy_test

import (
	"context"
	"math"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

// A layer is a policy as data.
type layer struct {
	kind     string
	attempts int
	waits    waits
	elapsed  time.Duration
	maxHint  time.Duration
	limit    time.Duration
	failures int
	cooldown time.Duration
	fails    bool // a fallback whose func fails
}

// usual is the order in which policies should be.
var usual = []string{"fallback", "timeout", "retry", "breaker", "timeout"}

// drawLayers draws some of the usual ones in their order, or any in any order.
func drawLayers(t *rapid.T) (layers []layer) {
	if often(t, "usual") {
		mask := rapid.IntRange(0, 1<<len(usual)-1).Draw(t, "which")
		for i, kind := range usual {
			if mask&(1<<i) != 0 {
				layers = append(layers, drawLayer(t, kind))
			}
		}
		return layers
	}
	for range rapid.IntRange(0, 5).Draw(t, "layers") {
		layers = append(layers, drawLayer(t, rapid.SampledFrom(usual[:4]).Draw(t, "kind")))
	}
	return layers
}

func drawLayer(t *rapid.T, kind string) layer {
	l := layer{kind: kind}
	switch kind {
	case "retry":
		l.attempts = rapid.IntRange(1, 3).Draw(t, "attempts")
		l.waits = drawWaits(t)
		l.maxHint = ticks(t, "max hint", 1, 6)
		if seldom(t, "elapsed limit") {
			l.elapsed = ticks(t, "max elapsed", 1, 10)
		}
	case "timeout":
		l.limit = ticks(t, "limit", 1, 12)
	case "breaker":
		l.failures = rapid.IntRange(1, 3).Draw(t, "failures")
		l.cooldown = ticks(t, "cooldown", 1, 4)
	case "fallback":
		l.fails = often(t, "fails")
	}
	return l
}

// policy is the layer on the run's clock.
func (l layer) policy(r *run, seed uint64) policy.Policy[int] {
	switch l.kind {
	case "retry":
		return &policy.Retry[int]{
			Attempts: l.attempts, Backoff: l.waits.backoff(), MaxElapsed: l.elapsed, MaxHint: l.maxHint,
			Discard: r.discard, Clock: r.clk, Rand: seeded(seed),
		}
	case "timeout":
		return &policy.Timeout[int]{Limit: l.limit, Clock: r.clk}
	case "breaker":
		return &policy.Breaker[int]{Circuit: &policy.Circuit{
			Trip: policy.Consecutive(l.failures), Cooldown: policy.Constant(l.cooldown), Clock: r.clk,
		}}
	default:
		return &policy.Fallback[int]{Func: func(_ context.Context, _ int, err error) (int, error) {
			r.answered = append(r.answered, err)
			if l.fails {
				return -100, &answer{0}
			}
			return 100, nil
		}}
	}
}

// neutral layers change nothing about a call that is not late.
func neutral(r *run, i int) policy.Policy[int] {
	return [...]policy.Policy[int]{
		&policy.Retry[int]{Name: "neutral", Attempts: 1, Clock: r.clk},
		&policy.Timeout[int]{Name: "neutral", Limit: math.MaxInt64, Clock: r.clk},
		&policy.Breaker[int]{Circuit: &policy.Circuit{Trip: policy.Consecutive(math.MaxInt32), Clock: r.clk}},
		&policy.Fallback[int]{Func: policy.Static(0), Classify: func(int, error) policy.Outcome { return policy.Success }},
		pipeline.Pipeline[int]{},
	}[i%5]
}

// A composedCase is one execution of a drawn pipeline.
type composedCase struct {
	layers []layer // outermost first
	script script
	caller caller
	seed   uint64
}

func drawComposed(t *rapid.T) composedCase {
	return composedCase{
		layers: drawLayers(t),
		script: drawScript(t, 10, fails, works, failsForGood, saysCancelled, panics),
		caller: drawCaller(t),
		seed:   rapid.Uint64Range(0, 99).Draw(t, "seed"),
	}
}

// policies are the layers, built anew for r.
func (c composedCase) policies(r *run) []policy.Policy[int] {
	policies := make([]policy.Policy[int], len(c.layers))
	for i, l := range c.layers {
		policies[i] = l.policy(r, c.seed+uint64(i)*4)
	}
	return policies
}

// A clocked policy does nothing, but puts its pipeline on a clock: it would measure events by the system's otherwise.
type clocked struct{ clk clock.Clock }

func (clocked) Execute(ctx context.Context, next policy.Next[int]) (int, error) { return next.Do(ctx) }

func (c clocked) Describe() policy.Description {
	return policy.Description{Kind: "clocked", Clock: c.clk, Bounds: func(b policy.Bounds) policy.Bounds { return b }}
}

// wrap is the pipeline, which r observes.
func (c composedCase) wrap(r *run, policies []policy.Policy[int]) pipeline.Pipeline[int] {
	return pipeline.Wrap(append(policies, clocked{r.clk})...).Observe(r)
}

// run executes the pipeline on a virtual clock.
func (c composedCase) run() *run {
	r := newRun(clock.NewVirtual(), c.script)
	return r.do(c.caller, c.wrap(r, c.policies(r)))
}

// mostCalls is the product of the attempts.
func (c composedCase) mostCalls() int {
	most := 1
	for _, l := range c.layers {
		most *= max(1, l.attempts)
	}
	return most
}
