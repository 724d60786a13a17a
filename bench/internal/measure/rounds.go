package measure

import (
	"context"
	"runtime"
	"slices"
	"time"
)

// A Series is what was measured of a case.
type Series struct {
	Case
	Times         []float64 // nanoseconds a call, one for each round
	Cores         []float64 // that the calls really had, one for each round
	Allocs, Bytes uint64    // of one call
}

// A Plan says how long to measure.
type Plan struct {
	Rounds   int
	Most     time.Duration                 // no round begins once this has passed, but the first; 0 means that all do
	Slice    time.Duration                 // how long a case is measured in each round
	Progress func(step, steps int, c Case) // told of each case of each round; nil for nobody
}

// Run measures cases in rounds: all of them once, then all of them again. Neighbours in the list are measured right
// after one another; every other round runs backwards. It ends early, with the context's cause, if ctx ends.
func (p Plan) Run(ctx context.Context, cases []Case) ([]Series, error) {
	series := make([]Series, len(cases))
	calls := make([]int, len(cases))
	for i, c := range cases {
		series[i] = Series{Case: c}
		var err error
		if series[i].Allocs, series[i].Bytes, err = c.Allocations(); err != nil {
			return nil, err
		}
		if calls[i], err = c.calibrate(p.Slice); err != nil {
			return nil, err
		}
	}
	order := make([]int, len(cases))
	for i := range order {
		order[i] = i
	}
	start := time.Now()
	for round := range p.Rounds {
		if round > 0 && p.Most > 0 && time.Since(start) > p.Most {
			break
		}
		for at, i := range order {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if p.Progress != nil {
				p.Progress(round*len(cases)+at, p.Rounds*len(cases), cases[i])
			}
			runtime.GC()                                              // or one case would pay for another's garbage
			if _, _, err := cases[i].run(calls[i] / 16); err != nil { // back into the caches
				return nil, err
			}
			passed, s, err := cases[i].Time(calls[i])
			if err != nil {
				return nil, err
			}
			series[i].Times = append(series[i].Times, s.Nanos)
			series[i].Cores = append(series[i].Cores, s.Cores)
			calls[i] = adjust(calls[i], cases[i].Goroutines, float64(p.Slice)/float64(passed))
		}
		slices.Reverse(order)
	}
	return series, nil
}

// adjust is how many calls to make next time, when a slice is by times what these took. A busy machine must not make a run
// much longer, nor an idle one make slices shorter than they may be.
func adjust(calls, least int, by float64) int {
	return max(least, int(float64(calls)*min(max(by, 0.5), 1.2)))
}

// Slice is how long each of cases may take in each of rounds, to keep within budget. Calibration and garbage collection take some time besides.
func Slice(budget time.Duration, cases, rounds int) time.Duration {
	const besides = 300 * time.Microsecond
	calibration := time.Duration(cases) * 5 * time.Millisecond
	return max(100*time.Microsecond, (budget-calibration)/time.Duration(cases*rounds)-besides)
}

// calibrate is how many calls take about as long as slice.
func (c Case) calibrate(slice time.Duration) (int, error) {
	least := min(slice, time.Millisecond)
	for n := c.Goroutines * 16; ; n *= 4 {
		passed, _, err := c.Time(n)
		if err != nil {
			return 0, err
		}
		if passed >= least {
			return max(c.Goroutines, int(float64(n)*float64(slice)/float64(passed))), nil
		}
	}
}
