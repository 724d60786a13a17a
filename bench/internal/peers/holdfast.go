package peers

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-go/holdfast/bench/internal/load"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

// Holdfast is this library.
func Holdfast() load.Peer {
	l := library{name: Ours, modules: []string{"github.com/holdfast-go/holdfast"}, ops: ops{
		load.Retry:        func(w load.Work) load.Op { return hfNumber(w, hfRetry[int]()) },
		load.Breaker:      func(w load.Work) load.Op { return hfNumber(w, hfBreaker[int](nil)) },
		load.BreakerCount: func(w load.Work) load.Op { return hfNumber(w, hfBreaker[int](countWindow)) },
		load.BreakerTime:  func(w load.Work) load.Op { return hfNumber(w, hfBreaker[int](timeWindow)) },
		load.BreakerSlow:  func(w load.Work) load.Op { return hfNumber(w, hfSlow()) },
		load.Fallback:     func(w load.Work) load.Op { return hfNumber(w, hfGuest(load.Guest)) },
		load.Timeout:      func(w load.Work) load.Op { return hfNumber(w, hfTimeout(w)) },
		load.TimeoutDone:  func(w load.Work) load.Op { return hfNumber(w, hfTimeout(w)) },
		load.Three:        func(w load.Work) load.Op { return hfNumber(w, hfThree()...) },
		load.ThreeRequest: func(w load.Work) load.Op { return hfNumber(w, hfThree()...) },
		load.Four:         func(w load.Work) load.Op { return hfNumber(w, append(hfThree(), hfTimeout(w))...) },
		load.Refusal:      hfRefusal,
		load.Failing:      hfFailed,

		load.CaptureRetry:   func(w load.Work) load.Op { return hfCapture(w, hfRetry[int]()) },
		load.CaptureBreaker: func(w load.Work) load.Op { return hfCapture(w, hfBreaker[int](nil)) },
		load.CaptureThree:   func(w load.Work) load.Op { return hfCapture(w, hfThree()...) },

		load.BlockRetry:   func(w load.Work) load.Op { return hfBlock(w, hfRetry[load.Block]()) },
		load.BlockBreaker: func(w load.Work) load.Op { return hfBlock(w, hfBreaker[load.Block](nil)) },
		load.BlockThree: func(w load.Work) load.Op {
			return hfBlock(w, hfGuest(guestBlock()), hfRetry[load.Block](), hfBreaker[load.Block](nil))
		},
		load.Shared: hfShared,

		load.Budgeted: func(w load.Work) load.Op { return hfNumber(w, hfBudgeted()) },
		load.Bulkhead: func(w load.Work) load.Op { return hfNumber(w, &policy.Bulkhead[int]{Gate: new(policy.Gate)}) },
		load.RateLimit: func(w load.Work) load.Op {
			return hfNumber(w, &policy.RateLimit[int]{Bucket: &policy.Bucket{Rate: load.Rate, Burst: load.Burst}})
		},
		load.Adaptive: func(w load.Work) load.Op {
			return hfNumber(w, &policy.Adaptive[int]{Limit: &policy.Limit{Initial: 100}})
		},
		load.Shed:  func(w load.Work) load.Op { return hfNumber(w, &policy.Shed[int]{Throttle: new(policy.Throttle)}) },
		load.Hedge: func(w load.Work) load.Op { return hfNumber(w, &policy.Hedge[int]{Delay: w.Limit}) },
		load.Stale: func(w load.Work) load.Op { return hfNumber(w, &policy.Stale[int]{MaxAge: time.Minute}) },
		load.Dedupe: func(w load.Work) load.Op {
			return hfNumber(w, &policy.Dedupe[int]{Key: func(context.Context) string { return "key" }})
		},
	}}
	for n := range load.MostLayers + 1 {
		l.ops[load.Layers(n)] = func(w load.Work) load.Op {
			layers := make([]policy.Policy[int], n)
			for i := range layers {
				layers[i] = through[int]{}
			}
			return hfNumber(w, layers...)
		}
	}
	return l
}

