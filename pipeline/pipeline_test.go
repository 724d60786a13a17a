package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

var errDown = errors.New("down")

// mark is a policy that shows in the value where it is.
func mark(name string) policy.Policy[string] {
	return policy.PolicyFunc[string](func(ctx context.Context, next policy.Next[string]) (string, error) {
		v, err := next.Do(ctx)
		return name + "(" + v + ")", err
	})
}

// do is what a pipeline makes of the value v.
func do(t *testing.T, p pipeline.Pipeline[string]) string {
	t.Helper()
	v, err := p.Do(t.Context(), func(context.Context) (string, error) { return "v", nil })
	require.NoError(t, err)
	return v
}

// Laws: Wrap of nothing, and the zero value, are the identity, alone and in other pipelines.
func TestAnEmptyPipelineIsTheIdentity(t *testing.T) {
	empty := []pipeline.Pipeline[string]{{}, pipeline.Wrap[string](), pipeline.Wrap[string](pipeline.Pipeline[string]{}), {}}
	empty = append(empty, empty[0].Named("n"), empty[0].Observe())
	for _, p := range empty {
		require.Equal(t, "v", do(t, p))
		require.Equal(t, "a(b(v))", do(t, pipeline.Wrap(mark("a"), p, mark("b"))))
		v, err := p.Do(t.Context(), func(context.Context) (string, error) { return "v", errDown })
		require.Equal(t, "v", v)
		require.Same(t, errDown, err)
	}
	require.Equal(t, "v", do(t, empty[0].Observe(policy.ObserverFunc(func(context.Context, policy.Event) {}))))
}

// Laws: pipelines in pipelines, by value or pointer, named or observed, keep the order.
func TestPipelinesNestInAnyWay(t *testing.T) {
	ab, c := pipeline.Wrap(mark("a"), mark("b")), mark("c")
	silent := policy.ObserverFunc(func(context.Context, policy.Event) {})
	for _, p := range []pipeline.Pipeline[string]{
		pipeline.Wrap(ab, c), pipeline.Wrap(&ab, c), pipeline.Wrap(ab.Named("ab"), c), pipeline.Wrap(ab.Observe(silent), c),
		pipeline.Wrap[string](mark("a"), pipeline.Wrap(mark("b"), c).Named("bc")).Observe(silent),
		pipeline.Wrap[string](pipeline.Wrap[string](ab.Named("ab").Named("again"), c).Named("abc")).Named("all").Observe(silent),
		pipeline.Wrap[string](pipeline.Wrap(mark("a")).Named("a"), pipeline.Wrap(mark("b")).Named("b"), pipeline.Wrap(c).Named("c")).Observe(silent),
	} {
		require.Equal(t, "a(b(c(v)))", do(t, p), "%v", p)
	}
}

// A pipeline is a policy to others, too: it runs what is inside it.
func TestAPipelineIsAPolicy(t *testing.T) {
	inner := pipeline.Wrap(mark("a"), mark("b")).Named("inner")
	v, err := policy.Through(func(context.Context) (string, error) { return "v", errDown }, policy.Policy[string](inner), mark("c")).Do(t.Context())
	require.Same(t, errDown, err)
	require.Equal(t, "a(b(c(v)))", v)
}

// Scenario 60: composing changes nothing of what it is given: not the pipelines, not the slice of policies.
func TestComposingIsPure(t *testing.T) {
	policies := append(make([]policy.Policy[string], 0, 8), mark("a"), mark("b"))
	base := pipeline.Wrap(policies...)
	policies[0] = mark("x")
	require.Equal(t, "a(b(v))", do(t, base), "the caller's slice is its own")

	heard := 0
	one, two := pipeline.Wrap(base, mark("c")), pipeline.Wrap(base, mark("d"))
	watched := base.Observe(policy.ObserverFunc(func(context.Context, policy.Event) { heard++ }))
	_, _ = base.Named("n"), pipeline.Wrap[string](watched, mark("e"))
	require.Equal(t, "a(b(c(v)))", do(t, one))
	require.Equal(t, "a(b(d(v)))", do(t, two))
	require.Equal(t, "a(b(v))", do(t, base))
	require.Zero(t, heard, "base is not observed")
	require.Empty(t, base.Explain().Name)

	policies = append(policies[:1], mark("y"))
	require.Equal(t, "x(y(v))", do(t, pipeline.Wrap(policies...)))
	require.Equal(t, "a(b(v))", do(t, base))
}

