package clock

import (
	"context"
	"fmt"
)

// WithCancel is context.WithCancel for code that runs on c. A nil c means System.
//
// On a Virtual clock the returned context notifies the clock when it ends, so that a wait under it costs nothing until
// then. Waits under a context of package context are just as exact, but each such context is looked at after every event
// of the clock, which adds up when thousands wait. On any other clock the context is package context's own.
func WithCancel(ctx context.Context, c Clock) (context.Context, context.CancelFunc) {
	own, cancel := context.WithCancel(ctx)
	v, ok := c.(*Virtual)
	if !ok {
		return own, cancel
	}
	b := &branch{Context: own, parent: ctx, clock: v}
	return b, func() {
		cancel()
		v.sourceEnded(&b.source)
	}
}

// A branch is the context that WithCancel returns on a Virtual clock: one of package context's that the clock knows.
type branch struct {
	context.Context
	parent context.Context
	clock  *Virtual
	source source // guarded by clock.mu
}

// Value is the parent's, and package context's own.
func (b *branch) Value(key any) any {
	if key == any(hookKey{}) {
		return b
	}
	return b.Context.Value(key)
}

// String says what the context is made of, as package context does. It also keeps package fmt from reading the fields.
func (b *branch) String() string { return fmt.Sprint(b.Context) }

func (b *branch) owns(done <-chan struct{}) bool { return b.Done() == done }

func (b *branch) hook() (*Virtual, *source, context.Context) { return b.clock, &b.source, b.parent }
