package policy

import (
	"time"

	"github.com/holdfast-go/holdfast/clock"
)

// Idle reports whether nothing is lost by putting a new circuit in this one's place: its Loss is 0.
func (c *Circuit) Idle() bool { return c.Loss() == 0 }

// Loss returns how much of what the circuit knows would be lost by putting a new one in its place, from 0 to 1. A
// [Keyed] asks for it to decide which circuit it evicts:
//
//   - 1 while the circuit is open, isolated, bypassed or ramping up, and while calls are in flight whose time is
//     watched: probes, and all of them if Slow is set
//   - 0.9 while it is half-open without a probe in flight, or open with its cooldown over
//   - up to 0.9 while it is closed and failures count: their share of those that open it
//   - 0 while it is closed and no failure counts
//
// What has not moved for twice the cooldown, and at least a minute, counts as 0, except for the failures in the Window
// of a FailureRate: a circuit whose calls are that far apart would refuse none of them.
func (c *Circuit) Loss() float64 {
	if p := c.now.Load(); p == nil || p.state == Closed && p.unmoved() {
		return 0
	}
	var loss float64
	c.locked(c.nanos(), func(now int64) { loss = c.lossAt(now) })
	return loss
}

const (
	mostLoss   = 0.9             // of a circuit that may be evicted
	leastQuiet = 1 * time.Minute // that a circuit has to be before it is idle
)

// lossAt is called with the lock held.
func (c *Circuit) lossAt(now int64) float64 {
	p := c.now.Load()
	quiet := clock.Since(c.moved, now) >= c.quiet()
	switch {
	case p.state == Isolated, p.state == Bypassed, c.flights.len() > 0:
		return 1
	case (p.state == Open || p.ramp > 0) && now < p.until:
		return 1
	case p.state != Closed && quiet, p.state == Closed && quiet && !p.timed:
		return 0
	case p.state != Closed:
		return mostLoss
	}
	calls, failures := p.tally.counts(now)
	return min(mostLoss, float64(failures)/opensAt(c.trip(), calls))
}

// quiet returns for how long nothing must have moved for the circuit to be idle. It does not ask a Cooldown of the
// user's, which may draw or count. It is called with the lock held.
func (c *Circuit) quiet() time.Duration {
	cooldown := c.cooldown.Previous
	if b, ok := c.coolDowns().(bounded); ok {
		most, _ := b.most(max(1, c.cooldown.Retry))
		cooldown = max(cooldown, most)
	}
	return max(leastQuiet, mulDuration(cooldown, 2))
}

// opensAt returns how many failures among so many calls, or among as many as t asks for, open a circuit.
func opensAt(t Trip, calls int) float64 {
	switch t := t.(type) {
	case FailureRate:
		return t.Ratio * float64(max(calls, t.minCalls()))
	case FailureCount:
		return t.Ratio * float64(max(calls, t.minCalls()))
	default:
		return float64(t.(Consecutive))
	}
}
