package policy_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

// Scenario 64: a caller who hangs up between attempts is not answered, though the attempt before had timed out. The
// error tells of both, and a timeout alone would have been answered.
func TestFallbackDoesNotAnswerACallerWhoHungUpAfterATimeout(t *testing.T) {
	c := composedCase{
		layers: []layer{
			{kind: "fallback"},
			{kind: "retry", attempts: 3, waits: waits{kind: "constant", base: 5 * tick}},
			{kind: "timeout", limit: tick},
		},
		script: script{{does: fails, takes: 3 * tick}},
		caller: caller{cancel: 3 * tick},
	}
	r := c.run()
	require.Empty(t, r.answered)
	require.ErrorIs(t, r.err, errHungUp)
	require.ErrorIs(t, r.err, policy.ErrTimeout, "and what had happened before")
	require.Equal(t, 3*tick, r.ended)
}

// Scenario 64: every kind of refusal is answered.
func TestFallbackAnswersEveryKindOfRefusal(t *testing.T) {
	open, isolated := &policy.Circuit{Trip: policy.Consecutive(1)}, &policy.Circuit{}
	_ = open.Do(t.Context(), func(context.Context) error { return errors.New("down") })
	isolated.Isolate()
	own := policy.PolicyFunc[string](func(context.Context, policy.Next[string]) (string, error) {
		return "", &policy.Rejection{Policy: "own", Reason: errors.New("full")}
	})
	for name, refusing := range map[string]policy.Policy[string]{
		"open circuit":     &policy.Breaker[string]{Circuit: open},
		"isolated circuit": &policy.Breaker[string]{Circuit: isolated},
		"another policy":   own,
	} {
		t.Run(name, func(t *testing.T) {
			p := pipeline.Wrap[string](&policy.Fallback[string]{Func: policy.Static("answer")}, refusing)
			v, err := p.Do(t.Context(), func(context.Context) (string, error) { return "called", nil })
			require.NoError(t, err)
			require.Equal(t, "answer", v)
		})
	}
}

// Scenario 64: a fallback that fails too keeps the error of the call, and does not repeat it where it wraps it.
func TestFallbackThatFailsKeepsTheCallsError(t *testing.T) {
	down, empty := errors.New("down"), errors.New("cache is empty")
	answer := func(fn func(error) error) error {
		p := pipeline.Wrap(&policy.Fallback[int]{Func: func(_ context.Context, _ int, err error) (int, error) { return 0, fn(err) }})
		_, err := p.Do(t.Context(), func(context.Context) (int, error) { return 0, down })
		return err
	}
	err := answer(func(error) error { return empty })
	require.ErrorIs(t, err, down)
	require.ErrorIs(t, err, empty)
	require.Equal(t, "down\ncache is empty", err.Error(), "the call's first")

	wrapped := errors.Join(down, empty)
	require.Same(t, wrapped, answer(func(error) error { return wrapped }), "it tells of the call already")
	require.Same(t, down, answer(func(err error) error { return err }), "it gave up, and says nothing new")

	p := pipeline.Wrap(&policy.Fallback[int]{
		Classify: func(int, error) policy.Outcome { return policy.TransientFailure },
		Func:     func(context.Context, int, error) (int, error) { return 0, empty },
	})
	_, err = p.Do(t.Context(), func(context.Context) (int, error) { return 0, nil })
	require.Same(t, empty, err, "there is no other error to keep")
}

// Scenario 64: the end of the context is answered where it was a deadline, and by a func that may see that it ended.
func TestFallbackAnswersADeadlineButNotACancellation(t *testing.T) {
	for _, c := range []struct {
		caller   caller
		answered bool
	}{
		{caller{deadline: tick}, true},
		{caller{cancel: tick}, false},
		{caller{cancel: -1}, false},
	} {
		cc := composedCase{layers: []layer{{kind: "fallback"}}, script: script{{takes: 2 * tick}}, caller: c.caller}
		r := cc.run()
		require.Equal(t, c.answered, r.err == nil, "%+v: %v", c.caller, r.err)
		require.Equal(t, c.answered, len(r.answered) == 1)
	}
}

// Scenario 64: a panic is no result; no fallback hides it.
func TestFallbackNeverSwallowsAPanic(t *testing.T) {
	p := pipeline.Wrap(&policy.Fallback[int]{Func: policy.Static(1), Classify: func(int, error) policy.Outcome { return policy.TransientFailure }})
	require.PanicsWithValue(t, "bug", func() {
		_, _ = p.Do(t.Context(), func(context.Context) (int, error) { panic("bug") })
	})
}

// With a Classify, a Fallback answers what that calls a failure and nothing else.
func TestFallbackWithAClassifierAnswersWhatThatCallsAFailure(t *testing.T) {
	for o, answered := range map[policy.Outcome]bool{
		policy.TransientFailure: true, policy.PermanentFailure: true, policy.Ignored: false, policy.Success: false,
	} {
		p := pipeline.Wrap(&policy.Fallback[int]{Func: policy.Static(1), Classify: func(int, error) policy.Outcome { return o }})
		for _, result := range []error{nil, errors.New("down"), context.Canceled, &policy.Rejection{Reason: policy.ErrOpen}} {
			v, err := p.Do(t.Context(), func(context.Context) (int, error) { return 7, result })
			if answered {
				require.NoError(t, err)
				require.Equal(t, 1, v, "%v for %v", o, result)
				continue
			}
			require.Equal(t, 7, v, "%v for %v", o, result)
			require.True(t, err == result)
		}
	}
}

// F5: the fallback's context is the caller's, alive though the timeout inside has expired.
func TestFallbackGetsTheCallersContext(t *testing.T) {
	v := clock.NewVirtual()
	type key struct{}
	ctx := context.WithValue(t.Context(), key{}, "caller's")
	p := pipeline.Wrap(
		&policy.Fallback[int]{Func: func(ctx context.Context, v int, err error) (int, error) {
			require.NoError(t, ctx.Err())
			require.Equal(t, "caller's", ctx.Value(key{}))
			require.Equal(t, 503, v, "the call's own value")
			require.ErrorIs(t, err, policy.ErrTimeout)
			return 200, nil
		}},
		&policy.Timeout[int]{Limit: time.Second, Clock: v},
	)
	got, err := p.Do(ctx, func(ctx context.Context) (int, error) { return 503, v.Sleep(ctx, time.Minute) })
	require.NoError(t, err)
	require.Equal(t, 200, got)
}

// A Fallback without a Func, which Wrap refuses, changes nothing elsewhere.
func TestFallbackWithoutAFuncHandsTheResultOn(t *testing.T) {
	down := errors.New("down")
	_, err := policy.Through(func(context.Context) (int, error) { return 0, down }, policy.Policy[int](&policy.Fallback[int]{})).Do(t.Context())
	require.Same(t, down, err)
}
