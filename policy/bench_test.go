package policy_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
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
	compareBlocks(b, block, unit, base, subject)
}

// compareBlocks is compare with blocks of another size.
func compareBlocks(b *testing.B, block int, unit string, base, subject func(n int)) {
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

// keyNames are n keys.
func keyNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = "tenant-" + strconv.Itoa(i)
	}
	return names
}

// Target: 1.2 times a sync.Map, from 2 goroutines too.
func BenchmarkKeyedGet(b *testing.B) {
	for _, n := range []int{1, 1_000, 1_000_000} {
		names := keyNames(n)
		k := policy.Keyed[*int]{New: func(string) *int { return new(int) }, Max: n}
		var m sync.Map
		for _, name := range names {
			m.Store(name, k.Get(name))
		}
		ask := func(goroutines int, get func(name string) *int) func(times int) {
			return func(times int) {
				var all sync.WaitGroup
				for g := range goroutines {
					all.Go(func() {
						for i := range times / goroutines {
							if get(names[(g+i*7919)%n]) == nil {
								panic("nothing")
							}
						}
					})
				}
				all.Wait()
			}
		}
		load := func(name string) *int {
			v, _ := m.Load(name)
			return v.(*int)
		}
		for _, goroutines := range []int{1, 2} {
			b.Run(fmt.Sprintf("keys=%d/goroutines=%d", n, goroutines), func(b *testing.B) {
				compareBlocks(b, 100_000, "x-syncmap", ask(goroutines, load), ask(goroutines, k.Get))
			})
		}
	}
}

// Target: 1.5 times the same with Max 1 000.
func BenchmarkKeyedNewKeyWhenFull(b *testing.B) {
	for what, idle := range map[string]bool{"idle": true, "busy": false} {
		for _, most := range []int{100_000, 1_000_000} {
			b.Run(fmt.Sprintf("%s/max=%d", what, most), func(b *testing.B) {
				full := func(most int) func(times int) {
					k := policy.Keyed[*int]{New: func(string) *int { return new(int) }, Max: most, Idle: func(*int) bool { return idle }}
					for _, name := range keyNames(most + most/8) {
						k.Get(name)
					}
					next := 0
					return func(times int) {
						for range times {
							next++
							k.Get("new-" + strconv.Itoa(next))
						}
					}
				}
				compareBlocks(b, block, "x-max-1000", full(1_000), full(most))
			})
		}
	}
}
