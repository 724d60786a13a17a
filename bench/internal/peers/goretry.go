package peers

import (
	"context"
	"errors"
	"time"

	goretry "github.com/sethvargo/go-retry"

	"github.com/holdfast-go/holdfast/bench/internal/load"
)

// GoRetry is sethvargo/go-retry: a backoff is made for each call, because it counts the call's retries, and errors to
// retry are marked.
func GoRetry() load.Peer {
	return library{name: "go-retry", modules: []string{"github.com/sethvargo/go-retry"}, ops: ops{
		load.Retry: func(w load.Work) load.Op {
			return func(ctx context.Context) (int, error) {
				return goretry.DoValue(ctx, grBackoff(), func(ctx context.Context) (int, error) {
					v, err := w.Call(ctx)
					return v, goretry.RetryableError(err)
				})
			}
		},
		load.Failing: func(w load.Work) load.Op {
			return func(ctx context.Context) (int, error) {
				b := goretry.WithMaxRetries(load.Attempts-1, goretry.BackoffFunc(grNoWait))
				_, err := goretry.DoValue(ctx, b, func(ctx context.Context) (int, error) {
					v, err := w.Call(ctx)
					return v, goretry.RetryableError(err)
				})
				if !errors.Is(err, load.ErrDown) {
					return 0, err
				}
				return load.Answer, nil
			}
		},
		load.CaptureRetry: func(w load.Work) load.Op {
			return func(ctx context.Context) (int, error) {
				fetch, key := w.Fetch, load.Key
				return goretry.DoValue(ctx, grBackoff(), func(ctx context.Context) (int, error) {
					v, err := fetch(ctx, key)
					return v, goretry.RetryableError(err)
				})
			}
		},
		load.BlockRetry: func(w load.Work) load.Op {
			return func(ctx context.Context) (int, error) {
				b, err := goretry.DoValue(ctx, grBackoff(), func(ctx context.Context) (load.Block, error) {
					v, err := w.Block(ctx)
					return v, goretry.RetryableError(err)
				})
				return int(b[len(b)-1]), err
			}
		},
	}}
}

func grBackoff() goretry.Backoff {
	b := goretry.WithCappedDuration(load.Longest, goretry.NewExponential(load.Base))
	return goretry.WithMaxRetries(load.Attempts-1, goretry.WithFullJitter(b))
}

func grNoWait() (time.Duration, bool) { return 0, false }
