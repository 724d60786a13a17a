package policy

import (
	"cmp"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/clock"
)

// A Budget limits extra calls, retries and hedges, to a share of the first ones, so that a dependency that fails is not
// kept down by those who try again. Every first call deposits Ratio, an extra one withdraws 1, and a budget that holds
// less refuses it. What is held is at most Cap, and what nobody needs within TTL is gone: there is no floor, because a
// fleet of clients that may each make a few retries a second makes a storm.
//
// It begins empty, and takes 1/Ratio first calls within TTL to allow an extra one: with the zero value one call a second.
// Where there are fewer, give it a longer TTL.
//
// Over any interval the extra calls are at most Cap + Ratio × the first calls in it. The zero value works: one extra
// call for ten first ones. One that Validate finds fault with allows none. One Budget may serve many pipelines. It is
// safe for concurrent use, never blocks, and allocates nothing; every call reads the clock once. It must not be copied,
// and its fields only be changed by Configure, after first use.
//
// Source: Marc Brooker, "Fixing retries with token buckets and circuit breakers", 2022,
// https://brooker.co.za/blog/2022/02/28/retries.html
type Budget struct {
	Ratio float64       // what a first call deposits, in (0, 1]; 0 means 0.1
	Cap   float64       // the most that is held, 1 to 1000; 0 means 1
	TTL   time.Duration // how long a deposit lasts, or up to a tenth less, 1µs or more; 0 means 10s
	Clock clock.Clock   // nil means clock.System

	verdict verdict
	mu      sync.Mutex // guards the fields below
	credit  int64      // in units: the sum of held
	held    [10]int64  // by when it was deposited: each is a tenth of TTL
	latest  int        // in held
	begun   int64      // when latest began
	used    bool       // begun is set
}

const (
	defaultBudgetRatio = 0.1
	defaultBudgetCap   = 1
	defaultBudgetTTL   = 10 * time.Second
	shortestTTL        = time.Microsecond // of which a tenth can still be told

	// unit is one call's worth of credit. Whole numbers make ten deposits of 0.1 worth one call, exactly.
	unit = 1_000_000_000_000_000
)

// Deposit counts a first call.
func (b *Budget) Deposit() {
	if b.verdict.by(b.Validate) != nil {
		return
	}
	now := clock.OrSystem(b.Clock).Nanos()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expire(now)
	b.add(units(b.Ratio, defaultBudgetRatio))
}

// Withdraw takes the credit for one extra call, and reports whether there was enough.
func (b *Budget) Withdraw() bool {
	if b.verdict.by(b.Validate) != nil {
		return false
	}
	now := clock.OrSystem(b.Clock).Nanos()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expire(now)
	if b.credit < unit {
		return false
	}
	b.spend(unit)
	return true
}

// refund gives back what was withdrawn for a call that was not made after all.
func (b *Budget) refund() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.add(unit)
}

// Credit is the number of extra calls that the budget would allow now.
func (b *Budget) Credit() float64 {
	if b.verdict.by(b.Validate) != nil {
		return 0
	}
	now := clock.OrSystem(b.Clock).Nanos()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expire(now)
	return float64(b.credit) / unit
}

// add deposits n. What is too much then is the oldest.
func (b *Budget) add(n int64) {
	b.held[b.latest] += n
	b.credit += n
	b.spend(max(0, b.credit-b.cap()))
}

// spend takes n of what is held, the oldest first.
func (b *Budget) spend(n int64) {
	b.credit -= n
	for i := b.latest; n > 0; {
		i = (i + 1) % len(b.held)
		part := min(n, b.held[i])
		b.held[i] -= part
		n -= part
	}
}

// expire forgets what was deposited too long ago.
func (b *Budget) expire(now int64) {
	step := max(1, int64(b.ttl())/int64(len(b.held)))
	if !b.used { // the tenths begin at whole multiples of theirs, before 1970 as well
		b.used, b.begun = true, clock.After(now, -time.Duration((now%step+step)%step))
	}
	steps := int64(clock.Since(b.begun, now)) / step
	b.begun += steps * step
	for range min(steps, int64(len(b.held))) {
		b.latest = (b.latest + 1) % len(b.held)
		b.credit -= b.held[b.latest]
		b.held[b.latest] = 0
	}
}

func (b *Budget) ttl() time.Duration { return cmp.Or(b.TTL, defaultBudgetTTL) }

func (b *Budget) cap() int64 { return units(b.Cap, defaultBudgetCap) }

func units(v, def float64) int64 {
	if v == 0 {
		v = def
	}
	return int64(math.Round(v * unit))
}

// Configure changes Ratio, Cap and TTL while the budget is in use: change edits a copy of them, which is taken over if
// it is valid. What is held stays, as far as the new Cap allows. Where two configure at once the last has its way.
func (b *Budget) Configure(change func(*Budget)) error {
	if err := b.verdict.by(b.Validate); err != nil {
		return err
	}
	now := clock.OrSystem(b.Clock).Nanos()
	return reconfigure(&b.mu, change, b.settings,
		func(n *Budget) error { return fixed("Budget", map[string]bool{"Clock": n.Clock != nil}) },
		func(n *Budget) {
			b.expire(now)
			if n.TTL != b.TTL {
				b.begun = now // what is held has the new TTL before it
			}
			b.Ratio, b.Cap, b.TTL = n.Ratio, n.Cap, n.TTL
			b.add(0)
		})
}

// settings is called with the lock held.
func (b *Budget) settings() *Budget { return &Budget{Ratio: b.Ratio, Cap: b.Cap, TTL: b.TTL} }

// describe is what Explain says of a policy's budget.
func (b *Budget) describe() Setting {
	b.mu.Lock()
	defer b.mu.Unlock()
	return Setting{
		"budget",
		fmt.Sprintf("%v of calls up to %v, for %v", cmp.Or(b.Ratio, defaultBudgetRatio), cmp.Or(b.Cap, defaultBudgetCap), b.ttl()),
		b.Ratio == 0 && b.Cap == 0 && b.TTL == 0,
	}
}

// Validate names every field that is out of range.
func (b *Budget) Validate() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := problems{owner: "Budget"}
	if b.Ratio != 0 {
		p.ratio(b.Ratio)
	}
	if b.Cap != 0 && !(b.Cap >= 1 && b.Cap <= 1000) { // NaN is neither
		p.add(".Cap is %v; want 1 to 1000, or 0 for %d", b.Cap, defaultBudgetCap)
	}
	if b.TTL != 0 && b.TTL < shortestTTL {
		p.add(".TTL is %v; want %v or more, or 0 for %v", b.TTL, shortestTTL, defaultBudgetTTL)
	}
	p.clock(b.Clock)
	return p.join()
}
