package policy_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

// A walked context counts how often it is asked, which for a context made by WithValue means a walk through all of them.
type walked struct {
	context.Context
	values, errs int
}

func (w *walked) Value(key any) any { w.values++; return w.Context.Value(key) }
func (w *walked) Err() error        { w.errs++; return w.Context.Err() }

// A call that succeeds looks up nothing in its context, and asks twice whether it has ended: once for the Retry and once
// for the Breaker. Contexts of servers are deep, and each walk costs 1.5 to 3.5 ns for each of their values.
func TestASuccessHardlyWalksTheContext(t *testing.T) {
	_, err := pipeline.Wrap(&policy.Retry[int]{Backoff: policy.Constant(0)}).Do(t.Context(), func(context.Context) (int, error) { return 0, errDown })
	require.Equal(t, errDown, err, "a retry that is over leaves nothing to look for")
	ctx := &walked{Context: t.Context()}
	p := pipeline.Wrap[int](
		&policy.Fallback[int]{Func: policy.Static(0)}, &policy.Retry[int]{}, &policy.Breaker[int]{Circuit: new(policy.Circuit)},
	)
	_, err = p.Do(ctx, func(context.Context) (int, error) { return 1, nil })
	require.NoError(t, err)
	require.Zero(t, ctx.values)
	require.Equal(t, 2, ctx.errs)
}

// A Retry inside the later attempt of another one counts anew, also in a pipeline of its own.
func TestAttemptCountsAnewInAPipelineOfItsOwn(t *testing.T) {
	var outer, inner []int
	retry := func() pipeline.Pipeline[int] {
		return pipeline.Wrap(&policy.Retry[int]{Attempts: 2, Backoff: policy.Constant(0)})
	}
	_, err := retry().Do(t.Context(), func(ctx context.Context) (int, error) {
		outer = append(outer, policy.Attempt(ctx))
		return retry().Do(ctx, func(ctx context.Context) (int, error) {
			inner = append(inner, policy.Attempt(ctx))
			return 0, errDown
		})
	})
	require.Equal(t, errDown, err)
	require.Equal(t, []int{1, 2}, outer)
	require.Equal(t, []int{1, 2, 1, 2}, inner)
	require.Equal(t, 1, policy.Attempt(t.Context()))
}

// An own is a context of another package's, with a Done of its own and without an AfterFunc.
type own struct {
	context.Context
	done chan struct{}
	err  error
}

func (o *own) Done() <-chan struct{} { return o.done }
func (o *own) Err() error            { return o.err }

// Contexts that are derived from an attempt's end with the caller's, whatever that is made of.
func TestAttemptEndsItsChildren(t *testing.T) {
	parent := &own{Context: t.Context(), done: make(chan struct{})}
	calls := 0
	_, err := pipeline.Wrap(&policy.Retry[int]{Attempts: 2, Backoff: policy.Constant(0)}).Do(parent, func(ctx context.Context) (int, error) {
		if calls++; calls == 1 {
			return 0, errDown
		}
		child, cancel := context.WithCancel(ctx)
		defer cancel()
		parent.err = context.Canceled
		close(parent.done)
		<-child.Done()
		return 0, child.Err()
	})
	require.ErrorIs(t, err, context.Canceled)
}
