package pipeline_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

// into writes events down, each under the observer's name.
func into(log *[]string, name string) policy.Observer {
	return policy.ObserverFunc(func(_ context.Context, e policy.Event) {
		line := fmt.Sprintf("%s: %s", name, e.Kind)
		if e.Policy != "" {
			line += " by " + e.Policy
		}
		*log = append(*log, fmt.Sprintf("%s in %q", line, e.Pipeline))
	})
}

// An inner pipeline's observers hear what it does; the outer one's hear everything, under the name of where it was.
func TestObserversOfNestedPipelines(t *testing.T) {
	var log []string
	inner := pipeline.Wrap(&policy.Retry[int]{Attempts: 2, Backoff: policy.Constant(0)}).Named("in").Observe(into(&log, "inner"))
	outer := pipeline.Wrap[int](&policy.Fallback[int]{Func: policy.Static(1)}, inner).Named("out").Observe(into(&log, "outer"))
	calls := 0
	_, err := outer.Do(t.Context(), func(context.Context) (int, error) { calls++; return 0, errDown })
	require.NoError(t, err)
	require.Equal(t, 2, calls)
	require.Equal(t, []string{
		`outer: attempted in "out"`, `inner: attempted in "in"`,
		`inner: retrying by retry in "in"`, `outer: retrying by retry in "in"`,
		`outer: attempted in "out"`, `inner: attempted in "in"`,
		`inner: gave up by retry in "in"`, `outer: gave up by retry in "in"`,
		`inner: finished in "in"`, `outer: finished in "in"`,
		`outer: fell back by fallback in "out"`,
		`outer: finished in "out"`,
	}, log)
}

// A named pipeline that nobody observes keeps its name in what the outer one's observers hear; an unnamed one has the
// outer one's.
func TestANamedPipelineInsideKeepsItsName(t *testing.T) {
	for name, want := range map[string]string{"in": "in", "": "out"} {
		var log []string
		retry := pipeline.Wrap(&policy.Retry[int]{Attempts: 1}).Named(name).Observe(into(new([]string), "inner"))
		_, _ = pipeline.Wrap[int](retry).Named("out").Observe(into(&log, "outer")).Do(t.Context(), func(context.Context) (int, error) { return 0, errDown })
		require.Contains(t, log, fmt.Sprintf("outer: gave up by retry in %q", want))
	}
}

// A pipeline between two policies of another has its observers hear of what is inside it as one attempt.
func TestAnObservedPipelineInTheMiddle(t *testing.T) {
	var log []string
	inner := pipeline.Wrap[int](policy.PolicyFunc[int](through)).Named("in").Observe(into(&log, "inner"))
	p := pipeline.Wrap[int](policy.PolicyFunc[int](through), inner, &policy.Retry[int]{Attempts: 2, Backoff: policy.Constant(0)})
	_, _ = p.Do(t.Context(), func(context.Context) (int, error) { return 0, errDown })
	require.Equal(t, []string{`inner: attempted in "in"`, `inner: finished in "in"`}, log)
}

// Several observers hear of each event in the order in which they were added.
func TestObserversAreToldInOrder(t *testing.T) {
	var log []string
	p := pipeline.Wrap[int]().Observe(into(&log, "a"), into(&log, "b")).Observe(into(&log, "c"))
	_, _ = p.Do(t.Context(), work)
	require.Equal(t, []string{
		`a: attempted in ""`, `b: attempted in ""`, `c: attempted in ""`,
		`a: finished in ""`, `b: finished in ""`, `c: finished in ""`,
	}, log)
}

// Scenario 60: pipelines made from the same observed one do not hear each other.
func TestObservingIsPure(t *testing.T) {
	var log []string
	base := pipeline.Wrap[int]().Observe(into(&log, "a")).Observe(into(&log, "b")).Observe(into(&log, "c"))
	x, _ := base.Observe(into(&log, "x")), base.Observe(into(&log, "y"))
	_, _ = x.Do(t.Context(), work)
	require.Contains(t, log, `x: finished in ""`)
	require.NotContains(t, log, `y: finished in ""`)
}

// Scenario 24: an observer may use the pipeline that it observes.
func TestAnObserverMayCallThePipeline(t *testing.T) {
	circuit := &policy.Circuit{}
	var p pipeline.Pipeline[int]
	depth := 0
	p = pipeline.Wrap[int](&policy.Retry[int]{Backoff: policy.Constant(0)}, &policy.Breaker[int]{Circuit: circuit}).
		Observe(policy.ObserverFunc(func(ctx context.Context, e policy.Event) {
			_ = circuit.Snapshot()
			if depth++; depth < 10 {
				_, _ = p.Do(ctx, work)
				_ = p.Explain()
			}
		}))
	_, err := p.Do(t.Context(), work)
	require.NoError(t, err)
	require.GreaterOrEqual(t, depth, 10)
}

