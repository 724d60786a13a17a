package clock

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"
)

// A process is a coroutine that shares a Virtual clock with others.
type process struct {
	clock *Virtual
	id    int
	from  uintptr // where it was started
	next  func() (struct{}, bool)
	stop  func()
	yield func(struct{}) bool

	wakeup event  // when it goes on; among what is due, or not
	what   string // it does while parked
}

// errStopped unwinds a process that nobody will resume.
var errStopped = errors.New("clock: the process was stopped")

// Go starts a process, which first runs when the clock is driven, at the time of now. f may sleep on the clock and
// wait for a Latch, by which it gives way to others. What it panics with, the driver panics with; where it ends its
// goroutine, as t.FailNow does, it ends the driver's. In both cases the other processes are stopped: what they wait for
// panics, so that their deferred funcs run.
func (v *Virtual) Go(f func()) {
	p := &process{clock: v}
	var pc [1]uintptr
	runtime.Callers(2, pc[:])
	p.from = pc[0]
	p.wakeup = event{clock: v, process: p, index: -1}
	p.next, p.stop = iter.Pull(func(yield func(struct{}) bool) {
		defer func() {
			if r := recover(); r != nil && r != any(errStopped) {
				panic(r)
			}
		}()
		p.yield = yield
		f()
	})
	v.mu.Lock()
	defer v.mu.Unlock()
	v.started++
	p.id, p.what = v.started, "has yet to run"
	v.live[p] = struct{}{}
	v.push(&p.wakeup, 0)
}

// Run drives the clock until every process has ended and nothing is due any more. When processes are left that nobody
// will wake, it stops them and panics with an error that says who waits for what.
func (v *Virtual) Run() {
	v.driveAll("Run", func() bool { return false })
	v.deadlock("Run")
}

// Wait implements Scheduler. Outside a process it drives the clock, and panics if nothing is left to happen that could
// open l or end ctx.
func (v *Virtual) Wait(ctx context.Context, l *Latch) error {
	over := func() bool { return l.IsOpen() || ctx.Err() != nil }
	if p := v.running(); p != nil {
		for !over() {
			p.park(ctx, "waits for a latch", 0, l)
		}
	} else if !over() {
		ctx.Done() // so that a deadline on this clock takes its place among what is due
		if !v.driveAll("Wait", over) {
			v.deadlock("Wait")
			panic(errors.New("clock: deadlock: Virtual.Wait for a latch that nothing will open"))
		}
	}
	if l.IsOpen() {
		return nil
	}
	return context.Cause(ctx)
}

// running is the process that runs, or nil while the driver does.
func (v *Virtual) running() *process {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.current
}

// resume lets p run until it parks again or ends.
func (p *process) resume() {
	p.enter(func() {
		parked := false // stays so if it panics or ends its goroutine
		defer func() {
			if !parked {
				p.clock.mu.Lock()
				delete(p.clock.live, p)
				p.clock.mu.Unlock()
			}
		}()
		_, parked = p.next()
	})
}

// takeLive is every process that has yet to end, in the order of their start. Nobody will resume them.
func (v *Virtual) takeLive() []*process {
	v.mu.Lock()
	defer v.mu.Unlock()
	ps := slices.SortedFunc(maps.Keys(v.live), func(a, b *process) int { return cmp.Compare(a.id, b.id) })
	clear(v.live)
	return ps
}

// stop unwinds processes, the last one first.
func (v *Virtual) stop(ps []*process) {
	for _, p := range ps {
		defer p.enter(p.stop) // deferred, so that one that panics does not keep the others
	}
}

// enter calls f, by which p runs.
func (p *process) enter(f func()) {
	v := p.clock
	v.mu.Lock()
	v.current = p
	v.mu.Unlock()
	defer func() {
		v.mu.Lock()
		v.current = nil
		v.mu.Unlock()
	}()
	f()
}

// park gives way until d has passed (if there is no latch), l opens, or ctx ends.
func (p *process) park(ctx context.Context, what string, d time.Duration, l *Latch) {
	v := p.clock
	forget := v.afterEnd(ctx, p.wake)
	shut := func() {}
	if l != nil {
		shut = l.onOpen(p.wake)
	}
	v.mu.Lock()
	p.what = what
	if l == nil && p.wakeup.index < 0 {
		v.push(&p.wakeup, d)
	}
	v.mu.Unlock()
	goesOn := p.yield(struct{}{})
	forget()
	shut()
	v.mu.Lock()
	if p.wakeup.index >= 0 {
		heap.Remove(&v.due, p.wakeup.index)
	}
	v.mu.Unlock()
	if !goesOn {
		panic(errStopped)
	}
}

// wake has p go on at the time of now.
func (p *process) wake() {
	v := p.clock
	v.mu.Lock()
	defer v.mu.Unlock()
	if p.wakeup.index >= 0 {
		heap.Remove(&v.due, p.wakeup.index)
	}
	v.push(&p.wakeup, 0)
}

// deadlock panics if processes are parked that nothing will wake, after stopping them.
func (v *Virtual) deadlock(method string) {
	stuck := v.takeLive()
	if len(stuck) == 0 {
		return
	}
	var report strings.Builder
	fmt.Fprintf(&report, "clock: deadlock in Virtual.%s: nothing is due, and %d processes wait", method, len(stuck))
	for i, p := range stuck {
		if i == 10 {
			break
		}
		frame, _ := runtime.CallersFrames([]uintptr{p.from}).Next()
		fmt.Fprintf(&report, "\n  process %d, started at %s:%d, %s", p.id, frame.File, frame.Line, p.what)
	}
	v.stop(stuck)
	panic(errors.New(report.String()))
}
