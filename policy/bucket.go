package policy

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/clock"
)

// ErrLimited is the Reason of a Rejection by a Bucket: its rate is used up. Until says from when on it is not.
var ErrLimited = errors.New("rate limit reached")

// A Bucket limits how often something happens: Rate times per Per, and Burst at once after a pause. Over any time t
// it admits at most Burst + t·Rate/Per, to the nanosecond, and no fewer than that allows.
//
// With MaxWait it lets callers wait for their turn, and decides before they wait: who would wait for longer, or past
// the context's deadline, is refused at once. A caller that goes away gives its turn back: another may take it, at the
// same time, or else it is lost. The zero value admits 100 a second, one at a time, and has nobody wait.
//
// One Bucket may serve any number of pipelines and result types through [RateLimit], and any other code through
// Acquire and Allow. It is safe for concurrent use, needs no goroutine, and allocates only for a wait, and once for
// the refusals between two turns. It must not be copied, and its fields only be changed by Configure, after first use.
//
// It is the generic cell rate algorithm (ITU-T I.371, annex A), which keeps nothing but the time of the next turn. That
// is kept in nanoseconds and fractions of them, under a mutex: one rounded word drifts by up to a nanosecond a call.
type Bucket struct {
	Name    string
	Rate    int           // turns per Per; 0 means 100
	Per     time.Duration // 0 means 1s
	Burst   int           // turns at once after a pause; 0 means 1
	MaxWait time.Duration // how long one waits for a turn at most; 0 means not at all
	Clock   clock.Clock   // nil means clock.System

	verdict verdict
	mu      sync.Mutex // guards the fields below
	begun   bool
	next    turn       // when the next turn is due if nothing is saved up
	given   []turn     // future turns that were given back, earliest first
	era     int        // of the settings that turns were given under
	refusal *Rejection // for who comes before next has moved on
}

const (
	defaultRate = 100
	defaultPer  = time.Second
)

// A turn is a time in nanoseconds and a fraction of one: part/Rate.
type turn struct {
	nanos int64
	part  int64
}

func (t turn) compare(o turn) int {
	switch {
	case t.nanos != o.nanos:
		return int(min(1, max(-1, t.nanos-o.nanos)))
	default:
		return int(min(1, max(-1, t.part-o.part)))
	}
}

// ceil is the first whole nanosecond that is not before t.
func (t turn) ceil() int64 {
	if t.part > 0 {
		return clock.After(t.nanos, 1)
	}
	return t.nanos
}

// rules are a bucket's settings with their defaults.
type rules struct {
	rate, per, burst int64
}

func (b *Bucket) rules() rules {
	r := rules{int64(b.Rate), int64(b.Per), int64(b.Burst)}
	if r.rate == 0 {
		r.rate = defaultRate
	}
	if r.per == 0 {
		r.per = int64(defaultPer)
	}
	r.burst = max(1, r.burst)
	return r
}

// shift is t, n turns later, or earlier where n is negative.
func (r rules) shift(t turn, n int64) turn {
	total := n * r.per // Validate sees to it that this fits
	whole := total / r.rate
	t.part += total % r.rate
	switch {
	case t.part >= r.rate:
		t.part -= r.rate
		whole++
	case t.part < 0:
		t.part += r.rate
		whole--
	}
	t.nanos = clock.After(t.nanos, time.Duration(whole))
	return t
}

// Idle reports whether a new bucket would do as well: as many turns are saved up as can be.
func (b *Bucket) Idle() bool {
	if b.verdict.by(b.Validate) != nil {
		return true
	}
	now := clock.OrSystem(b.Clock).Nanos()
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.begun || b.next.ceil() <= now
}