// Scenarios 25 and 29: however a call ends, its attempt and its execution are told of once, with how they ended.
func TestEveryEndIsToldOnce(t *testing.T) {
	for name, c := range map[string]struct {
		fn      policy.Func[int]
		outcome policy.Outcome
		err     error
	}{
		"success":   {work, policy.Success, nil},
		"failure":   {func(context.Context) (int, error) { return 0, errDown }, policy.TransientFailure, errDown},
		"permanent": {func(context.Context) (int, error) { return 0, policy.Permanent(errDown) }, policy.PermanentFailure, errDown},
		"refusal":   {func(context.Context) (int, error) { return 0, &policy.Rejection{Reason: policy.ErrOpen} }, policy.Ignored, policy.ErrOpen},
		"panic":     {func(context.Context) (int, error) { panic("bug") }, policy.TransientFailure, policy.ErrPanicked},
		"goexit":    {func(context.Context) (int, error) { runtime.Goexit(); return 0, nil }, policy.TransientFailure, policy.ErrPanicked},
	} {
		t.Run(name, func(t *testing.T) {
			v := clock.NewVirtual()
			var events []policy.Event
			p := pipeline.Wrap(&policy.Timeout[int]{Limit: time.Hour, Clock: v}).Named("p").
				Observe(policy.ObserverFunc(func(_ context.Context, e policy.Event) { events = append(events, e) }))
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer func() { _ = recover() }()
				_, _ = p.Do(t.Context(), func(ctx context.Context) (int, error) {
					v.Advance(time.Second)
					return c.fn(ctx)
				})
			}()
			<-done
			require.Len(t, events, 2)
			for i, kind := range []policy.Kind{policy.Attempted, policy.Finished} {
				require.ErrorIs(t, events[i].Err, c.err)
				events[i].Err = nil
				require.Equal(t, policy.Event{Kind: kind, Pipeline: "p", Attempt: 1, Outcome: c.outcome, Elapsed: time.Second}, events[i])
			}
		})
	}
}

// Scenario 26: an observer hears on the goroutine of the call and with its context, the attempt's where there is one.
func TestObserversHearWithTheContextOfTheCall(t *testing.T) {
	type key struct{}
	attempts := map[policy.Kind][]int{}
	p := pipeline.Wrap(&policy.Retry[int]{Attempts: 2, Backoff: policy.Constant(0)}).
		Observe(policy.ObserverFunc(func(ctx context.Context, e policy.Event) {
			require.Equal(t, "caller's", ctx.Value(key{}))
			attempts[e.Kind] = append(attempts[e.Kind], e.Attempt)
		}))
	_, _ = p.Do(context.WithValue(t.Context(), key{}, "caller's"), func(context.Context) (int, error) { return 0, errDown })
	require.Equal(t, map[policy.Kind][]int{
		policy.Attempted: {1, 2}, policy.Retrying: {1}, policy.GaveUp: {2}, policy.Finished: {1},
	}, attempts)
}

// Every reason to give up is told, and a permanent failure is none: nothing was given up that could have worked.
func TestEveryReasonToGiveUpIsTold(t *testing.T) {
	for want, c := range map[policy.Reason]struct {
		retry policy.Retry[int]
		ctx   context.Context
		err   error
	}{
		policy.AttemptsSpent: {policy.Retry[int]{Attempts: 1}, t.Context(), errDown},
		policy.ElapsedSpent:  {policy.Retry[int]{MaxElapsed: 1, Backoff: policy.Constant(2)}, t.Context(), errDown},
		policy.DeadlineNear:  {policy.Retry[int]{Backoff: policy.Constant(2 * time.Hour)}, t.Context(), errDown},
		policy.HintTooLong:   {policy.Retry[int]{MaxHint: 1}, t.Context(), policy.RetryAfter(errDown, 2)},
		policy.NotRepeatable: {policy.Retry[int]{}, policy.Once(t.Context()), errDown},
		policy.ContextEnded:  {policy.Retry[int]{}, t.Context(), errDown},
		policy.NoReason:      {policy.Retry[int]{}, t.Context(), policy.Permanent(errDown)},
	} {
		v := clock.NewVirtual()
		c.retry.Clock = v
		var reasons []policy.Reason
		p := pipeline.Wrap[int](&policy.Timeout[int]{Limit: time.Hour, Clock: v}, &c.retry).
			Observe(policy.ObserverFunc(func(_ context.Context, e policy.Event) {
				if e.Kind == policy.GaveUp {
					reasons = append(reasons, e.Reason)
				}
			}))
		ctx, cancel := context.WithCancel(c.ctx)
		_, err := p.Do(ctx, func(context.Context) (int, error) {
			if want == policy.ContextEnded {
				cancel()
			}
			return 0, c.err
		})
		cancel()
		require.ErrorIs(t, err, errDown)
		if want == policy.NoReason {
			require.Empty(t, reasons)
			continue
		}
		require.Equal(t, []policy.Reason{want}, reasons)
	}
}
