package policy

import (
	"context"
	"sync/atomic"
)

// Attempt is the number of the attempt that ctx belongs to, by the nearest Retry outside: 2 on the first retry, 1 on
// the first attempt and outside a Retry.
func Attempt(ctx context.Context) int {
	if a, ok := ctx.Value(attemptKey{}).(*attempt); ok {
		return a.number
	}
	return 1
}

type attemptKey struct{}

// repeating counts the attempts beyond the first that are under way. While there are none, a Retry need not look for an
// outer attempt in its context, which takes about 3.5 ns for each context that was derived by context.WithValue: 35 of
// 60 ns for fallback, retry and breaker under ten of them.
var repeating atomic.Int64

// inAttempt reports whether ctx may be that of an attempt beyond the first.
func inAttempt(ctx context.Context) bool { return repeating.Load() > 0 && Attempt(ctx) != 1 }

// repeat makes attempt n, which is not the first.
func repeat[T any](ctx context.Context, next Next[T], n int) (T, error) {
	repeating.Add(1)
	defer repeating.Add(-1)
	return next.Do(&attempt{ctx, n})
}

// An attempt is the context of one call by a Retry.
type attempt struct {
	context.Context
	number int
}

func (a *attempt) Value(key any) any {
	if _, ok := key.(attemptKey); ok {
		return a
	}
	return a.Context.Value(key)
}

// AfterFunc hands on what package context may ask of the context inside, so that its children end without a goroutine.
func (a *attempt) AfterFunc(f func()) (stop func() bool) {
	if own, ok := a.Context.(interface{ AfterFunc(func()) func() bool }); ok {
		return own.AfterFunc(f)
	}
	return context.AfterFunc(a.Context, f)
}

// Once marks the calls made under ctx as not repeatable: a Retry calls once and returns what it got, a Hedge starts no
// second leg. Mark what must not happen twice, such as a payment without an idempotency key.
func Once(ctx context.Context) context.Context { return context.WithValue(ctx, onceKey{}, true) }

type onceKey struct{}

func isOnce(ctx context.Context) bool { return ctx.Value(onceKey{}) != nil }
