package policy_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

// A fallbackCase is one execution of fallbacks inside each other, perhaps with a Timeout inside them all.
type fallbackCase struct {
	primary step
	refused bool  // by an isolated circuit
	answers []act // of the fallbacks, innermost first
	timeout time.Duration
	caller  caller
}

func drawFallback(t *rapid.T) fallbackCase {
	c := fallbackCase{
		primary: step{
			does:  rapid.SampledFrom([]act{works, fails, failsForGood, saysCancelled, panics}).Draw(t, "primary"),
			takes: ticks(t, "takes", 0, 6),
			deaf:  seldom(t, "deaf"),
		},
		refused: seldom(t, "refused"),
		answers: rapid.SliceOfN(rapid.SampledFrom([]act{works, fails, panics}), 1, 3).Draw(t, "answers"),
		caller:  drawCaller(t),
	}
	if often(t, "limited") {
		c.timeout = ticks(t, "timeout", 1, 6)
	}
	return c
}

// An answer is a fallback's value and error, which tell which one it was.
type answer struct{ fallback int }

func (a *answer) Error() string { return fmt.Sprintf("fallback %d failed", a.fallback) }

func theFallback(c fallbackCase, r *run) []policy.Policy[int] {
	var policies []policy.Policy[int]
	for i := range c.answers {
		policies = append(policies, &policy.Fallback[int]{Func: c.answer(r, len(c.answers)-1-i)})
	}
	return policies
}

// answer is the Func of fallback i: it records what it is given.
func (c fallbackCase) answer(r *run, i int) func(context.Context, int, error) (int, error) {
	return func(ctx context.Context, _ int, err error) (int, error) {
		r.answered = append(r.answered, err)
		ends, mortal := c.caller.ends()
		if ctx.Err() != nil && (!mortal || r.now() < ends) {
			panic("F5: the fallback's context has ended before the caller's")
		}
		at, limited := ctx.Deadline()
		if limited != (c.caller.deadline > 0) || limited && !at.Equal(clock.Time(r.clk, r.start+int64(c.caller.deadline))) {
			panic("F5: the fallback's deadline is not the caller's")
		}
		switch c.answers[i] {
		case panics:
			panic(&answer{i})
		case fails:
			return -100 - i, &answer{i}
		default:
			return 100 + i, nil
		}
	}
}

func (c fallbackCase) run(build func(fallbackCase, *run) []policy.Policy[int]) *run {
	r := newRun(clock.NewVirtual(), script{c.primary})
	policies := build(c, r)
	if c.refused {
		circuit := &policy.Circuit{Clock: r.clk}
		circuit.Isolate()
		policies = append(policies, &policy.Breaker[int]{Circuit: circuit})
	}
	if c.timeout > 0 {
		policies = append(policies, &policy.Timeout[int]{Limit: c.timeout, Clock: r.clk})
	}
	return r.do(c.caller, pipeline.Wrap(policies...).Observe(r))
}

// judgeFallback judges invariants F1 to F5.
func judgeFallback(build func(fallbackCase, *run) []policy.Policy[int]) func(fallbackCase) findings {
	return func(c fallbackCase) (f findings) {
		r := c.run(build)
		if text, ok := r.panicked.(string); ok {
			f.require(false, "%s", text)
			return f
		}
		primary := visit{err: policy.ErrIsolated}
		ends, mortal := c.caller.ends()
		if !c.refused {
			primary = r.last()
		} else if mortal && ends <= 0 {
			primary.err = c.caller.cause() // no policy admits a call whose context has ended
		}
		over := mortal && r.ended >= ends
		// A func that says cancelled once the deadline has come proves nothing either, unless a Timeout knows better.
		ignored := over && errors.Is(primary.err, context.Canceled) && len(r.of(policy.TimedOut)) == 0
		says := errors.Is(primary.err, context.Canceled) || errors.Is(primary.err, errHungUp)
		switch gone := ignored || over && c.caller.cause() == errHungUp && says; {
		case !c.refused && c.primary.does == panics && primary.err == nil:
			f.require(len(r.answered) == 0 && r.panicked != nil, "a panic was answered: %v", r.answered)
		case primary.err == nil:
			f.require(len(r.answered) == 0 && r.err == nil && r.v == primary.v, "F1: %d, %v for a success", r.v, r.err)
		case gone:
			f.require(len(r.answered) == 0, "F4: answered the caller's own cancellation")
			f.require(errors.Is(r.err, primary.err), "F4: %v in place of %v", r.err, primary.err)
		default:
			c.judgeAnswers(&f, r, primary.err)
		}
		return f
	}
}

// judgeAnswers judges an execution whose primary has failed in a way to be answered.
func (c fallbackCase) judgeAnswers(f *findings, r *run, primary error) {
	errs := []error{primary}
	for i, a := range c.answers {
		f.require(len(r.answered) > i, "F2: fallback %d was not called after %v", i, errs)
		if len(r.answered) <= i {
			return
		}
		for _, err := range errs {
			f.require(errors.Is(r.answered[i], err), "F2: fallback %d was given %v, which lacks %v", i, r.answered[i], err)
		}
		if a == fails {
			errs = append(errs, r.answered[i]) // and the answer itself is in the next fallback's, or the last error
			continue
		}
		f.require(len(r.answered) == i+1, "F2: %d fallbacks were called, and %d was enough", len(r.answered), i+1)
		blown, _ := r.panicked.(*answer)
		f.require((a == panics) == (blown != nil), "fallback %d: panicked with %v", i, r.panicked)
		f.require(a == panics || r.err == nil && r.v == 100+i, "returned %d, %v and not fallback %d's answer", r.v, r.err, i)
		return
	}
	for _, err := range errs {
		f.require(errors.Is(r.err, err), "F3: %v lacks %v", r.err, err)
	}
	failed, _ := errors.AsType[*answer](r.err)
	f.require(failed != nil && r.v == -100-(len(c.answers)-1), "F3: %v lacks the last fallback's", r.err)
	f.require(len(r.of(policy.FellBack)) == len(c.answers), "a fallback was not told of")
}

func TestPropertyFallbackKeepsItsInvariants(t *testing.T) {
	holds(t, drawFallback, judgeFallback(theFallback))
}
