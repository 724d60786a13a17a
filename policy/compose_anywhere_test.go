package policy_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/policy"
)

// An anywhereCase is an execution that is disturbed at one of the places it is seen to pass.
type anywhereCase struct {
	composedCase
	place int
}

func drawAnywhere(t *rapid.T) anywhereCase {
	c := anywhereCase{composedCase: drawComposed(t), place: rapid.IntRange(0, 999).Draw(t, "place")}
	c.caller.cancel = 0
	c.script = c.script.wellBehaved()
	for i := range c.script {
		if c.script[i].does == panics {
			c.script[i].does = fails
		}
	}
	return c
}

// times are the instants at which something happens, and some between.
func (r *run) times() []time.Duration {
	times := []time.Duration{1}
	for _, v := range r.calls {
		times = append(times, v.begins, v.ends, (v.begins+v.ends)/2)
	}
	for _, e := range r.events {
		times = append(times, e.at, e.at+e.Delay/2, e.at+e.Delay)
	}
	slices.Sort(times)
	return slices.Compact(times)
}

// C8: cancel anywhere. The execution ends there, begins no call after, and says why.
func TestPropertyCancelledAnywhereItEndsThere(t *testing.T) {
	holds(t, drawAnywhere, func(c anywhereCase) (f findings) {
		before := c.run()
		times := before.times()
		at := max(1, times[c.place%len(times)])
		c.caller.cancel = at
		r := c.run()
		f.require(r.pending == 0, "C10: %d timers are left", r.pending)
		for k, v := range r.calls {
			f.require(v.dead == nil && v.begins <= at, "C8: cancelled at %v, call %d began at %v (%v)", at, k+1, v.begins, v.dead)
		}
		if at > before.ended {
			f.require(r.trace() == before.trace(), "C8: a cancellation after the end changed something")
			return f
		}
		f.require(r.ended == at, "C8: cancelled at %v, ended at %v", at, r.ended)
		limitToo := slices.ContainsFunc(r.of(policy.TimedOut), func(e heard) bool { return e.at == at })
		if at < before.ended && !limitToo { // a limit at the same instant may have the last word
			f.require(errors.Is(r.err, context.Canceled) || errors.Is(r.err, errHungUp), "C8: cancelled at %v, returned %d, %v", at, r.v, r.err)
		}
		return f
	})
}

// C9: panic anywhere in the dependency. The panic arrives unchanged, nothing is called again, nothing is left.
func TestPropertyAPanicAnywhereInTheFuncPasses(t *testing.T) {
	holds(t, drawAnywhere, func(c anywhereCase) (f findings) {
		before := c.run()
		if len(before.calls) == 0 {
			return f
		}
		k := c.place % len(before.calls)
		c.script = append(c.script, make(script, 1+max(0, k-len(c.script)))...)
		c.script[k] = step{does: panics}
		r := newRun(clock.NewVirtual(), c.script)
		p := c.wrap(r, c.policies(r))
		r.do(c.caller, p)
		blown, _ := r.panicked.(*failure)
		f.require(blown != nil && blown.call == k+1, "C9: call %d panicked, and the caller got %v", k+1, r.panicked)
		f.require(len(r.calls) == k+1, "C9: %d calls after the panic", len(r.calls)-k-1)
		f.require(r.pending == 0, "C10: %d timers are left", r.pending)
		for _, circuit := range p.Circuits() {
			f.require(circuit.Snapshot().InFlight == 0, "C10: a circuit believes that calls are in flight")
		}
		judgeEvents(&f, r)
		return f
	})
}

// C9 for observers: one that panics, whatever it has just heard, breaks nothing but the call.
func TestPropertyAPanicAnywhereInAnObserverPasses(t *testing.T) {
	holds(t, drawAnywhere, func(c anywhereCase) (f findings) {
		before := c.run()
		place := c.place % len(before.events)
		r := newRun(clock.NewVirtual(), c.script)
		heard := 0
		p := c.wrap(r, c.policies(r)).Observe(policy.ObserverFunc(func(context.Context, policy.Event) {
			if heard++; heard == place+1 {
				panic(place)
			}
		}))
		r.do(c.caller, p)
		f.require(r.panicked == place, "C9: the observer panicked at event %d, and the caller got %v", place, r.panicked)
		f.require(r.pending == 0, "C10: %d timers are left", r.pending)
		for _, circuit := range p.Circuits() {
			f.require(circuit.Snapshot().InFlight == 0, "C10: a circuit believes that calls are in flight")
		}
		return f
	})
}

// A restless clock is set forwards and back all the time, though a Clock should not be.
type restless struct {
	*clock.Virtual
	rand     func() float64
	negative bool // it was asked for a wait below 0
}

func (j *restless) Nanos() int64 {
	return j.Virtual.Nanos() + int64((j.rand()-0.5)*float64(4*tick))
}

func (j *restless) Sleep(ctx context.Context, d time.Duration) error {
	j.negative = j.negative || d < 0
	return j.Virtual.Sleep(ctx, d)
}

// C14: a clock that jumps makes no policy panic, wait for less than nothing, or call too often.
func TestPropertyARestlessClockBreaksNothing(t *testing.T) {
	holds(t, drawAnywhere, func(c anywhereCase) (f findings) {
		clk := &restless{Virtual: clock.NewVirtual(), rand: seeded(c.seed)}
		r := newRun(clk, c.script)
		r.do(c.caller, c.wrap(r, c.policies(r)))
		f.require(r.panicked == nil, "C14: panicked with %v", r.panicked)
		f.require(!clk.negative, "C14: waited for less than nothing")
		f.require(len(r.calls) <= c.mostCalls(), "C1: %d calls of at most %d", len(r.calls), c.mostCalls())
		f.require(len(r.of(policy.Finished)) == 1, "C11: did not finish once")
		for _, e := range r.events {
			f.require(e.Delay >= 0 && e.Elapsed >= 0, "C14: told of %+v", e)
		}
		return f
	})
}
