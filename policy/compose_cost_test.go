package policy_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

// allocations is what one execution of p allocates.
func allocations(p pipeline.Pipeline[int], fn policy.Func[int]) int {
	ctx := context.Background()
	return int(testing.AllocsPerRun(200, func() { _, _ = p.Do(ctx, fn) }))
}

func one(context.Context) (int, error)        { return 1, nil }
func neverWorks(context.Context) (int, error) { return 0, errDown }
func pass() policy.Policy[int]                { return policy.PolicyFunc[int](through) }
func retryAtOnce(n int) *policy.Retry[int] {
	return &policy.Retry[int]{Attempts: n, Backoff: policy.Constant(0)}
}

func through(ctx context.Context, next policy.Next[int]) (int, error) { return next.Do(ctx) }

func breaker(trip policy.Trip) *policy.Breaker[int] {
	return &policy.Breaker[int]{Circuit: &policy.Circuit{Trip: trip}}
}

// C13: what a call that works allocates, exactly.
func TestAPipelineThatWorksAllocatesNothing(t *testing.T) {
	fallback := func() policy.Policy[int] { return &policy.Fallback[int]{Func: policy.Static(0)} }
	rate := policy.FailureRate{Ratio: 0.5, Window: 10 * time.Second}
	for name, c := range map[string]struct {
		policies []policy.Policy[int]
		most     int
	}{
		"nothing":                      {nil, 0},
		"retry":                        {[]policy.Policy[int]{&policy.Retry[int]{}}, 0},
		"retry, limited":               {[]policy.Policy[int]{&policy.Retry[int]{MaxElapsed: time.Hour}}, 0},
		"retry, classified":            {[]policy.Policy[int]{&policy.Retry[int]{Classify: policy.Classify[int]}}, 0},
		"fallback":                     {[]policy.Policy[int]{fallback()}, 0},
		"fallback, classified":         {[]policy.Policy[int]{&policy.Fallback[int]{Func: policy.Static(0), Classify: policy.Classify[int]}}, 0},
		"breaker":                      {[]policy.Policy[int]{breaker(nil)}, 0},
		"breaker, time window":         {[]policy.Policy[int]{breaker(rate)}, 0},
		"breaker, last calls":          {[]policy.Policy[int]{breaker(policy.FailureCount{Ratio: 0.5, Last: 100})}, 0},
		"fallback, retry, breaker":     {[]policy.Policy[int]{fallback(), &policy.Retry[int]{}, breaker(nil)}, 0},
		"fallback, retry, rate":        {[]policy.Policy[int]{fallback(), &policy.Retry[int]{}, breaker(rate)}, 0},
		"timeout":                      {[]policy.Policy[int]{&policy.Timeout[int]{Limit: time.Hour}}, 1},
		"fallback, retry, rate, limit": {[]policy.Policy[int]{fallback(), &policy.Retry[int]{}, breaker(rate), &policy.Timeout[int]{Limit: time.Hour}}, 1},
	} {
		require.LessOrEqual(t, allocations(pipeline.Wrap(c.policies...), one), c.most, name)
	}
}

// C13: however many layers there are, they allocate nothing.
func TestALayerAllocatesNothing(t *testing.T) {
	var policies []policy.Policy[int]
	for n := range 9 {
		require.Zero(t, allocations(pipeline.Wrap(policies...), one), "%d layers", n)
		policies = append(policies, pass())
	}
}

// C13: a further attempt allocates its context and nothing else.
func TestARetryAllocatesItsContextAlone(t *testing.T) {
	for retries := range 8 {
		p := pipeline.Wrap(retryAtOnce(retries + 1))
		require.Equal(t, retries, allocations(p, neverWorks), "%d retries", retries)
	}
	once := pipeline.Wrap(retryAtOnce(4))
	ctx := policy.Once(context.Background())
	require.Zero(t, testing.AllocsPerRun(200, func() { _, _ = once.Do(ctx, neverWorks) }))
}

