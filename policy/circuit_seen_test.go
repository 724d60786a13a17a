package policy_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/holdfast-go/holdfast/policy"
)

// sightings count what a suite has really seen; nil counts nothing.
type sightings map[string]int

func (s sightings) add(what string) {
	if s != nil {
		s[what]++
	}
}

func (s sightings) when(seen bool, what string) {
	if seen {
		s.add(what)
	}
}

func (s sightings) drawn(p plan) {
	s.when(p.row, "failures in a row")
	s.when(p.last < never, "the last so many")
	s.when(p.window < never, "a time window")
	s.when(p.window < 10, "a window below 10ns")
	s.when(p.slow == p.lease, "slow at the end of the lease")
	s.when(p.slow > p.lease && p.slow < never, "slow after the end of the lease")
}

// atTheDoor is just before a call asks for leave.
func (s sightings) atTheDoor(m *model, now int64) {
	s.when(m.state == policy.Open && now == m.until, "a call just as the cooldown ends")
	s.when(m.state == policy.Open && now == m.until-1, "a call just before the cooldown ends")
	s.when(m.state == policy.HalfOpen && m.probes > 1 && len(m.calls) == m.probes-1, "a call for the last of several probes")
}

// result is just before a call reports one, once overdue calls have been noticed.
func (s sightings) result(m *model, c *running, o policy.Outcome) {
	under := slices.ContainsFunc(m.calls, func(u call) bool { return u.id == c.id })
	stale := c.generation != len(m.changes)
	s.when(c.done, "a second Done")
	s.when(!c.done && stale, "a stale result while "+m.state.String())
	s.when(!c.done && !stale && !under && m.state == policy.HalfOpen, "a result after the lease")
	s.when(!c.done && !stale && !under && m.state == policy.Closed, "a result of a call that was slow")
	s.when(under && m.state == policy.HalfOpen, "a probe: "+o.String())
}

func (s sightings) tripped(p plan, calls, failures int64) {
	s.when(calls == p.minCalls, "opened with the least calls")
	s.when(!p.row && failures*p.den == calls*p.num && failures < calls, "opened just at the ratio")
}

func (s sightings) changed(c policy.Change, m *model) {
	s.add(c.From.String() + " to " + c.To.String())
	s.when(c.Cause == policy.ErrSlow, c.From.String()+" to open because of a slow call")
	s.when(c.To == policy.Open && m.openings > 2, "the third opening in a row")
	s.when(c.From == policy.HalfOpen && c.To == policy.Closed && m.successes > 1, "closed by several probes")
}

func (s sightings) looked(before, now policy.Snapshot) {
	s.when(before.Generation == now.Generation && before.Calls > 0 && now.Calls == 0, "a window that emptied")
	s.when(before.Generation == now.Generation && before.Calls > now.Calls && now.Calls > 0, "a window that slid")
	s.when(now.InFlight > 1 && now.State == policy.HalfOpen, "several probes in flight")
}

func TestTheCircuitModelHasSeenWhatItShould(t *testing.T) {
	seen := sightings{}
	for seed := range 1000 {
		require.Nil(t, difference(seed, seen, func(m *model) reference { return m }), "seed %d", seed)
	}
	for what, least := range map[string]int{
		"failures in a row": 125, "the last so many": 125, "a time window": 125, "a window below 10ns": 25,
		"slow at the end of the lease": 25, "slow after the end of the lease": 25,
		"a call just as the cooldown ends": 25, "a call just before the cooldown ends": 25,
		"a call for the last of several probes": 25, "several probes in flight": 25,
		"refused while open": 25, "refused while half-open": 25, "refused while isolated": 25,
		"a second Done": 25, "a result after the lease": 12, "a result of a call that was slow": 25,
		"a stale result while closed": 12, "a stale result while open": 12, "a stale result while half-open": 12,
		"a stale result while isolated": 12, "a stale result while bypassed": 12,
		"a probe: success": 25, "a probe: permanent failure": 12, "a probe: transient failure": 12, "a probe: ignored": 12,
		"opened with the least calls": 25, "opened just at the ratio": 25, "the third opening in a row": 5,
		"closed to open": 125, "open to half-open": 125, "half-open to open": 50, "half-open to closed": 25,
		"closed to isolated": 25, "closed to bypassed": 25, "open to isolated": 12, "open to bypassed": 12,
		"open to closed": 12, "half-open to isolated": 5, "half-open to bypassed": 5, "isolated to bypassed": 12,
		"isolated to closed": 12, "bypassed to isolated": 12, "bypassed to closed": 12,
		"closed to open because of a slow call": 25, "half-open to open because of a slow call": 12,
		"closed by several probes": 12, "a window that emptied": 25, "a window that slid": 12,
		"a call that works": 25, "a call that fails": 25, "a call that panics": 25, "a call that cannot work": 25,
		"a call that is late": 25, "a call that is refused inside": 25, "a call that is cancelled, but not by the caller": 25,
	} {
		require.GreaterOrEqual(t, seen[what], least, what)
	}
}

// difference is what a comparison by the given seed has found: nothing, if it is nil.
func difference(seed int, seen sightings, build func(*model) reference) (found any) {
	rapid.Custom(func(t *rapid.T) int {
		defer func() { found = recover() }()
		newMachine(t, seen, build).run(t)
		return 0
	}).Example(seed)
	return found
}
