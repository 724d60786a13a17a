package sim

import (
	"runtime"
	"slices"
	"sync"
	"time"
)

// Reports are runs of the same thing with different seeds.
type Reports []Report

// Repeat runs the setup that setup gives for each of n seeds, from 1, as many at a time as the machine has processors.
// Setup is called from several goroutines; each setup should have the Seed it was asked for, and share no state with
// the others.
func Repeat(n int, setup func(seed uint64) Setup) Reports {
	reports := make(Reports, max(0, n))
	var all sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i := range reports {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			reports[i] = Run(setup(uint64(i + 1)))
		})
	}
	all.Wait()
	return reports
}

// Recovered is in how many runs the goodput came back.
func (rs Reports) Recovered() int {
	n := 0
	for _, r := range rs {
		if r.Recovery.Recovered {
			n++
		}
	}
	return n
}

// MedianRecovery is the median of when the goodput was back, since the start, in the runs where it came back; of an
// even number of runs the mean of the two in the middle. It is 0 if there are none.
func (rs Reports) MedianRecovery() time.Duration {
	var at []time.Duration
	for _, r := range rs {
		if r.Recovery.Recovered {
			at = append(at, r.Recovery.At)
		}
	}
	if len(at) == 0 {
		return 0
	}
	slices.Sort(at)
	return (at[(len(at)-1)/2] + at[len(at)/2]) / 2
}

// Mean is the mean of a number that f takes from each run.
func (rs Reports) Mean(f func(Report) float64) float64 {
	sum := 0.0
	for _, r := range rs {
		sum += f(r)
	}
	return sum / float64(max(1, len(rs)))
}
