package policy

import (
	"container/list"
	"context"
	"math"
	"time"

	"github.com/holdfast-go/holdfast/clock"
)

// A claim is the place of a caller in a Bucket's queue. Only the first in the queue knows when its turn is due, and waits
// for that time; the others wait to become the first. So a caller that leaves, or another rate, costs the rest nothing.
type claim struct {
	began    int64         // when the caller came
	deadline int64         // of its context
	place    *list.Element // in Bucket.waiting; the lock guards it and the fields below
	news     *clock.Latch  // opened when the claim is settled, comes first, or is due by other settings; nil if none waits
	settled  bool          // it is not in the queue any more
	refusal  *Rejection    // why it was not given a turn
	before   turn          // Bucket.next before the turn that it was given
}

// fits reports whether a turn comes before its caller would leave, who came at the time began.
func fits(due turn, began int64, patience time.Duration, deadline int64) bool {
	at := due.ceil()
	return at <= clock.After(began, patience) && at < deadline && at != math.MaxInt64
}

// await waits for a claim's turn.
func (b *Bucket) await(ctx context.Context, c clock.Clock, mine *claim) error {
	over := false
	defer func() {
		if !over {
			b.leave(c, mine) // the clock's Wait panicked
		}
	}()
	for {
		news, wait := b.look(c, mine)
		if news == nil {
			break
		}
		if err := awaitNews(ctx, c, news, wait); err != nil {
			over = true
			b.leave(c, mine)
			return err
		}
	}
	over = true
	if mine.refusal != nil {
		return mine.refusal
	}
	if ctx.Err() != nil { // the turn came at the very moment that the caller left
		b.leave(c, mine)
		return context.Cause(ctx)
	}
	return nil
}

// awaitNews waits until the latch opens, or for so long.
func awaitNews(ctx context.Context, c clock.Clock, news *clock.Latch, wait time.Duration) error {
	if wait < never {
		timer := c.AfterFunc(wait, news.Open)
		defer timer.Stop()
	}
	return news.Wait(ctx, c)
}

// look returns what a claim has to wait for, and for how long at most, or nil once it is settled.
func (b *Bucket) look(c clock.Clock, mine *claim) (news *clock.Latch, wait time.Duration) {
	now := c.Nanos()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.admit(now)
	if mine.settled {
		return nil, 0
	}
	mine.news, wait = new(clock.Latch), never
	if b.waiting.Front() == mine.place {
		wait = clock.Since(now, b.due(b.rules(), 0).ceil())
	}
	return mine.news, wait
}

// admit gives the turns that are due to those that wait for them. It is called with the lock held.
func (b *Bucket) admit(now int64) {
	r := b.rules()
	settled := false
	for first := b.waiting.Front(); first != nil && b.due(r, 0).ceil() <= now; first = b.waiting.Front() {
		c := first.Value.(*claim)
		c.before = b.next
		b.next, b.last = r.shift(b.next, 1), c
		b.settle(c)
		settled = true
	}
	if settled {
		b.wakeFirst()
	}
}

// settle takes a claim off the queue, and notifies its caller. It is called with the lock held.
func (b *Bucket) settle(c *claim) {
	b.waiting.Remove(c.place)
	c.settled = true
	c.wake()
}

func (c *claim) wake() {
	if c.news != nil {
		c.news.Open()
	}
}

// wakeFirst has the first in the queue look when it is due. It is called with the lock held.
func (b *Bucket) wakeFirst() {
	if first := b.waiting.Front(); first != nil {
		first.Value.(*claim).wake()
	}
}

// refuse settles the claims whose turn comes too late for them. It is called with the lock held.
func (b *Bucket) refuse() {
	r, ahead := b.rules(), 0
	for e := b.waiting.Front(); e != nil; {
		c := e.Value.(*claim)
		e = e.Next()
		if due := b.due(r, ahead); !fits(due, c.began, b.MaxWait, c.deadline) {
			c.refusal = b.rejection(due)
			b.settle(c)
		} else {
			ahead++
		}
	}
}

// leave gives up a claim. One that has been given a turn gives it back, unless later turns were given since: then too many
// would come close together.
func (b *Bucket) leave(c clock.Clock, mine *claim) {
	now := c.Nanos()
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case !mine.settled:
		b.settle(mine)
	case b.last == mine:
		b.next, b.last = mine.before, nil
	}
	b.admit(now)
	b.wakeFirst()
}
