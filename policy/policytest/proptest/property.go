package proptest

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/holdfast-go/holdfast/policy"
)

// A Property is something that must be so of every run.
type Property struct {
	Name  string           // as a Go expression, for the test that shows a failure again
	Judge func(*Run) error // what is wrong with a run, or nil

	// Probe, if set, goes on with the run after its last request has ended: the dependency works from then on, and
	// requests come for that long, which are Run.Probes.
	Probe time.Duration
}

// Attempts is the property that no request calls the dependency more than n times.
func Attempts(n int) Property {
	return Property{Name: fmt.Sprintf("proptest.Attempts(%d)", n), Judge: func(r *Run) error {
		for i, a := range r.Answers {
			if a.Calls > n {
				return fmt.Errorf("request %d made %d calls; want at most %d", i+1, a.Calls, n)
			}
		}
		return nil
	}}
}

// Within is the property that every request has its answer after d at the latest.
func Within(d time.Duration) Property {
	return Property{Name: "proptest.Within(" + goDuration(d) + ")", Judge: func(r *Run) error {
		for i, a := range r.Answers {
			if took := a.End - a.Begin; took > d {
				return fmt.Errorf("request %d took %v; want at most %v", i+1, took, d)
			}
		}
		return nil
	}}
}

// Factor is the property that calls are at most factor times the requests, and spare: what a retry budget is for.
func Factor(factor float64, spare int) Property {
	return Property{Name: fmt.Sprintf("proptest.Factor(%v, %d)", factor, spare), Judge: func(r *Run) error {
		requests := len(r.Answers) + len(r.Probes)
		if most := factor*float64(requests) + float64(spare); float64(len(r.Calls)) > most {
			return fmt.Errorf("%d requests made %d calls; want at most %v", requests, len(r.Calls), most)
		}
		return nil
	}}
}

// NoCallWhileOpen is the property that no call begins while a circuit of the pipeline is open or isolated. It is for
// pipelines whose breakers are inside all that calls again or waits; otherwise a call may have been let through before.
func NoCallWhileOpen() Property {
	return Property{Name: "proptest.NoCallWhileOpen()", Judge: func(r *Run) error {
		for i, c := range r.Calls {
			if c.WhileOpen {
				return fmt.Errorf("call %d, of request %d, began while a circuit was open", i+1, c.Request)
			}
		}
		return nil
	}}
}

// Recovers is the property that d after the dependency is well again, whatever was before, a request succeeds at the
// first call, and not by a fallback: nothing keeps the outage going. Twenty requests come meanwhile.
func Recovers(d time.Duration) Property {
	return Property{Name: "proptest.Recovers(" + goDuration(d) + ")", Probe: max(d, 1), Judge: func(r *Run) error {
		last := r.Probes[len(r.Probes)-1]
		if last.Err != nil || last.Panic != nil || last.Calls != 1 || last.FellBack {
			return fmt.Errorf("%v after the dependency was well again, a request made %d calls and got %s", d, last.Calls, last.said())
		}
		return nil
	}}
}

// NothingLeft is the property that a run leaves nothing behind: no timer, no goroutine, and no call that a circuit
// believes to be in flight.
func NothingLeft() Property {
	return Property{Name: "proptest.NothingLeft()", Judge: func(r *Run) error { return r.left }}
}

