package policy

import (
	"context"
	"runtime"
)

// A result is how a call ended that ran on a goroutine of its own, for the goroutine that waits for it.
type result[T any] struct {
	v        T
	err      error
	returned bool   // it returned v and err
	panicked *Panic // nil with returned false means runtime.Goexit
}

// run makes the call.
func (r *result[T]) run(ctx context.Context, next Next[T]) {
	r.v, r.err = next.Do(ctx)
	r.returned = true
}

// catch keeps the panic that is under way, if any: value is what recover returned.
func (r *result[T]) catch(value any) {
	if value != nil {
		r.panicked = caught(value)
	}
}

// deliver ends the caller as the call ended: it returns, panics with a *Panic, or ends the goroutine.
func (r *result[T]) deliver() (T, error) {
	switch {
	case r.panicked != nil:
		r.panicked.raise()
	case !r.returned:
		runtime.Goexit()
	}
	return r.v, r.err
}
