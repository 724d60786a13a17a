package proptest

import (
	"iter"
	"slices"
	"time"

	"github.com/holdfast-go/holdfast/policy/policytest"
)

// patience is what a caller has who is in no hurry.
const patience = time.Hour

// smaller is what is a step simpler than c, the boldest steps first.
func (c Case) smaller() iter.Seq[Case] {
	return func(yield func(Case) bool) {
		with := func(schedule policytest.Schedule, requests []Request, seed uint64) bool {
			return yield(Case{Schedule: schedule, Requests: requests, Seed: seed})
		}
		if c.Schedule != nil && !with(nil, c.Requests, c.Seed) || c.Seed != 0 && !with(c.Schedule, c.Requests, 0) {
			return
		}
		for requests := range shorter(c.Requests) {
			if len(requests) > 0 && !with(c.Schedule, requests, c.Seed) {
				return
			}
		}
		for schedule := range simplerSchedules(c.Schedule) {
			if !with(schedule, c.Requests, c.Seed) {
				return
			}
		}
		for requests := range simplerEach(c.Requests, func(r Request) []Request {
			return []Request{{r.At, patience, 0}, {r.At, patience, r.Leaves}, {r.At, r.Patience, 0}, {0, r.Patience, r.Leaves}}
		}) {
			if !with(c.Schedule, requests, c.Seed) {
				return
			}
		}
	}
}

func simplerSchedules(s policytest.Schedule) iter.Seq[policytest.Schedule] {
	return func(yield func(policytest.Schedule) bool) {
		switch s := s.(type) {
		case policytest.Calls:
			for calls := range shorter(s) {
				if !yield(calls) {
					return
				}
			}
			for calls := range simplerEach(s, simplerSteps) {
				if !yield(calls) {
					return
				}
			}
		case policytest.Phases:
			for phases := range shorter(s) {
				if !yield(phases) {
					return
				}
			}
			for i := range len(s) - 1 { // two become one, as long as both
				for _, kept := range s[i : i+2] {
					kept.For = s[i].For + s[i+1].For
					if !yield(slices.Replace(slices.Clone(s), i, i+2, kept)) {
						return
					}
				}
			}
			for phases := range simplerEach(s, simplerPhases) {
				if !yield(phases) {
					return
				}
			}
		}
	}
}

func simplerPhases(p policytest.Phase) []policytest.Phase {
	certain, roomy := p, p
	certain.Share = 0
	roomy.Capacity = 0
	phases := []policytest.Phase{certain, roomy}
	for _, s := range simplerSteps(p.Step) {
		p.Step = s
		phases = append(phases, p)
	}
	return phases
}

func simplerSteps(s policytest.Step) []policytest.Step {
	simpler := []policytest.Step{{}, {Act: s.Act}, {Act: s.Act, Latency: s.Latency, Deaf: s.Deaf}}
	if s.Act > policytest.Fail {
		simpler = append(simpler, policytest.Step{Act: policytest.Fail}, policytest.Step{Act: policytest.Fail, Latency: s.Latency})
	}
	return simpler
}

// shorter is all without a piece of them: the half, a quarter, and so on, down to one.
func shorter[S ~[]E, E any](all S) iter.Seq[S] {
	return func(yield func(S) bool) {
		for size := (len(all) + 1) / 2; size > 0; size /= 2 {
			for from := 0; from < len(all); from += size {
				if !yield(slices.Delete(slices.Clone(all), from, min(from+size, len(all)))) {
					return
				}
			}
		}
	}
}

// simplerEach is all with one of them simpler.
func simplerEach[S ~[]E, E comparable](all S, simpler func(E) []E) iter.Seq[S] {
	return func(yield func(S) bool) {
		for i, e := range all {
			for _, other := range simpler(e) {
				changed := slices.Clone(all)
				if changed[i] = other; other != e && !yield(changed) {
					return
				}
			}
		}
	}
}
