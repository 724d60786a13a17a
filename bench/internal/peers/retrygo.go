package peers

import (
	"context"
	"errors"

	retrygo "github.com/avast/retry-go/v5"

	"github.com/holdfast-go/holdfast/bench/internal/load"
)

// RetryGo is avast/retry-go. A retrier is built once, as its documentation recommends for calls that are frequent; the
// context it watches between attempts is then the retrier's and not the call's.
func RetryGo() load.Peer {
	const deaf = "a retrier built once does not heed the call's context"
	return library{
		name: "retry-go", modules: []string{"github.com/avast/retry-go/v5"},
		notes: notes{
			load.Retry: {deaf}, load.Failing: {deaf}, load.CaptureRetry: {deaf, onStack}, load.BlockRetry: {deaf, oneCopy},
		},
		ops: ops{
			load.Retry: func(w load.Work) load.Op {
				r := retrygo.NewWithData[int](rgOptions()...)
				return func(ctx context.Context) (int, error) {
					return r.Do(func() (int, error) { return w.Call(ctx) })
				}
			},
			load.Failing: func(w load.Work) load.Op {
				r := retrygo.NewWithData[int](append(rgOptions(), retrygo.Delay(0), retrygo.DelayType(retrygo.FixedDelay))...)
				return func(ctx context.Context) (int, error) {
					_, err := r.Do(func() (int, error) { return w.Call(ctx) })
					if !errors.Is(err, load.ErrDown) {
						return 0, err
					}
					return load.Answer, nil
				}
			},
			load.CaptureRetry: func(w load.Work) load.Op {
				r := retrygo.NewWithData[int](rgOptions()...)
				return func(ctx context.Context) (int, error) {
					fetch, key := w.Fetch, load.Key
					return r.Do(func() (int, error) { return fetch(ctx, key) })
				}
			},
			load.BlockRetry: func(w load.Work) load.Op {
				r := retrygo.NewWithData[load.Block](rgOptions()...)
				return func(ctx context.Context) (int, error) {
					b, err := r.Do(func() (load.Block, error) { return w.Block(ctx) })
					return int(b[len(b)-1]), err
				}
			},
		},
	}
}

func rgOptions() []retrygo.Option {
	return []retrygo.Option{
		retrygo.Attempts(load.Attempts),
		retrygo.Delay(load.Base),
		retrygo.MaxDelay(load.Longest),
		retrygo.DelayType(retrygo.FullJitterBackoffDelay),
		retrygo.LastErrorOnly(true),
	}
}
