package policytest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/policy"
)

// callsOnce checks that a policy does not repeat what must not be repeated.
func callsOnce(t *testing.T, build builder) error {
	for _, how := range []string{"fail", "fail@10ms", "ok@1h", "hang"} {
		v := clock.NewVirtual()
		s := &Script[int]{Schedule: MustParse("100*" + how), Clock: v}
		ctx, cancel := clock.WithTimeout(policy.Once(t.Context()), v, 24*time.Hour, nil)
		_, _ = execute(ctx, v, policy.Through(s.Call, build(v)))
		cancel()
		if calls := len(s.Visits()); calls > 1 {
			return fmt.Errorf("the func was called %d times (each call: %s); a call under policy.Once must not be repeated", calls, how)
		}
	}
	return nil
}

// errWords is how a driver may word that its caller has canceled.
var errWords = errors.New("canceling statement due to user request")

// blames checks that what callers do does not count against the dependency: after many that canceled, or that came with
// an ended context, the next call is let through as after as many that succeeded.
func blames(t *testing.T, build builder) error {
	const calls = 300
	after := func(one func(next func(policy.Func[int]) policy.Next[int])) bool {
		v := clock.NewVirtual()
		p := build(v)
		for range calls {
			one(func(fn policy.Func[int]) policy.Next[int] { return policy.Through(fn, p) })
			v.Advance(time.Millisecond)
		}
		n, err := policy.Through(works, p).Do(t.Context())
		return n == 7 && err == nil
	}
	succeeded := func(next func(policy.Func[int]) policy.Next[int]) { _, _ = next(works).Do(t.Context()) }
	if !after(succeeded) {
		return nil // it limits calls as such
	}
	for text, words := range map[string]func(context.Context) error{
		"the context's error": context.Context.Err, "its cause": context.Cause, "a driver's own words": func(context.Context) error { return errWords },
	} {
		if !after(func(next func(policy.Func[int]) policy.Next[int]) {
			ctx, cancel := context.WithCancelCause(t.Context())
			_, _ = next(func(ctx context.Context) (int, error) {
				cancel(errors.New("the caller went away"))
				return 0, words(ctx)
			}).Do(ctx)
		}) {
			return fmt.Errorf("%d callers canceled while the func worked, which returned %s; the policy refused the next caller: judge results by policy.Classifier.Apply", calls, text)
		}
	}
	if !after(func(next func(policy.Func[int]) policy.Next[int]) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, _ = next(func(ctx context.Context) (int, error) { return 0, ctx.Err() }).Do(ctx)
	}) {
		return fmt.Errorf("%d callers came with a context that had ended; the policy refused the next caller: admit nothing under such a context", calls)
	}
	return nil
}
