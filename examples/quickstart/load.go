package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/policy"
)

// drive starts rate calls a second, whatever becomes of them, until the context until ends, and waits for those under
// way.
func drive(until context.Context, rate int, call func()) {
	var calls sync.WaitGroup
	start := time.Now()
	for n := 0; ; n++ {
		due := start.Add(time.Duration(2*n+1) * time.Second / time.Duration(2*rate)) // not at the very end of a run
		wait(until, time.Until(due))
		if until.Err() != nil {
			break
		}
		calls.Go(call)
	}
	calls.Wait()
}

// A tally is what was counted during some time. A call is counted when it ends, so that there are always as many calls
// as successes, fallbacks and failures.
type tally struct {
	// What the caller sees.
	Calls     int `json:"calls"`
	Successes int `json:"successes"` // pages just fetched
	Fallbacks int `json:"fallbacks"` // stale pages
	Failures  int `json:"failures"`  // errors

	// What the pipeline does.
	Retries int `json:"retries"`
	Rescued int `json:"rescued"` // successes of a second or third attempt
	Refused int `json:"refused"` // by the open circuit

	// What the server gets to see.
	Requests int `json:"requests"`

	Slowest time.Duration `json:"slowest_ns"` // the longest that a call took
}

// add is t and u together.
func (t tally) add(u tally) tally { return t.plus(u, 1) }

// minus is t without u, which is a part of it.
func (t tally) minus(u tally) tally { return t.plus(u, -1) }

func (t tally) plus(u tally, sign int) tally {
	t.Calls += sign * u.Calls
	t.Successes += sign * u.Successes
	t.Fallbacks += sign * u.Fallbacks
	t.Failures += sign * u.Failures
	t.Retries += sign * u.Retries
	t.Rescued += sign * u.Rescued
	t.Refused += sign * u.Refused
	t.Requests += sign * u.Requests
	t.Slowest = max(t.Slowest, u.Slowest)
	return t
}

// A change is one of the circuit's state.
type change struct {
	At    time.Duration `json:"at_ns"` // since the run began
	From  policy.State  `json:"from"`
	To    policy.State  `json:"to"`
	Cause string        `json:"cause,omitempty"` // the failure that opened it
}

// A moment is one column of the timeline.
type moment struct {
	tally
	phase   int
	circuit policy.State
}

// A history is what happened in a run so far.
type history struct {
	URL      string
	Now      time.Duration
	Moments  []moment // up to the present one, which is not over
	Phases   []tally  // by the outage's phases; a run against another server has one
	Changes  []change
	Answered bool   // some request got an answer of any kind
	Trouble  string // how the last request that failed did so
	CutShort int    // calls that ended because the run did
}

// total is the tally of all phases.
func (h history) total() tally {
	var sum tally
	for _, t := range h.Phases {
		sum = sum.add(t)
	}
	return sum
}

// circuit is what the circuit has changed to.
func (h history) circuit() policy.State {
	if len(h.Changes) == 0 {
		return policy.Closed
	}
	return h.Changes[len(h.Changes)-1].To
}

// columns is how many moments a run is divided into.
const columns = 40

// A record keeps a history.
type record struct {
	start  time.Time
	length time.Duration // of a moment
	phase  func() int    // the present one

	mu sync.Mutex // guards h
	h  history
}

func newRecord(url string, total time.Duration, phases int, phase func() int) *record {
	return &record{start: time.Now(), length: total / columns, phase: phase, h: history{URL: url, Phases: make([]tally, phases)}}
}

// call makes one call of fetch, through what bound puts around it, and counts how it ends.
func (r *record) call(ctx context.Context, bound policy.Func[page]) {
	start := time.Now()
	p, err := bound(ctx)
	t := tally{Calls: 1, Slowest: time.Since(start)}
	switch {
	case err == nil && !p.stale:
		t.Successes = 1
		if p.attempt > 1 {
			t.Rescued = 1
		}
	case err == nil:
		t.Fallbacks = 1
	case ctx.Err() != nil: // the run was interrupted: nobody waits for this call
		r.update(func(h *history, _ *moment) { h.CutShort++ })
		return
	default:
		t.Failures = 1
	}
	r.count(t)
}

// Observe implements policy.Observer: it counts what goes on inside the pipeline.
func (r *record) Observe(ctx context.Context, e policy.Event) {
	switch e.Kind {
	case policy.Retrying:
		r.count(tally{Retries: 1})
	case policy.Rejected:
		r.count(tally{Refused: 1})
	case policy.TimedOut:
		r.update(func(h *history, _ *moment) { h.Trouble = e.Err.Error() })
	case policy.Attempted:
		r.count(tally{Requests: 1})
		_, status := errors.AsType[statusError](e.Err)
		r.update(func(h *history, _ *moment) {
			h.Answered = h.Answered || e.Err == nil || status // by anybody at all
			if e.Err != nil && ctx.Err() == nil {             // TimedOut and Ctrl-C say more
				h.Trouble = e.Err.Error()
			}
		})
	default: // how calls end, call knows
	}
}

// changed is the circuit's OnChange.
func (r *record) changed(c policy.Change) {
	r.update(func(h *history, m *moment) {
		cause := ""
		if c.Cause != nil {
			cause = c.Cause.Error()
		}
		h.Changes = append(h.Changes, change{h.Now, c.From, c.To, cause})
		if m.circuit != policy.HalfOpen { // a probe is over in no time, and should be seen all the same
			m.circuit = c.To
		}
	})
}

// count adds to the present moment, and to its phase.
func (r *record) count(t tally) {
	r.update(func(h *history, m *moment) {
		m.tally = m.add(t)
		h.Phases[m.phase] = h.Phases[m.phase].add(t)
	})
}

// update has f change the history, at the present moment.
func (r *record) update(f func(h *history, m *moment)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := &r.h
	h.Now = time.Since(r.start)
	now := min(int(h.Now/r.length), columns-1)
	for len(h.Moments) <= now {
		h.Moments = append(h.Moments, moment{phase: r.phase(), circuit: h.circuit()})
	}
	m := &h.Moments[now]
	m.phase = r.phase()
	f(h, m)
}

// history is a copy of what was recorded so far.
func (r *record) history() (h history) {
	r.update(func(now *history, _ *moment) {
		h = *now
		h.Moments = append([]moment(nil), now.Moments...)
		h.Phases = append([]tally(nil), now.Phases...)
		h.Changes = append([]change(nil), now.Changes...)
	})
	return h
}

// phases are the names of those that have begun, the present one last; none where there is no outage.
func (h history) phases() []string {
	var names []string
	for i := range h.Phases {
		if len(h.Phases) > 1 && len(h.Moments) > 0 && i <= h.Moments[len(h.Moments)-1].phase {
			names = append(names, outage[i].name)
		}
	}
	return names
}
