package peers

import (
	"context"
	"errors"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/fallback"
	"github.com/failsafe-go/failsafe-go/hedgepolicy"
	"github.com/failsafe-go/failsafe-go/ratelimiter"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	"github.com/failsafe-go/failsafe-go/timeout"

	"github.com/holdfast-go/holdfast/bench/internal/load"
)

// Failsafe is failsafe-go. An executor is built once; a call's context is given to it by WithContext, as its
// documentation has it. Where the func needs a context that a Timeout ends, it comes from the execution.
func Failsafe() load.Peer {
	return library{name: "failsafe-go", modules: []string{"github.com/failsafe-go/failsafe-go"}, ops: ops{
		load.Retry:        func(w load.Work) load.Op { return fsNumber(w, fsRetry[int]()) },
		load.Breaker:      func(w load.Work) load.Op { return fsNumber(w, fsBreaker[int]()) },
		load.BreakerCount: func(w load.Work) load.Op { return fsNumber(w, fsCountWindow()) },
		load.BreakerTime:  func(w load.Work) load.Op { return fsNumber(w, fsTimeWindow()) },
		load.Fallback:     func(w load.Work) load.Op { return fsNumber(w, fallback.NewWithResult(load.Guest)) },
		load.Timeout:      func(w load.Work) load.Op { return fsExecution(w, timeout.New[int](w.Limit)) },
		load.TimeoutDone:  func(w load.Work) load.Op { return fsExecution(w, timeout.New[int](w.Limit)) },
		load.Three:        func(w load.Work) load.Op { return fsNumber(w, fsThree()...) },
		load.ThreeRequest: func(w load.Work) load.Op { return fsNumber(w, fsThree()...) },
		load.Four: func(w load.Work) load.Op {
			return fsExecution(w, append(fsThree(), timeout.New[int](w.Limit))...)
		},
		load.Refusal: fsRefusal,
		load.Failing: fsFailed,

		load.CaptureRetry:   func(w load.Work) load.Op { return fsCapture(w, fsRetry[int]()) },
		load.CaptureBreaker: func(w load.Work) load.Op { return fsCapture(w, fsBreaker[int]()) },
		load.CaptureThree:   func(w load.Work) load.Op { return fsCapture(w, fsThree()...) },

		load.BlockRetry:   func(w load.Work) load.Op { return fsBlock(w, fsRetry[load.Block]()) },
		load.BlockBreaker: func(w load.Work) load.Op { return fsBlock(w, fsBreaker[load.Block]()) },
		load.BlockThree: func(w load.Work) load.Op {
			return fsBlock(w, fallback.NewWithResult(guestBlock()), fsRetry[load.Block](), fsBreaker[load.Block]())
		},
		load.Shared: fsShared,

		load.Bulkhead: func(w load.Work) load.Op { return fsNumber(w, bulkhead.New[int](100)) },
		load.RateLimit: func(w load.Work) load.Op {
			return fsNumber(w, ratelimiter.NewBursty[int](load.Rate, time.Second))
		},
		load.Hedge: func(w load.Work) load.Op { return fsNumber(w, hedgepolicy.NewWithDelay[int](w.Limit)) },
	}}
}

func fsNumber(w load.Work, policies ...failsafe.Policy[int]) load.Op {
	executor := failsafe.With(policies...)
	return func(ctx context.Context) (int, error) {
		return executor.WithContext(ctx).Get(func() (int, error) { return w.Call(ctx) })
	}
}

func fsExecution(w load.Work, policies ...failsafe.Policy[int]) load.Op {
	executor := failsafe.With(policies...)
	return func(ctx context.Context) (int, error) {
		return executor.WithContext(ctx).GetWithExecution(func(e failsafe.Execution[int]) (int, error) {
			return w.Call(e.Context())
		})
	}
}

func fsCapture(w load.Work, policies ...failsafe.Policy[int]) load.Op {
	executor := failsafe.With(policies...)
	return func(ctx context.Context) (int, error) {
		fetch, key := w.Fetch, load.Key
		return executor.WithContext(ctx).Get(func() (int, error) { return fetch(ctx, key) })
	}
}

func fsBlock(w load.Work, policies ...failsafe.Policy[load.Block]) load.Op {
	executor := failsafe.With(policies...)
	return func(ctx context.Context) (int, error) {
		b, err := executor.WithContext(ctx).Get(func() (load.Block, error) { return w.Block(ctx) })
		return int(b[len(b)-1]), err
	}
}

func fsRetry[T any]() failsafe.Policy[T] {
	return retrypolicy.NewBuilder[T]().
		AbortOnErrors(circuitbreaker.ErrOpen).
		WithMaxAttempts(load.Attempts).
		WithBackoff(load.Base, load.Longest).
		WithJitterFactor(0.5).
		Build()
}

func fsBreaker[T any]() circuitbreaker.CircuitBreaker[T] {
	return circuitbreaker.NewBuilder[T]().WithFailureThreshold(load.Threshold).WithDelay(load.Cooldown).Build()
}

func fsCountWindow() failsafe.Policy[int] {
	return circuitbreaker.NewBuilder[int]().
		WithFailureThresholdRatio(load.Ratio*load.Last, load.Last).
		WithDelay(load.Cooldown).
		Build()
}

func fsTimeWindow() failsafe.Policy[int] {
	return circuitbreaker.NewBuilder[int]().
		WithFailureRateThreshold(load.Ratio, load.MinCalls, load.Window).
		WithDelay(load.Cooldown).
		Build()
}

func fsThree() []failsafe.Policy[int] {
	return []failsafe.Policy[int]{fallback.NewWithResult(load.Guest), fsRetry[int](), fsBreaker[int]()}
}

func fsRefusal(w load.Work) load.Op {
	executor := failsafe.With[int](fsBreaker[int]())
	failing(func() error { return executor.Run(func() error { return load.ErrDown }) })
	return func(ctx context.Context) (int, error) {
		_, err := executor.WithContext(ctx).Get(func() (int, error) { return w.Call(ctx) })
		if !errors.Is(err, circuitbreaker.ErrOpen) {
			return 0, err
		}
		return load.Answer, nil
	}
}

func fsFailed(w load.Work) load.Op {
	executor := failsafe.With[int](retrypolicy.NewBuilder[int]().WithMaxAttempts(load.Attempts).Build())
	return func(ctx context.Context) (int, error) {
		_, err := executor.WithContext(ctx).Get(func() (int, error) { return w.Call(ctx) })
		if !errors.Is(err, load.ErrDown) {
			return 0, err
		}
		return load.Answer, nil
	}
}

func fsShared(w load.Work) load.Op {
	shared := fsBreaker[any]()
	numbers, blocks := failsafe.WithAny[int](shared), failsafe.WithAny[load.Block](shared)
	return func(ctx context.Context) (int, error) {
		n, err := numbers.WithContext(ctx).Get(func() (int, error) { return w.Call(ctx) })
		if err != nil {
			return 0, err
		}
		b, err := blocks.WithContext(ctx).Get(func() (load.Block, error) { return w.Block(ctx) })
		return (n + int(b[len(b)-1])) / 2, err
	}
}
