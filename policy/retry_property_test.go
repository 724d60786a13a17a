package policy_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

// A retryCase is one execution of a Retry: its fields, the dependency's script, and the caller.
type retryCase struct {
	script   script
	caller   caller
	attempts int
	waits    waits
	elapsed  time.Duration
	maxHint  time.Duration
	seed     uint64
}

func drawRetry(t *rapid.T) retryCase {
	c := retryCase{
		script:   drawScript(t, 7, fails, works, failsForGood, saysCancelled, panics),
		caller:   drawCaller(t),
		attempts: rapid.IntRange(0, 6).Draw(t, "attempts"),
		waits:    drawWaits(t),
		seed:     rapid.Uint64Range(0, 99).Draw(t, "seed"),
	}
	if seldom(t, "elapsed limit") {
		c.elapsed = ticks(t, "max elapsed", 1, 12)
	}
	if often(t, "hint limit") {
		c.maxHint = ticks(t, "max hint", 1, 8)
	}
	return c
}

func (c retryCase) retry(r *run) *policy.Retry[int] {
	return &policy.Retry[int]{
		Attempts: c.attempts, Backoff: c.waits.backoff(), MaxElapsed: c.elapsed, MaxHint: c.maxHint,
		Discard: r.discard, Clock: r.clk, Rand: seeded(c.seed),
	}
}

// A maker builds the policy under test, so that the same properties judge policies with planted bugs.
type maker[C any] func(C, *run) policy.Policy[int]

func theRetry(c retryCase, r *run) policy.Policy[int] { return c.retry(r) }

func (c retryCase) run(build maker[retryCase]) *run {
	r := newRun(clock.NewVirtual(), c.script)
	return r.do(c.caller, pipeline.Wrap(build(c, r)).Observe(r))
}

// judgeRetry judges invariants R1 to R12 of the policy that build makes.
func judgeRetry(build maker[retryCase]) func(retryCase) findings {
	return func(c retryCase) (f findings) {
		r := c.run(build)
		c.judgeStart(&f, r)
		if len(r.calls) > 0 {
			c.judgeCalls(&f, r)
			c.judgeEnd(&f, r)
			c.judgeDiscards(&f, r)
		}
		f.require(r.pending == 0, "%d timers are left", r.pending)
		f.require(r.trace() == c.run(build).trace(), "R12: the same seed and script, another trace")
		return f
	}
}

func (c retryCase) most() int {
	if c.attempts == 0 {
		return 3
	}
	return c.attempts
}

func (c retryCase) longestHint() time.Duration {
	if c.maxHint == 0 {
		return time.Minute
	}
	return c.maxHint
}

func (c retryCase) judgeStart(f *findings, r *run) {
	f.require(len(r.calls) <= c.most(), "R1: %d calls of at most %d", len(r.calls), c.most())
	if c.caller.cancel < 0 {
		f.require(len(r.calls) == 0, "R1: called though the context had ended")
		f.require(r.err == errHungUp && r.ended == 0, "R1: returned %v after %v, not the cause at once", r.err, r.ended)
		return
	}
	f.require(len(r.calls) > 0, "R1: not called though the context was alive")
}

// judgeCalls judges the calls that were made, and what lies between them.
func (c retryCase) judgeCalls(f *findings, r *run) {
	var previous time.Duration
	ends, mortal := c.caller.ends()
	for k, call := range r.calls {
		f.require(call.dead == nil, "R10: call %d began with its context ended", k+1)
		f.require(call.attempt == k+1, "call %d says it is attempt %d", k+1, call.attempt)
		if k == len(r.calls)-1 {
			break
		}
		next := r.calls[k+1]
		f.require(call.err != nil, "R2: called again after a success")
		f.require(c.retryable(r, k), "R3: called again after %v", call.err)
		f.require(!c.caller.once, "called again though marked Once")
		gap := next.begins - call.ends
		hint := max(0, policy.HintOf(call.err))
		least, most := c.waits.between(k+1, previous)
		f.require(max(least, hint) <= gap, "R4, R9: waited %v after call %d; want at least %v and %v", gap, k+1, least, hint)
		f.require(gap <= max(most, hint), "R4: waited %v after call %d; want at most %v or %v", gap, k+1, most, hint)
		f.require(hint <= c.longestHint(), "waited for a hint of %v", hint)
		f.require(!mortal || next.begins < ends, "R8: call %d began at %v, the context ended at %v", k+2, next.begins, ends)
		f.require(c.elapsed == 0 || next.begins <= c.elapsed, "call %d began after MaxElapsed", k+2)
		previous = gap
		if hint > 0 {
			previous = most // unknown: the hint has hidden it
		}
	}
}

