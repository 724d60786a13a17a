package policy

import (
	"time"
)

// A State is what a Circuit does with calls.
type State uint8

// What a Circuit can be.
const (
	Closed   State = iota // admits calls and counts them
	Open                  // refuses calls until its cooldown is over
	HalfOpen              // admits a few calls as probes
	Isolated              // refuses calls until Reset
	Bypassed              // admits calls, and counts them, until Reset
)

var states = [...]string{"closed", "open", "half-open", "isolated", "bypassed"}

// String is the state in lower case.
func (s State) String() string { return nameOf(states[:], s) }

// MarshalText encodes the state by its name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// A Snapshot is what a Circuit had counted at one moment.
type Snapshot struct {
	Name       string    `json:"name"`
	State      State     `json:"state"`
	Generation uint64    `json:"generation"`     // 1 from the start, one more with every change of state and Reset
	Calls      int       `json:"calls"`          // what Trip goes by now: calls that count; failures in a row for Consecutive
	Failures   int       `json:"failures"`       // of these
	InFlight   int       `json:"in_flight"`      // calls whose time is watched: probes, and all of them if Slow is set
	Until      time.Time `json:"until,omitzero"` // when the cooldown ends, if Open, or the ramp-up, if Closed
}

// State is the state now.
func (c *Circuit) State() State { return c.period().state }

// Snapshot is the state now, with what led to it.
func (c *Circuit) Snapshot() Snapshot {
	s := Snapshot{Name: c.Name, Generation: 1}
	if c.now.Load() == nil {
		return s
	}
	c.locked(c.nanos(), func(now int64) {
		p := c.now.Load()
		s.State, s.Generation, s.InFlight = p.state, p.generation, c.flights.len()
		if p.tally != nil {
			s.Calls, s.Failures = p.tally.counts(now)
		}
		if p.rejection != nil {
			s.Until = p.rejection.Until
		}
	})
	return s
}

// period is the current one, once overdue calls have been noticed.
func (c *Circuit) period() *period {
	p := c.now.Load()
	if p == nil {
		return &period{}
	}
	if p.free || p.state == Open || p.state == Isolated {
		return p // no call's time is watched
	}
	c.locked(c.nanos(), func(int64) {})
	return c.now.Load()
}

// Validate names every field that is out of range.
func (c *Circuit) Validate() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := problems{owner: "Circuit"}
	switch t := c.Trip.(type) {
	case nil:
	case Consecutive, FailureRate, FailureCount:
		p.field("Trip", t.validate())
	default:
		p.add(".Trip is a %T; want a value, not a pointer", t)
	}
	if c.Cooldown != nil {
		p.field("Cooldown", validateBackoff(c.Cooldown))
	}
	notNegative(&p, "Probes", c.Probes)
	notNegative(&p, "Successes", c.Successes)
	notNegative(&p, "ProbeLease", c.ProbeLease)
	notNegative(&p, "RampUp", c.RampUp)
	notNegative(&p, "Slow", c.Slow)
	p.clock(c.Clock)
	return p.join()
}
