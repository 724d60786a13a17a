package peers

import (
	"context"
	"errors"

	"github.com/cenkalti/backoff/v6"

	"github.com/holdfast-go/holdfast/bench/internal/load"
)

// Backoff is cenkalti/backoff: retries by Retry, with a backoff made for each call, because it is not to be shared.
func Backoff() load.Peer {
	return library{name: "backoff", modules: []string{"github.com/cenkalti/backoff/v6"}, ops: ops{
		load.Retry: func(w load.Work) load.Op {
			return func(ctx context.Context) (int, error) {
				return boRetry(ctx, func() (int, error) { return w.Call(ctx) })
			}
		},
		load.Failing: func(w load.Work) load.Op {
			return func(ctx context.Context) (int, error) {
				_, err := backoff.Retry(ctx, func() (int, error) { return w.Call(ctx) },
					backoff.WithBackOff(&backoff.ZeroBackOff{}), backoff.WithMaxTries(load.Attempts))
				if re := backoff.AsRetryError(err); re == nil || !errors.Is(re.LastErr, load.ErrDown) {
					return 0, err
				}
				return load.Answer, nil
			}
		},
		load.CaptureRetry: func(w load.Work) load.Op {
			return func(ctx context.Context) (int, error) {
				fetch, key := w.Fetch, load.Key
				return boRetry(ctx, func() (int, error) { return fetch(ctx, key) })
			}
		},
		load.BlockRetry: func(w load.Work) load.Op {
			return func(ctx context.Context) (int, error) {
				b, err := boRetry(ctx, func() (load.Block, error) { return w.Block(ctx) })
				return int(b[len(b)-1]), err
			}
		},
	}}
}

func boRetry[T any](ctx context.Context, operation func() (T, error)) (T, error) {
	return backoff.Retry(ctx, operation, backoff.WithBackOff(boExponential()), backoff.WithMaxTries(load.Attempts))
}

func boExponential() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = load.Base, load.Longest
	return b
}
