package policy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-go/holdfast/clock"
)

// A RateLimit has every call take a turn from a Bucket. A refusal is a *Rejection for ErrLimited; the func is not called
// then. It is safe for concurrent use, and allocates nothing for a call that need not wait.
type RateLimit[T any] struct {
	Name   string  // for events and Explain; empty means the Bucket's
	Bucket *Bucket // required; may be shared with other pipelines and result types
}

var errNoBucket = errors.New("policy: RateLimit.Bucket is nil; want a Bucket")

// Execute implements Policy.
func (l *RateLimit[T]) Execute(ctx context.Context, next Next[T]) (T, error) {
	var zero T
	if l.Bucket == nil {
		return zero, errNoBucket
	}
	if err := l.Bucket.Acquire(ctx); err != nil {
		if isRejection(err) && next.Observed() {
			next.Emit(ctx, Event{Kind: Rejected, Policy: "rate limit", Name: l.name(), Outcome: Ignored, Err: err, Delay: HintOf(err)})
		}
		return zero, waitEnded(ctx, "rate limit", l.name(), err)
	}
	return next.Do(ctx)
}

// Refusal implements Refuser.
func (l *RateLimit[T]) Refusal(wait time.Duration) error {
	if l.Bucket == nil {
		return nil
	}
	return l.Bucket.coming(wait)
}

func (l *RateLimit[T]) name() string {
	if l.Name == "" && l.Bucket != nil {
		return l.Bucket.Name
	}
	return l.Name
}

// Validate names every field that is wrong, the Bucket's included.
func (l *RateLimit[T]) Validate() error {
	p := problems{owner: "RateLimit"}
	if l.Bucket == nil {
		p.add(".Bucket is nil; want a Bucket")
		return p.join()
	}
	return l.Bucket.Validate()
}

// Describe implements Describer.
func (l *RateLimit[T]) Describe() Description {
	l.Bucket.mu.Lock()
	b := l.Bucket.settings()
	l.Bucket.mu.Unlock()
	r := b.rules()
	wait := Most(b.MaxWait)
	return Description{
		Kind: "rate limit", Name: l.name(), Clock: clock.OrSystem(l.Bucket.Clock), Core: l.Bucket,
		Settings: []Setting{
			{"rate", fmt.Sprintf("%d per %v", r.rate, time.Duration(r.per)), b.Rate == 0 && b.Per == 0},
			setting("burst", b.Burst, 1),
			{"max wait", b.MaxWait.String(), b.MaxWait == 0},
		},
		Bounds: func(inner Bounds) Bounds { return inner.waiting(wait) },
	}
}
