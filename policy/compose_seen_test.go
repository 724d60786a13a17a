package policy_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/policy"
)

// The properties judge only what the drawn cases meet. Each of these must be met several times by a fixed set of
// them, or the draw has become too tame.
func TestDrawnCasesMeetEverything(t *testing.T) {
	seen := map[string]int{}
	note := func(what string, met bool) {
		if met {
			seen[what]++
		} else {
			seen[what] += 0
		}
	}
	retries := rapid.Custom(drawRetry)
	for seed := range 2 * cases {
		c := retries.Example(seed)
		r := c.run(theRetry)
		ends, mortal := c.caller.ends()
		waited := len(r.calls) > 0 && r.ended > r.last().ends
		gaveUp := r.of(policy.GaveUp)
		for _, reason := range []policy.Reason{
			policy.AttemptsSpent, policy.ElapsedSpent, policy.DeadlineNear, policy.HintTooLong, policy.NotRepeatable, policy.ContextEnded,
		} {
			note("retry: "+reason.String(), len(gaveUp) == 1 && gaveUp[0].Reason == reason)
		}
		note("retry: never begun", len(r.calls) == 0)
		note("retry: cancelled while waiting", waited)
		note("retry: a panic after a failure", r.panicked != nil && len(r.calls) > 1)
		note("retry: success after failures", r.err == nil && len(r.calls) > 2)
		note("retry: success once the context had ended", r.err == nil && mortal && r.ended > ends)
		note("retry: a call that ends at the deadline", mortal && len(r.calls) > 0 && r.last().ends == ends)
		note("retry: a hint that is waited for", slices.ContainsFunc(r.of(policy.Retrying), func(e heard) bool { return policy.HintOf(e.Err) > c.waits.max }))
		note("retry: permanent", policy.Classify(0, r.err) == policy.PermanentFailure)
	}
	composed := rapid.Custom(drawComposed)
	for seed := range 2 * cases {
		r := composed.Example(seed).run()
		for _, kind := range []policy.Kind{policy.Attempted, policy.Retrying, policy.GaveUp, policy.FellBack, policy.TimedOut, policy.Finished} {
			note("composed: "+kind.String(), len(r.of(kind)) > 0)
		}
		gaveUp := r.of(policy.GaveUp)
		note("composed: attempt refused", len(gaveUp) > 0 && gaveUp[0].Reason == policy.AttemptRefused)
		note("composed: panic", r.panicked != nil)
		note("composed: several answers", len(r.answered) > 1)
		note("composed: timed out and tried again", len(r.of(policy.TimedOut)) > 0 && len(r.calls) > 1)
		note("composed: recovered", r.err == nil && len(r.calls) > 1 && len(r.answered) == 0)
	}
	timeouts := rapid.Custom(drawTimeout)
	for seed := range cases {
		c := timeouts.Example(seed)
		r := c.run(clock.NewVirtual(), theTimeouts)
		ends, mortal := c.caller.ends()
		note("timeout: fired", len(labels(r.err)) == 1)
		note("timeout: two fired", len(labels(r.err)) > 1)
		note("timeout: late success", r.err == nil && r.ended > c.first())
		note("timeout: in time by nothing", c.step.takes == c.first())
		note("timeout: at the caller's end", mortal && ends == c.limits[0])
	}
	for what, times := range seen {
		require.GreaterOrEqual(t, times, 5, what)
	}
}
