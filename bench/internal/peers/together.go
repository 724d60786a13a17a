package peers

import (
	"context"
	"errors"

	"github.com/cenkalti/backoff/v6"
	"github.com/sony/gobreaker/v2"

	"github.com/holdfast-go/holdfast/bench/internal/load"
)

// Together is what many services do: cenkalti/backoff around sony/gobreaker, a fallback by an if, and a timeout by
// package context.
func Together() load.Peer {
	return library{
		name:    "backoff + gobreaker",
		modules: []string{"github.com/cenkalti/backoff/v6", "github.com/sony/gobreaker/v2"},
		ops: ops{
			load.Three: tgThree, load.ThreeRequest: tgThree,
			load.Four: func(w load.Work) load.Op {
				return tgThree(load.Work{Call: func(ctx context.Context) (int, error) {
					ctx, cancel := context.WithTimeout(ctx, w.Limit)
					defer cancel()
					return w.Call(ctx)
				}})
			},
			load.CaptureThree: func(w load.Work) load.Op {
				cb := gobreaker.NewCircuitBreaker[int](gbConsecutive)
				return func(ctx context.Context) (int, error) {
					fetch, key := w.Fetch, load.Key
					return tgCall(ctx, cb, func() (int, error) { return fetch(ctx, key) }, load.Guest)
				}
			},
			load.BlockThree: func(w load.Work) load.Op {
				cb := gobreaker.NewCircuitBreaker[load.Block](gbConsecutive)
				return func(ctx context.Context) (int, error) {
					b, err := tgCall(ctx, cb, func() (load.Block, error) { return w.Block(ctx) }, guestBlock())
					return int(b[len(b)-1]), err
				}
			},
		},
	}
}

func tgThree(w load.Work) load.Op {
	cb := gobreaker.NewCircuitBreaker[int](gbConsecutive)
	return func(ctx context.Context) (int, error) {
		return tgCall(ctx, cb, func() (int, error) { return w.Call(ctx) }, load.Guest)
	}
}

func tgCall[T any](ctx context.Context, cb *gobreaker.CircuitBreaker[T], call func() (T, error), guest T) (T, error) {
	v, err := boRetry(ctx, func() (T, error) {
		v, err := cb.Execute(call)
		if errors.Is(err, gobreaker.ErrOpenState) {
			err = backoff.Permanent(err)
		}
		return v, err
	})
	if err != nil && ctx.Err() == nil {
		return guest, nil
	}
	return v, err
}
