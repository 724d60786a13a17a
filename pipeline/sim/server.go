package sim

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// What the server answers when it does not work.
var (
	ErrFailed = errors.New("sim: the server failed")
	ErrBusy   = errors.New("sim: the server's queue is full")
)

// A Server is what calls are made to. It learns of a call after one trip through the network, and its answer takes
// another. A caller who gives up does not relieve it: it works on.
type Server struct {
	// Latency is how long it takes to serve a call that arrives under the given load. Nil means no time.
	Latency func(Load) time.Duration

	Capacity int     // calls served at once, while others wait in line; 0 means any number
	Queue    int     // calls that may wait in line, and ErrBusy is the answer to any more; 0 means any number
	Network  Delay   // each way; nil means none
	Failures float64 // the share of calls that end with ErrFailed

	// FailsAfter is how long a call that fails takes: a refusal at the door, without a place in the line. 0 means as long
	// as any other.
	FailsAfter time.Duration
}

// Load is what a call finds when it arrives.
type Load struct {
	At       time.Duration // since the start of the run
	InFlight int           // calls that have arrived and not been answered, but for this one
	Rand     *rand.Rand    // the server's
}

// conditions are those of a server at one moment.
type conditions struct {
	Server
	slower float64
	begin  time.Duration // of a call that arrives now, at the earliest
}

// server is a Server in a run. When a call will be answered is known from the moment at which it arrives, so nothing
// has to happen in between. Times are since the start of the run.
type server struct {
	Server
	world  *world
	number int // among the replicas, from 1; 0 if there are none
	zone   int
	rand   *rand.Rand
	ends   times           // of the calls in flight
	free   times           // when each unit of capacity is free, if there is a Capacity
	starts []time.Duration // of the calls that wait in line, in order
}

// call is one attempt, from the client's side.
func (s *server) call(ctx context.Context, r *request) error {
	out, back := s.trip(r), s.trip(r)
	now := s.world.now()
	if out > 0 {
		there := later(now, out)
		if err := r.sleep(ctx, out); err != nil {
			s.world.clock.AfterFunc(there-s.world.now(), func() { _, _ = s.arrive(there) }) // it is on its way
			return err
		}
		now = there
	}
	end, answer := s.arrive(now)
	if err := r.sleep(ctx, later(end-now, back)); err != nil {
		return err
	}
	return answer
}

// trip draws the time between a client and the server, one way.
func (s *server) trip(r *request) (d time.Duration) {
	if s.Network != nil {
		d = max(0, s.Network(s.rand))
	}
	if cross := s.world.setup.CrossZone; cross != nil && r.client.zone != s.zone {
		d = later(d, max(0, cross(s.rand)))
	}
	return d
}

// arrive is when the call that arrives now will have been served, and how.
func (s *server) arrive(now time.Duration) (end time.Duration, answer error) {
	for len(s.starts) > 0 && s.starts[0] <= now {
		s.starts = s.starts[1:]
	}
	c := s.conditions(now)
	for c.Capacity > 0 && len(s.free) > c.Capacity {
		s.free.drop() // units that there are too many of are not used again
	}
	begin := c.begin
	if len(s.free) > 0 && len(s.free) == c.Capacity {
		begin = max(begin, s.free[0])
	}
	if s.Queue > 0 && c.Capacity > 0 && begin > now && len(s.starts) >= s.Queue {
		return now, ErrBusy
	}
	if c.Failures > 0 && s.rand.Float64() < c.Failures {
		answer = ErrFailed
		if c.FailsAfter > 0 {
			return later(now, c.FailsAfter), answer
		}
	}
	var latency time.Duration
	if s.Latency != nil {
		latency = max(0, s.Latency(Load{now, s.inFlight(now), s.rand}))
	}
	if c.slower > 0 {
		latency = scaled(latency, c.slower)
	}
	end = later(begin, latency)
	s.ends.add(end)
	if c.Capacity > 0 {
		if len(s.free) == c.Capacity {
			s.free.drop()
		}
		s.free.add(end)
		if begin > now {
			s.starts = append(s.starts, begin)
		}
	}
	return end, answer
}

// conditions returns those that the phases make.
func (s *server) conditions(now time.Duration) conditions {
	c := conditions{Server: s.Server, begin: now}
	for _, p := range s.world.setup.Phases {
		if !p.covers(now) || p.Replica != 0 && p.Replica != s.number {
			continue
		}
		if p.Failures > 0 {
			c.Failures = p.Failures
		}
		if p.FailsAfter > 0 {
			c.FailsAfter = p.FailsAfter
		}
		if p.Capacity > 0 {
			c.Capacity = p.Capacity
		}
		if p.Slower > 0 {
			c.slower = p.Slower
		}
		if p.Stalled {
			c.begin = max(c.begin, p.To)
		}
	}
	return c
}

// inFlight is the number of calls that have arrived and not been answered.
func (s *server) inFlight(now time.Duration) int {
	for len(s.ends) > 0 && s.ends[0] <= now {
		s.ends.drop()
	}
	return len(s.ends)
}
