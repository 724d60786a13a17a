package peers

import (
	"regexp"

	"github.com/holdfast-go/holdfast/bench/internal/load"
	"github.com/holdfast-go/holdfast/bench/internal/measure"
)

// Cases are all workloads whose names match, from each number of goroutines, with every library that has them: the
// libraries of one row next to one another. A nil pattern matches all.
func Cases(pattern *regexp.Regexp, goroutines ...int) []measure.Case {
	var cases []measure.Case
	for _, w := range load.All() {
		if pattern != nil && !pattern.MatchString(w.Name) {
			continue
		}
		for _, g := range goroutines {
			for _, p := range All() {
				if op := p.Op(w.Name, w.Work()); op != nil {
					cases = append(cases, measure.Case{Workload: w.Name, Peer: p.Name(), Goroutines: g, Op: op, Context: w.Context})
				}
			}
		}
	}
	return cases
}
