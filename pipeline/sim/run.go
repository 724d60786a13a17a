package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

// Run simulates s. It panics with what s.Validate returns, and where a policy is not on the run's clock.
func Run(s Setup) Report {
	if err := s.Validate(); err != nil {
		panic(err)
	}
	w := &world{setup: s, clock: clock.NewVirtual()}
	w.clock.Shuffle(scramble(s.Seed))
	w.start = w.clock.Nanos()
	w.fleet = newFleet(w)
	w.schedule = schedule{Arrivals: s.Arrivals, phases: s.Phases, length: s.Length, rand: stream(s.Seed, 2)}
	w.record = newRecord(w)
	for i := range max(1, s.Clients) {
		w.clients = append(w.clients, w.newClient(i))
	}
	w.record.tick()
	w.clock.Go(w.work)
	for i := range s.Users {
		w.clock.Go(func() { w.use(w.clients[i%len(w.clients)], stream(s.Seed, 1<<32+uint64(i))) })
	}
	w.clock.Run()
	if s.Length == 0 {
		w.record.close()
	}
	return w.record.report()
}

// A world is one run. Everything in it happens on one goroutine at a time.
type world struct {
	setup    Setup
	clock    *clock.Virtual
	start    int64
	schedule schedule
	fleet    *fleet
	clients  []*client
	record   *record
	arrivals int // requests so far, those included that a worker waits for
	idle     int // workers that wait for the arrival of a request
	over     bool
}

// now is the time since the start of the run.
func (w *world) now() time.Duration { return time.Duration(w.clock.Nanos() - w.start) }

// A client is a process of the fleet.
type client struct {
	zone     int
	env      Env
	pipeline pipeline.Pipeline[struct{}]
}

func (w *world) newClient(number int) *client {
	env := Env{Clock: w.clock, Rand: stream(w.setup.Seed, uint64(3+number)), Client: number}
	c := &client{}
	if w.setup.Zones > 0 {
		c.zone = number % w.setup.Zones
	}
	if w.setup.Build != nil {
		c.pipeline = w.setup.Build(env)
	}
	if on := c.pipeline.Clock(); on != nil && on != clock.Clock(w.clock) {
		panic(fmt.Errorf("sim: Setup.Build for client %d: the pipeline is not on Env.Clock", number))
	}
	for _, circuit := range c.pipeline.Circuits() {
		w.record.watch(number, circuit)
	}
	c.env = env
	return c
}

// work waits for the next request that nobody waits for yet, runs it, and so on. Whoever starts a request sees to it
// that somebody waits for the one after. So there is never more than one worker more than there were requests under way
// at once, and none is woken for nothing: it sleeps once for each request, besides what the request itself does.
func (w *world) work() {
	for {
		at, ok := w.schedule.next()
		if !ok {
			return
		}
		c := w.clients[w.arrivals%len(w.clients)]
		w.arrivals++
		w.idle++
		_ = w.clock.Sleep(context.Background(), at-w.now())
		w.idle--
		if w.idle == 0 {
			w.clock.Go(w.work)
		}
		w.run(c)
	}
}

// use is a user's loop. Its draws come from random.
func (w *world) use(c *client, random *rand.Rand) {
	for {
		wait := max(0, w.setup.Think(random))
		at := later(w.now(), wait)
		for _, p := range w.setup.Phases {
			if p.Quiet && p.covers(at) {
				at = p.To
			}
		}
		if at >= w.setup.Length {
			return
		}
		_ = w.clock.Sleep(context.Background(), at-w.now())
		w.run(c)
	}
}

func (w *world) run(c *client) {
	begun := w.record.arrived()
	r := &request{Context: context.Background(), world: w, client: c}
	_, err := c.pipeline.Do(r, r.attempt)
	w.record.ended(begun, outcomeOf(r, err))
}

// A request is the context that a client calls its pipeline with. It ends with the run, but nobody can wait for that:
// Err says so, and Done is nil, which keeps waiting cheap.
type request struct {
	context.Context
	world   *world
	client  *client
	watched bool // somebody asked for Done, as whoever derives a context that can be cancelled has to
	served  bool // a call of it succeeded
}

// attempt is the func that the pipeline runs.
func (r *request) attempt(ctx context.Context) (v struct{}, err error) {
	w := r.world
	w.record.called()
	if w.setup.Call == nil {
		err = w.fleet.choose(r).call(ctx, r)
	} else {
		env := r.client.env
		env.request = r
		err = w.setup.Call(ctx, env)
	}
	r.served = r.served || err == nil
	return v, err
}

// Done implements context.Context.
func (r *request) Done() <-chan struct{} {
	r.watched = true
	return nil
}

// Err implements context.Context.
func (r *request) Err() error {
	if r.world.over {
		return context.Canceled
	}
	return nil
}

// sleep is clock.Sleep for a context derived from a request's. Where nothing but a deadline can end it, because none
// of those in between has asked for Done, it needs no timer for that.
func (r *request) sleep(ctx context.Context, d time.Duration) error {
	c := r.world.clock
	if r.watched {
		return c.Sleep(ctx, d)
	}
	left, limited := clock.Remaining(ctx, c)
	if !limited || d <= left {
		return c.Sleep(context.Background(), d)
	}
	_ = c.Sleep(context.Background(), left)
	return c.Sleep(ctx, d-left) // ctx has ended
}

// An outcome is how a request ended.
type outcome uint8

const (
	succeeded outcome = iota // a call of it was answered
	fellBack                 // it got an answer, but from no call
	refused                  // by one of its policies
	failed
)

func outcomeOf(r *request, err error) outcome {
	if err == nil && r.served {
		return succeeded
	}
	if err == nil {
		return fellBack
	}
	if _, ok := errors.AsType[*policy.Rejection](err); ok {
		return refused
	}
	return failed
}
