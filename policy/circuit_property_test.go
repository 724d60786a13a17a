package policy_test

import (
	"context"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/policy"
)

// From wherever it has got to, a circuit closes once the dependency works and there is a call every cooldown.
func TestCircuitPropertyItRecoversFromAnyState(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t, nil, func(m *model) reference { return m })
		m.run(t)
		if state := m.circuit.State(); state == policy.Isolated || state == policy.Bypassed {
			return // not without a Reset
		}
		m.clock.Advance(time.Duration(m.lease)) // of probes that nobody has settled
		if m.slow < never {
			m.clock.Advance(time.Duration(m.slow))
		}
		m.circuit.State()
		works := func(context.Context) error { return nil }
		for range m.successes {
			m.clock.Advance(time.Duration(m.longest))
			if err := m.circuit.Do(context.Background(), works); err != nil {
				t.Fatalf("refused: %v", err)
			}
		}
		if s := m.circuit.Snapshot(); s.State != policy.Closed {
			t.Fatalf("%+v", s)
		}
	})
}

// A window counts what is younger than nine tenths of it, and nothing older than it.
func TestCircuitPropertyAWindowCountsByAge(t *testing.T) {
	sizes := rapid.OneOf(lengths, rapid.Int64Range(1, 1e6), rapid.SampledFrom([]int64{int64(time.Second), 365 * 24 * int64(time.Hour)}))
	rapid.Check(t, func(t *rapid.T) {
		window := sizes.Draw(t, "window")
		v := clock.NewVirtual()
		c := &policy.Circuit{Clock: v, Trip: policy.FailureRate{Ratio: 1, Window: time.Duration(window), MinCalls: 1e6}}
		var calls, failures []int64
		for _, gap := range rapid.SliceOfN(rapid.Int64Range(0, window+window/5+1), 1, 30).Draw(t, "gaps") {
			v.Advance(time.Duration(gap))
			permit, _ := c.Acquire()
			calls = append(calls, v.Nanos())
			if oneIn2.Draw(t, "works") {
				permit.Done(policy.Success)
			} else {
				permit.Done(policy.TransientFailure)
				failures = append(failures, v.Nanos())
			}
			v.Advance(time.Duration(rapid.Int64Range(0, window/2).Draw(t, "then")))
			s := c.Snapshot()
			between(t, "calls", s.Calls, calls, v.Nanos(), window)
			between(t, "failures", s.Failures, failures, v.Nanos(), window)
		}
	})
}

func between(t *rapid.T, what string, got int, times []int64, now, window int64) {
	least, most := 0, 0
	for _, at := range times {
		if age := now - at; age <= window {
			most++
			if age < window-window/10 {
				least++
			}
		}
	}
	if got < least || got > most {
		t.Fatalf("%s: %d; want %d to %d", what, got, least, most)
	}
}

// Turning one success into a failure never keeps a circuit closed that would have opened.
func TestCircuitPropertyMoreFailuresOpenNoLater(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPlan(t)
		p.slow = never
		history := rapid.SliceOfN(oneIn2, 1, 40).Draw(t, "failed")
		gaps := rapid.SliceOfN(p.gaps(), len(history), len(history)).Draw(t, "gaps")
		opens := func() int {
			v := clock.NewVirtual()
			c := p.circuit(v, nil)
			for i, failed := range history {
				v.Advance(time.Duration(gaps[i]))
				permit, err := c.Acquire()
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				if !failed {
					permit.Done(policy.Success)
				} else if permit.Done(policy.TransientFailure); c.State() == policy.Open {
					return i
				}
			}
			return len(history)
		}
		before := opens()
		history[rapid.IntRange(0, len(history)-1).Draw(t, "turned")] = true
		if after := opens(); after > before {
			t.Fatalf("opens at call %d with one more failure, and at %d without it", after, before)
		}
	})
}

// A circuit opens at its threshold, and not with fewer calls than it needs: seen from outside, by its own counts.
func TestCircuitPropertyItOpensJustAtItsThreshold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPlan(t)
		p.slow = never
		v := clock.NewVirtual()
		c := p.circuit(v, nil)
		gap := p.gaps()
		for range 40 {
			v.Advance(time.Duration(gap.Draw(t, "gap")))
			permit, _ := c.Acquire()
			failed := oneIn2.Draw(t, "failed")
			before := c.Snapshot()
			if !failed {
				if permit.Done(policy.Success); c.State() != policy.Closed {
					t.Fatalf("opened by a success: %+v", before)
				}
				continue
			}
			calls, failures := int64(before.Calls)+1, int64(before.Failures)+1
			if calls > p.last {
				return // what the oldest call was is not known from outside
			}
			reached := calls >= p.minCalls && failures*p.den >= calls*p.num
			if permit.Done(policy.TransientFailure); (c.State() == policy.Open) != reached {
				t.Fatalf("%v after a failure at %+v; it opens at %v", c.State(), before, p.trip)
			}
			if reached {
				return
			}
		}
	})
}

// A jumpy clock does what no clock should: it stalls, and goes back.
type jumpy struct {
	clock.Clock
	now int64
}

func (j *jumpy) Nanos() int64 { return j.now }

// With a clock that stalls or jumps back nothing panics, no call is let in before the cooldown is over, and no more
// probes than there may be; and once the clock has caught up, the circuit recovers.
func TestCircuitPropertyAClockThatJumpsBackLetsNobodyIn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPlan(t)
		j := &jumpy{now: 1e15}
		var until, opened int64
		c := p.circuit(j, nil)
		var permits []*policy.Permit
		gap := p.gaps()
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			d := gap.Draw(t, "gap")
			if oneIn2.Draw(t, "back") {
				d = -d
			}
			j.now += d
			before := c.Snapshot()
			if before.State == policy.Open {
				until, opened = before.Until.UnixNano(), int64(before.Generation)
			}
			if oneIn2.Draw(t, "only a look") {
				continue
			}
			permit, err := c.Acquire()
			if err == nil {
				if before.State == policy.Open && j.now < until {
					t.Fatalf("admitted at %d; generation %d is open until %d", j.now, opened, until)
				}
				permits = append(permits, &permit)
			}
			s := c.Snapshot()
			if s.State == policy.HalfOpen && s.InFlight > p.probes {
				t.Fatalf("%d probes; want at most %d", s.InFlight, p.probes)
			}
			if len(permits) > 0 && oneIn2.Draw(t, "settle") {
				permits[back.Draw(t, "which")%len(permits)].Done(results.Draw(t, "outcome"))
			}
		}
		j.now = 2e18
		for range p.successes + 1 {
			_ = c.Do(context.Background(), func(context.Context) error { return nil })
			j.now += p.longest
		}
		if s := c.Snapshot(); s.State != policy.Closed {
			t.Fatalf("%+v", s)
		}
	})
}
