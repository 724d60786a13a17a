package policy_test

import (
	"slices"
	"time"

	"github.com/holdfast-go/holdfast/policy"
)

// A model says what a Circuit should do, as plainly as can be: it keeps all that has happened in this generation, and
// looks at all of it every time. pass comes before everything else.
type model struct {
	plan
	state    policy.State
	start    int64 // of the generation
	until    int64
	openings int    // in a row
	calls    []call // under way in this generation, oldest first
	log      []event
	changes  []policy.Change // Resets of a closed circuit, too
}

type call struct{ at, id int64 }

type event struct{ at, failed int64 }

func (m *model) pass(now int64) {
	for _, c := range slices.Clone(m.calls) {
		if slow, lease := c.at+m.slow, c.at+m.lease; now >= slow && (slow <= lease || m.state != policy.HalfOpen) {
			m.done(now, slow, c.id, policy.TransientFailure, policy.ErrSlow)
		} else if now >= lease && m.state == policy.HalfOpen {
			m.done(now, now, c.id, policy.Ignored, nil)
		}
	}
}

func (m *model) acquire(now, id int64) (admitted bool) {
	if m.state == policy.Open && now >= m.until {
		m.enter(now, policy.HalfOpen, nil)
	}
	full := m.state == policy.HalfOpen && len(m.calls) >= m.probes
	if admitted = !full && m.state != policy.Open && m.state != policy.Isolated; admitted {
		m.calls = append(m.calls, call{now, id})
	}
	return admitted
}

func (m *model) done(now, at, id int64, o policy.Outcome, cause error) {
	before, half := len(m.calls), m.state == policy.HalfOpen
	m.calls = slices.DeleteFunc(m.calls, func(c call) bool { return c.id == id })
	if len(m.calls) == before || o == policy.Ignored {
		return
	}
	failed := [...]int64{policy.TransientFailure: 1, policy.Success: 0}[o]
	m.log = append(m.log, event{at, failed})
	calls, failures := m.counts(at)
	reached := m.state == policy.Closed && calls >= m.minCalls && failures*m.den >= calls*m.num
	if failed == 1 && (half || reached) {
		m.enter(now, policy.Open, cause)
	} else if half && len(m.log) == m.successes {
		m.enter(now, policy.Closed, nil)
	}
}

func (m *model) counts(now int64) (calls, failures int64) {
	bucket := func(t int64) int64 { return (t - m.start) * 10 / m.window }
	for _, e := range slices.Backward(m.log) {
		if m.row && e.failed == 0 || calls == m.last || bucket(now)-bucket(e.at) >= 10 {
			break
		}
		calls, failures = calls+1, failures+e.failed
	}
	return calls, failures
}

func (m *model) enter(now int64, to policy.State, cause error) {
	change := policy.Change{From: m.state, To: to, Generation: m.generation() + 1, At: time.Unix(0, now), Cause: cause}
	m.state, m.changes = to, append(m.changes, change)
	m.start, m.until, m.calls, m.log = now, 0, nil, nil
	if to == policy.Open {
		m.openings++
		m.until = now + int64(m.cooldown.Delay(policy.Step{Retry: m.openings}))
	} else if to != policy.HalfOpen {
		m.openings = 0
	}
}

func (m *model) generation() uint64 { return uint64(len(m.changes) + 1) }