// KeepsBounds is the property that the pipeline keeps to the worst case that its Explain tells: in calls, calls at once,
// waiting and time.
func KeepsBounds() Property {
	return Property{Name: "proptest.KeepsBounds()", Judge: func(r *Run) error {
		b := r.Bounds
		for i, a := range r.Answers {
			took := a.End - a.Begin
			peak, waited := r.peak(i+1), took-r.calling(i+1, a)
			switch {
			case b.Calls.Known() && a.Calls > b.Calls.Most:
				return fmt.Errorf("request %d made %d calls; Explain says at most %d", i+1, a.Calls, b.Calls.Most)
			case b.AtOnce.Known() && peak > b.AtOnce.Most:
				return fmt.Errorf("request %d had %d calls in flight at once; Explain says at most %d", i+1, peak, b.AtOnce.Most)
			case b.HintedWait.Known() && waited > b.HintedWait.Most:
				return fmt.Errorf("request %d waited %v beside its calls; Explain says at most %v", i+1, waited, b.HintedWait.Most)
			case b.HintedDuration.Known() && took > b.HintedDuration.Most:
				return fmt.Errorf("request %d took %v; Explain says at most %v", i+1, took, b.HintedDuration.Most)
			}
		}
		return nil
	}}
}

// of returns the calls of a request, in the order in which they began. One that has not ended lasts as long as can be.
func (r *Run) of(request int) []Call {
	calls := slices.Clone(r.Calls)
	calls = slices.DeleteFunc(calls, func(c Call) bool { return c.Request != request })
	for i := range calls {
		if !calls[i].Ended {
			calls[i].End = math.MaxInt64
		}
	}
	return calls
}

// peak is how many calls of a request were in flight at once.
func (r *Run) peak(request int) (most int) {
	calls := r.of(request)
	for i, c := range calls {
		n := 1
		for _, earlier := range calls[:i] {
			if earlier.End > c.Begin {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// calling is for how long a call of a request was in flight before its answer.
func (r *Run) calling(request int, a Answer) (total time.Duration) {
	until := a.Begin
	for _, c := range r.of(request) {
		begin, end := max(c.Begin, until), min(c.End, a.End)
		if end > begin {
			total += end - begin
		}
		until = max(until, end)
	}
	return total
}

// KeepsResults is the property that a request whose last call succeeded in time succeeds, and that one succeeds only by
// a call that did, or by a fallback.
func KeepsResults() Property {
	return Property{Name: "proptest.KeepsResults()", Judge: func(r *Run) error {
		for i, a := range r.Answers {
			succeeded := a.Err == nil && a.Panic == nil
			if succeeded && !a.FellBack && !r.worked(i+1) {
				return fmt.Errorf("request %d succeeded, and none of its calls did", i+1)
			}
			last := r.last(i + 1)
			if succeeded || last == nil || !last.Ended || last.Err != nil {
				continue
			}
			if last.InTime || last.End < a.End { // at the limit it may be either
				return fmt.Errorf("request %d got %s, and its last call had succeeded", i+1, a.said())
			}
		}
		return nil
	}}
}

// NoCallAfterAnswer is the property that a request makes no call after one that has succeeded or failed for good.
func NoCallAfterAnswer() Property {
	return Property{Name: "proptest.NoCallAfterAnswer()", Judge: func(r *Run) error {
		for i, c := range r.Calls {
			if !c.Ended || c.Err != nil && policy.Classify(0, c.Err) != policy.PermanentFailure {
				continue
			}
			for _, later := range r.Calls[i+1:] {
				if later.Request == c.Request && later.Begin >= c.End {
					return fmt.Errorf("request %d called again after %v", c.Request, outcome(c.Err))
				}
			}
		}
		return nil
	}}
}

func outcome(err error) string {
	if err == nil {
		return "a success"
	}
	return "a permanent failure"
}

// Prompt is the property that a request whose context ends has its answer then, whatever the pipeline waits for. It is
// for dependencies that heed their contexts, as those of Cases do.
func Prompt() Property {
	return Property{Name: "proptest.Prompt()", Judge: func(r *Run) error {
		for i, a := range r.Answers {
			request := r.Case.Requests[i]
			for _, limit := range []time.Duration{request.Patience, request.Leaves} {
				if took := a.End - a.Begin; limit > 0 && took > limit {
					return fmt.Errorf("request %d took %v, and its context had ended after %v", i+1, took, limit)
				}
			}
		}
		return nil
	}}
}
