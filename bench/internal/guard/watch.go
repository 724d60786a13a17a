package guard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"github.com/holdfast-go/holdfast/bench/internal/measure"
)

// Chances is how often a bound that looks broken is measured, each time anew: it is broken if it looks so every time.
const Chances = 3

// A Meter measures cases.
type Meter func(context.Context, []measure.Case) ([]measure.Series, error)

// Rounds is how the guard measures: many rounds of slices so short that whatever else the machine does hits some of
// them whole and the others not at all.
//
// It uses two processors, however many there are: contention depends on how many.
func Rounds(ctx context.Context, cases []measure.Case) ([]measure.Series, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(min(2, runtime.GOMAXPROCS(0))))
	return measure.Plan{Rounds: 101, Most: 18 * time.Second, Slice: 3 * time.Millisecond}.Run(ctx, cases)
}

// Watch checks pins and bounds against cases, writes down what it finds, and returns an error that says what is worse
// than it should be.
func Watch(ctx context.Context, w io.Writer, meter Meter, pins map[string]uint64, bounds []Bound, peer string, cases []measure.Case) error {
	pinned, err := allocations(pins, peer, cases)
	if err != nil {
		return err
	}
	problems := Allocated(pins, peer, pinned)
	_, _ = fmt.Fprintf(w, "allocations: %d paths pinned, %d allocate more\n", len(pins), len(problems))
	for chance := 1; chance <= Chances && len(bounds) > 0; chance++ {
		series, err := meter(ctx, Cases(bounds, cases))
		if err != nil {
			return err
		}
		var suspects []Bound
		for _, b := range bounds {
			v, err := Judge(b, series)
			if err != nil {
				return err
			}
			word := "ok"
			if v.Broken() {
				suspects = append(suspects, b)
				if word = "again"; chance == Chances {
					word = "WORSE"
					problems = append(problems, fmt.Sprintf("%s: %s; want at most %s", b.Name, v.text(), number(b.Most)))
				}
			}
			_, _ = fmt.Fprintf(w, "%-6s %-60s %s, of at most %s%s\n", word, b.Name, v.text(), number(b.Most), v.goal())
		}
		bounds = suspects
	}
	if len(problems) > 0 {
		all := make([]error, len(problems))
		for i, p := range problems {
			all[i] = errors.New(p)
		}
		return errors.Join(all...)
	}
	return nil
}

func allocations(pins map[string]uint64, peer string, cases []measure.Case) ([]measure.Series, error) {
	var pinned []measure.Series
	for _, c := range cases {
		if _, ok := pins[c.Workload]; !ok || c.Peer != peer || c.Goroutines != 1 {
			continue
		}
		least := ^uint64(0)
		for range Chances { // the runtime's own are not the call's
			allocs, _, err := c.Allocations()
			if err != nil {
				return nil, err
			}
			least = min(least, allocs)
		}
		pinned = append(pinned, measure.Series{Case: c, Allocs: least})
	}
	return slices.Clip(pinned), nil
}

func (v Verdict) text() string {
	return fmt.Sprintf("%s (%s to %s)", number(v.Ratio), number(v.Low), number(v.High))
}

func (v Verdict) goal() string {
	switch {
	case v.Goal == 0:
		return ""
	case v.Ratio <= v.Goal:
		return "; goal " + number(v.Goal) + " met"
	default:
		return "; goal " + number(v.Goal) + " missed"
	}
}

func number(x float64) string { return fmt.Sprintf("%.3g", x) }
