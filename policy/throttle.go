package policy

import (
	"cmp"
	"errors"
	"time"

	"github.com/holdfast-go/holdfast/clock"
)

// ErrThrottled is the Reason of a Rejection by a Throttle: the dependency has been failing, and this call was drawn to
// spare it.
var ErrThrottled = errors.New("throttled")

// A Throttle spares a dependency that fails most of what it is asked: it refuses a share of the calls, drawn at random,
// that grows with the share that fails, so that the dependency sees about K times what it can do. Unlike a Circuit it
// knows more than all or nothing, and needs no probes.
//
// The zero value works. One Throttle may serve any number of pipelines and result types through [Shed], and any other
// code through Acquire and Done. It is safe for concurrent use, needs no goroutine, and allocates nothing; a call reads
// the clock twice, and hardly ever takes a lock while nothing fails. It must not be copied, and its fields only be changed by
// Configure, after first use.
//
// It refuses with probability max(0, (requests − K·accepts)/(requests + 1)). Source: "Handling Overload", Site
// Reliability Engineering, O'Reilly 2016, https://sre.google/sre-book/handling-overload/
type Throttle struct {
	Name    string
	K       float64        // how many times what it accepts the dependency is sent, 1 or more; 0 means 2
	Window  time.Duration  // what counts, in ten steps; 0 means 2 minutes
	MaxDrop float64        // the largest share refused, in (0, 1), so that some calls always find out; 0 means 0.9
	Clock   clock.Clock    // nil means clock.System
	Rand    func() float64 // in [0, 1), safe for concurrent use; nil means math/rand/v2

	verdict verdict
	seen    atomicPointer[window] // calls are requests, failures those that were not accepted
	failing atomicInt64           // until when one of these may count: before that a call looks at all of them

	mu      mutex // guards what is seen, but for window.quick, and the field below
	refusal *Rejection
}

const (
	defaultK       = 2
	defaultSheds   = 2 * time.Minute
	defaultMaxDrop = 0.9
)

// Acquire returns nil for a call to make, whose end Done must hear of, a *Rejection for ErrThrottled, or the error of
// Validate.
func (t *Throttle) Acquire() error {
	if err := t.verdict.by(t.begin); err != nil {
		return err
	}
	now := clock.OrSystem(t.Clock).Nanos()
	if now >= t.failing.Load() {
		return nil
	}
	p := t.dropRate(now)
	if p <= 0 {
		return nil
	}
	if drawn(t.Rand) >= p {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failed(now)
	if t.refusal == nil {
		t.refusal = &Rejection{Policy: "shed", Name: t.Name, Reason: ErrThrottled}
	}
	return t.refusal
}

// Done says how a call ended: a TransientFailure was not accepted, and Ignored does not count.
func (t *Throttle) Done(o Outcome) {
	if o = o.known(); o == Ignored || t.verdict.by(t.begin) != nil {
		return
	}
	now := clock.OrSystem(t.Clock).Nanos()
	accepted := o != TransientFailure
	if accepted && t.seen.Load().quick(now) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if accepted {
		t.seen.Load().count(now, false)
	} else {
		t.failed(now)
	}
}

// failed counts a request that was not accepted. It is called with the lock held.
func (t *Throttle) failed(now int64) {
	w := t.seen.Load()
	t.failing.Store(clock.After(now, time.Duration(w.length)))
	w.count(now, true)
}

// Idle reports whether a new throttle would do as well: nothing has failed within its window.
func (t *Throttle) Idle() bool {
	return t.verdict.by(t.begin) != nil || clock.OrSystem(t.Clock).Nanos() >= t.failing.Load()
}

// DropRate is the probability by which a call would be refused now.
func (t *Throttle) DropRate() float64 {
	if t.verdict.by(t.begin) != nil {
		return 1
	}
	return t.dropRate(clock.OrSystem(t.Clock).Nanos())
}

func (t *Throttle) dropRate(now int64) float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	k, most := t.K, t.MaxDrop
	if k == 0 {
		k = defaultK
	}
	if most == 0 {
		most = defaultMaxDrop
	}
	requests, failures := t.seen.Load().counts(now)
	return min(most, max(0, (float64(requests)-k*float64(requests-failures))/float64(requests+1)))
}

// begin makes a throttle that has not been used ready, or says why it cannot be.
func (t *Throttle) begin() error {
	if err := t.Validate(); err != nil {
		return err
	}
	now := clock.OrSystem(t.Clock).Nanos()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failing.Store(now)
	t.anew(now)
	return nil
}

// anew forgets what was seen. It is called with the lock held.
func (t *Throttle) anew(now int64) {
	t.seen.Store(&window{start: now, length: int64(cmp.Or(t.Window, defaultSheds))})
}

// Configure changes K, Window and MaxDrop while the throttle is in use: change edits a copy of them, which is taken over
// if it is valid. What counted before another Window counts in it, as if it had been now: a dependency that is down is
// spared on. If Configure is called concurrently, the last call wins.
func (t *Throttle) Configure(change func(*Throttle)) error {
	if err := t.verdict.by(t.begin); err != nil {
		return err
	}
	now := clock.OrSystem(t.Clock).Nanos()
	return reconfigure(&t.mu, change, t.settings,
		func(n *Throttle) error {
			return fixed("Throttle", map[string]bool{"Name": n.Name != "", "Clock": n.Clock != nil, "Rand": n.Rand != nil})
		},
		func(n *Throttle) {
			other := n.Window != t.Window
			t.K, t.Window, t.MaxDrop = n.K, n.Window, n.MaxDrop
			if other {
				requests, failures := t.seen.Load().retire(now)
				t.anew(now)
				w := t.seen.Load()
				w.carry(now, requests, failures)
				if failures > 0 {
					t.failing.Store(clock.After(now, time.Duration(w.length)))
				}
			}
		})
}

// settings is called with the lock held.
func (t *Throttle) settings() *Throttle {
	return &Throttle{K: t.K, Window: t.Window, MaxDrop: t.MaxDrop}
}

// Validate names every field that is out of range.
func (t *Throttle) Validate() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := problems{owner: "Throttle"}
	if t.K != 0 && !(t.K >= 1 && t.K <= 1e6) { // NaN is neither
		p.add(".K is %v; want 1 to 1000000, or 0 for %d", t.K, defaultK)
	}
	notNegative(&p, "Window", t.Window)
	if !(t.MaxDrop >= 0 && t.MaxDrop < 1) {
		p.add(".MaxDrop is %v; want 0 or more and less than 1", t.MaxDrop)
	}
	p.clock(t.Clock)
	return p.join()
}