// Scenario 61: executions at the same time share the pipeline and nothing else.
func TestExecutionsDoNotShareContexts(t *testing.T) {
	type key struct{}
	p := pipeline.Wrap[int](
		&policy.Fallback[int]{Func: func(ctx context.Context, v int, _ error) (int, error) { return ctx.Value(key{}).(int) - v, nil }},
		&policy.Retry[int]{Backoff: policy.Constant(0)},
		&policy.Breaker[int]{Circuit: &policy.Circuit{Trip: policy.Consecutive(1 << 30)}},
		&policy.Timeout[int]{Limit: 1 << 40},
	).Observe(policy.ObserverFunc(func(context.Context, policy.Event) {}))
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			for range 20 {
				v, err := p.Do(context.WithValue(t.Context(), key{}, i), func(ctx context.Context) (int, error) {
					if ctx.Value(key{}) != i {
						t.Errorf("caller %d got the context of %v", i, ctx.Value(key{}))
					}
					return i * 2, errDown
				})
				if v != -i || err != nil {
					t.Errorf("caller %d got %d, %v", i, v, err)
				}
			}
		})
	}
	all.Wait()
}

// Bind, Decorate and Run are ways to call the same pipeline.
func TestTheWaysToCallAPipeline(t *testing.T) {
	calls := 0
	retry := pipeline.Wrap(&policy.Retry[string]{Backoff: policy.Constant(0)})
	bound := retry.Bind(func(context.Context) (string, error) { calls++; return "v", errDown })
	v, err := bound(t.Context())
	require.Equal(t, "v", v)
	require.Same(t, errDown, err)
	require.Equal(t, 3, calls)

	decorated := pipeline.Decorate(retry, func(_ context.Context, n int) (string, error) {
		if calls++; n < 0 {
			return "", fmt.Errorf("%d: %w", n, errDown)
		}
		return strconv.Itoa(n), nil
	})
	v, err = decorated(t.Context(), 7)
	require.NoError(t, err)
	require.Equal(t, "7", v)
	_, err = decorated(t.Context(), -7)
	require.EqualError(t, err, "-7: down")
	require.Equal(t, 7, calls)

	p := pipeline.Wrap(&policy.Retry[struct{}]{Backoff: policy.Constant(0)})
	require.NoError(t, pipeline.Run(t.Context(), p, func(context.Context) error { calls++; return nil }))
	require.Same(t, errDown, pipeline.Run(t.Context(), p, func(context.Context) error { calls++; return errDown }))
	require.Equal(t, 11, calls)
}

// A nil func is found where it is given, and at the call where it is given no sooner.
func TestNilFuncsAreRefused(t *testing.T) {
	p := pipeline.Wrap(&policy.Retry[int]{})
	require.PanicsWithError(t, "pipeline: Bind of a nil func", func() { p.Bind(nil) })
	require.PanicsWithError(t, "pipeline: Decorate of a nil func", func() { pipeline.Decorate[string](p, nil) })
	_, err := p.Do(t.Context(), nil)
	require.ErrorContains(t, err, "no func to call")
	require.ErrorContains(t, pipeline.Run(t.Context(), pipeline.Wrap(&policy.Retry[struct{}]{}), nil), "no func to call")
	_, err = pipeline.Pipeline[int]{}.Do(t.Context(), nil)
	require.ErrorContains(t, err, "no func to call")
	require.PanicsWithError(t, "pipeline: Observe of a nil Observer", func() { p.Observe(nil) })
	require.PanicsWithError(t, "pipeline: Observe of a nil Observer", func() { p.Observe(policy.ObserverFunc(nil)) })
}

// The circuits of a pipeline, those in pipelines inside included, from the outside in.
func TestAPipelineKnowsItsCircuits(t *testing.T) {
	a, b := &policy.Circuit{Name: "a"}, &policy.Circuit{Name: "b"}
	p := pipeline.Wrap[int](&policy.Retry[int]{}, &policy.Breaker[int]{Circuit: a}, pipeline.Wrap(&policy.Breaker[int]{Circuit: b}).Named("inner"))
	require.Equal(t, []*policy.Circuit{a, b}, p.Circuits())
	require.Empty(t, pipeline.Pipeline[int]{}.Circuits())
}

// C7: a circuit inside a retry counts every attempt; outside, it counts the execution.
func TestWhereTheCircuitIsDecidesWhatItCounts(t *testing.T) {
	for name, want := range map[string]int{"inside": 3, "outside": 1} {
		circuit := &policy.Circuit{}
		layers := []policy.Policy[int]{&policy.Retry[int]{Backoff: policy.Constant(0)}, &policy.Breaker[int]{Circuit: circuit}}
		if name == "outside" {
			layers[0], layers[1] = layers[1], layers[0]
		}
		_, _ = pipeline.Wrap(layers...).Do(t.Context(), func(context.Context) (int, error) { return 0, errDown })
		require.Equal(t, want, circuit.Snapshot().Failures, name)
	}
}
