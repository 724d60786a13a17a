package policy_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

// A timeoutCase is one execution of timeouts inside each other, outermost first.
type timeoutCase struct {
	step   step
	limits []time.Duration
	caller caller
	detach bool // the outermost one does; needs goroutines
}

func drawTimeout(t *rapid.T) timeoutCase {
	return timeoutCase{
		step: step{
			does:  rapid.SampledFrom([]act{works, fails, failsForGood, saysCancelled, panics}).Draw(t, "does"),
			takes: ticks(t, "takes", 0, 12),
			deaf:  often(t, "deaf"),
		},
		limits: rapid.SliceOfN(rapid.Map(rapid.IntRange(1, 10), func(n int) time.Duration {
			return time.Duration(n) * tick
		}), 1, 3).Draw(t, "limits"),
		caller: drawCaller(t),
	}
}

func theTimeouts(c timeoutCase, r *run) []policy.Policy[int] {
	var policies []policy.Policy[int]
	for i, limit := range c.limits {
		policies = append(policies, &policy.Timeout[int]{
			Limit: limit, Clock: r.clk, Name: string(rune('a' + i)), Detach: c.detach && i == 0, Discard: r.discard,
		})
	}
	return policies
}

func (c timeoutCase) run(clk clock.Clock, build func(timeoutCase, *run) []policy.Policy[int]) *run {
	r := newRun(clk, script{c.step})
	return r.do(c.caller, pipeline.Wrap(build(c, r)...).Observe(r))
}

// judgeTimeout judges invariants T1 to T6 of cooperative timeouts.
func judgeTimeout(build func(timeoutCase, *run) []policy.Policy[int]) func(timeoutCase) findings {
	return func(c timeoutCase) (f findings) {
		r := c.run(clock.NewVirtual(), build)
		f.require(len(r.calls) == 1, "%d calls", len(r.calls))
		f.require(r.pending == 0, "T6: %d timers are left", r.pending)
		call := r.calls[0]
		first := c.first()
		if !c.step.deaf {
			f.require(r.ended <= first, "T1, T5: took %v with limits %v", r.ended, c.limits)
		}
		deadline := slices.Min(c.limits)
		if c.caller.deadline > 0 {
			deadline = min(deadline, c.caller.deadline)
		}
		f.require(call.limited && call.deadline == deadline, "T3: the deadline is %v; want %v", call.deadline, deadline)
		f.require(call.ctx.Err() != nil, "T3: the context outlives the call")
		if c.step.does == panics && r.panicked != nil {
			return f
		}
		if c.step.takes < first || c.step.deaf {
			f.require(r.v == call.v && (r.err == nil) == (c.step.does == works), "T2: returned %d, %v", r.v, r.err)
			f.require(c.step.does == works || errors.Is(r.err, call.err), "T2: %v lacks the call's error", r.err)
		} else if c.step.takes > first {
			f.require(r.err != nil, "T2: no error though the context ended")
		}
		c.judgeLabels(&f, r)
		return f
	}
}

// first is when the context that the func sees ends.
func (c timeoutCase) first() time.Duration {
	first := slices.Min(c.limits)
	if ends, mortal := c.caller.ends(); mortal {
		first = min(first, ends)
	}
	return first
}

// judgeLabels: the error is a timeout's if it has fired, and only then.
func (c timeoutCase) judgeLabels(f *findings, r *run) {
	labels := labels(r.err)
	f.require(len(labels) == len(r.of(policy.TimedOut)), "%d errors and %d events", len(labels), len(r.of(policy.TimedOut)))
	outside, mortal := c.caller.ends() // when what is outside this timeout has ended its context
	if !mortal {
		outside = r.ended + 1
	}
	for i, limit := range c.limits {
		name := string(rune('a' + i))
		labelled := slices.Contains(labels, name)
		f.require(!labelled || limit <= outside && limit <= r.ended, "T4: timeout %s of %v is blamed; it did not fire", name, limit)
		fired := r.err != nil && limit < outside && limit < r.ended
		seen := !c.step.deaf || !mortal || c.caller.cancel == 0 // else who came first may be unknown, and nobody is blamed
		f.require(!fired || !seen || labelled, "T4: timeout %s of %v fired and is not blamed: %v", name, limit, r.err)
		outside = min(outside, limit)
	}
	if len(labels) > 0 {
		f.require(errors.Is(r.err, policy.ErrTimeout) && errors.Is(r.err, context.DeadlineExceeded), "T4: %v matches neither", r.err)
	} else {
		f.require(!errors.Is(r.err, policy.ErrTimeout), "T4: %v is a timeout's", r.err)
	}
}

// labels is the names of the timeouts in err, outermost first.
func labels(err error) (names []string) {
	for {
		timeout, ok := errors.AsType[*policy.TimeoutError](err)
		if !ok {
			return names
		}
		names = append(names, timeout.Name)
		err = timeout.Err
	}
}

func TestPropertyTimeoutKeepsItsInvariants(t *testing.T) {
	holds(t, drawTimeout, judgeTimeout(theTimeouts))
}

// A limit that comes with the result, to the nanosecond, ends in one of the two, and so does the caller's deadline.
func TestSuccessAndTimeoutAtOneInstantAreOneOutcome(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		c := timeoutCase{step: step{takes: tick, deaf: deaf}, limits: []time.Duration{tick}}
		r := c.run(clock.NewVirtual(), theTimeouts)
		require.Equal(t, deaf, r.err == nil, "who heeds the context is told of it first")
		require.Equal(t, deaf, r.v == 1)
		require.Len(t, r.of(policy.TimedOut), map[bool]int{false: 1, true: 0}[deaf])
	}
}
