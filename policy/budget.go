package policy

import (
	"math"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/clock"
)

// A Budget limits extra calls, retries and hedges, to a share of the first ones, so that a dependency that fails is not
// kept down by those who try again. Every first call deposits Ratio, an extra one withdraws 1, and a budget that holds
// less refuses it. What is held is at most Cap, and drains within TTL: there is no floor, because a fleet of clients
// that may each make a few retries a second makes a storm.
//
// Over any interval the extra calls are at most Cap + Ratio × the first calls in it. The zero value works: one extra
// call for ten first ones. One Budget may serve many pipelines. It is safe for concurrent use, never blocks, and
// allocates nothing; every call reads the clock once. It must not be copied after first use.
//
// Source: Marc Brooker, "Fixing retries with token buckets and circuit breakers", 2022,
// https://brooker.co.za/blog/2022/02/28/retries.html
type Budget struct {
	Ratio float64       // what a first call deposits, in (0, 1]; 0 means 0.1
	Cap   float64       // the most that is held, 1 to 1000; 0 means 1
	TTL   time.Duration // how long it takes a full budget to drain; 0 means 10s
	Clock clock.Clock   // nil means clock.System

	mu     sync.Mutex // guards the fields below
	credit int64      // in units, at the time at
	at     int64
}

const (
	defaultBudgetRatio = 0.1
	defaultBudgetCap   = 1
	defaultBudgetTTL   = 10 * time.Second

	// unit is one call's worth of credit. Whole numbers make ten deposits of 0.1 worth one call, exactly.
	unit = 1_000_000_000_000_000
)

// Deposit counts a first call.
func (b *Budget) Deposit() {
	now := clock.OrSystem(b.Clock).Nanos()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drain(now)
	b.credit = min(b.cap(), b.credit+units(b.Ratio, defaultBudgetRatio))
}

// Withdraw takes the credit for one extra call, and reports whether there was enough.
func (b *Budget) Withdraw() bool {
	now := clock.OrSystem(b.Clock).Nanos()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drain(now)
	if b.credit < unit {
		return false
	}
	b.credit -= unit
	return true
}

// refund gives back what was withdrawn for a call that was not made after all.
func (b *Budget) refund() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.credit = min(b.cap(), b.credit+unit)
}

// Credit is the number of extra calls that the budget would allow now.
func (b *Budget) Credit() float64 {
	now := clock.OrSystem(b.Clock).Nanos()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drain(now)
	return float64(b.credit) / unit
}

// drain takes away what the time since the last look has cost.
func (b *Budget) drain(now int64) {
	elapsed := clock.Since(b.at, now)
	b.at = max(b.at, now)
	ttl := b.TTL
	if ttl == 0 {
		ttl = defaultBudgetTTL
	}
	if elapsed >= ttl {
		b.credit = 0
		return
	}
	b.credit = max(0, b.credit-int64(math.Ceil(float64(b.cap())*(float64(elapsed)/float64(ttl)))))
}

func (b *Budget) cap() int64 { return units(b.Cap, defaultBudgetCap) }

func units(v, def float64) int64 {
	if v == 0 {
		v = def
	}
	return int64(math.Round(v * unit))
}

// Validate names every field that is out of range.
func (b *Budget) Validate() error {
	p := problems{owner: "Budget"}
	if b.Ratio != 0 {
		p.ratio(b.Ratio)
	}
	if b.Cap != 0 && !(b.Cap >= 1 && b.Cap <= 1000) { // NaN is neither
		p.add(".Cap is %v; want 1 to 1000, or 0 for %d", b.Cap, defaultBudgetCap)
	}
	notNegative(&p, "TTL", b.TTL)
	p.clock(b.Clock)
	return p.join()
}