// Allow takes a turn if there is one now, and reports whether there was; there is none where Validate errs.
func (b *Bucket) Allow() bool {
	if b.verdict.by(b.Validate) != nil {
		return false
	}
	_, _, err := b.take(clock.OrSystem(b.Clock).Nanos(), 0)
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
	b.mu.Lock()
	patience, era := b.MaxWait, b.era
	b.mu.Unlock()
	if patience > 0 {
		if left, ok := clock.Remaining(ctx, c); ok {
			patience = min(patience, left-1) // a turn at the deadline comes too late
		}
	}
	now := c.Nanos()
	mine, wait, err := b.take(now, max(0, patience))
	if err != nil || wait == 0 {
		return err
	}
	slept := false
	defer func() {
		if !slept {
			b.giveBack(mine, era) // the context ended, or the clock's Sleep panicked
		}
	}()
	if err := c.Sleep(ctx, wait); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	slept = true
	return nil
}

// take is the turn that a caller gets, and how long it has to wait for it.
func (b *Bucket) take(now int64, patience time.Duration) (mine turn, wait time.Duration, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.rules()
	for len(b.given) > 0 && b.given[0].ceil() < now {
		b.given = b.given[1:] // nobody wanted it
	}
	if at := (turn{nanos: now}); !b.begun || b.next.compare(at) < 0 {
		b.begun, b.next = true, at
	}
	due := r.shift(b.next, 1-r.burst)
	again := len(b.given) > 0 && b.given[0].compare(due) < 0
	if again {
		due = b.given[0]
	}
	if wait = clock.Since(now, due.ceil()); wait > patience || due.nanos == math.MaxInt64 { // never
		return turn{}, 0, b.rejection(due)
	}
	if again {
		b.given = b.given[1:]
	} else {
		b.next = r.shift(b.next, 1)
	}
	return due, wait, nil
}

// giveBack makes room for another caller at the time of mine. The latest turn is as if never taken; the others can be
// taken again as long as they are to come, and only at their own time, or too many would come close together.
func (b *Bucket) giveBack(mine turn, era int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.era != era {
		return // the turn was of another rate
	}
	r := b.rules()
	i, _ := slices.BinarySearchFunc(b.given, mine, turn.compare)
	b.given = slices.Insert(b.given, i, mine)
	for n := len(b.given); n > 0; n-- {
		latest := r.shift(b.next, -r.burst)
		if b.given[n-1] != latest {
			break
		}
		b.next, b.given = r.shift(b.next, -1), b.given[:n-1]
	}
}

// rejection is the same for all who come before due.
func (b *Bucket) rejection(due turn) *Rejection {
	c := clock.OrSystem(b.Clock)
	until := clock.Time(c, due.ceil())
	if b.refusal == nil || !b.refusal.Until.Equal(until) {
		b.refusal = &Rejection{Policy: "rate limit", Name: b.Name, Reason: ErrLimited, Until: until, clock: b.Clock}
	}
	return b.refusal
}

// Configure changes Rate, Per, Burst and MaxWait while the bucket is in use: change edits a copy of them, which is taken
// over if it is valid. What is saved up, or taken in advance, stays so many turns; who waits keeps the time it was given.
// Where two configure at once the last has its way.
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
			before := b.rules()
			b.Rate, b.Per, b.Burst, b.MaxWait = n.Rate, n.Per, n.Burst, n.MaxWait
			after := b.rules()
			if before != after {
				b.era++
			}
			if owed := clock.Since(now, b.next.ceil()); b.begun && before != after {
				turns := float64(owed)*float64(before.rate)/float64(before.per) + float64(after.burst-before.burst)
				ahead := turns * float64(after.per) / float64(after.rate)
				b.next, b.given = turn{nanos: clock.After(now, time.Duration(min(math.Ceil(ahead), math.MaxInt64/2)))}, nil
			}
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
	notNegative(&p, "Rate", b.Rate)
	notNegative(&p, "Per", b.Per)
	notNegative(&p, "Burst", b.Burst)
	notNegative(&p, "MaxWait", b.MaxWait)
	p.clock(b.Clock)
	if r := b.rules(); r.per > 0 && r.burst > (math.MaxInt64/2)/r.per {
		p.add(".Burst is %d; want at most %d with that Per", b.Burst, (math.MaxInt64/2)/r.per)
	}
	return p.join()
}
