package policy_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

// judgeComposed judges invariants C1 to C4, C10 and C11 of any composition, and that Explain's bounds are kept.
func judgeComposed(c composedCase) (f findings) {
	r := newRun(clock.NewVirtual(), c.script)
	p := c.wrap(r, c.policies(r))
	r.do(c.caller, p)

	f.require(len(r.calls) <= c.mostCalls(), "C1: %d calls of at most %d", len(r.calls), c.mostCalls())
	heeding := !slices.ContainsFunc(c.script, func(s step) bool { return s.deaf })
	if limit, limited := c.outermostLimit(); limited && heeding {
		f.require(r.ended <= limit, "C2: ended at %v with an outer limit of %v", r.ended, limit)
	}
	c.judgeResult(&f, r)
	f.require(r.pending == 0, "C10: %d timers are left", r.pending)
	for _, circuit := range p.Circuits() {
		f.require(circuit.Snapshot().InFlight == 0, "C10: a circuit believes that calls are in flight")
	}
	judgeEvents(&f, r)
	c.judgeBounds(&f, r, p.Explain().Bounds, heeding)
	return f
}

func (c composedCase) outermostLimit() (time.Duration, bool) {
	limit, limited := c.caller.deadline, c.caller.deadline > 0
	if len(c.layers) > 0 && c.layers[0].kind == "timeout" && (!limited || c.layers[0].limit < limit) {
		return c.layers[0].limit, true
	}
	return limit, limited
}

// judgeResult: a success is one that the dependency or a fallback gave, and none is lost.
func (c composedCase) judgeResult(f *findings, r *run) {
	good := func(v visit) bool { return v.v > 0 }
	if r.panicked == nil && r.err == nil {
		f.require(r.v == 100 && len(r.answered) > 0 || r.v > 0 && r.v <= len(r.calls) && good(r.calls[r.v-1]), "C3: %d was made up", r.v)
	}
	if slices.ContainsFunc(r.calls, good) {
		f.require(r.panicked == nil && r.err == nil, "C4: a call worked, and the caller got %v, %v", r.err, r.panicked)
	}
}

// judgeEvents: what observers hear fits what happened.
func judgeEvents(f *findings, r *run) {
	attempted := r.of(policy.Attempted)
	f.require(len(attempted) == len(r.calls), "C11: %d attempts told of %d", len(attempted), len(r.calls))
	for k, e := range attempted[:min(len(attempted), len(r.calls))] {
		v := r.calls[k]
		f.require(e.at == v.ends && e.Elapsed == v.ends-v.begins && e.Attempt == v.attempt, "C11: call %d was %+v, told as %+v", k+1, v, e)
		f.require(e.Err == v.err || v.err == nil && v.v == 0 && errors.Is(e.Err, policy.ErrPanicked), "C11: call %d: told of %v", k+1, e.Err)
	}
	finished := r.of(policy.Finished)
	f.require(len(finished) == 1 && r.events[len(r.events)-1].Kind == policy.Finished, "C11: finished %d times", len(finished))
	f.require(finished[0].Elapsed == r.ended && (finished[0].Err == r.err || r.panicked != nil), "C11: finished as %+v", finished[0])
	f.require(len(r.of(policy.FellBack)) == len(r.answered), "C11: %d answers", len(r.answered))
	for i, e := range r.events {
		f.require(i == 0 || e.at >= r.events[i-1].at, "C11: event %d is before the one before", i)
		f.require((e.Kind == policy.GaveUp) == (e.Reason != policy.NoReason), "C11: reason of %+v", e)
	}
}

// judgeBounds: what Explain says can happen at worst is worse than what happened.
func (c composedCase) judgeBounds(f *findings, r *run, most policy.Bounds, heeding bool) {
	f.require(most.Calls.Known() && len(r.calls) <= most.Calls.Most, "%d calls; Explain says %v", len(r.calls), most.Calls)
	var waited time.Duration
	for _, e := range r.of(policy.Retrying) {
		waited += e.Delay
	}
	f.require(most.HintedWait.Known() && waited <= most.HintedWait.Most, "waited %v; Explain says %v", waited, most.HintedWait)
	unhinted := !slices.ContainsFunc(c.script, func(s step) bool { return s.hint > 0 })
	f.require(!unhinted || waited <= most.Wait.Most, "waited %v; Explain says %v", waited, most.Wait)
	if most.HintedDuration.Known() && heeding {
		f.require(r.ended <= most.HintedDuration.Most, "took %v; Explain says %v", r.ended, most.HintedDuration)
		f.require(!unhinted || r.ended <= most.Duration.Most, "took %v; Explain says %v", r.ended, most.Duration)
	}
}

func TestPropertyEveryCompositionKeepsItsInvariants(t *testing.T) {
	holds(t, drawComposed, judgeComposed)
}

// C6: however a pipeline is put together from parts, the same happens.
func TestPropertyWrapIsAssociative(t *testing.T) {
	type grouped struct {
		composedCase
		cuts []int
	}
	draw := func(t *rapid.T) grouped {
		c := grouped{composedCase: drawComposed(t)}
		c.cuts = rapid.SliceOfN(rapid.IntRange(0, len(c.layers)), 0, 3).Draw(t, "cuts")
		slices.Sort(c.cuts)
		return c
	}
	holds(t, draw, func(c grouped) (f findings) {
		r := newRun(clock.NewVirtual(), c.script)
		var parts []policy.Policy[int]
		rest := c.policies(r)
		for i := len(c.cuts) - 1; i >= 0; i-- { // each part around all that follows it
			parts = []policy.Policy[int]{pipeline.Wrap(append(rest[c.cuts[i]:], parts...)...)}
			rest = rest[:c.cuts[i]:c.cuts[i]]
		}
		r.do(c.caller, c.wrap(r, append(rest, parts...)))
		f.require(r.trace() == c.run().trace(), "C6: grouped another way, something else happens")
		return f
	})
}

// C5: policies that are set up to do nothing do nothing.
func TestPropertyNeutralPoliciesChangeNothing(t *testing.T) {
	type padded struct {
		composedCase
		at, which int
	}
	draw := func(t *rapid.T) padded {
		c := padded{composedCase: drawComposed(t)}
		c.caller.cancel = max(0, c.caller.cancel) // any Retry, a neutral one too, does not begin what is over
		c.at = rapid.IntRange(0, len(c.layers)).Draw(t, "at")
		c.which = rapid.IntRange(0, 4).Draw(t, "which")
		return c
	}
	holds(t, draw, func(c padded) (f findings) {
		r := newRun(clock.NewVirtual(), c.script)
		r.do(c.caller, c.wrap(r, slices.Insert(c.policies(r), c.at, neutral(r, c.which))))
		r.events = slices.DeleteFunc(r.events, func(e heard) bool { return e.Name == "neutral" })
		got, want := r.withoutContexts().trace(), c.run().withoutContexts().trace()
		if _, ok := neutral(r, c.which).(*policy.Fallback[int]); ok && strings.Contains(want, policy.AttemptRefused.String()) {
			return f // a Retry outside cannot know that the Fallback would not answer the refusal, and waits for it
		}
		f.require(got == want, "C5: with neutral policy %d at %d:\n%s\nwithout:\n%s", c.which, c.at, got, want)
		return f
	})
}

// withoutContexts forgets what a policy may say to the func by its context alone: the attempt and the deadline.
func (r *run) withoutContexts() *run {
	for i := range r.calls {
		r.calls[i].attempt, r.calls[i].limited, r.calls[i].deadline = 0, false, 0
	}
	for i := range r.events {
		r.events[i].Attempt = 0
	}
	return r
}
