package policy

import (
	"container/list"
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/clock"
)

// ErrLimited is the Reason of a Rejection by a Bucket: its rate is used up. Until says from when on it is not.
var ErrLimited = errors.New("too many calls")

// A Bucket limits how often something happens: Rate times per Per, and Burst at once after a pause. Over any time t
// it admits at most Burst + t·Rate/Per, to the nanosecond, and no fewer than that allows. If Configure changes the
// settings meanwhile, the bound of an interval is the Burst at its start and the sum of what each rate allows while it is
// in force. A turn counts when it is due: a timer that fires late lets its caller go late.
//
// With MaxWait callers wait for their turn, first come, first served. A caller that would wait longer than MaxWait, or past
// its context's deadline, is refused immediately. A caller that leaves takes no turn, so that those behind it move up.
// The zero value admits 100 a second, one at a time, and lets no caller wait.
//
// One Bucket may serve any number of pipelines and result types through [RateLimit], and any other code through
// Acquire and Allow. It is safe for concurrent use, needs no goroutine, and allocates only for a wait, and once for
// the refusals between two turns. It must not be copied, and its fields only be changed by Configure, after first use.
//
// It is the generic cell rate algorithm (ITU-T I.371, annex A), which keeps nothing but the time of the next turn:
//
//	        now            next
//	─────────┼──────────────┼────────▶ time     per turn: Per/Rate
//	         └─ turns taken ┘
//	            in advance               admitted if next − (Burst−1)·Per/Rate ≤ now
//
// That time is kept in nanoseconds and fractions of them, under a mutex: one rounded word drifts by up to a nanosecond
// a call.
type Bucket struct {
	Name    string
	Rate    int           // turns per Per, up to a billion; 0 means 100
	Per     time.Duration // up to a hundred years; 0 means 1s
	Burst   int           // turns at once after a pause; 0 means 1
	MaxWait time.Duration // how long a caller waits for a turn at most; 0 means not at all
	Clock   clock.Clock   // nil means clock.System

	verdict verdict
	mu      sync.Mutex // guards the fields below
	begun   bool
	next    turn       // when the next turn is due if nothing is saved up; counts the turns that were taken alone
	last    *claim     // the waiter that was given the latest turn, if it was the latest caller to be given one
	waiting list.List  // of *claim, first come first
	refusal *Rejection // for callers that come before next has moved on
}

const (
	defaultRate = 100
	defaultPer  = time.Second
	mostRate    = 1_000_000_000
	longestPer  = 100 * 365 * 24 * time.Hour
)

// Idle reports whether a new bucket would do as well: as many turns are saved up as can be.
func (b *Bucket) Idle() bool {
	if b.verdict.by(b.Validate) != nil {
		return true
	}
	now := clock.OrSystem(b.Clock).Nanos()
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.begun || b.waiting.Len() == 0 && b.next.ceil() <= now
}

// Allow takes a turn if there is one now, and reports whether there was; there is none if callers wait, or if Validate
// errs.
func (b *Bucket) Allow() bool {
	if b.verdict.by(b.Validate) != nil {
		return false
	}
	_, _, err := b.take(clock.OrSystem(b.Clock).Nanos(), 0, false)
	return err == nil
}

// Acquire takes a turn, waiting for it for up to MaxWait. The error is a *Rejection for ErrLimited, context.Cause(ctx)
// if ctx ended before the turn came, or that of Validate.
func (b *Bucket) Acquire(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := b.verdict.by(b.Validate); err != nil {
		return err
	}
	c := clock.OrSystem(b.Clock)
	_, patience, err := b.take(c.Nanos(), 0, false)
	if err == nil || patience == 0 {
		return err // without a look at the context's deadline, which most calls do not need
	}
	left, limited := clock.Remaining(ctx, c)
	if !limited {
		left = never
	}
	claim, _, err := b.take(c.Nanos(), left, true)
	if claim == nil {
		return err
	}
	return b.await(ctx, c, claim)
}

