package policy

import (
	"context"
	"errors"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-go/holdfast/clock"
)

// A race is one call of a Hedge: legs that run beside each other, and the caller who waits for the first good one.
type race[T any] struct {
	hedge *Hedge[T]
	ctx   context.Context
	next  Next[T]
	clock clock.Clock
	delay time.Duration

	legs   []*leg[T]
	back   []*leg[T] // legs that have come back, and that are neither returned nor discarded
	winner *leg[T]   // the one whose result is returned

	escalated bool // the caller ends as a leg did

	mu    sync.Mutex   // guards the fields below
	news  *clock.Latch // opened when a leg ends, or is due
	ended []*leg[T]    // legs whose end the caller has yet to look at
	over  bool         // the caller has left

	// What most races need, so that it is not allocated piece by piece.
	first  clock.Latch
	few    [defaultLegs]leg[T]
	places [3][defaultLegs]*leg[T]
}

// A leg is one of the calls of a race.
type leg[T any] struct {
	cancel   context.CancelFunc
	v        T
	err      error
	returned bool
	panicked *Panic // nil with returned false means runtime.Goexit
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
				r.escalated = true
				l.escalate()
			}
			switch r.hedge.Classify.Apply(r.ctx, l.v, l.err) {
			case TransientFailure:
				late = true // no use in waiting for the next leg's time
			case Ignored:
				more = 0 // no answer, but another leg may bring one; a further leg would be refused too
			default:
				r.winner = l
				return l.v, l.err
			}
			failures = append(failures, l.err)
		}
		if r.ctx.Err() != nil {
			failures = append([]error{context.Cause(r.ctx)}, failures...)
			break
		}
		if more > 0 && late {
			more--
			if r.hedge.Budget == nil || r.hedge.Budget.Withdraw() {
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
		r.winner = r.back[len(r.back)-1]
		v = r.winner.v
	}
	if len(failures) == 1 {
		return v, failures[0]
	}
	return v, errors.Join(failures...)
}

// start begins another leg.
func (r *race[T]) start() {
	ctx, cancel := context.WithCancel(r.ctx)
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
		l.v, l.err = r.next.Do(ctx)
		l.returned = true
		// A first leg that was cancelled because another won counts as what it took at least: without the slow ones
		// the quantile would be that of the quick.
		if beaten := first && ctx.Err() != nil && r.ctx.Err() == nil; r.hedge.Quantile > 0 && (l.err == nil || beaten) {
			r.hedge.latencies.add(clock.Since(begun, r.clock.Nanos()))
		}
	})
}

// end tells the caller of l's end. It is deferred by the leg.
func (r *race[T]) end(l *leg[T]) {
	r.mu.Lock()
	if r.over {
		r.mu.Unlock()
		r.discard(l)
		return // a panic goes on: nobody is left who could be told
	}
	defer r.mu.Unlock()
	if !l.returned {
		if p := recover(); p != nil {
			l.panicked = &Panic{Value: p, Stack: debug.Stack()}
		}
	}
	r.ended = append(r.ended, l)
	r.news.Open()
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
		if l != r.winner {
			l.cancel()
		}
	}
	r.mu.Lock()
	r.over = true
	r.back = append(r.back, r.ended...)
	r.mu.Unlock()
	kept := false
	defer func() {
		w := r.winner
		if w != nil && (!kept || r.hedge.plain()) {
			w.cancel() // what it returned does not need it
		}
		if w != nil && !kept {
			r.discard(w) // a panic takes the place of its value
		}
	}()
	r.discardLosers()
	for _, l := range r.back {
		if !l.returned && !r.escalated {
			r.escalated = true
			l.escalate() // a panic is not lost because another leg has won, or the caller has left, at the same moment
		}
	}
	kept = true
}

func (r *race[T]) discardLosers() {
	for _, l := range r.back {
		if l != r.winner {
			defer r.discard(l) // deferred, so that a Discard that panics does not keep the others from theirs
		}
	}
}

func (r *race[T]) discard(l *leg[T]) {
	if l.returned && r.hedge.Discard != nil {
		r.hedge.Discard(l.v)
	}
}

// escalate has the caller end as the leg did.
func (l *leg[T]) escalate() {
	if l.panicked != nil {
		panic(l.panicked)
	}
	runtime.Goexit()
}
