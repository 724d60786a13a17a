package policy

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-go/holdfast/clock"
)

// A race is one call of a Hedge: legs that run beside each other, and the caller who waits for the first good one.
type race[T any] struct {
	hedge *Hedge[T]
	means Meaning[T]
	ctx   context.Context
	next  Next[T]
	clock clock.Clock
	delay time.Duration

	legs   []*leg[T]
	back   []*leg[T] // legs that have come back, and that are neither returned nor discarded
	winner *leg[T]   // the one whose result is returned

	deposited bool // into the budget, for the first leg
	held      bool // the winner's context lasts until its value is done with

	mu    sync.Mutex   // guards the fields below
	news  *clock.Latch // opened when a leg ends, or is due
	ended []*leg[T]    // legs whose end the caller has yet to look at
	over  bool         // the caller has left
	told  *leg[T]      // the caller ends as this leg did

	// What most races need, so that it is not allocated piece by piece.
	first  clock.Latch
	few    [defaultLegs]leg[T]
	places [3][defaultLegs]*leg[T]
}

// A leg is one of the calls of a race.
type leg[T any] struct {
	cancel context.CancelFunc
	result[T]
}

// run is the caller's side.
func (r *race[T]) run() (T, error) {
	defer r.leave()
	r.news, r.legs, r.back, r.ended = &r.first, r.places[0][:0], r.places[1][:0], r.places[2][:0]
	r.start()
	due := clock.After(r.clock.Nanos(), r.delay) // when the next leg starts
	more := r.hedge.legs() - 1                   // legs that may still start
	var failures []error
	for {
		late := r.wait(due, more > 0)
		for l := r.pop(); l != nil; l = r.pop() {
			if !l.returned {
				r.tell(l)
			}
			if !notAsked(l.err) {
				r.deposit()
			}
			switch r.means.Classify.Apply(r.ctx, l.v, l.err) {
			case TransientFailure:
				late = true // no use in waiting for the next leg's time
			case Ignored:
				more = 0 // no answer, but another leg may bring one; a further leg would be refused too
			default:
				return r.keep(l), l.err
			}
			failures = append(failures, l.err)
		}
		if r.ctx.Err() != nil {
			failures = append([]error{context.Cause(r.ctx)}, failures...)
			break
		}
		if more > 0 && late {
			more--
			if r.pays() {
				r.start()
				due = clock.After(r.clock.Nanos(), r.delay)
			} else {
				more = 0
			}
		}
		if len(failures) == len(r.legs) {
			break
		}
	}
	var v T
	if len(r.back) > 0 {
		v = r.keep(r.back[len(r.back)-1])
	}
	return v, joinedLater(failures)
}

// keep makes l the winner, and returns its value.
func (r *race[T]) keep(l *leg[T]) T {
	v := l.v
	if r.means.Hold != nil {
		v = r.means.Hold(v, l.cancel)
		r.held = true
	}
	r.winner = l
	return v
}

// deposit counts the first leg, once it is known to have asked, or to be at it: a call that was refused pays for nothing.
func (r *race[T]) deposit() {
	if r.hedge.Budget != nil && !r.deposited {
		r.deposited = true
		r.hedge.Budget.Deposit()
	}
}

// pays takes the credit for another leg, and reports whether there was enough.
func (r *race[T]) pays() bool {
	r.deposit()
	return r.hedge.Budget == nil || r.hedge.Budget.Withdraw()
}

// start begins another leg.
func (r *race[T]) start() {
	ctx, cancel := clock.WithCancel(r.ctx, r.clock)
	l := new(leg[T])
	if n := len(r.legs); n < len(r.few) {
		l = &r.few[n]
	}
	l.cancel = cancel
	first := len(r.legs) == 0
	r.legs = append(r.legs, l)
	clock.Go(r.clock, func() {
		if ctx.Err() != nil { // the race was over before this leg's goroutine came to run
			if !first && r.hedge.Budget != nil {
				r.hedge.Budget.refund()
			}
			return
		}
		defer r.end(l)
		begun := r.clock.Nanos()
		l.run(ctx, r.next)
		// A first leg that was cancelled because another won counts as what it took at least: without the slow ones
		// the quantile would be that of the quick.
		if beaten := first && ctx.Err() != nil && r.ctx.Err() == nil; r.hedge.Quantile > 0 && (l.err == nil || beaten) {
			r.hedge.latencies.add(clock.Since(begun, r.clock.Nanos()))
		}
	})
}

// end notifies the caller of l's end. It is deferred by the leg.
func (r *race[T]) end(l *leg[T]) {
	r.mu.Lock()
	over := r.over
	if !over {
		defer r.mu.Unlock()
		if !l.returned {
			l.catch(recover())
		}
		r.ended = append(r.ended, l)
		r.news.Open()
		return
	}
	told := r.told
	r.mu.Unlock()
	if l.returned {
		r.discard(l)
	} else if told != nil || r.next.Observed() {
		l.catch(recover())
		r.report(l)
	}
}

// report emits the panic of a leg whose caller is not going to panic with it.
func (r *race[T]) report(l *leg[T]) {
	if l.panicked != nil {
		late(r.ctx, r.next, "hedge", r.hedge.Name, l.panicked)
	}
}

// tell ends the caller as l did.
func (r *race[T]) tell(l *leg[T]) {
	r.mu.Lock()
	r.told = l
	r.mu.Unlock()
	_, _ = l.deliver()
}

// wait returns once a leg has ended, the context has, or the next leg is due, which it reports.
func (r *race[T]) wait(due int64, more bool) bool {
	r.mu.Lock()
	news := r.news
	r.mu.Unlock()
	var late atomic.Bool
	if more {
		timer := r.clock.AfterFunc(time.Duration(due-r.clock.Nanos()), func() {
			late.Store(true)
			news.Open()
		})
		defer timer.Stop()
	}
	_ = news.Wait(r.ctx, r.clock)
	return late.Load()
}

// pop is a leg that has ended, or nil once the caller has seen all of them.
func (r *race[T]) pop() *leg[T] {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ended) == 0 {
		r.news = new(clock.Latch)
		return nil
	}
	l := r.ended[0]
	r.ended = r.ended[1:]
	r.back = append(r.back, l)
	return l
}

// leave ends the race: legs that still run dispose of what they return.
func (r *race[T]) leave() {
	for _, l := range r.legs {
		if l != r.winner || !r.held {
			l.cancel()
		}
	}
	r.mu.Lock()
	r.over = true
	r.back = append(r.back, r.ended...)
	told := r.told
	r.mu.Unlock()
	kept := false
	defer func() {
		if w := r.winner; w != nil && !kept {
			w.cancel()
			r.discard(w) // a panic takes the place of its value
		}
	}()
	r.discardLosers()
	for _, l := range r.back {
		switch {
		case l.returned, l == told:
		case told != nil:
			r.report(l)
		default:
			told = l
			defer r.tell(l) // deferred, so that the others are reported first
		}
	}
	kept = told == nil
}

func (r *race[T]) discardLosers() {
	for _, l := range r.back {
		if l != r.winner {
			defer r.discard(l) // deferred, so that a Discard that panics does not keep the others from theirs
		}
	}
}

func (r *race[T]) discard(l *leg[T]) {
	if l.returned && r.means.Discard != nil {
		r.means.Discard(l.v)
	}
}
