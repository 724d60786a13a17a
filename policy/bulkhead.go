package policy

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/holdfast-go/holdfast/clock"
)

// A Bulkhead lets calls through a Gate, so that one slow dependency cannot take all there is of something: goroutines,
// connections, memory. A refusal is a *Rejection for ErrFull; the func is not called then. The place is given back
// however the call ends, by a panic or runtime.Goexit too.
//
// It is safe for concurrent use, and allocates nothing for a call that need not wait.
type Bulkhead[T any] struct {
	Name string // for events and Explain; empty means the Gate's
	Gate *Gate  // required; may be shared with other pipelines and result types
}

var errNoGate = errors.New("policy: Bulkhead.Gate is nil; want a Gate")

// Execute implements Policy.
func (b *Bulkhead[T]) Execute(ctx context.Context, next Next[T]) (T, error) {
	g := b.Gate
	if g == nil {
		var zero T
		return zero, errNoGate
	}
	if err := g.enter(ctx); err != nil {
		if isRejection(err) {
			next.Emit(ctx, Event{Kind: Rejected, Policy: "bulkhead", Name: b.name(), Outcome: Ignored, Err: err})
		}
		var zero T
		return zero, waitEnded(ctx, "bulkhead", b.name(), err)
	}
	defer g.release()
	return next.Do(ctx)
}

// Refusal implements Refuser: whether there is room later is not known.
func (b *Bulkhead[T]) Refusal(time.Duration) error { return nil }

func (b *Bulkhead[T]) name() string {
	if b.Name == "" && b.Gate != nil {
		return b.Gate.Name
	}
	return b.Name
}

// Validate names every field that is wrong, the Gate's included.
func (b *Bulkhead[T]) Validate() error {
	p := problems{owner: "Bulkhead"}
	if b.Gate == nil {
		p.add(".Gate is nil; want a Gate")
		return p.join()
	}
	return b.Gate.Validate()
}

// Describe implements Describer.
func (b *Bulkhead[T]) Describe() Description {
	g := b.Gate
	g.mu.Lock()
	limit, queue := int(g.limit()), g.Queue
	isDefault, patience := g.Limit == 0, g.MaxWait
	g.mu.Unlock()
	d := Description{
		Kind: "bulkhead", Name: b.name(), Clock: clock.OrSystem(g.Clock), Core: g,
		Settings: []Setting{
			{"limit", strconv.Itoa(limit), isDefault},
			{"queue", strconv.Itoa(queue), queue == 0},
		},
	}
	if queue > 0 && patience > 0 {
		d.Settings = append(d.Settings, Setting{"max wait", patience.String(), false})
	}
	wait := Most(patience)
	switch {
	case queue == 0:
		wait = Most[time.Duration](0)
	case patience == 0:
		wait = Missing[time.Duration]("unbounded: the bulkhead's queue has no MaxWait")
	}
	d.Queue = Queue{Waiters: queue, Places: limit}
	d.Bounds = func(inner Bounds) Bounds { return inner.waiting(wait) }
	return d
}
