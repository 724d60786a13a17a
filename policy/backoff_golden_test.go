package policy_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/policy"
)

// The delays that the formulas give, for sources of numbers that always say the same.
func TestBackoffFormulas(t *testing.T) {
	const s = time.Second
	half, nearlyOne := func() float64 { return 0.5 }, func() float64 { return math.Nextafter(1, 0) }
	zero := func() float64 { return 0 }
	for name, c := range map[string]struct {
		backoff policy.Backoff
		rand    func() float64
		want    []time.Duration
	}{
		"constant":                    {policy.Constant(s), nil, []time.Duration{s, s, s, s}},
		"linear":                      {policy.Linear(s, 3*s), nil, []time.Duration{s, 2 * s, 3 * s, 3 * s}},
		"exponential":                 {policy.Exponential(s, 7*s), nil, []time.Duration{s, 2 * s, 4 * s, 7 * s}},
		"exponential from 0":          {policy.Exponential(0, s), nil, []time.Duration{0, 0, 0, 0}},
		"full, at the least":          {policy.FullJitter(policy.Exponential(s, 7*s)), zero, []time.Duration{0, 0, 0, 0}},
		"full, at the middle":         {policy.FullJitter(policy.Exponential(s, 7*s)), half, []time.Duration{s / 2, s, 2 * s, 7 * s / 2}},
		"equal, at the least":         {policy.EqualJitter(policy.Exponential(s, 7*s)), zero, []time.Duration{s / 2, s, 2 * s, 7 * s / 2}},
		"equal, at the middle":        {policy.EqualJitter(policy.Exponential(s, 8*s)), half, []time.Duration{3 * s / 4, 3 * s / 2, 3 * s, 6 * s}},
		"ratio, at the least":         {policy.Jitter(policy.Exponential(s, 7*s), 0.25), zero, []time.Duration{3 * s / 4, 3 * s / 2, 3 * s, 21 * s / 4}},
		"ratio, at the middle":        {policy.Jitter(policy.Exponential(s, 7*s), 0.25), half, []time.Duration{s, 2 * s, 4 * s, 7 * s}},
		"ratio, never above the cap":  {policy.Jitter(policy.Exponential(s, 2*s), 1), nearlyOne, []time.Duration{2*s - 1, 2 * s, 2 * s, 2 * s}},
		"ratio of a constant":         {policy.Jitter(policy.Constant(4*s), 0.5), nearlyOne, []time.Duration{6*s - 1, 6*s - 1, 6*s - 1, 6*s - 1}},
		"decorrelated, at the least":  {policy.Decorrelated(s, 9*s), zero, []time.Duration{s, s, s, s}},
		"decorrelated, at the middle": {policy.Decorrelated(s, 9*s), half, []time.Duration{2 * s, 7 * s / 2, 23 * s / 4, 9 * s}},
		"smooth from 0":               {policy.SmoothJitter(0, s), half, []time.Duration{0, 0, 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			for i, d := range delays(c.backoff, 4, c.rand) {
				require.InDelta(t, float64(c.want[i]), float64(d), 2, "retry %d", i+1)
			}
		})
	}
}

// Scenario 30: far out, each says the most that it may, and one that starts from 0 stays there.
func TestBackoffsFarOutSayTheirMaximum(t *testing.T) {
	for _, retry := range []int{40, 62, 63, 64, 65, 66, 128, 129, 1000, 1023, 1024, 1025, 1026, 1027, 2000, math.MaxInt32} {
		for _, random := range []float64{0, 0.5, 1} {
			step := policy.Step{Retry: retry, Previous: time.Hour, Total: time.Duration(retry) * time.Hour, Rand: func() float64 { return random }}
			for _, of := range []func(base, max time.Duration) policy.Backoff{policy.Linear, policy.Exponential, policy.SmoothJitter} {
				b := of(2*time.Minute, time.Hour)
				require.Equal(t, time.Hour, b.Delay(step), "%v at retry %d", b, retry)
				require.Zero(t, of(0, time.Hour).Delay(step), "%v from 0 at retry %d", b, retry)
			}
		}
	}
}

// A Backoff of somebody else's that says less than 0 is spread as 0.
func TestJitterOfANegativeDelayIsNone(t *testing.T) {
	ago := policy.BackoffFunc(func(policy.Step) time.Duration { return -time.Hour })
	for _, b := range []policy.Backoff{policy.FullJitter(ago), policy.EqualJitter(ago), policy.Jitter(ago, 0.5)} {
		require.Zero(t, b.Delay(policy.Step{Retry: 1}))
	}
}

// A ratio that Wrap refuses, past Wrap: the delay is still one.
func TestJitterByARatioThatIsNoNumber(t *testing.T) {
	require.Zero(t, policy.Jitter(policy.Constant(time.Second), math.NaN()).Delay(policy.Step{Retry: 1}))
}

// SmoothJitter is the published recurrence: each delay is the way from the last random point on the curve to the next.
func TestSmoothJitterIsThePublishedFormula(t *testing.T) {
	for seed := range uint64(100) {
		ours, theirs := seeded(seed), seeded(seed)
		previous := 0.0
		for i, d := range delays(policy.SmoothJitter(time.Second, math.MaxInt64), 20, ours) {
			at := float64(i) + theirs()
			next := math.Pow(2, at) * math.Tanh(math.Sqrt(4*at))
			require.InDelta(t, (next-previous)/1.4, d.Seconds(), 1e-6, "retry %d", i+1)
			previous = next
		}
	}
}

