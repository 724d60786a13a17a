package peers

import (
	"context"
	"errors"

	"github.com/sony/gobreaker/v2"

	"github.com/holdfast-go/holdfast/bench/internal/load"
)

// Gobreaker is sony/gobreaker: circuit breakers by Execute.
func Gobreaker() load.Peer {
	return library{
		name: "gobreaker", modules: []string{"github.com/sony/gobreaker/v2"},
		ops: ops{
			load.Breaker:     func(w load.Work) load.Op { return gbNumber(w, gbConsecutive) },
			load.BreakerTime: func(w load.Work) load.Op { return gbNumber(w, gbTimeWindow) },
			load.Refusal:     gbRefusal,
			load.CaptureBreaker: func(w load.Work) load.Op {
				cb := gobreaker.NewCircuitBreaker[int](gbConsecutive)
				return func(ctx context.Context) (int, error) {
					fetch, key := w.Fetch, load.Key
					return cb.Execute(func() (int, error) { return fetch(ctx, key) })
				}
			},
			load.BlockBreaker: func(w load.Work) load.Op {
				cb := gobreaker.NewCircuitBreaker[load.Block](gbConsecutive)
				return func(ctx context.Context) (int, error) {
					b, err := cb.Execute(func() (load.Block, error) { return w.Block(ctx) })
					return int(b[len(b)-1]), err
				}
			},
			load.Shared: gbShared,
		},
		notes: notes{load.Shared: {"results go through any"}},
	}
}

var (
	gbConsecutive = gobreaker.Settings{
		Timeout:     load.Cooldown,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= load.Threshold },
	}
	gbTimeWindow = gobreaker.Settings{
		Timeout:      load.Cooldown,
		Interval:     load.Window,
		BucketPeriod: load.Window / 10,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return c.Requests >= load.MinCalls && float64(c.TotalFailures) >= load.Ratio*float64(c.Requests)
		},
	}
)

func gbNumber(w load.Work, settings gobreaker.Settings) load.Op {
	cb := gobreaker.NewCircuitBreaker[int](settings)
	return func(ctx context.Context) (int, error) {
		return cb.Execute(func() (int, error) { return w.Call(ctx) })
	}
}

func gbRefusal(w load.Work) load.Op {
	cb := gobreaker.NewCircuitBreaker[int](gbConsecutive)
	failing(func() error { _, err := cb.Execute(func() (int, error) { return 0, load.ErrDown }); return err })
	return func(ctx context.Context) (int, error) {
		_, err := cb.Execute(func() (int, error) { return w.Call(ctx) })
		if !errors.Is(err, gobreaker.ErrOpenState) {
			return 0, err
		}
		return load.Answer, nil
	}
}

func gbShared(w load.Work) load.Op {
	cb := gobreaker.NewCircuitBreaker[any](gbConsecutive)
	return func(ctx context.Context) (int, error) {
		n, err := cb.Execute(func() (any, error) { return w.Call(ctx) })
		if err != nil {
			return 0, err
		}
		b, err := cb.Execute(func() (any, error) { return w.Block(ctx) })
		if err != nil {
			return 0, err
		}
		bytes := b.(load.Block)
		return (n.(int) + int(bytes[len(bytes)-1])) / 2, nil
	}
}
