// Package benclock makes any github.com/benbjohnson/clock clock, its Mock above all, a Holdfast clock.
//
// That package is archived, and its Mock has habits a caller should know: it runs timers on goroutines of their own,
// sleeps a millisecond of real time for each, and can only fire what was registered before it was moved. So From uses
// nothing of it but Now and AfterFunc, and BlockUntil lets a test wait until what it is about to fire is registered:
//
//	mock := theirs.NewMock()
//	c := benclock.From(mock)
//	go callWithRetries(c)
//	c.BlockUntil(1)       // the call has failed and waits
//	mock.Add(time.Second) // now the retry happens
//
// New code is better off with testing/synctest, or with clock.Virtual.
package benclock

import (
	"cmp"
	"context"
	"math"
	"sync"
	"time"

	"github.com/benbjohnson/clock"

	holdfast "github.com/holdfast-go/holdfast/clock"
)

// A Clock is one of theirs as one of ours. Its zero value is not ready; use From. It is safe for concurrent use.
type Clock struct {
	theirs clock.Clock

	mu      sync.Mutex // guards the fields below
	latest  int64      // the latest reading given out: Mock.Set may go back, Nanos must not
	at      time.Time  // the time of the clock beneath at that reading
	read    bool
	pending int           // timers that have neither fired nor been stopped
	changed chan struct{} // closed and replaced when pending grows
}

var _ holdfast.Clock = (*Clock)(nil)

// From is c as a clock.Clock. Two calls give two clocks, and a deadline belongs to one: call it once and share it.
func From(c clock.Clock) *Clock {
	return &Clock{theirs: c, changed: make(chan struct{})}
}

// Nanos is the time of the clock beneath, or the latest it has told where that has been set back since.
//
// Nanoseconds since 1970 reach from the year 1677 to 2262. If the clock beneath is outside, as a Mock set to the zero
// time.Time is, the first reading is math.MinInt64, and each later one adds what has passed since the one before.
func (c *Clock) Nanos() int64 {
	now := c.theirs.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.reading(now); !c.read || n > c.latest {
		c.latest, c.at, c.read = n, now, true
	}
	return c.latest
}

// reading returns the nanoseconds that stand for now.
func (c *Clock) reading(now time.Time) int64 {
	switch {
	case !now.Before(minTime) && !now.After(maxTime):
		return now.UnixNano()
	case !c.read:
		return math.MinInt64
	default:
		return holdfast.After(c.latest, now.Sub(c.at))
	}
}

// The range in which time.Time.UnixNano is defined.
var (
	minTime = time.Unix(0, math.MinInt64)
	maxTime = time.Unix(0, math.MaxInt64)
)

// Sleep waits until the clock beneath has moved on by d, or ctx ends.
func (c *Clock) Sleep(ctx context.Context, d time.Duration) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if d <= 0 {
		return nil
	}
	over := make(chan struct{})
	timer := c.AfterFunc(d, func() { close(over) })
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-over:
		if ctx.Err() == nil {
			return nil
		}
	}
	return cmp.Or(context.Cause(ctx), context.Canceled) // never nil, whatever the context says
}

// AfterFunc calls f on a goroutine of its own once the clock beneath has moved on by d, and never twice.
func (c *Clock) AfterFunc(d time.Duration, f func()) holdfast.Timer {
	t := &timer{clock: c}
	if d <= 0 {
		t.over = true
		go f()
		return t
	}
	theirs := c.theirs.AfterFunc(d, func() {
		if t.settle() {
			f()
		}
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	t.theirs = theirs
	if !t.over {
		c.pending++
		close(c.changed)
		c.changed = make(chan struct{})
	}
	return t
}

// BlockUntil waits until at least n timers (sleeps, deadlines) are pending on this clock.
func (c *Clock) BlockUntil(n int) {
	for {
		c.mu.Lock()
		pending, changed := c.pending, c.changed
		c.mu.Unlock()
		if pending >= n {
			return
		}
		<-changed
	}
}

// Pending is the number of timers that have neither fired nor been stopped.
func (c *Clock) Pending() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pending
}

type timer struct {
	clock  *Clock
	theirs *clock.Timer // guarded by clock.mu; nil while being registered
	over   bool         // guarded by clock.mu: fired or stopped
}

// settle reports whether this call is the one that fires or stops the timer.
func (t *timer) settle() bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	if t.over {
		return false
	}
	t.over = true
	if t.theirs != nil {
		t.clock.pending--
	}
	return true
}

func (t *timer) Stop() bool {
	if !t.settle() {
		return false
	}
	t.theirs.Stop()
	return true
}
