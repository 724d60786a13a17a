package policy_test

import (
	"context"
	"errors"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-go/holdfast/policy"
)

func (m *machine) Acquire(t *rapid.T) {
	now := m.tick(t)
	c := &running{id: int64(len(m.calls) + 1), began: now}
	var err error
	c.permit, err = m.circuit.Acquire()
	if m.admit(t, now, c.id, err) {
		c.generation = len(m.plain().changes)
		m.calls = append(m.calls, c)
	}
}

var results = rapid.SampledFrom([]policy.Outcome{policy.TransientFailure, policy.Success, policy.Success, policy.PermanentFailure, policy.Ignored})

// Done settles some call: the newest under way, or any, of long ago or settled before.
func (m *machine) Done(t *rapid.T) {
	if len(m.calls) == 0 {
		t.Skip("no call to settle")
	}
	c := m.calls[len(m.calls)-1]
	if oneIn2.Draw(t, "any call") {
		c = m.calls[len(m.calls)-1-back.Draw(t, "back")%len(m.calls)]
	} else {
		for _, newest := range slices.Backward(m.calls) {
			if !newest.done {
				c = newest
				break
			}
		}
	}
	o := results.Draw(t, "outcome")
	now := m.tick(t)
	m.seen.result(m.plain(), c, o)
	c.permit.Done(o)
	if !c.done {
		m.settle(now, c.id, o, nil)
	}
	c.done = true
}

var back = rapid.IntRange(0, 8)

// An ending is how a call ends, and what the circuit should make of it.
type ending struct {
	name    string
	err     error
	panics  bool
	outcome policy.Outcome
}

var errBackend = errors.New("dependency is down")

var endings = rapid.SampledFrom([]ending{
	{"fails", errBackend, false, policy.TransientFailure},
	{"works", nil, false, policy.Success},
	{"is late", context.DeadlineExceeded, false, policy.TransientFailure},
	{"panics", policy.ErrPanicked, true, policy.TransientFailure},
	{"cannot work", policy.Permanent(errBackend), false, policy.PermanentFailure},
	{"is refused inside", &policy.Rejection{Reason: policy.ErrOpen}, false, policy.Ignored},
	{"is cancelled, but not by the caller", context.Canceled, false, policy.TransientFailure},
})

// Call makes a call from beginning to end, by Do or a Breaker.
func (m *machine) Call(t *rapid.T) {
	m.ending = endings.Draw(t, "ending")
	if m.takes = 0; m.slow < never {
		m.takes = m.gap.Draw(t, "takes")
	}
	byBreaker := oneIn2.Draw(t, "by breaker")
	now := m.tick(t)
	called, err := m.execute(byBreaker)
	const id = 0 // no call of Acquire's
	if called {
		// The reference has yet to hear of the call's beginning, which was at now.
		if !m.admit(t, now, id, nil) {
			return
		}
		now = m.now()
		m.settle(now, id, m.ending.outcome, m.ending.err)
		if err != m.ending.err {
			t.Fatalf("returned %v; want %v", err, m.ending.err)
		}
		m.seen.add("a call that " + m.ending.name)
	} else if m.admit(t, now, id, err) {
		t.Fatalf("not called, though admitted")
	}
}

// execute reports whether the func was called, and what came of it.
func (m *machine) execute(byBreaker bool) (called bool, err error) {
	m.called = false
	defer func() {
		if called = m.called; recover() != nil {
			err = policy.ErrPanicked
		}
	}()
	if byBreaker {
		_, err = m.breaker.Do(context.Background())
	} else {
		err = m.circuit.Do(context.Background(), func(ctx context.Context) error {
			_, err := m.call(ctx)
			return err
		})
	}
	return m.called, err
}

// call is the func that is called.
func (m *machine) call(context.Context) (int, error) {
	m.called = true
	m.clock.Advance(time.Duration(m.takes))
	if m.ending.panics {
		panic(m.ending.name)
	}
	return 0, m.ending.err
}

var (
	burstSizes = rapid.SampledFrom([]int64{0, 1, 2, 3, 5, 7, 10})
	forced     = rapid.SampledFrom([]policy.State{policy.Closed, policy.Closed, policy.Bypassed, policy.Isolated})
)

// Burst makes calls at one instant, first ones that work and then ones that fail, half of the time just as many as
// the ratio asks for.
func (m *machine) Burst(t *rapid.T) {
	works, fails := m.den-m.num, m.num
	if fails > 100 || oneIn2.Draw(t, "any number") {
		works, fails = burstSizes.Draw(t, "works"), burstSizes.Draw(t, "fails")
	}
	now := m.tick(t)
	for i := range works + fails {
		permit, err := m.circuit.Acquire()
		if !m.admit(t, now, 0, err) {
			return
		}
		o := policy.Success
		if i >= works {
			o = policy.TransientFailure
		}
		permit.Done(o)
		m.settle(now, 0, o, nil)
	}
}

// State is a look at the circuit, and so the first to notice what has become overdue.
func (m *machine) State(t *rapid.T) {
	m.tick(t)
	if got, want := m.circuit.State(), m.plain().state; got != want {
		t.Fatalf("%v; want %v", got, want)
	}
}

// Force is what an operator does, if there is one.
func (m *machine) Force(t *rapid.T) {
	if !m.operator {
		m.Acquire(t)
		return
	}
	state := forced.Draw(t, "force")
	now := m.tick(t)
	switch m.begin(now); state {
	case policy.Isolated:
		m.circuit.Isolate()
	case policy.Bypassed:
		m.circuit.Bypass()
	default:
		m.circuit.Reset()
	}
	if state == policy.Closed || state != m.plain().state {
		m.enter(now, state, nil)
	}
}