// The medians that the formula's authors publish.
func TestSmoothJitterMedians(t *testing.T) {
	const clients = 40_001
	rand := seeded(1)
	byRetry := make([][]time.Duration, 6)
	for range clients {
		for i, d := range delays(policy.SmoothJitter(time.Second, time.Hour), 6, rand) {
			byRetry[i] = append(byRetry[i], d)
		}
	}
	for i, want := range []float64{0.90, 1.14, 2.02, 4.01, 7.99, 16.0} {
		slices.Sort(byRetry[i])
		require.InEpsilon(t, want, byRetry[i][clients/2].Seconds(), 0.02, "retry %d", i+1)
	}
}

// The total of the first n delays is at most base·2ⁿ·tanh(2√n)/1.4, and comes close to it.
func TestSmoothJitterTotals(t *testing.T) {
	for n, want := range map[int]float64{3: 5.703, 5: 22.85} {
		bound := math.Pow(2, float64(n)) * math.Tanh(2*math.Sqrt(float64(n))) / 1.4
		require.InDelta(t, want, bound, 0.01)
		b := policy.SmoothJitter(time.Second, time.Hour)
		for seed := range uint64(2000) {
			require.LessOrEqual(t, sum(delays(b, n, seeded(seed))).Seconds(), bound)
		}
		nearlyOne := func() float64 { return math.Nextafter(1, 0) }
		require.InDelta(t, bound, sum(delays(b, n, nearlyOne)).Seconds(), 1e-6)
	}
}

// Cut off at its maximum, SmoothJitter goes on spreading: it neither stops waiting nor waits the maximum for ever
// after a short cut.
func TestSmoothJitterGoesOnFromItsMaximum(t *testing.T) {
	rand := seeded(2)
	for range 1000 {
		for i, d := range delays(policy.SmoothJitter(time.Second, 5*time.Second), 40, rand) {
			require.LessOrEqual(t, d, 5*time.Second)
			if i > 8 {
				require.Equal(t, 5*time.Second, d, "retry %d: every stretch is longer than the maximum by now", i+1)
			}
		}
	}
}

// Waits that were cut short by somebody else are not made up for: the next goes on from the start of its own stretch.
func TestSmoothJitterDoesNotMakeUpForShortWaits(t *testing.T) {
	said := func(total time.Duration) float64 {
		b := policy.SmoothJitter(time.Second, time.Hour)
		return b.Delay(policy.Step{Retry: 3, Total: total, Rand: func() float64 { return 0 }}).Seconds()
	}
	curve := func(n float64) float64 { return math.Pow(2, n) * math.Tanh(2*math.Sqrt(n)) / 1.4 }
	require.InDelta(t, curve(2)-curve(1), said(0), 1e-6)
	require.InDelta(t, curve(2)-2, said(2*time.Second), 1e-6)
}

// How many of 100 000 clients that failed together come back within the same tenth of a second at the worst.
func TestPeakShares(t *testing.T) {
	const clients, retries = 100_000, 5
	exponential := policy.Exponential(time.Second, time.Hour)
	for _, c := range []struct {
		name    string
		backoff policy.Backoff
		percent float64
	}{
		{"none", exponential, 100},
		{"±25 %", policy.Jitter(exponential, 0.25), 20.1},
		{"equal", policy.EqualJitter(exponential), 20.2},
		{"full", policy.FullJitter(exponential), 15.2},
		{"smooth", policy.SmoothJitter(time.Second, time.Hour), 10.9},
		{"decorrelated", policy.Decorrelated(time.Second, 32*time.Second), 6.6},
	} {
		rand, bins, peak := seeded(7), map[time.Duration]int{}, 0
		for range clients {
			var at time.Duration
			for _, d := range delays(c.backoff, retries, rand) {
				at += d
				bin := at / (100 * time.Millisecond)
				bins[bin]++
				peak = max(peak, bins[bin])
			}
		}
		require.InDelta(t, c.percent, 100*float64(peak)/clients, 0.4, c.name)
	}
}

// A Rand that says what it must not counts as the nearest that it may.
func TestRandOutOfItsRangeCountsAsItsEnd(t *testing.T) {
	for _, b := range []policy.Backoff{
		policy.SmoothJitter(time.Second, time.Hour), policy.FullJitter(policy.Constant(time.Second)), policy.Decorrelated(time.Second, time.Hour),
	} {
		say := func(r float64) time.Duration {
			return b.Delay(policy.Step{Retry: 3, Previous: time.Second, Total: 2 * time.Second, Rand: func() float64 { return r }})
		}
		require.Equal(t, say(1), say(5))
		require.Equal(t, say(1), say(math.Inf(1)))
		for _, low := range []float64{-0.1, -5, math.Inf(-1), math.NaN()} {
			require.Equal(t, say(0), say(low))
		}
	}
}

// Two users who give no source of numbers do not come back together.
func TestJitterWithoutARandIsRandom(t *testing.T) {
	b := policy.FullJitter(policy.Constant(time.Hour))
	seen := map[time.Duration]bool{}
	for range 20 {
		seen[b.Delay(policy.Step{Retry: 1})] = true
	}
	require.Greater(t, len(seen), 15)
}
