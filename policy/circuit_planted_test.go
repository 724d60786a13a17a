package policy_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/policy"
)

// A faulty model has a bug planted in how it takes a result.
type faulty struct {
	*model
	result func(m *model, now, at, id int64, o policy.Outcome, cause error)
}

func (f faulty) done(now, at, id int64, o policy.Outcome, cause error) {
	f.result(f.model, now, at, id, o, cause)
}

// planted are bugs that a Circuit could have, each put into the model instead: what tells them apart one way round
// does so the other way round.
var planted = map[string]func(*model) reference{
	"opens one failure in a row too late": func(m *model) reference {
		if m.row {
			m.minCalls++
		}
		return m
	},
	"needs one call too many": func(m *model) reference {
		if !m.row {
			m.minCalls++
		}
		return m
	},
	"wants more than the ratio, not as much": func(m *model) reference {
		if !m.row {
			m.num, m.den = m.num*1e6+1, m.den*1e6
		}
		return m
	},
	"forgets leases": func(m *model) reference {
		m.lease = never
		return m
	},
	"forgets that calls can be slow": func(m *model) reference {
		m.slow = never
		return m
	},
	"counts stale results": func(m *model) reference {
		return faulty{m, func(m *model, now, at, id int64, o policy.Outcome, cause error) {
			m.calls = append(m.calls, call{at, id})
			m.done(now, at, id, o, cause)
		}}
	},
	"keeps the slot of a probe that proved nothing": func(m *model) reference {
		return faulty{m, func(m *model, now, at, id int64, o policy.Outcome, cause error) {
			if o != policy.Ignored {
				m.done(now, at, id, o, cause)
			}
		}}
	},
	"counts ignored results as failed": func(m *model) reference {
		return faulty{m, func(m *model, now, at, id int64, o policy.Outcome, cause error) {
			if o == policy.Ignored {
				o = policy.TransientFailure
			}
			m.done(now, at, id, o, cause)
		}}
	},
	"goes on with the cooldown after it was closed": func(m *model) reference {
		return faulty{m, func(m *model, now, at, id int64, o policy.Outcome, cause error) {
			before := m.openings
			m.done(now, at, id, o, cause)
			m.openings = max(before, m.openings)
		}}
	},
	"opens on a success": func(m *model) reference {
		return faulty{m, func(m *model, now, at, id int64, o policy.Outcome, cause error) {
			m.done(now, at, id, o, cause)
			if calls, failures := m.counts(at); m.state == policy.Closed && o == policy.Success && failures > 0 &&
				calls >= m.minCalls && failures*m.den >= calls*m.num {
				m.enter(now, policy.Open, cause)
			}
		}}
	},
	"stays open a nanosecond too long": func(m *model) reference {
		return faulty{m, func(m *model, now, at, id int64, o policy.Outcome, cause error) {
			until := m.until
			if m.done(now, at, id, o, cause); m.until != until && m.until != 0 {
				m.until++
			}
		}}
	},
	"has windows that begin with the clock, not with the generation": func(m *model) reference {
		start := m.start
		return faulty{m, func(m *model, now, at, id int64, o policy.Outcome, cause error) {
			m.done(now, at, id, o, cause)
			m.start = start
		}}
	},
}

func TestTheCircuitModelFindsPlantedBugs(t *testing.T) {
	for name, build := range planted {
		t.Run(name, func(t *testing.T) {
			var found any
			seed := 0
			for ; found == nil; seed++ {
				require.Less(t, seed, 3000, "not found")
				found = difference(seed, nil, build)
			}
			require.Contains(t, fmt.Sprint(found), "want", "by a comparison, not by a crash")
			t.Logf("found by check %d: %v", seed, found)
		})
	}
}
