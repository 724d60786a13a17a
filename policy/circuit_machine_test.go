package policy_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/policy"
)

// A reference says what a Circuit should do. It is the model, or one with a bug planted in it.
type reference interface {
	pass(now int64)
	acquire(now, id int64) (admitted bool)
	done(now, at, id int64, o policy.Outcome, cause error)
	enter(now int64, to policy.State, cause error)
	plain() *model
}

func (m *model) plain() *model { return m }

// A machine does the same to a Circuit and to a reference, and compares what becomes of it.
type machine struct {
	plan
	clock   *clock.Virtual
	circuit *policy.Circuit
	breaker policy.Next[int]
	reference
	used    bool
	gap     *rapid.Generator[int64]
	heard   []policy.Change
	checked int // changes compared so far
	calls   []*running
	ending  ending // of the next call that is made from beginning to end
	takes   int64  // and how long it lasts
	called  bool   // and whether it was made
	before  policy.Snapshot
	seen    sightings
}

// A running call was begun by Acquire.
type running struct {
	permit     policy.Permit
	id         int64
	began      int64
	generation int
	done       bool
}

func newMachine(t *rapid.T, seen sightings, build func(*model) reference) *machine {
	m := &machine{plan: drawPlan(t), clock: clock.NewVirtual(), seen: seen}
	m.circuit = m.plan.circuit(m.clock, func(c policy.Change) { m.heard = append(m.heard, c) })
	m.breaker = policy.Through(m.call, &policy.Breaker[int]{Circuit: m.circuit})
	m.reference = build(&model{plan: m.plan, start: m.clock.Nanos()})
	m.gap = m.gaps()
	m.seen.drawn(m.plan)
	return m
}

// run is one check: a random sequence of actions.
func (m *machine) run(t *rapid.T) {
	t.Repeat(map[string]func(*rapid.T){
		"":          m.compare,
		"acquire":   m.Acquire,
		"done":      m.Done,
		"call":      m.Call,
		"call more": m.Call,
		"done more": m.Done,
		"burst":     m.Burst,
		"state":     m.State,
		"force":     m.Force,
	})
}

// tick lets some time pass, and says when that leaves us. The circuit has yet to notice.
func (m *machine) tick(t *rapid.T) int64 {
	if gap := m.gap.Draw(t, "gap"); gap > 0 {
		m.clock.Advance(time.Duration(gap))
	}
	return m.now()
}

// now is the time, and has the reference notice it.
func (m *machine) now() int64 {
	now := m.clock.Nanos()
	m.pass(now)
	return now
}

// begin is the first use, which is when the first generation starts.
func (m *machine) begin(now int64) {
	if !m.used {
		m.used, m.plain().start = true, now
	}
}

// admit asks the reference for leave, and compares the circuit's answer.
func (m *machine) admit(t *rapid.T, now, id int64, err error) bool {
	m.begin(now)
	m.seen.atTheDoor(m.plain(), now)
	admitted := m.acquire(now, id)
	var want policy.Rejection
	switch r := m.plain(); {
	case admitted && err == nil:
		return true
	case admitted:
		t.Fatalf("refused: %v; want leave", err)
	case r.state == policy.Isolated:
		want.Reason = policy.ErrIsolated
	case r.state == policy.Open:
		want.Reason, want.Until = policy.ErrOpen, time.Unix(0, r.until)
	default:
		want.Reason = policy.ErrOpen
	}
	m.seen.add("refused while " + m.plain().state.String())
	if got, ok := err.(*policy.Rejection); !ok || got.Reason != want.Reason || got.Until != want.Until { //nolint:errorlint // as it is
		t.Fatalf("admitted or refused by %v; want a refusal by %v until %v", err, want.Reason, want.Until)
	} else if after := int64(got.RetryAfter()); after != max(0, m.plain().until-now) {
		t.Fatalf("%v: another try in %d; want %d", err, after, max(0, m.plain().until-now))
	}
	return false
}

// settle tells the reference how a call ended.
func (m *machine) settle(now, id int64, o policy.Outcome, cause error) {
	r := m.plain()
	calls, failures := r.counts(now)
	state := r.state
	m.done(now, now, id, o, cause)
	if state == policy.Closed && r.state == policy.Open {
		m.seen.tripped(m.plan, calls+1, failures+1)
	}
}

// compare looks at the circuit from outside. It runs after every action.
func (m *machine) compare(t *rapid.T) {
	now, r := m.now(), m.plain()
	got := m.circuit.Snapshot()
	want := policy.Snapshot{State: r.state, Generation: uint64(len(r.changes) + 1)}
	switch r.state {
	case policy.Closed, policy.Bypassed:
		calls, failures := r.counts(now)
		want.Calls, want.Failures = int(calls), int(failures)
		if m.slow < never {
			want.InFlight = len(r.calls)
		}
	case policy.HalfOpen:
		want.InFlight = len(r.calls)
	case policy.Open:
		want.Until = time.Unix(0, r.until)
	case policy.Isolated:
	}
	m.seen.looked(m.before, got)
	m.before = got
	if got != want {
		t.Fatalf("%+v\nwant %+v", got, want)
	}
	for ; m.checked < len(r.changes); m.checked++ {
		change := r.changes[m.checked]
		if change.From == change.To {
			continue // a Reset, of which nobody is told
		}
		if len(m.heard) == 0 || m.heard[0] != change {
			t.Fatalf("heard of %+v\nwant %+v", m.heard, change)
		}
		m.heard = m.heard[1:]
		m.seen.changed(change, r)
	}
	if len(m.heard) > 0 {
		t.Fatalf("heard of %+v", m.heard)
	}
}

func TestCircuitModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		newMachine(t, nil, func(m *model) reference { return m }).run(t)
	})
}
