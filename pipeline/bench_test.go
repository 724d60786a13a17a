package pipeline_test

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

//go:noinline
func work(context.Context) (int, error) { return 1, nil }

// direct is called through a variable, as any policy has to call it, and its results are added up.
var (
	direct policy.Func[int] = work
	added  int
)

// benchmark reports what an execution of p takes as a multiple of an indirect call of the same func, x-direct: the
// median of blocks in which the two take turns, so that whatever else the machine does it does to both.
func benchmark(b *testing.B, p pipeline.Pipeline[int]) (times float64) {
	b.Helper()
	return benchmarkUnder(context.Background(), b, p)
}

func benchmarkUnder(ctx context.Context, b *testing.B, p pipeline.Pipeline[int]) (times float64) {
	b.Helper()
	const block = 2_000
	var bases, subjects []float64
	for done := 0; done == 0 || done < b.N; done += block {
		start := time.Now()
		for range block {
			if v, err := direct(ctx); err == nil {
				added += v
			}
		}
		middle := time.Now()
		for range block {
			if v, err := p.Do(ctx, direct); err == nil {
				added += v
			}
		}
		bases = append(bases, float64(middle.Sub(start))/block)
		subjects = append(subjects, float64(time.Since(middle))/block)
	}
	slices.Sort(bases)
	slices.Sort(subjects)
	base, subject := bases[len(bases)/2], subjects[len(subjects)/2]
	b.ReportMetric(subject, "ns/op")
	b.ReportMetric(subject/base, "x-direct")
	return subject / base
}

// Target: 2.5 for each further layer.
func BenchmarkLayers(b *testing.B) {
	var policies []policy.Policy[int]
	var bare float64
	for n := range 9 {
		p := pipeline.Wrap(policies...)
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			times := benchmark(b, p)
			if n == 0 {
				bare = times
			} else {
				b.ReportMetric((times-bare)/float64(n), "x-direct/layer")
			}
		})
		policies = append(policies, policy.PolicyFunc[int](through))
	}
}

func through(ctx context.Context, next policy.Next[int]) (int, error) { return next.Do(ctx) }

func fallbackRetryBreaker() []policy.Policy[int] {
	return []policy.Policy[int]{
		&policy.Fallback[int]{Func: policy.Static(0)}, &policy.Retry[int]{}, &policy.Breaker[int]{Circuit: &policy.Circuit{}},
	}
}

// Target: 12.
func BenchmarkFallbackRetryBreaker(b *testing.B) {
	benchmark(b, pipeline.Wrap(fallbackRetryBreaker()...))
}

// A server's contexts are deep. The cost grows with the values between the call and the nearest context that can be
// canceled, which Err walks: by about 1.5 ns for each, twice.
func BenchmarkFallbackRetryBreakerDeep(b *testing.B) {
	type key int
	for _, n := range []int{0, 5, 10, 20} {
		values, mixed := context.Background(), context.Background()
		for i := range n {
			values = context.WithValue(values, key(i), i)
			if mixed = context.WithValue(mixed, key(i), i); i%2 == 1 {
				var cancel context.CancelFunc
				mixed, cancel = context.WithCancel(mixed)
				defer cancel()
			}
		}
		p := pipeline.Wrap(fallbackRetryBreaker()...)
		b.Run(strconv.Itoa(n)+" values", func(b *testing.B) { benchmarkUnder(values, b, p) })
		b.Run(strconv.Itoa(n)+" values, every other with a cancel", func(b *testing.B) { benchmarkUnder(mixed, b, p) })
	}
}

// Target: as flat, because Wrap flattens.
func BenchmarkFallbackRetryBreakerNested(b *testing.B) {
	p := fallbackRetryBreaker()
	benchmark(b, pipeline.Wrap(p[0], pipeline.Wrap(p[1], pipeline.Wrap(p[2]).Named("inner")).Named("outer")))
}

func BenchmarkFallbackRetryBreakerObserved(b *testing.B) {
	observer := policy.ObserverFunc(func(context.Context, policy.Event) {})
	benchmark(b, pipeline.Wrap(fallbackRetryBreaker()...).Observe(observer))
}
