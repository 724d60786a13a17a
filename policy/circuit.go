package policy

import (
	"context"
	"math"
	"time"

	"github.com/holdfast-go/holdfast/clock"
)

// A Circuit protects a dependency that has been failing from more calls, and its callers from waiting for it. It is
// closed while the dependency works, and opens when Trip says so: calls are then refused at once. After Cooldown it
// is half-open: up to Probes calls at a time are let through as probes, and their results close it or open it again.
//
// The zero value works: it opens at 5 failures in a row, for 30 seconds, and closes at the first probe that works.
// One Circuit may serve any number of pipelines and result types through [Breaker], a block of code through
// [Circuit.Do], and any other code through [Circuit.Acquire]. It is safe for concurrent use, needs no goroutine, and
// allocates nothing while its state does not change. It must not be copied, and its fields only be changed by
// Configure, after first use.
//
// A TransientFailure counts as failed; Success and PermanentFailure count as worked, because the dependency
// answered; Ignored does not count. Every change of state begins a new generation, and what a call of an older one
// reports changes nothing. Time alone changes no state: an open Circuit stays so until the first Acquire after its
// cooldown takes a probe.
type Circuit struct {
	Name      string
	Trip      Trip    // when to open; nil means Consecutive(5)
	Cooldown  Backoff // how long to stay open, by consecutive opening; nil means Constant(30s)
	Probes    int     // calls in flight at most while half-open; 0 means 1
	Successes int     // probes in a row that must work to close; 0 means 1

	// ProbeLease is how long a probe may take. One that has not been settled by then gives its slot back and counts
	// as nothing; 0 means 30s.
	ProbeLease time.Duration

	// Slow is how long a call may take and not count as failed; 0 means that slowness does not matter. A call counts
	// as soon as it is slow, once, also if it never ends: the next Acquire, Done, State or Snapshot notices. With Slow
	// set every call takes the circuit's lock twice.
	Slow time.Duration

	// RampUp is for how long, after probes have closed the circuit, only a share of the calls is admitted, which grows
	// from a tenth to all of them, drawn by Rand: a dependency that has just come back is not hit by everything at
	// once. The others are refused, with ErrOpen. 0 means that all are admitted at once.
	RampUp time.Duration

	// OnChange hears of every change of state, in order, one at a time, on the goroutine of whoever caused one of
	// them. It may call any method of the circuit. While it runs it holds up nobody else.
	OnChange func(Change)

	Clock clock.Clock    // nil means clock.System
	Rand  func() float64 // for Cooldown and RampUp; in [0, 1), safe for concurrent use; nil means math/rand/v2

	now atomicPointer[period] // nil before first use; replaced with the lock held

	mu       mutex    // guards the fields below
	latest   int64    // the latest time seen: a clock that is set back stands still
	moved    int64    // when it last counted a failure or changed its state
	flights  flights  // the calls whose time is watched: probes, and all of them if Slow is set; oldest first
	worked   int      // probes in a row that worked in this generation
	cooldown Step     // for the next opening; zero after the circuit was closed
	asked    Step     // for the latest opening
	opened   int64    // when that was
	untold   []Change // changes OnChange has yet to hear of, oldest first
	telling  bool     // some goroutine is inside OnChange and will tell the rest
}

// A period is one generation of a Circuit. Permits hold on to theirs: one that is not the circuit's any more makes a
// permit stale. Nothing in it changes but the tally.
type period struct {
	state      State
	generation uint64
	until      int64      // Open: when the cooldown ends; Closed: when the ramp-up does
	ramp       int64      // Closed: how long that takes; 0 for no ramp-up
	rejection  *Rejection // what refused calls get
	cause      error      // Open and HalfOpen: the failure that opened the circuit, if it is known
	tally      tally      // Closed and Bypassed
	row        *row       // the tally, if it is one
	free       bool       // every call is admitted, and none watched: the lock is not needed
	timed      bool       // the tally wants to know when a call worked
	origin     *period    // the first of the generation: this one, unless Configure has begun to count anew
}

// unmoved reports whether a call that worked would change nothing. Asking it here, where it can be inlined, saves a
// sixth of what a Breaker costs.
func (p *period) unmoved() bool { return p.row != nil && p.free && p.row.failures.Load() == 0 }

