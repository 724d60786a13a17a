package policy_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/policy"
)

// Benchmarks report ratios, measured in turns within one run, because a machine's nanoseconds are its own:
//
//	x-direct    times an indirect call of the same func; x-4-direct times four of them
//	x-context   times the same func under context.WithTimeout and its cancel
//	x-alone     times the same from one goroutine

//go:noinline
func work(context.Context) (int, error) { return 1, nil }

// Funcs are called through variables, as any policy has to call them, and their results are added up.
var (
	direct, failed policy.Func[int] = work, neverWorks
	added          int
)

// calling is n calls of a func.
func calling(fn *policy.Func[int]) func(n int) {
	ctx := context.Background()
	return func(n int) {
		for range n {
			if v, err := (*fn)(ctx); err == nil {
				added += v
			}
		}
	}
}

var directly = calling(&direct)

// typical is what one of n repetitions takes for each of the funcs, in nanoseconds: the median of blocks, in which
// the funcs take turns, so that whatever else the machine does it does to all of them.
func typical(n, block int, repeat ...func(n int)) []float64 {
	took := make([][]float64, len(repeat))
	for done := 0; done == 0 || done < n; done += block {
		for i, f := range repeat {
			start := time.Now()
			f(block)
			took[i] = append(took[i], float64(time.Since(start))/float64(block))
		}
	}
	medians := make([]float64, len(repeat))
	for i := range took {
		slices.Sort(took[i])
		medians[i] = took[i][len(took[i])/2]
	}
	return medians
}

const block = 2_000

// compare reports subject as a multiple of base.
func compare(b *testing.B, unit string, base, subject func(n int)) {
	b.Helper()
	took := typical(b.N, block, base, subject)
	b.ReportMetric(took[1], "ns/op")
	b.ReportMetric(took[1]/took[0], unit)
}

// executing is n executions of next.
func executing(next policy.Next[int]) func(n int) {
	ctx := context.Background()
	return func(n int) {
		for range n {
			if v, err := next.Do(ctx); err == nil {
				added += v
			}
		}
	}
}

func behind(policies ...policy.Policy[int]) policy.Next[int] {
	return policy.Through(direct, policies...)
}

func BenchmarkRetrySuccess(b *testing.B) {
	compare(b, "x-direct", directly, executing(behind(&policy.Retry[int]{})))
}

func BenchmarkFallbackSuccess(b *testing.B) {
	compare(b, "x-direct", directly, executing(behind(&policy.Fallback[int]{Func: policy.Static(0)})))
}

func BenchmarkBreakerConsecutive(b *testing.B) {
	compare(b, "x-direct", directly, executing(behind(breaker(nil))))
}

// Target: no more than two readings of the clock and 30 ns.
func BenchmarkBreakerTimeWindow(b *testing.B) {
	reading := func(n int) {
		for range n {
			_ = clock.System.Nanos()
		}
	}
	window := executing(behind(breaker(policy.FailureRate{Ratio: 0.5, Window: 10 * time.Second})))
	took := typical(b.N, block, directly, reading, window)
	b.ReportMetric(took[2], "ns/op")
	b.ReportMetric(took[2]/took[0], "x-direct")
	b.ReportMetric(took[2]-2*took[1], "ns-beyond-2-readings")
}

// Target: no slower per call than from one goroutine, with 8 on 2 cores.
func BenchmarkBreakerTimeWindowFrom8Goroutines(b *testing.B) {
	const goroutines, many = 8, 80_000
	window := executing(behind(breaker(policy.FailureRate{Ratio: 0.5, Window: 10 * time.Second})))
	crowd := func(n int) {
		var all sync.WaitGroup
		for range goroutines {
			all.Go(func() { window(n / goroutines) })
		}
		all.Wait()
	}
	took := typical(b.N, many, window, crowd)
	b.ReportMetric(took[1], "ns/op")
	b.ReportMetric(took[1]/took[0], "x-alone")
}

// Target: no more than 15 direct calls and a reading of the clock, with the question why it was refused.
func BenchmarkRefusal(b *testing.B) {
	open := breaker(policy.Consecutive(1))
	open.Circuit.Cooldown = policy.Constant(time.Hour)
	_ = open.Circuit.Do(context.Background(), func(context.Context) error { return errDown })
	next, ctx := behind(open), context.Background()
	reading := func(n int) {
		for range n {
			_ = clock.System.Nanos()
		}
	}
	took := typical(b.N, block, directly, reading, func(n int) {
		for range n {
			if _, err := next.Do(ctx); !errors.Is(err, policy.ErrOpen) {
				b.Fatal(err)
			}
		}
	})
	b.ReportMetric(took[2], "ns/op")
	b.ReportMetric((took[2]-took[1])/took[0], "x-direct-beyond-a-reading")
}

// underContext is fn under the standard library's own timeout.
func underContext(fn policy.Func[int]) func(n int) {
	return func(n int) {
		for range n {
			ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
			if v, err := fn(ctx); err == nil {
				added += v
			}
			cancel()
		}
	}
}

// Target: 0.35.
func BenchmarkTimeoutOfAFuncThatNeverAsksForDone(b *testing.B) {
	compare(b, "x-context", underContext(direct), executing(behind(&policy.Timeout[int]{Limit: time.Hour})))
}

// Target: 1.2.
func BenchmarkTimeoutOfAFuncThatAsksForDone(b *testing.B) {
	asks := func(ctx context.Context) (int, error) {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		default:
			return 1, nil
		}
	}
	timeout := policy.Through(asks, policy.Policy[int](&policy.Timeout[int]{Limit: time.Hour}))
	compare(b, "x-context", underContext(asks), executing(timeout))
}

func BenchmarkThreeFailedRetriesWithoutAWait(b *testing.B) {
	calls := calling(&failed)
	four := func(n int) { calls(4 * n) }
	compare(b, "x-4-direct", four, executing(policy.Through(failed, policy.Policy[int](retryAtOnce(4)))))
}
