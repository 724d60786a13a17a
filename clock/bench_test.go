package clock_test

import (
	"context"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/clock"
)

// What a deadline costs next to the standard library's, as a ratio within one run: where nobody waits, where somebody
// does, and with a child.
func BenchmarkWithTimeout(b *testing.B) {
	uses := map[string]func(context.Context){
		"unwatched": func(context.Context) {},
		"watched":   func(ctx context.Context) { ctx.Done() },
		"child": func(ctx context.Context) {
			_, cancel := context.WithCancel(ctx)
			cancel()
		},
	}
	for name, use := range uses {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			standard := nanosPer(func() {
				ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
				use(ctx)
				cancel()
			})
			for b.Loop() {
				ctx, cancel := clock.WithTimeout(context.Background(), clock.System, time.Hour, nil)
				use(ctx)
				cancel()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/standard, "x-context")
		})
	}
}

// nanosPer is what f costs, by the fastest of some rounds.
func nanosPer(f func()) float64 {
	const rounds, calls = 20, 5000
	best := time.Duration(1 << 62)
	for range rounds {
		start := time.Now()
		for range calls {
			f()
		}
		best = min(best, time.Since(start))
	}
	return float64(best.Nanoseconds()) / calls
}

func BenchmarkNanos(b *testing.B) {
	for b.Loop() {
		clock.System.Nanos()
	}
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