// A ticket is an admitted call.
type ticket struct {
	period *period
	flight *flight // nil unless the call's time is watched
	seq    uint64
}

const (
	defaultCooldown   = 30 * time.Second
	defaultProbeLease = 30 * time.Second
	defaultTrip       = Consecutive(5)
)

// Do calls fn, unless the circuit refuses or ctx has ended: then it returns the *Rejection, or context.Cause(ctx). fn's
// error counts as [Classify] says, corrected by what ctx knows: see [Classifier.Apply]. A panic and runtime.Goexit count as
// failed, and go on.
func (c *Circuit) Do(ctx context.Context, fn func(context.Context) error) error {
	if fn == nil {
		return errNoFunc
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	t, err := c.admit()
	if err != nil {
		return err
	}
	returned := false
	defer func() {
		if !returned {
			c.settle(t, unwound(ctx), ErrPanicked)
		}
	}()
	err = fn(ctx)
	returned = true
	c.settle(t, Classifier[struct{}](nil).Apply(ctx, struct{}{}, err), err)
	return err
}

// Acquire asks for leave to make one call. Whoever gets a Permit must call its Done once the call has ended. The
// error is a *Rejection for ErrOpen or ErrIsolated, or that of Validate.
func (c *Circuit) Acquire() (Permit, error) {
	t, err := c.admit()
	if err != nil {
		return Permit{}, err
	}
	return Permit{circuit: c, ticket: t}, nil
}

// A Permit is the leave to make one call. It must not be copied.
type Permit struct {
	circuit *Circuit
	ticket  ticket
	settled atomicBool
}

// Done says how the call ended. Only the first call of Done counts, from whichever goroutine. On the zero Permit it
// does nothing.
func (p *Permit) Done(o Outcome) {
	if p.circuit != nil && !p.settled.Swap(true) {
		p.circuit.settle(p.ticket, o, nil)
	}
}

// admit lets a call through or refuses it.
func (c *Circuit) admit() (ticket, error) {
	p := c.now.Load()
	switch {
	case p == nil:
	case p.free:
		return ticket{period: p}, nil
	case p.state == Isolated, p.state == Open && c.nanos() < p.until:
		return ticket{}, p.rejection
	case p.ramp > 0:
		if !c.climb(p) {
			return ticket{}, p.rejection
		}
	}
	return c.admitLocked()
}

// least is the share of calls that is admitted when a ramp-up begins.
const leastShare = 0.1

// climb reports whether a call is among those that are admitted by now in a ramp-up. It ends one that is over.
func (c *Circuit) climb(p *period) bool {
	left := clock.Since(c.nanos(), p.until)
	if left <= 0 {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.now.Load() == p {
			up := *p
			up.ramp, up.until, up.rejection, up.free = 0, 0, nil, c.Slow <= 0
			c.now.Store(&up)
		}
		return true
	}
	return drawn(c.Rand) < 1-(1-leastShare)*(float64(left)/float64(p.ramp))
}

func (c *Circuit) admitLocked() (t ticket, err error) {
	if err := c.begin(); err != nil {
		return ticket{}, err
	}
	told := false
	defer func() {
		if !told && t.period != nil {
			c.settle(t, Ignored, nil) // OnChange panicked: the call is not going to be made
		}
	}()
	c.locked(c.nanos(), func(now int64) {
		p := c.now.Load()
		if p.state == Open && now >= p.until {
			p = c.enter(HalfOpen, now, nil)
		}
		if p.state == Isolated || p.state == Open || p.state == HalfOpen && c.flights.len() >= c.probes() {
			err = p.rejection
			return
		}
		t = ticket{period: p}
		if !p.free {
			t.flight, t.seq = c.flights.begin(now)
		}
	})
	told = true
	return t, err
}

// settle counts an admitted call. cause is why it failed, if it did and the reason is known.
func (c *Circuit) settle(t ticket, o Outcome, cause error) {
	o = o.known()
	p := t.period
	if latest := c.now.Load(); latest != p {
		if latest.origin != p.origin && t.flight == nil {
			return // stale
		}
		p = latest // it counts by the settings of now
	}
	var now int64
	if p.free && t.flight == nil {
		switch o {
		case TransientFailure:
		case Success, PermanentFailure:
			if p.timed {
				now = c.nanos()
			}
			if p.tally.quick(now) {
				return
			}
		default:
			return
		}
	}
	c.locked(c.nanos(), func(now int64) {
		if t.flight != nil && !c.flights.end(t.flight, t.seq) || c.now.Load().origin != t.period.origin {
			return // its lease is over, it has counted as slow, or it is stale
		}
		switch o {
		case TransientFailure:
			c.failed(now, now, cause)
		case Success, PermanentFailure:
			c.succeeded(now)
		}
	})
}

// locked calls f with the lock held, after noticing what has become overdue. When it returns, every change of state
// so far has its cooldown and has been told, or some other goroutine is telling it.
func (c *Circuit) locked(now int64, f func(now int64)) {
	defer c.tell()
	for called := false; !called; {
		var before, after *period
		func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			before = c.now.Load()
			c.latest = max(c.latest, now)
			c.overdue(c.latest)
			// Where that has opened the circuit, f has to wait until it is known for how long.
			if called = c.now.Load() == before; called {
				f(c.latest)
			}
			after = c.now.Load()
		}()
		if after != before && after.state == Open {
			c.coolDown(after)
		}
	}
}

