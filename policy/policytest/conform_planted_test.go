package policytest

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/policy"
)

// leaky is a limit of one call in flight that forgets to give the place back unless the func returns.
type leaky struct{ busy bool }

func (l *leaky) Execute(ctx context.Context, next policy.Next[int]) (int, error) {
	if l.busy {
		return 0, &policy.Rejection{Policy: "leaky", Reason: policy.ErrFull}
	}
	l.busy = true
	v, err := next.Do(ctx)
	l.busy = false
	return v, err
}

// described is a policy that calls twice and says once.
type described struct{ policy.Policy[int] }

func (described) Describe() policy.Description {
	return policy.Description{Kind: "described", Bounds: func(inner policy.Bounds) policy.Bounds { return inner }}
}

// Each rule is broken by a policy with one bug, and only such as follow from that bug are broken beside it.
func TestConformFindsPlantedBugs(t *testing.T) {
	type next = policy.Next[int]
	plain := func(f policy.PolicyFunc[int]) builder { return func(clock.Clock) policy.Policy[int] { return f } }
	again := func(ctx context.Context, next next) (int, error) {
		if v, err := next.Do(ctx); err == nil {
			return v, nil
		}
		return next.Do(ctx)
	}
	planted := map[string]builder{
		"value": plain(func(ctx context.Context, next next) (int, error) {
			_, err := next.Do(ctx)
			return 0, err
		}),
		"error": plain(func(ctx context.Context, next next) (int, error) {
			v, err := next.Do(ctx)
			if err != nil {
				err = errors.New("failed: " + err.Error())
			}
			return v, err
		}),
		"panic": plain(func(ctx context.Context, next next) (v int, err error) {
			defer func() {
				if p := recover(); p != nil {
					err = errors.New("it panicked")
				}
			}()
			return next.Do(ctx)
		}),
		"goexit": func(clock.Clock) policy.Policy[int] { return &leaky{} },
		"failures": func(clock.Clock) policy.Policy[int] {
			broken := false
			return policy.PolicyFunc[int](func(ctx context.Context, next next) (int, error) {
				if broken {
					return 0, &policy.Rejection{Policy: "broken", Reason: policy.ErrOpen}
				}
				v, err := next.Do(ctx)
				broken = err != nil
				return v, err
			})
		},
		"context": plain(func(_ context.Context, next next) (int, error) { return next.Do(context.Background()) }),
		"cancel": func(c clock.Clock) policy.Policy[int] {
			return policy.PolicyFunc[int](func(ctx context.Context, next next) (int, error) {
				v, err := next.Do(ctx)
				if err != nil {
					_ = c.Sleep(context.WithoutCancel(ctx), time.Second)
				}
				return v, err
			})
		},
		"ended": plain(func(ctx context.Context, next next) (int, error) {
			if ctx.Err() != nil {
				return 0, errors.New("no")
			}
			return next.Do(ctx)
		}),
		"once": plain(again),
		"blame": func(clock.Clock) policy.Policy[int] {
			failures := 0
			return policy.PolicyFunc[int](func(ctx context.Context, next next) (int, error) {
				if failures >= 250 {
					return 0, &policy.Rejection{Policy: "blames", Reason: policy.ErrOpen}
				}
				v, err := next.Do(ctx)
				if failures++; err == nil {
					failures = 0
				}
				return v, err
			})
		},
		"return": func(c clock.Clock) policy.Policy[int] {
			return policy.PolicyFunc[int](func(ctx context.Context, next next) (int, error) {
				c.AfterFunc(time.Millisecond, func() { _, _ = next.Do(ctx) })
				return next.Do(ctx)
			})
		},
		"clock": plain(func(ctx context.Context, next next) (int, error) {
			v, err := next.Do(ctx)
			if err != nil {
				_ = clock.System.Sleep(ctx, time.Millisecond)
			}
			return v, err
		}),
		"concurrent": func(clock.Clock) policy.Policy[int] {
			var latest atomic.Int64 // the result goes by way of the policy
			return policy.PolicyFunc[int](func(ctx context.Context, next next) (int, error) {
				v, err := next.Do(ctx)
				if err != nil {
					return v, err
				}
				latest.Store(int64(v))
				runtime.Gosched()
				return int(latest.Load()), nil
			})
		},
		"description": func(clock.Clock) policy.Policy[int] { return described{policy.PolicyFunc[int](again)} },
	}
	for _, r := range rules {
		require.Contains(t, planted, r.name, "no bug is planted for this rule")
		err := r.check(t, planted[r.name])
		require.Error(t, err, r.name)
		t.Logf("%s: %v", r.name, err)
	}
}
