package peers

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-go/holdfast/bench/internal/load"
)

var errOpen = errors.New("open")

// A row opens at load.Threshold failures in a row.
type row struct {
	failures atomic.Int64
	until    atomic.Int64 // when it lets calls through again, since epoch; 0 while closed
}

func (r *row) allow() bool {
	until := r.until.Load()
	return until == 0 || int64(time.Since(epoch)) >= until
}

func (r *row) done(err error) {
	switch {
	case err != nil:
		if r.failures.Add(1) >= load.Threshold {
			r.until.Store(int64(time.Since(epoch) + load.Cooldown))
		}
	case r.failures.Load() != 0:
		r.failures.Store(0)
		r.until.Store(0)
	}
}

// A ring opens by the share of failures among the last calls.
type ring struct {
	until atomic.Int64

	mu              sync.Mutex
	failed          [load.Last]bool
	next            int
	calls, failures int
}

func (r *ring) allow() bool {
	until := r.until.Load()
	return until == 0 || int64(time.Since(epoch)) >= until
}

func (r *ring) done(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed[r.next] {
		r.failures--
	}
	r.failed[r.next] = err != nil
	if err != nil {
		r.failures++
	}
	r.calls++
	if r.next++; r.next == len(r.failed) {
		r.next = 0
	}
	if err != nil && r.calls >= load.Last && r.failures >= load.Ratio*load.Last {
		r.until.Store(int64(time.Since(epoch) + load.Cooldown))
	}
}

// A window opens by the share of failures within load.Window, in ten buckets.
type window struct {
	until atomic.Int64
	start time.Time

	mu      sync.Mutex
	buckets [10]struct {
		number          int64
		calls, failures int
	}
}

func (w *window) allow() bool {
	until := w.until.Load()
	return until == 0 || int64(time.Since(epoch)) >= until
}

func (w *window) done(err error) {
	number := int64(time.Since(w.start) / (load.Window / 10))
	w.mu.Lock()
	defer w.mu.Unlock()
	b := &w.buckets[number%10]
	if b.number != number {
		b.number, b.calls, b.failures = number, 0, 0
	}
	b.calls++
	if err == nil {
		return
	}
	b.failures++
	var calls, failures int
	for i := range w.buckets {
		if w.buckets[i].number > number-10 {
			calls += w.buckets[i].calls
			failures += w.buckets[i].failures
		}
	}
	if calls >= load.MinCalls && float64(failures) >= load.Ratio*float64(calls) {
		w.until.Store(int64(time.Since(epoch) + load.Cooldown))
	}
}
