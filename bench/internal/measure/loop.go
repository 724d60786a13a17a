// Package measure times ops next to each other, in rounds, so that what disturbs the machine disturbs them all alike.
package measure

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/bench/internal/load"
)

// A Case is one cell of the table: a workload as one library does it, from some number of goroutines.
type Case struct {
	Workload   string
	Peer       string
	Goroutines int
	Op         load.Op
	Context    func() (context.Context, context.CancelFunc) // one for each goroutine
}

func (c Case) String() string {
	return fmt.Sprintf("%s, %s, %d goroutines", c.Workload, c.Peer, c.Goroutines)
}

// loop is what is timed. Checking the result is part of it, the same for all.
//
//go:noinline
func loop(ctx context.Context, op load.Op, n int) error {
	for range n {
		if v, err := op(ctx); v != load.Answer || err != nil {
			return fmt.Errorf("answered %d, %w; want %d", v, err, load.Answer)
		}
	}
	return nil
}

// A Sample is what one call took.
type Sample struct {
	// Nanos is processor time. Other programs do not add to it; garbage collection does, and contention does as far as
	// goroutines met, which they only do on as many processors at once. Where the system does not tell, it is the time
	// that passed, times the processors that could take part.
	Nanos float64

	// Cores is how many processors the calls really had, on average, out of those that could take part.
	Cores float64
}

// parts is how many samples are taken in a slice from several goroutines: other programs do not leave all the cores to
// a whole slice, but to some parts of it.
const parts = 8

// Full reports whether s had, but for a tenth, the cores that so many goroutines could use.
func (s Sample) Full(goroutines int) bool {
	return s.Cores >= 0.9*float64(min(goroutines, runtime.GOMAXPROCS(0)))
}

// Time is a sample of n calls, and how long they took. From several goroutines it is the median of those parts that
// had all the cores; if none had, the part that had the most, which then shows less contention than there is.
func (c Case) Time(n int) (passed time.Duration, best Sample, err error) {
	if c.Goroutines == 1 {
		return c.run(n)
	}
	var full []float64
	var fullest Sample
	for range parts {
		took, s, err := c.run(n / parts)
		if err != nil {
			return passed, s, err
		}
		passed += took
		if s.Full(c.Goroutines) {
			full = append(full, s.Nanos)
		}
		if s.Cores >= fullest.Cores {
			fullest = s
		}
	}
	if len(full) > 0 {
		fullest.Nanos = Median(full)
	}
	return passed, fullest, nil
}

// run makes n calls, from all goroutines together.
func (c Case) run(n int) (passed time.Duration, s Sample, err error) {
	each := max(1, n/c.Goroutines)
	var ready, done sync.WaitGroup
	begin := make(chan struct{})
	errs := make([]error, c.Goroutines)
	for i := 1; i < c.Goroutines; i++ {
		ready.Add(1)
		done.Go(func() {
			ctx, cancel := c.Context()
			defer cancel()
			ready.Done()
			<-begin
			errs[i] = loop(ctx, c.Op, each)
		})
	}
	ctx, cancel := c.Context()
	defer cancel()
	ready.Wait()
	before, known := processorTime()
	start := time.Now()
	close(begin)
	errs[0] = loop(ctx, c.Op, each)
	done.Wait()
	passed = time.Since(start)
	after, _ := processorTime()
	for _, err := range errs {
		if err != nil {
			return passed, s, fmt.Errorf("%v: %w", c, err)
		}
	}
	calls := float64(each * c.Goroutines)
	if known && after > before {
		return passed, Sample{float64(after-before) / calls, float64(after-before) / float64(passed)}, nil
	}
	could := float64(min(c.Goroutines, runtime.GOMAXPROCS(0)))
	return passed, Sample{float64(passed) * could / calls, could}, nil
}

// Allocations are how many allocations and bytes one call costs, on average and rounded down, as in
// testing.AllocsPerRun: what the runtime does now and then is not the call's.
func (c Case) Allocations() (allocs, bytes uint64, err error) {
	const calls = 500
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	ctx, cancel := c.Context()
	defer cancel()
	if err := loop(ctx, c.Op, 50); err != nil { // pools and stacks have grown after that
		return 0, 0, fmt.Errorf("%v: %w", c, err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err = loop(ctx, c.Op, calls)
	runtime.ReadMemStats(&after)
	return (after.Mallocs - before.Mallocs) / calls, (after.TotalAlloc - before.TotalAlloc) / calls, err
}
