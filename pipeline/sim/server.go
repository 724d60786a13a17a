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
	Failures float64 // the share of calls that end with ErrFailed, after the same latency
}

// Load is what a call finds when it arrives.
type Load struct {
	At       time.Duration // since the start of the run
	InFlight int           // calls that have arrived and not been answered, but for this one
	Rand     *rand.Rand    // the server's
}

// server is a Server in a run. When a call will be answered is known from the moment at which it arrives, so nothing
// has to happen in between. Times are since the start of the run.
type server struct {
	Server
	world  *world
	rand   *rand.Rand
	ends   times           // of the calls in flight
	free   times           // when each unit of capacity is free, if there is a Capacity
	starts []time.Duration // of the calls that wait in line, in order
}

// call is one attempt, from the client's side.
func (s *server) call(ctx context.Context, r *request) error {
	out, back := s.trip(), s.trip()
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

func (s *server) trip() time.Duration {
	if s.Network == nil {
		return 0
	}
	return max(0, s.Network(s.rand))
}

// arrive is when the call that arrives now will have been served, and how.
func (s *server) arrive(now time.Duration) (end time.Duration, answer error) {
	for len(s.starts) > 0 && s.starts[0] <= now {
		s.starts = s.starts[1:]
	}
	failures, slower, begin := s.conditions(now)
	if len(s.free) > 0 && len(s.free) == s.Capacity {
		begin = max(begin, s.free[0])
	}
	if s.Queue > 0 && s.Capacity > 0 && begin > now && len(s.starts) >= s.Queue {
		return now, ErrBusy
	}
	if failures > 0 && s.rand.Float64() < failures {
		answer = ErrFailed
	}
	var latency time.Duration
	if s.Latency != nil {
		latency = max(0, s.Latency(Load{now, s.inFlight(now), s.rand}))
	}
	if slower > 0 {
		latency = scaled(latency, slower)
	}
	end = later(begin, latency)
	s.ends.add(end)
	if s.Capacity > 0 {
		if len(s.free) == s.Capacity {
			s.free.drop()
		}
		s.free.add(end)
		if begin > now {
			s.starts = append(s.starts, begin)
		}
	}
	return end, answer
}

// conditions are those that the phases make, and when what arrives now is begun at the earliest.
func (s *server) conditions(now time.Duration) (failures, slower float64, begin time.Duration) {
	failures, begin = s.Failures, now
	for _, p := range s.world.setup.Phases {
		if !p.covers(now) {
			continue
		}
		if p.Failures > 0 {
			failures = p.Failures
		}
		if p.Slower > 0 {
			slower = p.Slower
		}
		if p.Stalled {
			begin = max(begin, p.To)
		}
	}
	return failures, slower, begin
}

// inFlight is the number of calls that have arrived and not been answered.
func (s *server) inFlight(now time.Duration) int {
	for len(s.ends) > 0 && s.ends[0] <= now {
		s.ends.drop()
	}
	return len(s.ends)
}
