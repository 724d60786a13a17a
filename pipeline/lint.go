package pipeline

import (
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/policy"
)

// A Lint is something in a pipeline that is likely a mistake.
type Lint struct {
	Rule string `json:"rule"` // one of the Rule constants
	Text string `json:"text"` // what is wrong here, in a sentence
}

// What Explain looks for.
const (
	RuleUnreachable = "unreachable-attempt" // a retry cannot start before an outer limit, always or when attempts hang
	RuleNested      = "nested-retries"      // a retry inside a retry or hedge: their attempts multiply
	RuleRetriesOpen = "retries-open"        // a retry calls again what an open circuit has refused
	RuleHidden      = "hidden-failures"     // a fallback inside a retry or breaker, which then see no failure
	RuleUnseen      = "unseen-faults"       // chaos outside a policy, which is not tried by it
	RuleIdle        = "idle-window"         // a rate window that the offered calls cannot fill; see Plan.Offered
	RuleOneOutcome  = "one-outcome"         // a breaker outside a retry, which sees all attempts as one call
	RuleLimitInside = "limit-inside-retry"  // a limit on calls inside a retry: each attempt asks anew
	RuleLateHedge   = "late-hedge"          // a hedge whose second call would start when a timeout has ended the first
	RuleDeadTimeout = "dead-timeout"        // a timeout inside one that is no longer
	RuleBoundless   = "boundless-bulkhead"  // a bulkhead around calls that it does not count
	RuleLongQueue   = "long-queue"          // a bulkhead's queue that outlasts the timeout around it
	RuleLeftAlone   = "call-left-alone"     // a timeout around a dedupe does not end the shared call
	RuleDead        = "dead-fallback"       // a fallback outside one that answers everything
	RuleEndsContext = "context-ends"        // a value's context ends with the call that returned it
)

// lint looks at the policies, outermost first.
func lint(all []policy.Description) []Lint {
	lints := []Lint{} // encodes as [], not null
	for i, outer := range all {
		if r := outer.Repeats; r != nil && r.MaxElapsed > 0 && r.MaxElapsed < math.MaxInt64 {
			// An attempt may still start at MaxElapsed, but not at any time after it.
			whose := fmt.Sprintf("its max elapsed is %v", r.MaxElapsed)
			lints = append(lints, unreachable(outer, r.MaxElapsed+1, all[i+1:], whose)...)
		}
		if outer.EndsContext {
			lints = append(lints, Lint{RuleEndsContext, fmt.Sprintf(
				"the context that %s gives a call ends with the call: a response's body or rows that are read later are cut off; "+
					"give the pipeline a Meaning with a Hold, by Means", title(outer))})
		}
		var unseen []string
		for j, inner := range all[i+1:] {
			within := all[i+j+2:] // what is inside inner
			if outer.Faults && !inner.Faults {
				unseen = append(unseen, title(inner))
			}
			lints = append(lints, pair(outer, inner, within)...)
		}
		if len(unseen) > 0 {
			lints = append(lints, Lint{RuleUnseen, fmt.Sprintf(
				"no fault of %s reaches %s, which it is outside of; put it innermost", title(outer), strings.Join(unseen, ", "))})
		}
	}
	return lints
}

