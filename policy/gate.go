package policy

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"time"

	"github.com/holdfast-go/holdfast/clock"
)

// ErrFull is the Reason of a Rejection by a Gate: all places are taken, and so are those in its queue, or the wait for
// one was too long.
var ErrFull = errors.New("no place is free")

// A Gate lets at most Limit calls through at once. Up to Queue more wait for a place, first come, first served, for at
// most MaxWait; the rest are refused at once with ErrFull. A place that is free is never left empty while somebody
// waits, and one whose waiter has gone passes to the next.
//
// The zero value lets 100 calls through and has no queue. One Gate may serve any number of pipelines and result types
// through [Bulkhead], and any other code through Acquire. It is safe for concurrent use, needs no goroutine, and
// allocates only for a call that waits. It must not be copied, and its fields only be changed by Configure, after first
// use.
type Gate struct {
	Name    string
	Limit   int           // calls in flight at most; 0 means 100
	Queue   int           // calls waiting at most; 0 means that none waits
	MaxWait time.Duration // how long one waits at most; 0 means as long as its context lasts
	Clock   clock.Clock   // nil means clock.System

	verdict verdict
	most    atomicInt64 // Limit, with its default
	state   atomicInt64 // calls in flight, times two, and one more while somebody waits

	// mu guards the fields below. Only who holds it changes state while somebody waits, or lets somebody wait.
	mu      mutex
	waiting list.List // of *place, first come first
	refusal *Rejection
}

const (
	defaultGateLimit = 100

	aCall  = 2 // in Gate.state
	queued = 1
)

// A place is what one caller waits for.
type place struct {
	began int64        // when the caller came
	news  *clock.Latch // opened when the place is given, or MaxWait is another; Gate.mu guards it and the field below
	given bool
}

// A Slot is a place at a Gate. It must not be copied.
type Slot struct {
	gate     *Gate
	released atomicBool
}

// Release gives the place back. Only the first call counts, from whichever goroutine; on the zero Slot it does nothing.
func (s *Slot) Release() {
	if s.gate != nil && !s.released.Swap(true) {
		s.gate.release()
	}
}

// Acquire takes a place, waiting for one if need be. Whoever gets a Slot must Release it. The error is a *Rejection
// for ErrFull, context.Cause(ctx) if ctx ended before there was a place, or that of Validate.
func (g *Gate) Acquire(ctx context.Context) (Slot, error) {
	if err := g.enter(ctx); err != nil {
		return Slot{}, err
	}
	return Slot{gate: g}, nil
}

func (g *Gate) enter(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := g.verdict.by(g.begin); err != nil {
		return err
	}
	if g.take() {
		return nil
	}
	p, e, refusal := g.queue(clock.OrSystem(g.Clock).Nanos())
	switch {
	case p != nil:
		return g.await(ctx, p, e)
	case refusal != nil:
		return refusal
	default:
		return nil
	}
}

// begin makes a gate that has not been used ready, or says why it cannot be.
func (g *Gate) begin() error {
	if err := g.Validate(); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.most.Store(g.limit())
	return nil
}

// take takes a place that is free, if nobody waits.
func (g *Gate) take() bool {
	for {
		s := g.state.Load()
		if s&queued != 0 || s/aCall >= g.most.Load() {
			return false
		}
		if g.state.CompareAndSwap(s, s+aCall) {
			return true
		}
	}
}

// queue is a place in the queue, or a refusal, or, if one has become free, neither.
func (g *Gate) queue(now int64) (p *place, e *list.Element, refusal *Rejection) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for {
		s := g.state.Load()
		switch {
		case s/aCall < g.most.Load():
			if g.state.CompareAndSwap(s, s+aCall) {
				return nil, nil, nil
			}
		case g.waiting.Len() >= g.Queue:
			return nil, nil, g.rejection()
		case g.state.CompareAndSwap(s, s|queued): // and not one has become free meanwhile
			p = &place{began: now}
			return p, g.waiting.PushBack(p), nil
		}
	}
}

// await waits for p to be given, or to be refused once MaxWait is over.
func (g *Gate) await(ctx context.Context, p *place, e *list.Element) (err error) {
	settled := false
	defer func() {
		if !settled {
			g.leave(p, e) // the clock's Wait panicked
		}
	}()
	c := clock.OrSystem(g.Clock)
	for {
		news, left, refusal := g.look(c, p)
		if news == nil {
			break
		}
		if refusal != nil {
			err = refusal
			break
		}
		if err = awaitNews(ctx, c, news, left); err != nil {
			break
		}
	}
	settled = true
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx) // the place came at the very moment the caller went
	}
	if err != nil {
		g.leave(p, e)
	}
	return err
}

