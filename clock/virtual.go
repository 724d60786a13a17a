package clock

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// epoch is where virtual time starts: 2100-01-01 UTC, so that no deadline in it looks expired to package context.
const epoch = 4102444800 * int64(time.Second)

// A Virtual clock stands still until a goroutine sleeps on it or advances it; either returns at once, having run
// what fell due on the way, in order of time and then of registration. It is for one goroutine: calls whose sleeps
// overlap are a mistake, and panic. Where several goroutines must wait for each other, use testing/synctest and
// System. The zero value is not ready; use NewVirtual.
type Virtual struct {
	mu     sync.Mutex // guards the fields below
	now    int64
	moving bool // some goroutine is on its way through time
	timers timers
	seq    uint64
}

// NewVirtual is a clock that stands at the start of the year 2100.
func NewVirtual() *Virtual { return &Virtual{now: epoch} }

// Nanos is the virtual time.
func (v *Virtual) Nanos() int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.now
}

// Advance moves time on by d, running what falls due. A d of 0 or less runs only what is due now.
func (v *Virtual) Advance(d time.Duration) {
	_ = v.move(context.Background(), "Advance", d)
}

// Sleep moves time on by d. When ctx ends on the way, time stops there and Sleep returns context.Cause(ctx).
func (v *Virtual) Sleep(ctx context.Context, d time.Duration) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ctx.Done() // so that a deadline on this clock takes its place among the timers
	return v.move(ctx, "Sleep", d)
}

// AfterFunc calls f on the goroutine whose Sleep or Advance passes the time d from now.
func (v *Virtual) AfterFunc(d time.Duration, f func()) Timer {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.seq++
	t := &virtualTimer{clock: v, when: After(v.now, max(0, d)), seq: v.seq, f: f}
	heap.Push(&v.timers, t)
	return t
}

// Pending is the number of timers that have neither run nor been stopped.
func (v *Virtual) Pending() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.timers)
}

func (v *Virtual) move(ctx context.Context, method string, d time.Duration) error {
	v.mu.Lock()
	if v.moving {
		v.mu.Unlock()
		panic("clock: Virtual." + method + " while another Sleep or Advance is under way: a Virtual clock is for one " +
			"goroutine, and a timer's func must not wait; use testing/synctest with clock.System for several")
	}
	v.moving = true
	defer func() {
		v.moving = false
		v.mu.Unlock()
	}()
	until := After(v.now, max(0, d))
	for len(v.timers) > 0 && v.timers[0].when <= until {
		t := heap.Pop(&v.timers).(*virtualTimer)
		v.now = max(v.now, t.when)
		v.run(t.f)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	v.now = until
	return nil
}

// run calls f with the lock given up, and takes it again even if f panics.
func (v *Virtual) run(f func()) {
	v.mu.Unlock()
	defer v.mu.Lock()
	f()
}

type virtualTimer struct {
	clock *Virtual
	when  int64
	seq   uint64
	f     func()
	index int // in clock.timers; -1 once run or stopped
}

func (t *virtualTimer) Stop() bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	if t.index < 0 {
		return false
	}
	heap.Remove(&t.clock.timers, t.index)
	return true
}

// timers is a heap by time, then by registration.
type timers []*virtualTimer

func (h timers) Len() int { return len(h) }
func (h timers) Less(i, j int) bool {
	return h[i].when < h[j].when || h[i].when == h[j].when && h[i].seq < h[j].seq
}
func (h timers) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *timers) Push(x any) {
	t := x.(*virtualTimer)
	t.index = len(*h)
	*h = append(*h, t)
}

func (h *timers) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	t.index = -1
	return t
}