// pair looks at two policies, one inside the other. within is what is inside both.
func pair(outer, inner policy.Description, within []policy.Description) (lints []Lint) {
	add := func(rule, format string, args ...any) {
		lints = append(lints, Lint{rule, fmt.Sprintf(format, args...)})
	}
	switch {
	case repeats(inner) && outer.Limit > 0:
		lints = append(lints, unreachable(inner, outer.Limit, within, fmt.Sprintf("%s ends everything at %v", title(outer), outer.Limit))...)
	case repeats(inner) && repeats(outer):
		add(RuleNested, "%s is inside %s: up to %s × %s calls of the func; keep one of them",
			title(inner), title(outer), count(outer.Repeats.Attempts), count(inner.Repeats.Attempts))
	case repeats(inner) && legs(outer) > 1:
		add(RuleNested, "%s is inside %s: up to %d × %s calls of the func; put it outside",
			title(inner), title(outer), legs(outer), count(inner.Repeats.Attempts))
	case repeats(inner) && isBreaker(outer):
		add(RuleOneOutcome, "%s is outside %s: all its attempts are one call to the circuit, and it opens late; put it inside", title(outer), title(inner))
	case isBreaker(inner) && repeats(outer):
		lints = append(lints, retriesOpen(outer, inner)...)
	case limits(inner) && repeats(outer):
		add(RuleLimitInside, "%s is inside %s: each attempt asks it anew, and a refusal ends the retrying; put it outside", title(inner), title(outer))
	case inner.Answers && (repeats(outer) || isBreaker(outer)):
		add(RuleHidden, "%s is inside %s, which sees its answers instead of failures; put it outside", title(inner), title(outer))
	case inner.Sure && outer.Answers:
		add(RuleDead, "%s can never answer: %s inside it answers everything; keep one of them", title(outer), title(inner))
	case outer.Limit > 0 && inner.Limit >= outer.Limit:
		add(RuleDeadTimeout, "%s never ends anything: %s around it ends it at %v; make it shorter, or leave it out", title(inner), title(outer), outer.Limit)
	case outer.Limit > 0 && inner.Delay >= outer.Limit:
		add(RuleLateHedge, "%s never calls a second time: %s around it ends the first call at %v; make its delay shorter", title(inner), title(outer), outer.Limit)
	case inner.Limit > 0 && outer.Delay >= inner.Limit:
		add(RuleLateHedge, "%s calls a second time only when the first has failed: %s inside it ends that at %v, before the delay of %v; make its delay shorter",
			title(outer), title(inner), inner.Limit, outer.Delay)
	case isBulkhead(outer) && outlives(inner):
		add(RuleBoundless, "%s does not count the calls that %s makes or leaves behind: more than its limit may be in flight; put it inside", title(outer), title(inner))
	case isBulkhead(inner) && outer.Limit > 0:
		lints = append(lints, longQueue(outer, inner, within)...)
	case inner.Kind == "dedupe" && outer.Limit > 0 && shortest(within) == 0:
		add(RuleLeftAlone, "%s ends the wait of a caller, and not the call that %s shares, which nothing limits; put a timeout inside", title(outer), title(inner))
	}
	return lints
}

// longQueue finds callers at the end of a bulkhead's queue that a timeout around it ends before they have a place, if
// calls take as long as they may.
func longQueue(outer, inner policy.Description, within []policy.Description) []Lint {
	q, longest := inner.Queue, shortest(within)
	if q.Waiters == 0 || q.Places == 0 || longest == 0 {
		return nil
	}
	waits := float64(longest) * math.Ceil(float64(q.Waiters)/float64(q.Places))
	if waits < float64(outer.Limit) {
		return nil
	}
	return []Lint{{RuleLongQueue, fmt.Sprintf(
		"the last of %d waiters of %s wait for %v when calls hang for %v each, and %s ends them at %v; shorten the queue, or set its MaxWait",
		q.Waiters, title(inner), time.Duration(min(waits, math.MaxInt64/2)).Round(time.Millisecond), longest, title(outer), outer.Limit)}}
}

// shortest returns the shortest limit among policies, or 0 if there is none.
func shortest(policies []policy.Description) (limit time.Duration) {
	for _, d := range policies {
		if d.Limit > 0 && (limit == 0 || d.Limit < limit) {
			limit = d.Limit
		}
	}
	return limit
}

// manyAttempts is a number of attempts that stands for no limit but the context's.
const manyAttempts = 10_000

// count returns a number of attempts in words.
func count(attempts int) string {
	if attempts >= manyAttempts {
		return "any number of"
	}
	return strconv.Itoa(attempts)
}

// legs is how often the policy calls although nothing has failed, as a hedge does; 1 where that is not known.
func legs(d policy.Description) (n int) {
	defer func() {
		if recover() != nil {
			n = 1
		}
	}()
	if d.Repeats != nil || d.Bounds == nil {
		return 1
	}
	return max(1, d.Bounds(policy.Bounds{Calls: policy.Most(1), AtOnce: policy.Most(1)}).Calls.Most)
}