// look returns what the caller of p has to wait for, and for how long at most, or why it is refused; or nil once p is
// given.
func (g *Gate) look(c clock.Clock, p *place) (news *clock.Latch, left time.Duration, refusal *Rejection) {
	now := c.Nanos()
	g.mu.Lock()
	defer g.mu.Unlock()
	if p.given {
		return nil, 0, nil
	}
	p.news, left = new(clock.Latch), never
	if g.MaxWait > 0 {
		if left = g.MaxWait - clock.Since(p.began, now); left <= 0 {
			refusal = g.rejection()
		}
	}
	return p.news, left, refusal
}

// leave gives up p, which may have been given meanwhile.
func (g *Gate) leave(p *place, e *list.Element) {
	g.mu.Lock()
	given := p.given
	if !given {
		g.remove(e)
	}
	g.mu.Unlock()
	if given {
		g.release()
	}
}

func (g *Gate) release() {
	for {
		s := g.state.Load()
		if s&queued != 0 {
			break
		}
		if g.state.CompareAndSwap(s, s-aCall) {
			return
		}
	}
	g.mu.Lock()
	g.state.Add(-aCall)
	given := g.give()
	g.mu.Unlock()
	g.wake(given)
}

// give assigns free places to those who wait, so that there are none while somebody does. It is called with the lock
// held, and what it returns is to be woken without.
func (g *Gate) give() (given []*place) {
	for e := g.waiting.Front(); e != nil && g.state.Load()/aCall < g.most.Load(); e = g.waiting.Front() {
		p := e.Value.(*place)
		p.given = true
		g.state.Add(aCall) // before remove, after which others may take what is free
		g.remove(e)
		given = append(given, p)
	}
	return given
}

// wake has the callers of places look again. The lock guards news, which is set before its caller waits for it.
func (g *Gate) wake(places []*place) {
	for _, p := range places {
		g.mu.Lock()
		news := p.news
		g.mu.Unlock()
		if news != nil {
			news.Open()
		}
	}
}

// remove takes somebody out of the queue. It is called with the lock held.
func (g *Gate) remove(e *list.Element) {
	g.waiting.Remove(e)
	if g.waiting.Len() == 0 {
		g.state.Add(-queued)
	}
}

// Configure changes Limit, Queue and MaxWait while the gate is in use: change edits a copy of them, which is taken over
// if it is valid. Calls in flight and in the queue stay, also if there are more of them than now allowed. Callers that wait
// go by the new MaxWait, counted from when they came. If Configure is called concurrently, the last call wins.
func (g *Gate) Configure(change func(*Gate)) error {
	if err := g.verdict.by(g.begin); err != nil {
		return err
	}
	var told []*place
	err := reconfigure(&g.mu, change,
		func() *Gate { return &Gate{Limit: g.Limit, Queue: g.Queue, MaxWait: g.MaxWait} },
		func(n *Gate) error {
			return fixed("Gate", map[string]bool{"Name": n.Name != "", "Clock": n.Clock != nil})
		},
		func(n *Gate) {
			other := g.MaxWait != n.MaxWait
			g.Limit, g.Queue, g.MaxWait = n.Limit, n.Queue, n.MaxWait
			g.most.Store(g.limit())
			told = g.give()
			for e := g.waiting.Front(); other && e != nil; e = e.Next() {
				told = append(told, e.Value.(*place))
			}
		})
	g.wake(told)
	return err
}

// Load is the number of calls in flight and of those waiting.
func (g *Gate) Load() (inFlight, waiting int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return int(g.state.Load() / aCall), g.waiting.Len()
}

// Idle reports whether a new gate would do as well: nobody is in flight.
func (g *Gate) Idle() bool { return g.state.Load() == 0 }

// limit is called with the lock held.
func (g *Gate) limit() int64 { return int64(cmp.Or(g.Limit, defaultGateLimit)) }

// rejection is built once. It is called with the lock held.
func (g *Gate) rejection() *Rejection {
	if g.refusal == nil {
		g.refusal = &Rejection{Policy: "bulkhead", Name: g.Name, Reason: ErrFull}
	}
	return g.refusal
}

// Validate names every field that is out of range.
func (g *Gate) Validate() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := problems{owner: "Gate"}
	notNegative(&p, "Limit", g.Limit)
	notNegative(&p, "Queue", g.Queue)
	notNegative(&p, "MaxWait", g.MaxWait)
	p.clock(g.Clock)
	return p.join()
}
