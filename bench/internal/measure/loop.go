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

// Time is how much processor time one call takes, in nanoseconds, from n calls, and how long all of them took. Other
// programs do not add to processor time, so that a busy machine is good enough; contention and garbage collection do.
// What scales without loss takes as much from many goroutines as from one. Where the system does not tell, it is the
// time that passed, times the processors that could take part.
func (c Case) Time(n int) (passed time.Duration, nanos float64, err error) {
	each := max(1, n/c.Goroutines)
	calls := float64(each * c.Goroutines)
	before, known := processorTime()
	passed, err = c.run(each)
	after, _ := processorTime()
	if err != nil {
		return passed, 0, fmt.Errorf("%v: %w", c, err)
	}
	if known && after > before {
		return passed, float64(after-before) / calls, nil
	}
	return passed, float64(passed) * float64(min(c.Goroutines, runtime.GOMAXPROCS(0))) / calls, nil
}

// run makes n calls from each goroutine.
func (c Case) run(n int) (time.Duration, error) {
	if c.Goroutines == 1 {
		ctx, cancel := c.Context()
		defer cancel()
		start := time.Now()
		err := loop(ctx, c.Op, n)
		return time.Since(start), err
	}
	var ready, done sync.WaitGroup
	begin := make(chan struct{})
	errs := make([]error, c.Goroutines)
	for i := range c.Goroutines {
		ready.Add(1)
		done.Go(func() {
			ctx, cancel := c.Context()
			defer cancel()
			ready.Done()
			<-begin
			errs[i] = loop(ctx, c.Op, n)
		})
	}
	ready.Wait()
	start := time.Now()
	close(begin)
	done.Wait()
	passed := time.Since(start)
	for _, err := range errs {
		if err != nil {
			return passed, err
		}
	}
	return passed, nil
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