// repeats reports whether the policy calls more than once.
func repeats(d policy.Description) bool { return d.Repeats != nil && d.Repeats.Attempts > 1 }

// unreachable finds the first attempt of retry that cannot start before limit: because of the waits alone, or
// because the attempts before it take all the time they are given. It finds none where retry cannot say how long it
// waits.
func unreachable(retry policy.Description, limit time.Duration, within []policy.Description, why string) (lints []Lint) {
	defer func() {
		if recover() != nil {
			lints = nil
		}
	}()
	r := retry.Repeats
	if r.Attempts >= manyAttempts {
		return nil // the limit is what is meant to end them
	}
	attempt := shortest(within) // how long one takes when it hangs
	// Both sums only grow, so that the first attempt beyond the limit is found by halving.
	never := 2 + sort.Search(r.Attempts-1, func(i int) bool { return r.LeastWait(i+1) >= limit })
	hangs := 2 + sort.Search(r.Attempts-1, func(i int) bool {
		return attempt > 0 && float64(r.LeastWait(i+1))+float64(attempt)*float64(i+1) >= float64(limit)
	})
	if hangs <= r.Attempts && hangs < never {
		lints = append(lints, Lint{RuleUnreachable, fmt.Sprintf(
			"attempt %d of %s cannot start when the attempts before it hang for %v each: %s",
			hangs, title(retry), attempt, why)})
	}
	if never <= r.Attempts {
		lints = append(lints, Lint{RuleUnreachable, fmt.Sprintf(
			"attempt %d of %s can never start: the waits before it take at least %v, and %s",
			never, title(retry), r.LeastWait(never-1), why)})
	}
	return lints
}

// retriesOpen asks the retry whether it would call again what the circuit refuses.
func retriesOpen(retry, breaker policy.Description) (lints []Lint) {
	defer func() {
		if recover() != nil {
			lints = []Lint{{RuleRetriesOpen, fmt.Sprintf(
				"unknown whether %s retries what %s refuses: its classifier panics on a zero value", title(retry), title(breaker))}}
		}
	}()
	refusal := &policy.Rejection{Policy: "breaker", Name: breaker.Name, Reason: policy.ErrOpen}
	if !retry.Repeats.Transient(refusal) {
		return nil
	}
	return []Lint{{RuleRetriesOpen, fmt.Sprintf(
		"%s retries what %s refuses: an open circuit uses up its attempts; let its classifier ignore a *policy.Rejection",
		title(retry), title(breaker))}}
}

// Offered adds what is likely a mistake when the pipeline is given no more than so many executions a second: a rate
// window that stays below its MinCalls even if every execution makes all its attempts never opens its circuit.
func (p Plan) Offered(perSecond float64) Plan {
	most := perSecond
	if p.Bounds.Calls.Known() {
		most *= float64(p.Bounds.Calls.Most)
	} else {
		most = math.Inf(1)
	}
	lints := append([]Lint{}, p.Lints...)
	for _, d := range p.all {
		if d.Needs > most {
			lints = append(lints, Lint{RuleIdle, fmt.Sprintf(
				"%s can never open at %g executions a second: its window needs %.3g calls a second and gets at most %.3g",
				title(d), perSecond, d.Needs, most)})
		}
	}
	p.Lints = lints
	return p
}

func isBulkhead(d policy.Description) bool {
	_, ok := d.Core.(*policy.Gate)
	return ok
}

// limits reports whether the policy limits how many calls there are.
func limits(d policy.Description) bool {
	switch d.Core.(type) {
	case *policy.Gate, *policy.Bucket, *policy.Limit, *policy.Throttle:
		return true
	}
	return false
}

// outlives reports whether calls that the policy makes may go on when it has returned.
func outlives(d policy.Description) (does bool) {
	defer func() {
		if recover() != nil {
			does = false
		}
	}()
	return d.Bounds != nil && d.Bounds(policy.BareBounds()).Detaches
}

func isBreaker(d policy.Description) bool {
	_, ok := d.Core.(*policy.Circuit)
	return ok
}

func title(d policy.Description) string {
	if d.Name == "" {
		return "the " + d.Kind
	}
	return fmt.Sprintf("the %s %q", d.Kind, d.Name)
}