// Laws: a pipeline in a pipeline costs what its policies cost, named or not.
func TestAPipelineInAPipelineCostsWhatItsPoliciesDo(t *testing.T) {
	layers := func() []policy.Policy[int] {
		return []policy.Policy[int]{retryAtOnce(3), breaker(nil), pass(), &policy.Timeout[int]{Limit: time.Hour}}
	}
	for _, fn := range []policy.Func[int]{one, neverWorks} {
		flat := layers()
		want := allocations(pipeline.Wrap(flat...), fn)
		for name, nested := range map[string]func(p []policy.Policy[int]) pipeline.Pipeline[int]{
			"left": func(p []policy.Policy[int]) pipeline.Pipeline[int] {
				return pipeline.Wrap[int](pipeline.Wrap(p[:2]...), p[2], p[3])
			},
			"right": func(p []policy.Policy[int]) pipeline.Pipeline[int] {
				return pipeline.Wrap(p[0], p[1], pipeline.Wrap(p[2:]...))
			},
			"named": func(p []policy.Policy[int]) pipeline.Pipeline[int] {
				return pipeline.Wrap(p[0], pipeline.Wrap(p[1:]...).Named("inner")).Named("outer")
			},
			"unobserved": func(p []policy.Policy[int]) pipeline.Pipeline[int] { return pipeline.Wrap(p...).Observe() },
		} {
			require.Equal(t, want, allocations(nested(layers()), fn), name)
		}
	}
}

// C13: a refusal allocates nothing, to ask why it was refused included.
func TestARefusalThroughARetryAllocatesNothing(t *testing.T) {
	open := breaker(policy.Consecutive(1))
	p := pipeline.Wrap[int](&policy.Retry[int]{}, open)
	_, _ = p.Do(t.Context(), neverWorks)
	require.Equal(t, policy.Open, open.Circuit.State())
	require.Zero(t, allocations(p, one))
}

// An observer that only listens costs no allocation either.
func TestAnObserverThatOnlyListensAllocatesNothing(t *testing.T) {
	heard := 0
	p := pipeline.Wrap[int](&policy.Retry[int]{}, breaker(nil)).Observe(policy.ObserverFunc(func(context.Context, policy.Event) { heard++ }))
	require.Zero(t, allocations(p, one))
	require.Positive(t, heard)
}

// A frugal clock counts what it is asked for.
type frugal struct {
	*clock.Virtual
	readings, timers, sleeps int
}

func (f *frugal) Nanos() int64 { f.readings++; return f.Virtual.Nanos() }

func (f *frugal) AfterFunc(d time.Duration, fn func()) clock.Timer {
	f.timers++
	return f.Virtual.AfterFunc(d, fn)
}

func (f *frugal) Sleep(ctx context.Context, d time.Duration) error {
	f.sleeps++
	return f.Virtual.Sleep(ctx, d)
}

// C13: a call that works reads the clock at most twice, unless it has two limits, sets no timer and does not sleep.
func TestACallThatWorksHardlyAsksTheClock(t *testing.T) {
	clk := &frugal{Virtual: clock.NewVirtual()}
	fallback := &policy.Fallback[int]{Func: policy.Static(0)}
	retry, timeout := &policy.Retry[int]{Clock: clk}, &policy.Timeout[int]{Limit: time.Hour, Clock: clk}
	consecutive := &policy.Breaker[int]{Circuit: &policy.Circuit{Clock: clk}}
	rate := &policy.Breaker[int]{Circuit: &policy.Circuit{Clock: clk, Trip: policy.FailureRate{Ratio: 0.5, Window: time.Second}}}
	for readings, policies := range map[int][][]policy.Policy[int]{
		0: {{}, {fallback}, {retry}, {consecutive}, {fallback, retry, consecutive}, {retry, pass(), pass()}, {pipeline.Wrap[int](retry, pipeline.Wrap(pass()).Named("in")).Named("out")}},
		1: {{timeout}, {rate}, {fallback, retry, rate}, {fallback, retry, consecutive, timeout}, {&policy.Retry[int]{Clock: clk, MaxElapsed: time.Hour}}},
		2: {{fallback, retry, rate, timeout}, {timeout, retry}},
		3: {{timeout, retry, timeout}}, // a retry asks whether its context has ended, and a limit around it the clock
	} {
		for _, layers := range policies {
			p := pipeline.Wrap(layers...)
			_, _ = p.Do(t.Context(), one) // a circuit's first call starts its window
			*clk = frugal{Virtual: clk.Virtual}
			_, err := p.Do(t.Context(), one)
			require.NoError(t, err)
			require.LessOrEqual(t, clk.readings, readings, fmt.Sprint(p))
			require.Zero(t, clk.timers)
			require.Zero(t, clk.sleeps)
		}
	}
}

// A retry that does not wait does not sleep, and one without limits does not ask for the time.
func TestARetryWithoutAWaitDoesNotAskTheClock(t *testing.T) {
	clk := &frugal{Virtual: clock.NewVirtual()}
	p := pipeline.Wrap(&policy.Retry[int]{Attempts: 4, Backoff: policy.Constant(0), Clock: clk})
	_, _ = p.Do(t.Context(), neverWorks)
	require.Equal(t, frugal{Virtual: clk.Virtual}, *clk)
}
