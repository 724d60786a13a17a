package policy

import (
	"context"
	"errors"
	"runtime"
	"runtime/debug"
	"sync"
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

	mu    sync.Mutex   // guards the fields below
	news  *clock.Latch // opened when a leg ends
	ended []*leg[T]    // legs whose end the caller has yet to look at
	over  bool         // the caller has left
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
	var legs []*leg[T]
	var held, winner *leg[T] // the last that failed; the one whose result is returned
	defer func() {
		for _, l := range legs {
			if l != winner {
				l.cancel()
			}
		}
		if held != nil && held != winner {
			r.discard(held)
		}
		r.leave()
	}()
	legs = append(legs, r.start())
	due := clock.After(r.clock.Nanos(), r.delay) // when the next leg starts
	more := r.hedge.legs() - 1                   // legs that may still start
	var failures []error
	for {
		late := r.wait(due, more > 0)
		for l := r.pop(); l != nil; l = r.pop() {
			if !l.returned {
				l.escalate()
			}
			if r.hedge.Classify.Apply(r.ctx, l.v, l.err) != TransientFailure {
				winner = l
				return l.v, l.err
			}
			if held != nil {
				r.discard(held)
			}
			held, late = l, true // no use in waiting for the next leg's time
			failures = append(failures, l.err)
		}
		if r.ctx.Err() != nil {
			failures = append([]error{context.Cause(r.ctx)}, failures...)
			break
		}
		if more > 0 && late {
			more--
			if r.hedge.Budget == nil || r.hedge.Budget.Withdraw() {
				legs = append(legs, r.start())
				due = clock.After(r.clock.Nanos(), r.delay)
			} else {
				more = 0
			}
		}
		if len(failures) == len(legs) {
			break
		}
	}
	var v T
	if held != nil {
		v = held.v
	}
	winner = held
	if len(failures) == 1 {
		return v, failures[0]
	}
	return v, errors.Join(failures...)
}

// start begins another leg.
func (r *race[T]) start() *leg[T] {
	ctx, cancel := context.WithCancel(r.ctx)
	l := &leg[T]{cancel: cancel}
	r.mu.Lock()
	if r.news == nil {
		r.news = new(clock.Latch)
	}
	r.mu.Unlock()
	clock.Go(r.clock, func() {
		defer func() {
			r.mu.Lock()
			if r.over {
				r.mu.Unlock()
				if l.returned {
					r.discard(l)
				}
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
		}()
		begun := r.clock.Nanos()
		l.v, l.err = r.next.Do(ctx)
		l.returned = true
		if r.hedge.Quantile > 0 && l.err == nil {
			r.hedge.latencies.add(clock.Since(begun, r.clock.Nanos()))
		}
	})
	return l
}

// wait returns once a leg has ended, the context has, or the next leg is due, which it reports.
func (r *race[T]) wait(due int64, more bool) (late bool) {
	r.mu.Lock()
	news := r.news
	r.mu.Unlock()
	if !more {
		_ = news.Wait(r.ctx, r.clock)
		return false
	}
	ctx, cancel := clock.WithTimeout(r.ctx, r.clock, time.Duration(due-r.clock.Nanos()), nil)
	defer cancel()
	return news.Wait(ctx, r.clock) != nil
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
	return l
}

// leave lets the legs that are left dispose of what they return.
func (r *race[T]) leave() {
	r.mu.Lock()
	r.over = true
	rest := r.ended
	r.ended = nil
	r.mu.Unlock()
	for _, l := range rest {
		if l.returned {
			r.discard(l)
		}
	}
}

func (r *race[T]) discard(l *leg[T]) {
	if r.hedge.Discard != nil {
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
