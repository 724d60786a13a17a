package peers

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-go/holdfast/bench/internal/load"
)

// Hand is what somebody would write for just this call, in plain Go, with what they know about it: the limit that a
// library can come near. It leaves out what a library has to have: panics, probes, hints, classification, clocks.
func Hand() load.Peer {
	l := library{name: Limit, ops: ops{
		load.Direct:    func(w load.Work) load.Op { return w.Call },
		load.ClockRead: clockRead,
		load.Retry: func(w load.Work) load.Op {
			return func(ctx context.Context) (int, error) { return hwRetry(ctx, w.Call) }
		},
		load.Breaker: func(w load.Work) load.Op {
			var b row
			return func(ctx context.Context) (int, error) { return hwBreaker(ctx, &b, w.Call) }
		},
		load.BreakerCount: func(w load.Work) load.Op {
			var b ring
			return func(ctx context.Context) (int, error) {
				if !b.allow() {
					return 0, errOpen
				}
				v, err := w.Call(ctx)
				b.done(err)
				return v, err
			}
		},
		load.BreakerTime: func(w load.Work) load.Op {
			b := window{start: time.Now()}
			return func(ctx context.Context) (int, error) {
				if !b.allow() {
					return 0, errOpen
				}
				v, err := w.Call(ctx)
				b.done(err)
				return v, err
			}
		},
		load.Fallback: func(w load.Work) load.Op {
			return func(ctx context.Context) (int, error) {
				if v, err := w.Call(ctx); err == nil {
					return v, nil
				}
				return load.Guest, nil
			}
		},
		load.Bulkhead: func(w load.Work) load.Op {
			places := make(chan struct{}, 100)
			return func(ctx context.Context) (int, error) {
				select {
				case places <- struct{}{}:
				default:
					return 0, errors.New("full")
				}
				defer func() { <-places }()
				return w.Call(ctx)
			}
		},
		load.Timeout: hwTimeout, load.TimeoutDone: hwTimeout,
		load.Three:        func(w load.Work) load.Op { return hwThree(w.Call) },
		load.ThreeRequest: func(w load.Work) load.Op { return hwThree(w.Call) },
		load.Four:         func(w load.Work) load.Op { return hwThree(hwTimeout(w)) },
		load.Refusal:      hwRefusal,
		load.Failing: func(w load.Work) load.Op {
			return func(ctx context.Context) (int, error) {
				if _, err := hwRetryAtOnce(ctx, w.Call); !errors.Is(err, load.ErrDown) {
					return 0, err
				}
				return load.Answer, nil
			}
		},
		load.CaptureRetry: func(w load.Work) load.Op {
			return func(ctx context.Context) (int, error) {
				fetch, key := w.Fetch, load.Key
				return hwRetry(ctx, func(ctx context.Context) (int, error) { return fetch(ctx, key) })
			}
		},
		load.CaptureBreaker: func(w load.Work) load.Op {
			var b row
			return func(ctx context.Context) (int, error) {
				fetch, key := w.Fetch, load.Key
				return hwBreaker(ctx, &b, func(ctx context.Context) (int, error) { return fetch(ctx, key) })
			}
		},
		load.CaptureThree: func(w load.Work) load.Op {
			var b row
			return func(ctx context.Context) (int, error) {
				fetch, key := w.Fetch, load.Key
				return hwProtected(ctx, &b, load.Guest, func(ctx context.Context) (int, error) { return fetch(ctx, key) })
			}
		},
		load.BlockRetry: func(w load.Work) load.Op {
			return func(ctx context.Context) (int, error) {
				b, err := hwRetry(ctx, w.Block)
				return int(b[len(b)-1]), err
			}
		},
		load.BlockBreaker: func(w load.Work) load.Op {
			var c row
			return func(ctx context.Context) (int, error) {
				b, err := hwBreaker(ctx, &c, w.Block)
				return int(b[len(b)-1]), err
			}
		},
		load.BlockThree: func(w load.Work) load.Op {
			var c row
			return func(ctx context.Context) (int, error) {
				b, err := hwProtected(ctx, &c, guestBlock(), w.Block)
				return int(b[len(b)-1]), err
			}
		},
		load.Shared: func(w load.Work) load.Op {
			var c row
			return func(ctx context.Context) (int, error) {
				n, err := hwBreaker(ctx, &c, w.Call)
				if err != nil {
					return 0, err
				}
				b, err := hwBreaker(ctx, &c, w.Block)
				return (n + int(b[len(b)-1])) / 2, err
			}
		},
	}}
	for n := range load.MostLayers + 1 {
		l.ops[load.Layers(n)] = func(w load.Work) load.Op {
			op := load.Op(w.Call)
			for range n {
				next := op
				op = func(ctx context.Context) (int, error) { return next(ctx) }
			}
			return op
		}
	}
	return l
}

var epoch = time.Now()

func clockRead(w load.Work) load.Op {
	return func(ctx context.Context) (int, error) {
		if time.Since(epoch) < 0 {
			return 0, nil
		}
		return w.Call(ctx)
	}
}

func hwRetry[T any](ctx context.Context, call func(context.Context) (T, error)) (T, error) {
	wait := load.Base
	for n := 1; ; n++ {
		v, err := call(ctx)
		if err == nil || n == load.Attempts || errors.Is(err, errOpen) {
			return v, err
		}
		select {
		case <-ctx.Done():
			return v, ctx.Err()
		case <-time.After(wait):
		}
		wait *= 2
	}
}

func hwRetryAtOnce[T any](ctx context.Context, call func(context.Context) (T, error)) (T, error) {
	for n := 1; ; n++ {
		v, err := call(ctx)
		if err == nil || n == load.Attempts || ctx.Err() != nil {
			return v, err
		}
	}
}

func hwBreaker[T any](ctx context.Context, b *row, call func(context.Context) (T, error)) (T, error) {
	if !b.allow() {
		var zero T
		return zero, errOpen
	}
	v, err := call(ctx)
	b.done(err)
	return v, err
}

func hwProtected[T any](ctx context.Context, b *row, guest T, call func(context.Context) (T, error)) (T, error) {
	wait := load.Base
	for n := 1; b.allow(); n++ {
		v, err := call(ctx)
		b.done(err)
		if err == nil {
			return v, nil
		}
		if n == load.Attempts {
			break
		}
		select {
		case <-ctx.Done():
			return v, ctx.Err()
		case <-time.After(wait):
		}
		wait *= 2
	}
	return guest, nil
}

func hwThree(call func(context.Context) (int, error)) load.Op {
	var b row
	return func(ctx context.Context) (int, error) { return hwProtected(ctx, &b, load.Guest, call) }
}

func hwTimeout(w load.Work) load.Op {
	return func(ctx context.Context) (int, error) {
		ctx, cancel := context.WithTimeout(ctx, w.Limit)
		defer cancel()
		return w.Call(ctx)
	}
}

func hwRefusal(w load.Work) load.Op {
	var b row
	failing(func() error { _, err := hwBreaker(context.Background(), &b, down); return err })
	return func(ctx context.Context) (int, error) {
		if _, err := hwBreaker(ctx, &b, w.Call); !errors.Is(err, errOpen) {
			return 0, err
		}
		return load.Answer, nil
	}
}
