package policy_test

import (
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-go/holdfast/policy"
)

// tick is the grid that drawn times lie on, so that they tie often.
const tick = 100 * time.Millisecond

// ticks draws a multiple of tick.
func ticks(t *rapid.T, label string, least, most int) time.Duration {
	return time.Duration(rapid.IntRange(least, most).Draw(t, label)) * tick
}

// often draws true in half of the cases, and false when shrunk.
func often(t *rapid.T, label string) bool { return rapid.Bool().Draw(t, label) }

// seldom draws true in one of eight cases.
func seldom(t *rapid.T, label string) bool { return rapid.IntRange(0, 7).Draw(t, label) == 7 }

// drawScript draws a script in which only a drawn part of the acts occurs: rare pairs meet more often so.
func drawScript(t *rapid.T, longest int, acts ...act) script {
	chosen := acts[:0:0]
	mask := rapid.IntRange(1, 1<<len(acts)-1).Draw(t, "acts")
	for i, a := range acts {
		if mask&(1<<i) != 0 {
			chosen = append(chosen, a)
		}
	}
	slow, deaf, hinting := often(t, "slow"), seldom(t, "deaf"), seldom(t, "hinting")
	s := make(script, rapid.IntRange(0, longest).Draw(t, "length"))
	for i := range s {
		s[i].does = rapid.SampledFrom(chosen).Draw(t, "does")
		if slow {
			s[i].takes = ticks(t, "takes", 0, 6)
		}
		if deaf {
			s[i].deaf = often(t, "deaf")
		}
		if hinting {
			s[i].hint = ticks(t, "hint", -1, 8)
		}
	}
	return s
}

// drawCaller draws who executes the pipeline.
func drawCaller(t *rapid.T) caller {
	var c caller
	if often(t, "hurried") {
		c.deadline = ticks(t, "deadline", 1, 20)
	}
	if often(t, "fickle") {
		c.cancel = ticks(t, "cancel", -1, 20)
	}
	c.once = seldom(t, "once")
	return c
}

// wellBehaved is s with every call heeding its context.
func (s script) wellBehaved() script {
	heeding := append(script{}, s...)
	for i := range heeding {
		heeding[i].deaf = false
	}
	return heeding
}

// waits is a backoff as data, with what the published formulas say it may wait.
type waits struct {
	kind      string
	base, max time.Duration
	ratio     float64
}

var kindsOfWaits = []string{"constant", "linear", "exponential", "full", "equal", "ratio", "decorrelated", "both", "smooth", "spread smooth"}

func drawWaits(t *rapid.T) waits {
	w := waits{kind: rapid.SampledFrom(kindsOfWaits).Draw(t, "backoff"), base: ticks(t, "base", 0, 3)}
	w.max = w.base + ticks(t, "above base", 0, 10)
	w.ratio = rapid.SampledFrom([]float64{0, 0.25, 1}).Draw(t, "ratio")
	return w
}

func (w waits) backoff() policy.Backoff {
	switch w.kind {
	case "constant":
		return policy.Constant(w.base)
	case "linear":
		return policy.Linear(w.base, w.max)
	case "exponential":
		return policy.Exponential(w.base, w.max)
	case "full":
		return policy.FullJitter(policy.Exponential(w.base, w.max))
	case "equal":
		return policy.EqualJitter(policy.Exponential(w.base, w.max))
	case "ratio":
		return policy.Jitter(policy.Exponential(w.base, w.max), w.ratio)
	case "decorrelated":
		return policy.Decorrelated(w.base, w.max)
	case "both":
		return policy.Jitter(policy.Jitter(policy.Decorrelated(w.base, w.max), 0), w.ratio)
	case "spread smooth":
		return policy.Jitter(policy.FullJitter(policy.SmoothJitter(w.base, w.max)), w.ratio)
	default:
		return policy.SmoothJitter(w.base, w.max)
	}
}

// between is the least and the most that the wait before the given retry may be, previous being the one before.
func (w waits) between(retry int, previous time.Duration) (least, most time.Duration) {
	e := time.Duration(min(float64(w.max), float64(w.base)*math.Pow(2, float64(retry-1))))
	switch w.kind {
	case "constant":
		return w.base, w.base
	case "linear":
		d := min(w.max, w.base*time.Duration(retry))
		return d, d
	case "exponential":
		return e, e
	case "full":
		return 0, e
	case "equal":
		return e / 2, e
	case "ratio":
		return time.Duration(float64(e) * (1 - w.ratio)), min(w.max, time.Duration(float64(e)*(1+w.ratio)))
	case "decorrelated":
		return w.base, min(w.max, 3*max(w.base, previous))
	case "both":
		longest := min(w.max, 3*max(w.base, previous))
		return time.Duration(float64(w.base) * (1 - w.ratio)), min(w.max, time.Duration(float64(longest)*(1+w.ratio)))
	default:
		return 0, w.max
	}
}

// seeded is a source of numbers that is the same for the same seed. Some seeds give nothing but extremes.
func seeded(seed uint64) func() float64 {
	var mu sync.Mutex
	source, extremes := rand.New(rand.NewPCG(seed, 1)), []float64{0, 0.5, math.Nextafter(1, 0)}
	if seed%8 == 4 {
		extremes = extremes[2:]
	}
	return func() float64 {
		mu.Lock()
		defer mu.Unlock()
		if f := source.Float64(); seed%4 != 0 {
			return f
		}
		return extremes[source.IntN(len(extremes))]
	}
}

// holds checks a property of drawn cases: each is drawn, run, and judged.
func holds[C any](t *testing.T, draw func(*rapid.T) C, judge func(C) findings) {
	t.Helper()
	drawn := rapid.Custom(draw)
	rapid.Check(t, func(t *rapid.T) {
		if found := judge(drawn.Draw(t, "case")); len(found) > 0 {
			t.Fatalf("%q", []string(found))
		}
	})
}

// finds reports whether a property is broken by one of the first cases drawn, which are always the same ones.
func finds[C any](cases int, draw func(*rapid.T) C, judge func(C) findings) bool {
	drawn := rapid.Custom(draw)
	for seed := range cases {
		if len(judge(drawn.Example(seed+1))) > 0 {
			return true
		}
	}
	return false
}