var (
	countWindow = policy.FailureCount{Ratio: load.Ratio, Last: load.Last}
	timeWindow  = policy.FailureRate{Ratio: load.Ratio, Window: load.Window, MinCalls: load.MinCalls}
)

type through[T any] struct{}

func (through[T]) Execute(ctx context.Context, next policy.Next[T]) (T, error) { return next.Do(ctx) }

func hfNumber(w load.Work, policies ...policy.Policy[int]) load.Op {
	return load.Op(pipeline.Wrap(policies...).Bind(w.Call))
}

func hfBlock(w load.Work, policies ...policy.Policy[load.Block]) load.Op {
	p := pipeline.Wrap(policies...)
	return func(ctx context.Context) (int, error) {
		b, err := p.Do(ctx, w.Block)
		return int(b[len(b)-1]), err
	}
}

func hfCapture(w load.Work, policies ...policy.Policy[int]) load.Op {
	p := pipeline.Wrap(policies...)
	return func(ctx context.Context) (int, error) {
		fetch, key := w.Fetch, load.Key
		return p.Do(ctx, func(ctx context.Context) (int, error) { return fetch(ctx, key) })
	}
}

func hfRetry[T any]() policy.Policy[T] {
	return &policy.Retry[T]{
		Attempts: load.Attempts,
		Backoff:  policy.FullJitter(policy.Exponential(load.Base, load.Longest)),
	}
}

func hfBudgeted() policy.Policy[int] {
	return &policy.Retry[int]{
		Attempts: load.Attempts, Budget: new(policy.Budget),
		Backoff: policy.FullJitter(policy.Exponential(load.Base, load.Longest)),
	}
}

func hfBreaker[T any](trip policy.Trip) policy.Policy[T] {
	return &policy.Breaker[T]{Circuit: hfCircuit(trip)}
}

func hfCircuit(trip policy.Trip) *policy.Circuit {
	if trip == nil {
		trip = policy.Consecutive(load.Threshold)
	}
	return &policy.Circuit{Trip: trip, Cooldown: policy.Constant(load.Cooldown)}
}

func hfSlow() policy.Policy[int] {
	c := hfCircuit(nil)
	c.Slow = time.Second
	return &policy.Breaker[int]{Circuit: c}
}

func hfGuest[T any](v T) policy.Policy[T] { return &policy.Fallback[T]{Func: policy.Static(v)} }

func guestBlock() (b load.Block) {
	b[len(b)-1] = load.Guest
	return b
}

func hfTimeout(w load.Work) policy.Policy[int] { return &policy.Timeout[int]{Limit: w.Limit} }

func hfThree() []policy.Policy[int] {
	return []policy.Policy[int]{hfGuest(load.Guest), hfRetry[int](), hfBreaker[int](nil)}
}

func hfRefusal(w load.Work) load.Op {
	p := pipeline.Wrap(hfBreaker[int](nil))
	failing(func() error { _, err := p.Do(context.Background(), down); return err })
	return func(ctx context.Context) (int, error) {
		if _, err := p.Do(ctx, w.Call); !errors.Is(err, policy.ErrOpen) {
			return 0, err
		}
		return load.Answer, nil
	}
}

func hfFailed(w load.Work) load.Op {
	p := pipeline.Wrap[int](&policy.Retry[int]{Attempts: load.Attempts, Backoff: policy.Constant(0)})
	return func(ctx context.Context) (int, error) {
		if _, err := p.Do(ctx, w.Call); !errors.Is(err, load.ErrDown) {
			return 0, err
		}
		return load.Answer, nil
	}
}

func hfShared(w load.Work) load.Op {
	c := hfCircuit(nil)
	numbers := pipeline.Wrap[int](&policy.Breaker[int]{Circuit: c})
	blocks := pipeline.Wrap[load.Block](&policy.Breaker[load.Block]{Circuit: c})
	return func(ctx context.Context) (int, error) {
		n, err := numbers.Do(ctx, w.Call)
		if err != nil {
			return 0, err
		}
		b, err := blocks.Do(ctx, w.Block)
		return (n + int(b[len(b)-1])) / 2, err
	}
}
