package policy_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/policy"
)

// A plainFallback is a Fallback in its simplest form, with a place for every bug that is planted below.
type plainFallback struct {
	fn func(context.Context, int, error) (int, error)

	always, answersGone, answersPanics, refusesRejections, forgetsCall, forgetsOwn, twice, dead, endless bool
}

func (p *plainFallback) Execute(ctx context.Context, next policy.Next[int]) (v int, err error) {
	if p.answersPanics {
		defer func() {
			if recover() != nil {
				v, err = p.fn(ctx, 0, policy.ErrPanicked)
			}
		}()
	}
	v, err = next.Do(ctx)
	judged := ctx
	if context.Cause(ctx) == errHungUp {
		judged = context.WithoutCancel(ctx) // other failures are answered even so
	}
	o := policy.Classifier[int](nil).Apply(judged, v, err)
	gone := errors.Is(context.Cause(ctx), errHungUp) && (errors.Is(err, context.Canceled) || errors.Is(err, errHungUp))
	refused := errors.Is(err, policy.ErrIsolated) && !p.refusesRejections
	failed := o == policy.TransientFailure || o == policy.PermanentFailure || refused
	if (!failed || gone) && !p.always && (!p.answersGone || err == nil) {
		return v, err
	}
	next.Emit(ctx, policy.Event{Kind: policy.FellBack})
	given := ctx
	if p.endless {
		given = context.WithoutCancel(ctx)
	}
	if p.dead {
		ended, cancel := context.WithCancel(ctx)
		cancel()
		given = ended
	}
	if p.twice {
		_, _ = p.fn(given, v, err)
	}
	answer, failure := p.fn(given, v, err)
	switch {
	case failure == nil || p.forgetsCall:
		return answer, failure
	case p.forgetsOwn:
		return answer, err
	default:
		return answer, errors.Join(err, failure)
	}
}

// The properties of Fallback find each of these bugs, and nothing in the same code without them.
func TestPlantedFallbackBugsAreFound(t *testing.T) {
	bugs := map[string]func(*plainFallback){
		"answers a success":                     func(p *plainFallback) { p.always = true },
		"answers the caller's own cancellation": func(p *plainFallback) { p.answersGone = true },
		"swallows panics":                       func(p *plainFallback) { p.answersPanics = true },
		"does not answer refusals":              func(p *plainFallback) { p.refusesRejections = true },
		"forgets the call's error":              func(p *plainFallback) { p.forgetsCall = true },
		"forgets its own error":                 func(p *plainFallback) { p.forgetsOwn = true },
		"answers twice":                         func(p *plainFallback) { p.twice = true },
		"gives its func an ended context":       func(p *plainFallback) { p.dead = true },
		"outlives the caller's deadline":        func(p *plainFallback) { p.endless = true },
	}
	judge := func(plant func(*plainFallback)) func(fallbackCase) findings {
		return judgeFallback(func(c fallbackCase, r *run) (policies []policy.Policy[int]) {
			for i := range c.answers {
				p := &plainFallback{fn: c.answer(r, len(c.answers)-1-i)}
				plant(p)
				policies = append(policies, p)
			}
			return policies
		})
	}
	require.False(t, finds(cases, drawFallback, judge(func(*plainFallback) {})), "the plain Fallback itself is sound")
	for name, plant := range bugs {
		require.True(t, finds(cases, drawFallback, judge(plant)), "a Fallback that %s", name)
	}
}
