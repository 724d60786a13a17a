package peers

import (
	"context"
	"errors"

	"github.com/eapache/go-resiliency/breaker"
	"github.com/eapache/go-resiliency/deadline"
	"github.com/eapache/go-resiliency/retrier"

	"github.com/holdfast-go/holdfast/bench/internal/load"
)

// Resiliency is eapache/go-resiliency. Its funcs return nothing but an error, so that a result is captured.
func Resiliency() load.Peer {
	const (
		streak   = "a success does not end a row of failures; only time does"
		detached = "runs the func on a goroutine of its own, and without a context that ends"
		loop     = "does not look at the context before it calls"
		timed    = "a goroutine ends the open state, so that a refusal reads no clock; nor does it say until when"
	)
	return library{
		name: "go-resiliency", modules: []string{"github.com/eapache/go-resiliency"},
		notes: notes{
			load.Retry: {loop}, load.CaptureRetry: {loop, onStack}, load.BlockRetry: {loop, oneCopy},
			load.Breaker: {streak}, load.CaptureBreaker: {streak, onStack}, load.BlockBreaker: {streak, oneCopy},
			load.Three: {loop, streak}, load.ThreeRequest: {loop, streak},
			load.CaptureThree: {loop, streak, onStack}, load.BlockThree: {loop, streak, oneCopy},
			load.Shared: {streak, oneCopy}, load.Refusal: {timed},
			load.Four: {loop, streak, detached}, load.Timeout: {detached}, load.TimeoutDone: {detached},
		},
		ops: ops{
			load.Retry: func(w load.Work) load.Op { return rsRetry(w.Call) },
			load.CaptureRetry: func(w load.Work) load.Op {
				r := rsRetrier()
				return func(ctx context.Context) (v int, err error) {
					fetch, key := w.Fetch, load.Key
					err = r.RunCtx(ctx, func(ctx context.Context) (err error) { v, err = fetch(ctx, key); return err })
					return v, err
				}
			},
			load.BlockRetry: func(w load.Work) load.Op {
				r := rsRetrier()
				return func(ctx context.Context) (int, error) {
					var b load.Block
					err := r.RunCtx(ctx, func(ctx context.Context) (err error) { b, err = w.Block(ctx); return err })
					return int(b[len(b)-1]), err
				}
			},
			load.Breaker: func(w load.Work) load.Op { return rsBreaker(w.Call) },
			load.CaptureBreaker: func(w load.Work) load.Op {
				b := rsCircuit()
				return func(ctx context.Context) (v int, err error) {
					fetch, key := w.Fetch, load.Key
					err = b.Run(func() (err error) { v, err = fetch(ctx, key); return err })
					return v, err
				}
			},
			load.BlockBreaker: func(w load.Work) load.Op {
				c := rsCircuit()
				return func(ctx context.Context) (int, error) {
					var b load.Block
					err := c.Run(func() (err error) { b, err = w.Block(ctx); return err })
					return int(b[len(b)-1]), err
				}
			},
			load.Timeout: rsTimeout, load.TimeoutDone: rsTimeout,
			load.Three: func(w load.Work) load.Op { return rsThree(w.Call) }, load.ThreeRequest: func(w load.Work) load.Op { return rsThree(w.Call) },
			load.Four: func(w load.Work) load.Op { return rsThree(rsTimeout(w)) },
			load.CaptureThree: func(w load.Work) load.Op {
				r, b := rsRetrier(), rsCircuit()
				return func(ctx context.Context) (v int, err error) {
					fetch, key := w.Fetch, load.Key
					err = rsProtected(ctx, r, b, func(ctx context.Context) (err error) { v, err = fetch(ctx, key); return err })
					if err != nil {
						return load.Guest, nil
					}
					return v, nil
				}
			},
			load.BlockThree: func(w load.Work) load.Op {
				r, c := rsRetrier(), rsCircuit()
				return func(ctx context.Context) (int, error) {
					var b load.Block
					err := rsProtected(ctx, r, c, func(ctx context.Context) (err error) { b, err = w.Block(ctx); return err })
					if err != nil {
						b = guestBlock()
					}
					return int(b[len(b)-1]), nil
				}
			},
			load.Refusal: rsRefusal,
			load.Failing: rsFailed,
			load.Shared:  rsShared,
		},
	}
}

func rsRetrier() *retrier.Retrier {
	return retrier.New(retrier.LimitedExponentialBackoff(load.Attempts-1, load.Base, load.Longest), retrier.BlacklistClassifier{breaker.ErrBreakerOpen})
}

func rsCircuit() *breaker.Breaker { return breaker.New(load.Threshold, 1, load.Cooldown) }

func rsRetry(call func(context.Context) (int, error)) load.Op {
	r := rsRetrier()
	return func(ctx context.Context) (v int, err error) {
		err = r.RunCtx(ctx, func(ctx context.Context) (err error) { v, err = call(ctx); return err })
		return v, err
	}
}

func rsBreaker(call func(context.Context) (int, error)) load.Op {
	b := rsCircuit()
	return func(ctx context.Context) (v int, err error) {
		err = b.Run(func() (err error) { v, err = call(ctx); return err })
		return v, err
	}
}

func rsTimeout(w load.Work) load.Op {
	d := deadline.New(w.Limit)
	return func(ctx context.Context) (int, error) {
		var v int
		err := d.Run(func(<-chan struct{}) (err error) { v, err = w.Call(ctx); return err })
		if err != nil {
			return 0, err // v may yet be written to
		}
		return v, nil
	}
}

func rsThree(call func(context.Context) (int, error)) load.Op {
	r, b := rsRetrier(), rsCircuit()
	return func(ctx context.Context) (v int, err error) {
		err = rsProtected(ctx, r, b, func(ctx context.Context) (err error) { v, err = call(ctx); return err })
		if err != nil {
			return load.Guest, nil
		}
		return v, nil
	}
}

func rsProtected(ctx context.Context, r *retrier.Retrier, b *breaker.Breaker, call func(context.Context) error) error {
	return r.RunCtx(ctx, func(ctx context.Context) error {
		return b.Run(func() error { return call(ctx) })
	})
}

func rsRefusal(w load.Work) load.Op {
	b := rsCircuit()
	failing(func() error { return b.Run(func() error { return load.ErrDown }) })
	return func(ctx context.Context) (v int, err error) {
		err = b.Run(func() (err error) { v, err = w.Call(ctx); return err })
		if !errors.Is(err, breaker.ErrBreakerOpen) {
			return 0, err
		}
		return load.Answer, nil
	}
}

func rsFailed(w load.Work) load.Op {
	r := retrier.New(retrier.ConstantBackoff(load.Attempts-1, 0), nil)
	return func(ctx context.Context) (v int, err error) {
		err = r.RunCtx(ctx, func(ctx context.Context) (err error) { v, err = w.Call(ctx); return err })
		if !errors.Is(err, load.ErrDown) {
			return 0, err
		}
		return load.Answer, nil
	}
}

func rsShared(w load.Work) load.Op {
	c := rsCircuit()
	return func(ctx context.Context) (int, error) {
		var n int
		if err := c.Run(func() (err error) { n, err = w.Call(ctx); return err }); err != nil {
			return 0, err
		}
		var b load.Block
		err := c.Run(func() (err error) { b, err = w.Block(ctx); return err })
		return (n + int(b[len(b)-1])) / 2, err
	}
}