// retryable reports whether a Retry may call again after call k, in its own right.
func (c retryCase) retryable(r *run, k int) bool {
	ends, mortal := c.caller.ends()
	alive := !mortal || r.calls[k].ends < ends
	return r.calls[k].err != nil && c.script.at(k).does != failsForGood && alive
}

// judgeEnd judges how the execution ended.
func (c retryCase) judgeEnd(f *findings, r *run) {
	last := r.last()
	if r.panicked != nil || c.script.at(len(r.calls)-1).does == panics && last.err == nil && last.v == 0 {
		blown, _ := r.panicked.(*failure)
		f.require(blown != nil && blown.call == len(r.calls), "R11: call %d panicked, and the caller got %v", len(r.calls), r.panicked)
		return
	}
	f.require(r.v == last.v, "returned %d; the last call returned %d", r.v, last.v)
	if last.err == nil {
		f.require(r.err == nil && r.ended == last.ends, "R2: a success was not returned: %v", r.err)
		return
	}
	f.require(errors.Is(r.err, last.err), "R3, R7: %v is not the last call's %v", r.err, last.err)
	ends, mortal := c.caller.ends()
	if r.ended > last.ends { // while waiting
		f.require(mortal && r.ended == ends, "R6, R7: ended at %v, not with the last call or the context", r.ended)
		f.require(c.caller.cause() == errHungUp, "R8: waited for the deadline")
		f.require(errors.Is(r.err, c.caller.cause()), "R7: %v lacks the cause", r.err)
		for _, e := range r.of(policy.Retrying) {
			until := e.at + e.Delay
			f.require(c.caller.deadline == 0 || until < c.caller.deadline, "R8: began to wait until %v, past the deadline", until)
		}
		return
	}
	if !mortal || last.ends < ends || errors.Is(last.err, c.caller.cause()) {
		f.require(r.err == last.err, "R6: %v is not identical to %v", r.err, last.err)
	}
	if c.retryable(r, len(r.calls)-1) && len(r.calls) < c.most() {
		c.judgeGivingUp(f, r)
	}
}

// judgeGivingUp judges a Retry that did not call again after a failure that may pass: it must have had a reason.
func (c retryCase) judgeGivingUp(f *findings, r *run) {
	last := r.last()
	hint := policy.HintOf(last.err)
	_, most := c.waits.between(len(r.calls), c.waits.max)
	until := last.ends + max(most, hint)
	f.require(c.caller.once || hint > c.longestHint() ||
		c.elapsed > 0 && until > c.elapsed || c.caller.deadline > 0 && until >= c.caller.deadline,
		"gave up after call %d of %d for no reason", len(r.calls), c.most())
	f.require(len(r.of(policy.GaveUp)) == 1, "gave up and did not say so")
}

// judgeDiscards: each value that is not returned is discarded, once, in order.
func (c retryCase) judgeDiscards(f *findings, r *run) {
	f.require(len(r.discarded) == len(r.calls)-1, "%d of %d values discarded", len(r.discarded), len(r.calls))
	for k, v := range r.discarded {
		f.require(v == r.calls[k].v, "discarded %d, not call %d's %d", v, k+1, r.calls[k].v)
	}
}

func TestPropertyRetryKeepsItsInvariants(t *testing.T) {
	holds(t, drawRetry, judgeRetry(theRetry))
}

// A panic of the user's code between attempts loses the last value, which then goes to Discard.
func TestPropertyRetryDiscardsWhatAPanicBetweenAttemptsLoses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		after := rapid.IntRange(1, 4).Draw(t, "calls before the panic")
		where := rapid.SampledFrom([]string{"classifier", "backoff", "hint", "observer"}).Draw(t, "where")
		r := newRun(clock.NewVirtual(), script{{does: fails}, {does: fails}, {does: fails}, {does: fails}, {does: fails}})
		blow := func(in string) {
			if in == where && len(r.calls) == after {
				panic(in)
			}
		}
		retry := &policy.Retry[int]{
			Attempts: 9, Discard: r.discard, Clock: r.clk,
			Classify: func(v int, err error) policy.Outcome { blow("classifier"); return policy.Classify(v, err) },
			Backoff:  policy.BackoffFunc(func(policy.Step) time.Duration { blow("backoff"); return tick }),
			Hint:     func(int, error) time.Duration { blow("hint"); return 0 },
		}
		observer := policy.ObserverFunc(func(_ context.Context, e policy.Event) {
			if e.Kind == policy.Retrying {
				blow("observer")
			}
		})
		r.do(caller{}, pipeline.Wrap(retry).Observe(observer))
		if r.panicked != where || len(r.calls) != after || len(r.discarded) != after {
			t.Fatalf("panicked with %v after %d calls, %d values discarded", r.panicked, len(r.calls), len(r.discarded))
		}
	})
}
