package clock

import (
	"container/heap"
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"time"
)

// epoch is where virtual time starts: 2100-01-01 UTC, so that no deadline in it looks expired to package context.
const epoch = 4102444800 * int64(time.Second)

// A Virtual clock stands still until somebody waits on it. The zero value is not ready; use NewVirtual.
//
// Without processes, it is for one goroutine: Sleep and Advance move time on and return at once, having run on the
// way, in order, what fell due. Several goroutines whose sleeps overlap are a mistake, and panic.
//
// With processes, started by Go, any number of them share the clock: one runs at a time, until it sleeps or waits by
// a Latch, and then whichever is due next. The goroutine that calls Run, Sleep, Advance or Wait drives them. What is
// due at one instant happens in the order in which it was put off, or in one drawn from the seed given to Shuffle. So a
// run is the same every time, to the nanosecond, whatever the machine. Processes must not wait for each other by any
// other means, such as channels: the clock knows nothing of these.
type Virtual struct {
	mu      sync.Mutex // guards the fields below
	now     int64
	driving bool // some goroutine is on its way through time
	due     events
	seq     uint64
	alone   bool      // a process that ends its goroutine stops no others
	order   *rand.PCG // draws the order within an instant; nil for that of registration
	current *process  // the one that runs; nil while the driver itself does
	live    map[*process]struct{}
	started int // processes so far

	ends      map[<-chan struct{}]*waiters // for contexts that are no deadlines on this clock, by Done
	strangers map[<-chan struct{}]*source  // contexts that do not notify this clock, by Done; looked at after every event
	suspects  []*waiters                   // those whose context has ended, or is about to

	telling sync.Mutex // held while some goroutine tells those in ends; taken before mu
}

// NewVirtual is a clock that stands at the start of the year 2100.
func NewVirtual() *Virtual {
	return &Virtual{
		now: epoch, live: map[*process]struct{}{},
		ends: map[<-chan struct{}]*waiters{}, strangers: map[<-chan struct{}]*source{},
	}
}

// Shuffle has what is due at one instant happen in an order drawn from seed, from here on.
func (v *Virtual) Shuffle(seed uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.order = rand.NewPCG(seed, 0)
}

// EndAlone has a process that ends its goroutine, by runtime.Goexit, stop no others: it still ends the goroutine that
// drives the clock, and another one may go on by Run. It is for test kits that try such processes out.
func (v *Virtual) EndAlone() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.alone = true
}

// Nanos is the virtual time.
func (v *Virtual) Nanos() int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.now
}

// Advance moves time on by d, running what falls due. A d of 0 or less runs only what is due now.
func (v *Virtual) Advance(d time.Duration) {
	v.pass("Advance", d, func() bool { return false })
}

// Sleep lets d pass. In a process, the others run meanwhile; outside, it moves time on. When ctx ends on the way, that
// is when it returns context.Cause(ctx).
func (v *Virtual) Sleep(ctx context.Context, d time.Duration) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if p := v.running(); p != nil {
		if d > 0 {
			p.park(ctx, "sleeps", d, nil)
		}
	} else {
		ctx.Done() // so that a deadline on this clock takes its place among what is due
		v.pass("Sleep", d, func() bool { return ctx.Err() != nil })
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// AfterFunc calls f once d has passed, on the goroutine that drives the clock.
func (v *Virtual) AfterFunc(d time.Duration, f func()) Timer {
	e := &event{clock: v, f: f}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.push(e, d)
	return e
}

// Pending is the number of timers and sleeps that have neither run nor been stopped, and of processes that are to go on.
func (v *Virtual) Pending() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.due)
}

// pass lets d pass, or less if done says so on the way.
func (v *Virtual) pass(method string, d time.Duration, done func() bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	until := After(v.now, max(0, d))
	if !v.drive(method, until, done) {
		v.now = max(v.now, until)
	}
}

// driveAll runs what falls due until nothing does, or until done says so, which it reports.
func (v *Virtual) driveAll(method string, done func() bool) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.drive(method, math.MaxInt64, done)
}

// drive runs what falls due by the time until, or until done says so, which it reports. It is called with the lock
// held, and gives it up while something happens.
func (v *Virtual) drive(method string, until int64, done func() bool) bool {
	if v.driving {
		panic("clock: Virtual." + method + " while another goroutine drives the clock, or by a timer's func: a goroutine " +
			"that waits on a Virtual clock must be a process, started by its Go; or use testing/synctest with clock.System")
	}
	v.driving = true
	arrived := false // stays so if something panics, or ends the goroutine
	defer v.halt()
	defer func() {
		if arrived {
			return
		}
		if v.alone {
			p := recover()
			if p == nil {
				return // a process has ended its goroutine, and with it this one: the others may go on
			}
			defer panic(p)
		}
		v.abandon()
	}()
	is := v.run(func() {}, done) // a context may have ended while nobody drove
	for !is && len(v.due) > 0 && v.due[0].when <= until {
		e := heap.Pop(&v.due).(*event)
		v.now = max(v.now, e.when)
		is = v.run(e.happen, done)
	}
	arrived = true
	return is
}

// abandon stops the processes, with the lock given up.
func (v *Virtual) abandon() {
	v.mu.Unlock()
	defer v.mu.Lock()
	v.stop(v.takeLive())
}

// halt ends a drive, and tells of what ended after the last event: a goroutine in ended left it to the driver.
func (v *Virtual) halt() {
	v.driving = false
	if len(v.ends) > 0 {
		v.run(func() {}, func() bool { return true })
	}
}

// run calls f and tells of the ends it has brought about, with the lock given up, and reports whether that is all.
func (v *Virtual) run(f func(), done func() bool) bool {
	v.mu.Unlock()
	defer v.mu.Lock()
	f()
	v.tellEnds()
	return done()
}

// push puts e off by d.
func (v *Virtual) push(e *event, d time.Duration) {
	v.seq++
	e.when, e.seq, e.key = After(v.now, max(0, d)), v.seq, 0
	if v.order != nil {
		e.key = v.order.Uint64()
	}
	heap.Push(&v.due, e)
}
