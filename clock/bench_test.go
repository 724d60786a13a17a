package clock_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/clock"
)

// What a deadline costs next to the standard library's: where nobody waits, where somebody does, and with a child.
func BenchmarkWithTimeout(b *testing.B) {
	uses := []struct {
		name string
		use  func(context.Context)
	}{
		{"unwatched", func(context.Context) {}},
		{"watched", func(ctx context.Context) { ctx.Done() }},
		{"child", func(ctx context.Context) {
			_, cancel := context.WithCancel(ctx)
			cancel()
		}},
	}
	for _, u := range uses {
		standard := func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
			u.use(ctx)
			cancel()
		}
		for name, c := range map[string]clock.Clock{"System": clock.System, "Virtual": clock.NewVirtual()} {
			b.Run(u.name+" on "+name, func(b *testing.B) {
				beside(b, "x-context", standard, func() {
					ctx, cancel := clock.WithTimeout(context.Background(), c, time.Hour, nil)
					u.use(ctx)
					cancel()
				})
			})
		}
	}
}

func BenchmarkNanos(b *testing.B) {
	beside(b, "x-time.Now", func() { _ = time.Now() }, func() { clock.System.Nanos() })
}

// beside reports what ours costs, and how many times what theirs does: taken in turns, and by the median of the
// ratios, so that a noisy machine disturbs both or neither.
func beside(b *testing.B, unit string, theirs, ours func()) {
	b.Helper()
	const calls = 200
	nanos := func(f func()) float64 {
		start := time.Now()
		for range calls {
			f()
		}
		return float64(time.Since(start).Nanoseconds()) / calls
	}
	var costs, ratios []float64
	for b.Loop() {
		cost := nanos(ours)
		costs, ratios = append(costs, cost), append(ratios, cost/nanos(theirs))
	}
	slices.Sort(costs)
	slices.Sort(ratios)
	b.ReportMetric(costs[len(costs)/2], "ns/op")
	b.ReportMetric(ratios[len(ratios)/2], unit)
}

func BenchmarkVirtualSleep(b *testing.B) {
	v := clock.NewVirtual()
	ctx := context.Background()
	for b.Loop() {
		_ = v.Sleep(ctx, 1)
	}
}

func BenchmarkProcesses(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(map[int]string{100: "100", 10_000: "10000"}[n], func(b *testing.B) {
			v := clock.NewVirtual()
			rounds := b.N/n + 1
			for i := range n {
				v.Go(func() {
					for range rounds {
						_ = v.Sleep(context.Background(), time.Duration(1000+i*7919%1000))
					}
				})
			}
			b.ResetTimer()
			v.Run()
		})
	}
}
