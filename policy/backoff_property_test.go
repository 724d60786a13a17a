package policy_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/holdfast-go/holdfast/policy"
)

// extremes are times at which arithmetic on durations goes wrong, if it does.
var extremes = []time.Duration{
	0, 1, 2, 3, time.Millisecond, time.Second, time.Hour, 1<<53 + 3, math.MaxInt64 / 3, math.MaxInt64 / 2, math.MaxInt64 - 1, math.MaxInt64,
}

// A pushed case is one question to a backoff, at its limits.
type pushed struct {
	waits waits
	step  policy.Step
	rand  float64
}

func drawPushed(t *rapid.T) pushed {
	kinds := append([]string{"spread constant", "spread twice"}, kindsOfWaits...)
	pick := func(label string, from ...time.Duration) time.Duration { return rapid.SampledFrom(from).Draw(t, label) }
	p := pushed{waits: waits{
		kind:  rapid.SampledFrom(kinds).Draw(t, "kind"),
		base:  pick("base", extremes...),
		ratio: rapid.SampledFrom([]float64{0, 0.001, 0.3, 0.5, 1}).Draw(t, "ratio"),
	}}
	p.waits.max = max(p.waits.base, pick("max", extremes...))
	retries := []int{1, 2, 3, 10, 40, 63, 64, 65, 100, 1000, 1023, 1024, 1025, 1_000_000, math.MaxInt32}
	p.step.Retry = rapid.SampledFrom(retries).Draw(t, "retry")
	p.step.Previous = min(p.waits.max, pick("previous", extremes...))
	p.step.Total = pick("total", extremes...)
	p.rand = rapid.SampledFrom([]float64{0, 0.5, math.Nextafter(1, 0), 1, 2, -1, math.NaN(), math.Inf(1)}).Draw(t, "rand")
	p.step.Rand = func() float64 { return p.rand }
	return p
}

func (p pushed) backoff() (b policy.Backoff, most time.Duration) {
	switch p.waits.kind {
	case "spread constant":
		most = time.Duration(math.MaxInt64)
		if float64(p.waits.base)*(1+p.waits.ratio) < math.MaxInt64 {
			most = time.Duration(float64(p.waits.base)*(1+p.waits.ratio)) + 1
		}
		return policy.Jitter(policy.Constant(p.waits.base), p.waits.ratio), most
	case "spread twice":
		return policy.FullJitter(policy.Jitter(policy.Linear(p.waits.base, p.waits.max), p.waits.ratio)), p.waits.max
	case "constant":
		return p.waits.backoff(), p.waits.base
	default:
		return p.waits.backoff(), p.waits.max
	}
}

// R5, scenarios 30 and 31: no delay is below 0 or above the backoff's maximum, at any retry, base, maximum and ratio,
// whatever came before, and whatever Rand returns.
func TestPropertyBackoffsStayWithinTheirRange(t *testing.T) {
	holds(t, drawPushed, func(p pushed) (f findings) {
		b, most := p.backoff()
		d := b.Delay(p.step)
		f.require(0 <= d && d <= most, "R5: waits %v; want 0 to %v", d, most)
		return f
	})
}

// R5: without jitter a later retry never waits less.
func TestPropertyBackoffsWithoutJitterNeverShrink(t *testing.T) {
	holds(t, drawPushed, func(p pushed) (f findings) {
		later := p.step
		later.Retry = min(math.MaxInt32-1, p.step.Retry) + 1
		for _, p.waits.kind = range []string{"constant", "linear", "exponential"} {
			b := p.waits.backoff()
			f.require(b.Delay(p.step) <= b.Delay(later), "R5: retry %d waits longer than retry %d", p.step.Retry, later.Retry)
		}
		return f
	})
}

// delays are the first n that b says one after another, as a Retry asks for them.
func delays(b policy.Backoff, n int, rand func() float64) (said []time.Duration) {
	step := policy.Step{Rand: rand}
	for step.Retry = 1; step.Retry <= n; step.Retry++ {
		d := b.Delay(step)
		said = append(said, d)
		step.Previous, step.Total = d, step.Total+d
	}
	return said
}

func sum(ds []time.Duration) (total time.Duration) {
	for _, d := range ds {
		total += d
	}
	return total
}

