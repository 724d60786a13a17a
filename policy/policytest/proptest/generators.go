package proptest

import (
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-go/holdfast/policy/policytest"
)

// Cases generates what Check puts a pipeline through. Small ones have one caller and one short fault.
func Cases() *rapid.Generator[Case] {
	return rapid.Custom(func(t *rapid.T) Case {
		return Case{
			Schedule: Schedules().Draw(t, "schedule"),
			Requests: Requests().Draw(t, "requests"),
			Seed:     rapid.Uint64Range(0, 999).Draw(t, "seed"),
		}
	})
}

// Schedules generates schedules of both kinds, in which calls end by some of acts; none means OK, Fail, Permanent,
// Cancel, Panic and Hang.
func Schedules(acts ...policytest.Act) *rapid.Generator[policytest.Schedule] {
	calls, phases := Calls(acts...), Phases(acts...)
	return rapid.Custom(func(t *rapid.T) policytest.Schedule {
		if rapid.Bool().Draw(t, "by time") {
			return phases.Draw(t, "phases")
		}
		return calls.Draw(t, "calls")
	})
}

// Calls generates schedules call by call.
func Calls(acts ...policytest.Act) *rapid.Generator[policytest.Calls] {
	return rapid.Custom(func(t *rapid.T) policytest.Calls {
		steps := drawSteps(t, acts)
		return slices.Concat(rapid.SliceOfN(rapid.Custom(func(t *rapid.T) policytest.Calls {
			n := rapid.SampledFrom([]int{1, 2, 3, 4, 5, 7, 10, 20, 40}).Draw(t, "times")
			return slices.Repeat(policytest.Calls{steps(t)}, n)
		}), 0, 5).Draw(t, "runs")...)
	})
}

// Phases generates schedules phase by phase.
func Phases(acts ...policytest.Act) *rapid.Generator[policytest.Phases] {
	return rapid.Custom(func(t *rapid.T) policytest.Phases {
		steps := drawSteps(t, acts)
		crowded := rapid.Bool().Draw(t, "crowded")
		return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) policytest.Phase {
			p := policytest.Phase{
				For:   Durations().Draw(t, "for"),
				Share: rapid.SampledFrom([]float64{0, 0.9, 0.5, 0.2, 0.05}).Draw(t, "share"),
				Step:  steps(t),
			}
			if crowded {
				p.Capacity = rapid.IntRange(0, 5).Draw(t, "capacity")
			}
			return p
		}), 0, 4).Draw(t, "phases")
	})
}

// drawSteps draws what may happen in a schedule, and returns what draws its steps. In each schedule only some of the
// acts happen: rare pairs meet more often so.
func drawSteps(t *rapid.T, acts []policytest.Act) func(*rapid.T) policytest.Step {
	if len(acts) == 0 {
		acts = []policytest.Act{policytest.Fail, policytest.OK, policytest.Permanent, policytest.Cancel, policytest.Panic, policytest.Hang}
	}
	mask := rapid.IntRange(1, 1<<len(acts)-1).Draw(t, "acts")
	var some []policytest.Act
	for i, act := range acts {
		if mask&(1<<i) != 0 {
			some = append(some, act)
		}
	}
	slow := rapid.Bool().Draw(t, "slow")
	hinting := rapid.IntRange(0, 3).Draw(t, "hinting") == 3
	return func(t *rapid.T) policytest.Step {
		s := policytest.Step{Act: rapid.SampledFrom(some).Draw(t, "act")}
		if slow && rapid.Bool().Draw(t, "late") {
			s.Latency = Durations().Draw(t, "latency")
		}
		if hinting && s.Act == policytest.Fail {
			s.Hint = Durations().Draw(t, "hint")
		}
		return s
	}
}

// Requests generates callers: how many, when they come, how long they wait, and whether they go away. A caller is
// never without a deadline, so that no dependency can keep one for good.
func Requests() *rapid.Generator[[]Request] {
	return rapid.Custom(func(t *rapid.T) []Request {
		hurried, fickle := rapid.Bool().Draw(t, "hurried"), rapid.Bool().Draw(t, "fickle")
		var at time.Duration
		return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Request {
			if rapid.Bool().Draw(t, "later") {
				at += Durations().Draw(t, "after")
			}
			r := Request{At: at, Patience: patience}
			if hurried && rapid.Bool().Draw(t, "in a hurry") {
				r.Patience = Durations().Draw(t, "patience")
			}
			if fickle && rapid.Bool().Draw(t, "goes away") {
				r.Leaves = Durations().Draw(t, "leaves")
			}
			return r
		}), 1, 12).Draw(t, "callers")
	})
}

// Durations generates times as they occur between programs, on a coarse grid, from a millisecond to ten minutes: what
// happens at the same instant, and at a limit, happens often so.
func Durations() *rapid.Generator[time.Duration] {
	var grid []time.Duration
	for unit := time.Millisecond; unit <= 100*time.Second; unit *= 10 {
		for _, n := range []int{1, 2, 3, 5, 6, 9} {
			grid = append(grid, time.Duration(n)*unit)
		}
	}
	return rapid.SampledFrom(grid)
}
