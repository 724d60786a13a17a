package pipeline

import (
	"fmt"
	"math"
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
		var unseen []string
		for j, inner := range all[i+1:] {
			within := all[i+j+2:] // what is inside inner
			switch {
			case repeats(inner) && outer.Limit > 0:
				lints = append(lints, unreachable(inner, outer.Limit, within, fmt.Sprintf("%s ends everything at %v", title(outer), outer.Limit))...)
			case repeats(inner) && repeats(outer):
				lints = append(lints, Lint{RuleNested, fmt.Sprintf(
					"%s is inside %s: up to %d × %d calls of the func; keep one of them",
					title(inner), title(outer), outer.Repeats.Attempts, inner.Repeats.Attempts)})
			case repeats(inner) && legs(outer) > 1:
				lints = append(lints, Lint{RuleNested, fmt.Sprintf(
					"%s is inside %s: up to %d × %d calls of the func; put it outside",
					title(inner), title(outer), legs(outer), inner.Repeats.Attempts)})
			case outer.Faults && !inner.Faults:
				unseen = append(unseen, title(inner))
			case isBreaker(inner) && repeats(outer):
				lints = append(lints, retriesOpen(outer, inner)...)
			case inner.Answers && (repeats(outer) || isBreaker(outer)):
				lints = append(lints, Lint{RuleHidden, fmt.Sprintf(
					"%s is inside %s, which sees its answers instead of failures; put it outside", title(inner), title(outer))})
			}
		}
		if len(unseen) > 0 {
			lints = append(lints, Lint{RuleUnseen, fmt.Sprintf(
				"no fault of %s reaches %s, which it is outside of; put it innermost", title(outer), strings.Join(unseen, ", "))})
		}
	}
	return lints
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
	attempt := time.Duration(0) // how long one takes when it hangs; 0 where nothing limits it
	for _, d := range within {
		if d.Limit > 0 && (attempt == 0 || d.Limit < attempt) {
			attempt = d.Limit
		}
	}
	const manyAttempts = 10_000
	hangs := false
	for k := 2; k <= min(r.Attempts, manyAttempts); k++ {
		waits := r.LeastWait(k - 1)
		if waits >= limit {
			return append(lints, Lint{RuleUnreachable, fmt.Sprintf(
				"attempt %d of %s can never start: the waits before it take at least %v, and %s",
				k, title(retry), waits, why)})
		}
		if attempt > 0 && !hangs && float64(waits)+float64(attempt)*float64(k-1) >= float64(limit) {
			hangs = true
			lints = append(lints, Lint{RuleUnreachable, fmt.Sprintf(
				"attempt %d of %s cannot start when the attempts before it hang for %v each: %s",
				k, title(retry), attempt, why)})
		}
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