// What a Retry says of its waits is never exceeded, nor gone below, by those it makes: the most is Explain's, the
// least is what a lint about attempts that cannot start goes by.
func TestPropertyWaitsKeepWithinWhatIsSaidOfThem(t *testing.T) {
	type walk struct {
		waits   waits
		retries int
		seed    uint64
	}
	draw := func(t *rapid.T) walk {
		w := walk{waits: drawWaits(t), retries: rapid.IntRange(1, 8).Draw(t, "retries"), seed: rapid.Uint64Range(0, 99).Draw(t, "seed")}
		w.waits.max = w.waits.base * time.Duration(rapid.SampledFrom([]int{1, 3, 100, 10_000, 1_000_000}).Draw(t, "room"))
		return w
	}
	holds(t, draw, func(w walk) (f findings) {
		retry := &policy.Retry[int]{Attempts: w.retries + 1, Backoff: w.waits.backoff()}
		described := retry.Describe()
		most, least := described.Bounds(policy.BareBounds()).Wait, described.Repeats.LeastWait(w.retries)
		waited := sum(delays(retry.Backoff, w.retries, seeded(w.seed)))
		f.require(most.Known() && waited <= most.Most, "waited %v of at most %v", waited, most)
		f.require(waited >= least, "waited %v of at least %v", waited, least)
		return f
	})
}

// The bounds of this package's backoffs are reached within a hundredth, so that they say something.
func TestWaitsComeCloseToWhatIsSaidOfThem(t *testing.T) {
	highest, lowest := func() float64 { return math.Nextafter(1, 0) }, func() float64 { return 0 }
	for _, kind := range kindsOfWaits {
		w := waits{kind: kind, base: time.Second, max: time.Hour, ratio: 0.5}
		retry := &policy.Retry[int]{Attempts: 6, Backoff: w.backoff()}
		described := retry.Describe()
		most, least := described.Bounds(policy.BareBounds()).Wait.Most, described.Repeats.LeastWait(5)
		if kind == "spread smooth" { // a long wait leaves less for the next, but not by how much
			continue
		}
		require.InEpsilon(t, float64(most), float64(sum(delays(retry.Backoff, 5, highest))), 0.01, kind)
		if kind != "smooth" { // the waits of which cannot all be their shortest
			require.InDelta(t, float64(least), float64(sum(delays(retry.Backoff, 5, lowest))), float64(time.Millisecond), kind)
		}
	}
}

// A Backoff that is not this package's may wait for any time: the bound is unknown, with the reason.
func TestWaitsOfAnotherBackoffAreUnknown(t *testing.T) {
	own := policy.BackoffFunc(func(policy.Step) time.Duration { return time.Second })
	for _, b := range []policy.Backoff{own, policy.FullJitter(own), policy.Jitter(policy.EqualJitter(own), 0.1)} {
		described := (&policy.Retry[int]{Backoff: b}).Describe()
		bounds := described.Bounds(policy.BareBounds())
		require.False(t, bounds.Wait.Known())
		require.Contains(t, bounds.Wait.Missing, "unknown: how long policy.")
		require.False(t, bounds.HintedWait.Known())
		require.Zero(t, described.Repeats.LeastWait(9))
	}
	once := (&policy.Retry[int]{Attempts: 1, Backoff: own}).Describe().Bounds(policy.BareBounds())
	require.Equal(t, policy.Most[time.Duration](0), once.Wait, "one attempt waits for nothing")
}

// A Retry of very many attempts is explained in a moment: waits that stay the same are not added up one by one.
func TestWaitsOfVeryManyAttemptsAreBounded(t *testing.T) {
	retry := &policy.Retry[int]{Attempts: 1 << 20, Backoff: policy.Linear(time.Second, time.Minute)}
	described := retry.Describe()
	bounds := described.Bounds(policy.BareBounds())
	ten := 10_000
	first := sum(delays(retry.Backoff, ten, nil))
	require.Equal(t, first+time.Duration(1<<20-1-ten)*time.Minute, bounds.Wait.Most)
	require.Equal(t, first+time.Duration(1<<20-1-ten)*time.Minute, described.Repeats.LeastWait(1<<20-1))
	require.Equal(t, time.Duration(math.MaxInt64), (&policy.Retry[int]{
		Attempts: math.MaxInt32, Backoff: policy.Constant(time.Hour * 24 * 365), MaxHint: time.Hour,
	}).Describe().Bounds(policy.BareBounds()).HintedWait.Most, "held at the longest duration")
	require.Zero(t, (&policy.Retry[int]{
		Attempts: 1000, Backoff: policy.Decorrelated(0, time.Hour),
	}).Describe().Bounds(policy.BareBounds()).Wait.Most, "nothing, however often it is tripled")
}
