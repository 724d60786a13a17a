package sim

import (
	"container/heap"
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/holdfast-go/holdfast/clock"
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
// has to happen in between.
type server struct {
	Server
	world  *world
	rand   *rand.Rand
	ends   times   // of the calls in flight
	free   times   // when each unit of capacity is free, if there is a Capacity
	starts []int64 // of the calls that wait in line, in order
}

// call is one attempt, from the client's side.
func (s *server) call(ctx context.Context) error {
	out, back := s.trip(), s.trip()
	if out > 0 {
		begun := s.world.nanos()
		if err := s.world.sleep(ctx, out); err != nil {
			s.world.clock.AfterFunc(out-time.Duration(s.world.nanos()-begun), func() { _, _ = s.arrive() }) // it is on its way
			return err
		}
	}
	end, answer := s.arrive()
	if err := s.world.sleep(ctx, time.Duration(end-s.world.nanos())+back); err != nil {
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
func (s *server) arrive() (end int64, answer error) {
	now := s.world.nanos()
	s.ends.until(now)
	for len(s.starts) > 0 && s.starts[0] <= now {
		s.starts = s.starts[1:]
	}
	at := s.world.since(now)
	failures, slower, begin := s.conditions(at)
	if s.Capacity > 0 && len(s.free) == s.Capacity {
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
		latency = max(0, s.Latency(Load{at, len(s.ends), s.rand}))
	}
	if slower > 0 {
		latency = time.Duration(float64(float64(latency) * slower))
	}
	end = clock.After(begin, latency)
	heap.Push(&s.ends, end)
	if s.Capacity > 0 {
		if len(s.free) == s.Capacity {
			heap.Pop(&s.free)
		}
		heap.Push(&s.free, end)
		if begin > now {
			s.starts = append(s.starts, begin)
		}
	}
	return end, answer
}

// conditions are those that the phases make.
func (s *server) conditions(at time.Duration) (failures, slower float64, begin int64) {
	failures, begin = s.Failures, s.world.start+int64(at)
	for _, p := range s.world.setup.Phases {
		if !p.covers(at) {
			continue
		}
		if p.Failures > 0 {
			failures = p.Failures
		}
		if p.Slower > 0 {
			slower = p.Slower
		}
		if p.Stalled {
			begin = max(begin, s.world.start+int64(p.To))
		}
	}
	return failures, slower, begin
}

// inFlight is the number of calls that have arrived and not been answered.
func (s *server) inFlight(now int64) int {
	s.ends.until(now)
	return len(s.ends)
}

// times is a heap of them, the earliest first.
type times []int64

// until drops those that have come.
func (t *times) until(now int64) {
	for len(*t) > 0 && (*t)[0] <= now {
		heap.Pop(t)
	}
}

func (t times) Len() int           { return len(t) }
func (t times) Less(i, j int) bool { return t[i] < t[j] }
func (t times) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }
func (t *times) Push(x any)        { *t = append(*t, x.(int64)) }

// Pop implements heap.Interface.
func (t *times) Pop() any {
	last := len(*t) - 1
	x := (*t)[last]
	*t = (*t)[:last]
	return x
}
