package policy

import (
	"math"
	"reflect"
	"time"

	"github.com/holdfast-go/holdfast/clock"
)

// A Change is a Circuit's change of state.
type Change struct {
	Circuit    string // its Name
	From, To   State
	Generation uint64    // the one that began
	At         time.Time // by the circuit's clock
	Cause      error     // the failure that opened it, if it opened, and if the failure was an error
}

// Isolate refuses every call, with ErrIsolated, until Reset or Bypass.
func (c *Circuit) Isolate() { c.force(Isolated) }

// Bypass admits every call, whatever has been counted, and goes on counting, until Reset or Isolate: the switch to
// pull when the circuit itself is what does harm.
func (c *Circuit) Bypass() { c.force(Bypassed) }

// Reset closes the circuit, whatever its state, and forgets what it has counted.
func (c *Circuit) Reset() { c.force(Closed) }

// force enters a state by decree. An invalid circuit, which refuses everything anyway, stays as it is.
func (c *Circuit) force(state State) {
	if c.begin() != nil {
		return
	}
	c.locked(c.nanos(), func(now int64) {
		if state == Closed || c.now.Load().state != state {
			c.worked = 0 // no probe has earned it
			c.enter(state, now, nil)
		}
	})
}

// Configure changes Trip, Cooldown, Probes, Successes, ProbeLease, Slow and RampUp while the circuit is in use: change
// edits a copy of them, which is taken over if it is valid. The state stays, and calls in flight count. Another Cooldown
// holds for an opening under way, counted from when the circuit opened; another ProbeLease or Slow for calls in flight.
// Another Trip or Slow begins to count anew; to set any other field is an error. If Configure is called concurrently, the
// last call wins.
func (c *Circuit) Configure(change func(*Circuit)) error {
	if err := c.begin(); err != nil {
		return err
	}
	other := false // Cooldown is another one
	err := reconfigure(&c.mu, change, c.settings,
		func(n *Circuit) error {
			return fixed("Circuit", map[string]bool{
				"Name": n.Name != "", "OnChange": n.OnChange != nil, "Clock": n.Clock != nil, "Rand": n.Rand != nil,
			})
		},
		func(n *Circuit) {
			anew := n.trip() != c.trip() || n.Slow != c.Slow
			other = !same(n.Cooldown, c.Cooldown)
			c.Trip, c.Cooldown, c.Probes, c.Successes = n.Trip, n.Cooldown, n.Probes, n.Successes
			c.ProbeLease, c.Slow, c.RampUp = n.ProbeLease, n.Slow, n.RampUp
			if p := c.now.Load(); anew && (p.state == Closed || p.state == Bypassed) {
				c.now.Store(c.counting(*p, c.latest))
				if p.row != nil {
					p.row.failures.Store(1) // so that calls of before look at what counts now
				}
			}
		})
	if p := c.now.Load(); other && err == nil && p.state == Open && p.until != math.MaxInt64 {
		c.coolDown(p)
	}
	return err
}

// same reports whether two backoffs are the same one; those that cannot be compared are not.
func same(a, b Backoff) bool {
	return a == nil && b == nil || a != nil && b != nil && reflect.ValueOf(a).Comparable() && reflect.ValueOf(b).Comparable() && a == b
}

// settings is called with the lock held.
func (c *Circuit) settings() *Circuit {
	return &Circuit{
		Trip: c.Trip, Cooldown: c.Cooldown, Probes: c.Probes, Successes: c.Successes,
		ProbeLease: c.ProbeLease, Slow: c.Slow, RampUp: c.RampUp,
	}
}

// enter begins a new generation.
func (c *Circuit) enter(state State, now int64, cause error) *period {
	from := c.now.Load()
	p := (&period{state: state, generation: from.generation + 1}).first()
	switch state {
	case Closed, Bypassed:
		c.cooldown = Step{}
		if won := from.state == HalfOpen && c.worked >= c.successes(); won && c.RampUp > 0 {
			p.ramp, p.until, p.rejection = int64(c.RampUp), clock.After(now, c.RampUp), c.rejection(errRamping, from.cause)
			p.rejection.Until = clock.Time(c.clock(), p.until)
		}
		p = c.counting(*p, now).first()
	case Open:
		p.until = math.MaxInt64 // until coolDown has asked Cooldown, which it does without the lock
		p.cause = cause
		p.rejection = c.rejection(ErrOpen, p.cause)
	case HalfOpen:
		p.cause = from.cause
		p.rejection = c.rejection(ErrOpen, p.cause)
	case Isolated:
		p.rejection = c.rejection(ErrIsolated, nil)
	}
	c.worked = 0
	c.moved = now
	c.flights.endAll()
	c.now.Store(p)
	if c.OnChange != nil && from.state != state {
		c.untold = append(c.untold, Change{c.Name, from.state, state, p.generation, clock.Time(c.clock(), now), cause})
	}
	return p
}

// counting is p with a fresh tally.
func (c *Circuit) counting(p period, now int64) *period {
	p.tally, p.timed, p.free = c.trip().newTally(now), timed(c.trip()), c.Slow <= 0 && p.ramp == 0
	p.row, _ = p.tally.(*row)
	return &p
}

// first is p as the first of its generation.
func (p *period) first() *period {
	p.origin = p
	return p
}

// coolDown asks for how long the opening p is to last. Until it knows, the circuit stays open. If Configure has changed
// Cooldown it asks again, as if for the first time.
func (c *Circuit) coolDown(p *period) {
	c.mu.Lock()
	if p.until == math.MaxInt64 {
		c.opened, c.asked = c.latest, c.cooldown
	}
	step, now, backoff := c.asked, c.opened, c.Cooldown
	c.mu.Unlock()
	step.Retry, step.Rand = max(1, step.Retry), c.Rand

	delay := defaultCooldown // if Cooldown panics
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.now.Load() != p {
			return
		}
		c.cooldown = step.next(delay)
		cooling := *p
		cooling.until = clock.After(now, delay)
		cooling.rejection = c.rejection(ErrOpen, p.cause)
		cooling.rejection.Until = clock.Time(c.clock(), cooling.until)
		c.now.Store(&cooling)
	}()
	if backoff != nil {
		delay = max(0, backoff.Delay(step))
	}
}

// tell hands untold changes to OnChange, unless another goroutine is at it: that one will tell them all. A hook that
// panics leaves the rest to the deferred call, and the panic goes on.
func (c *Circuit) tell() {
	told := false
	defer func() {
		if !told {
			c.tell()
		}
	}()
	for c.tellNext() {
	}
	told = true
}

// tellNext tells the oldest change, or reports false where that is nobody's, or another goroutine's, to do.
func (c *Circuit) tellNext() bool {
	c.mu.Lock()
	if c.telling || len(c.untold) == 0 {
		c.mu.Unlock()
		return false
	}
	change := c.untold[0]
	if p := c.now.Load(); p.state == Open && p.origin == p && p.generation == change.Generation {
		c.mu.Unlock()
		return false // coolDown has yet to say for how long, and its goroutine tells afterwards
	}
	c.untold = c.untold[1:]
	c.telling = true
	c.mu.Unlock()

	defer func() {
		c.mu.Lock()
		c.telling = false
		c.mu.Unlock()
	}()
	c.OnChange(change)
	return true
}
