// Package guard finds out whether a change made Holdfast slower or allocate more: by allocations, which are exact, and
// by ratios between things measured in the same run, never by absolute times.
package guard

import (
	"fmt"
	"math"
	"slices"

	"github.com/holdfast-go/holdfast/bench/internal/measure"
)

// A Term is so many times what one call of a workload takes with one library.
type Term struct {
	Times      float64
	Workload   string
	Peer       string
	Goroutines int
}

// crowd is how many goroutines call at once where the bound is about contention.
const crowd = 8

func (t Term) times(n float64) Term { t.Times *= n; return t }
func (t Term) crowded() Term        { t.Goroutines = crowd; return t }

// A Sum is terms added up.
type Sum []Term

func (s Sum) and(t Term) Sum { return append(slices.Clone(s), t) }

func (s Sum) times(n float64) Sum {
	s = slices.Clone(s)
	for i := range s {
		s[i].Times *= n
	}
	return s
}

func (s Sum) crowded() Sum {
	s = slices.Clone(s)
	for i := range s {
		s[i].Goroutines = crowd
	}
	return s
}

// A Bound is the most that Of may take, as a multiple of By.
type Bound struct {
	Name   string
	Of, By Sum
	Most   float64
	Goal   float64 // what it should be; 0 for nothing in particular
}

// A Verdict is what became of a Bound.
type Verdict struct {
	Bound
	Ratio     float64 // the median over the rounds
	Low, High float64 // where the true median lies, as sure as the rounds' own scatter allows
}

// Broken reports whether the ratio is above the bound by more than the run's noise.
func (v Verdict) Broken() bool { return !(v.Low <= v.Most) } // NaN is broken

// Judge compares b's sides round by round.
func Judge(b Bound, series []measure.Series) (Verdict, error) {
	of, err := b.Of.add(series)
	if err != nil {
		return Verdict{}, fmt.Errorf("%s: %w", b.Name, err)
	}
	by, err := b.By.add(series)
	if err != nil {
		return Verdict{}, fmt.Errorf("%s: %w", b.Name, err)
	}
	ratios := measure.Ratios(of, by)
	low, high := interval(ratios)
	return Verdict{Bound: b, Ratio: measure.Median(ratios), Low: low, High: high}, nil
}

// add is the sum in each round.
func (s Sum) add(series []measure.Series) ([]float64, error) {
	var sums []float64
	for _, t := range s {
		i := slices.IndexFunc(series, t.is)
		if i < 0 {
			return nil, fmt.Errorf("nobody measured %q with %s from %d", t.Workload, t.Peer, t.Goroutines)
		}
		if sums == nil {
			sums = make([]float64, len(series[i].Times))
		}
		for round, ns := range series[i].Times {
			sums[round] += t.Times * ns
		}
	}
	return sums, nil
}

func (t Term) is(s measure.Series) bool {
	return s.Workload == t.Workload && s.Peer == t.Peer && s.Goroutines == t.Goroutines
}

// interval is where the median of what values are samples of lies, 999 times of 1000. It comes from the values' order
// alone (the sign test), so that a few that are far out change nothing.
func interval(values []float64) (low, high float64) {
	n := len(values)
	sorted := slices.Sorted(slices.Values(values))
	reach := 3.29 * math.Sqrt(float64(n)) / 2
	first := int(math.Floor(float64(n)/2 - reach))
	if first < 0 {
		return math.Inf(-1), math.Inf(1) // too few to say anything
	}
	return sorted[first], sorted[n-1-first]
}

// Cases are those of cases that bounds need.
func Cases(bounds []Bound, cases []measure.Case) []measure.Case {
	var needed []measure.Case
	for _, c := range cases {
		if slices.ContainsFunc(bounds, func(b Bound) bool {
			return slices.ContainsFunc(slices.Concat(b.Of, b.By), func(t Term) bool { return t.is(measure.Series{Case: c}) })
		}) {
			needed = append(needed, c)
		}
	}
	return needed
}

// Allocated is what allocates more than its pin allows, as sentences. A pin that nobody measured is one too.
func Allocated(pins map[string]uint64, peer string, measured []measure.Series) []string {
	var problems []string
	for name, most := range pins {
		i := slices.IndexFunc(measured, Term{1, name, peer, 1}.is)
		switch {
		case i < 0:
			problems = append(problems, fmt.Sprintf("%s: nobody measured its allocations", name))
		case measured[i].Allocs > most:
			problems = append(problems, fmt.Sprintf("%s: %d allocations a call; want at most %d", name, measured[i].Allocs, most))
		}
	}
	slices.Sort(problems)
	return problems
}