// overdue settles the calls that have been in flight for too long.
func (c *Circuit) overdue(now int64) {
	for f := c.flights.oldest(); f != nil; f = c.flights.oldest() {
		slow, lease := int64(math.MaxInt64), int64(math.MaxInt64)
		if c.Slow > 0 {
			slow = clock.After(f.start, c.Slow)
		}
		if c.now.Load().state == HalfOpen {
			lease = clock.After(f.start, c.probeLease())
		}
		if now < min(slow, lease) {
			return
		}
		c.flights.end(f, f.seq)
		if slow <= lease {
			c.failed(now, slow, ErrSlow)
		}
	}
}

// failed counts a failure that happened at the time at and is noticed now.
func (c *Circuit) failed(now, at int64, cause error) {
	p := c.now.Load()
	c.moved = now
	if p.tally != nil {
		p.tally.count(at, true)
	}
	if p.state == HalfOpen || p.state == Closed && p.tally.tripped() {
		c.enter(Open, now, cause)
	}
}

func (c *Circuit) succeeded(now int64) {
	p := c.now.Load()
	if p.state == HalfOpen {
		if c.worked++; c.worked >= c.successes() {
			c.enter(Closed, now, nil)
		}
		return
	}
	p.tally.count(now, false)
}

// begin makes a circuit that has not been used ready, or says why it cannot be.
func (c *Circuit) begin() error {
	if c.now.Load() != nil {
		return nil
	}
	if err := c.Validate(); err != nil {
		return err
	}
	now := c.nanos()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now.Load() == nil {
		c.latest = now
		c.now.Store(c.counting(period{state: Closed, generation: 1}, now).first())
	}
	return nil
}

func (c *Circuit) clock() clock.Clock { return clock.OrSystem(c.Clock) }
func (c *Circuit) nanos() int64       { return clock.OrSystem(c.Clock).Nanos() }

func (c *Circuit) trip() Trip {
	if c.Trip == nil {
		return defaultTrip
	}
	return c.Trip
}

func (c *Circuit) probes() int    { return max(1, c.Probes) }
func (c *Circuit) successes() int { return max(1, c.Successes) }

func (c *Circuit) probeLease() time.Duration {
	if c.ProbeLease <= 0 {
		return defaultProbeLease
	}
	return c.ProbeLease
}

func (c *Circuit) rejection(reason, cause error) *Rejection {
	return &Rejection{Policy: "breaker", Name: c.Name, Reason: reason, Cause: cause, clock: c.Clock}
}

// refusal returns what a call that comes after wait will be refused with for certain, or nil.
func (c *Circuit) refusal(wait time.Duration) error {
	p := c.now.Load()
	switch {
	case p == nil:
		return nil
	case p.state == Isolated, p.state == Open && clock.After(c.nanos(), wait) < p.until:
		return p.rejection
	default:
		return nil
	}
}