// take takes a turn if there is one now. Otherwise a caller that may wait gets a claim on one. left is the time until its
// context's deadline. patience is MaxWait.
func (b *Bucket) take(now int64, left time.Duration, waits bool) (c *claim, patience time.Duration, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.rules()
	if b.waiting.Len() > 0 {
		b.admit(now)
	}
	b.begin(now)
	due := b.due(r, b.waiting.Len())
	if b.waiting.Len() == 0 && due.ceil() <= now {
		b.next, b.last = r.shift(b.next, 1), nil
		return nil, b.MaxWait, nil
	}
	if deadline := clock.After(now, left); waits && fits(due, now, b.MaxWait, deadline) {
		c = &claim{began: now, deadline: deadline}
		c.place = b.waiting.PushBack(c)
		return c, b.MaxWait, nil
	}
	return nil, b.MaxWait, b.rejection(due)
}

// begin has the time of the next turn keep up with now. It is called with the lock held.
func (b *Bucket) begin(now int64) {
	if at := (turn{nanos: now}); !b.begun || b.next.compare(at) < 0 {
		b.begun, b.next = true, at
	}
}

// due returns when the turn is due that follows those of so many waiters. It is called with the lock held.
func (b *Bucket) due(r rules, waiters int) turn { return r.shift(b.next, int64(waiters)+1-r.burst) }

// rejection is the same for all callers that come before due. It is called with the lock held.
func (b *Bucket) rejection(due turn) *Rejection {
	c := clock.OrSystem(b.Clock)
	until := clock.Time(c, due.ceil())
	if b.refusal == nil || !b.refusal.Until.Equal(until) {
		b.refusal = &Rejection{Policy: "rate limit", Name: b.Name, Reason: ErrLimited, Until: until, clock: b.Clock}
	}
	return b.refusal
}

// coming returns the refusal that a call which comes after wait will get for certain, or nil.
func (b *Bucket) coming(wait time.Duration) error {
	if b.verdict.by(b.Validate) != nil {
		return nil
	}
	at := clock.After(clock.OrSystem(b.Clock).Nanos(), wait)
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.begun {
		return nil
	}
	due := b.due(b.rules(), 0) // those that wait now may leave
	if clock.Since(at, due.ceil()) <= b.MaxWait {
		return nil
	}
	return b.rejection(due)
}

// Configure changes Rate, Per, Burst and MaxWait while the bucket is in use: change edits a copy of them, which is taken
// over if it is valid. The turns that can be taken at once stay as many, up to the new Burst. From then on callers that
// wait go by the new settings, in the same order; one that would now wait longer than MaxWait in all, or past its
// context's deadline, is refused. If Configure is called concurrently, the last call wins.
func (b *Bucket) Configure(change func(*Bucket)) error {
	if err := b.verdict.by(b.Validate); err != nil {
		return err
	}
	now := clock.OrSystem(b.Clock).Nanos()
	return reconfigure(&b.mu, change, b.settings,
		func(n *Bucket) error {
			return fixed("Bucket", map[string]bool{"Name": n.Name != "", "Clock": n.Clock != nil})
		},
		func(n *Bucket) {
			if b.begun {
				b.admit(now) // by the settings until now
			}
			before := b.rules()
			b.Rate, b.Per, b.Burst, b.MaxWait = n.Rate, n.Per, n.Burst, n.MaxWait
			after := b.rules()
			if b.begun && before != after {
				b.begin(now)
				ahead := turn{nanos: b.next.nanos - now, part: b.next.part}
				b.next, b.last = turn{nanos: clock.After(now, before.convert(ahead, after))}, nil
			}
			b.refuse()
			b.admit(now)
			b.wakeFirst()
		})
}

// settings is called with the lock held.
func (b *Bucket) settings() *Bucket {
	return &Bucket{Rate: b.Rate, Per: b.Per, Burst: b.Burst, MaxWait: b.MaxWait}
}

// Validate names every field that is out of range.
func (b *Bucket) Validate() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := problems{owner: "Bucket"}
	if b.Rate < 0 || b.Rate > mostRate {
		p.add(".Rate is %d; want 0 to %d", b.Rate, mostRate)
	}
	if b.Per < 0 || b.Per > longestPer {
		p.add(".Per is %v; want 0 to %v", b.Per, longestPer)
	}
	notNegative(&p, "Burst", b.Burst)
	notNegative(&p, "MaxWait", b.MaxWait)
	p.clock(b.Clock)
	if r := b.rules(); r.per > 0 && r.per <= int64(longestPer) && r.burst > (math.MaxInt64/2)/r.per {
		p.add(".Burst is %d; want at most %d with that Per", b.Burst, (math.MaxInt64/2)/r.per)
	}
	return p.join()
}
