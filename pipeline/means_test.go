package pipeline_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
	"github.com/holdfast-go/holdfast/policy/policytest"
)

// A status is a result of a protocol: 5 has failed for now, 4 for good.
type status int

var errStatus = errors.New("status 5")

// protocol is what a status means. Values that are discarded go to discarded.
func protocol(discarded *[]status) policy.Meaning[status] {
	return policy.Meaning[status]{
		Name: "status",
		Classify: func(s status, err error) policy.Outcome {
			switch {
			case err != nil:
				return policy.Classify(s, err)
			case s == 5:
				return policy.TransientFailure
			case s == 4:
				return policy.PermanentFailure
			}
			return policy.Success
		},
		Hint:    func(s status, err error) time.Duration { return map[bool]time.Duration{true: time.Second}[s == 5] },
		Discard: func(s status) { *discarded = append(*discarded, s) },
		Failure: func(status) error { return errStatus },
	}
}

// The obvious pipeline does the obvious: every policy goes by the meaning of its results.
func TestMeansFillsInWhatPoliciesLeaveNil(t *testing.T) {
	var discarded []status
	v := clock.NewVirtual()
	recorder := &policytest.Recorder{Clock: v}
	circuit := &policy.Circuit{Trip: policy.Consecutive(4), Clock: v}
	throttle := &policy.Throttle{Clock: v}
	limit := &policy.Limit{Algorithm: policy.AIMD{}, Clock: v}
	p := pipeline.Wrap[status](
		&policy.Fallback[status]{Func: policy.Static(status(1))},
		&policy.Shed[status]{Throttle: throttle},
		&policy.Retry[status]{Attempts: 2, Backoff: policy.Constant(0), Clock: v},
		&policy.Adaptive[status]{Limit: limit},
		pipeline.Wrap[status](&policy.Breaker[status]{Circuit: circuit}).Named("inner"),
	).Named("outer").Means(protocol(&discarded)).Observe(recorder)
	start := v.Nanos()
	got, err := p.Do(t.Context(), func(context.Context) (status, error) { return 5, nil })
	require.NoError(t, err)
	require.Equal(t, status(1), got, "the fallback's")
	require.Equal(t, time.Second, time.Duration(v.Nanos()-start), "the hint was heeded")
	require.Equal(t, []status{5}, discarded)
	require.Equal(t, 2, circuit.Snapshot().Failures)
	require.Positive(t, throttle.DropRate())
	_, now := limit.Load()
	require.Less(t, now, 20, "failures with a hint are drops")
	for _, kind := range []policy.Kind{policy.Attempted, policy.Retrying, policy.GaveUp, policy.FellBack} {
		require.NotEmpty(t, recorder.Events(kind), kind)
		for _, e := range recorder.Events(kind) {
			require.Equal(t, policy.TransientFailure, e.Outcome, kind)
			require.Equal(t, errStatus, e.Err, kind)
		}
	}
	finished := recorder.Events(policy.Finished)
	require.Equal(t, policy.Success, finished[len(finished)-1].Outcome)
}

// What a policy sets itself, and what an earlier meaning has set, stays.
func TestMeansLeavesWhatIsSet(t *testing.T) {
	var discarded, own []status
	v := clock.NewVirtual()
	never := func(status, error) policy.Outcome { return policy.Success }
	retry := &policy.Retry[status]{
		Classify: func(s status, err error) policy.Outcome { return policy.TransientFailure },
		Hint:     func(status, error) time.Duration { return time.Minute },
		Discard:  func(s status) { own = append(own, s) },
		Backoff:  policy.Constant(0), Clock: v,
	}
	circuit := &policy.Circuit{Trip: policy.Consecutive(1), Clock: v}
	p := pipeline.Wrap[status](retry, &policy.Breaker[status]{Circuit: circuit}).
		Means(policy.Meaning[status]{Classify: never}).Means(protocol(&discarded))
	start := v.Nanos()
	got, err := p.Do(t.Context(), func(context.Context) (status, error) { return 5, nil })
	require.NoError(t, err)
	require.Equal(t, status(5), got)
	require.Equal(t, 2*time.Minute, time.Duration(v.Nanos()-start))
	require.Equal(t, []status{5, 5}, own)
	require.Empty(t, discarded)
	require.Equal(t, policy.Closed, circuit.State(), "by the first meaning")

	_, err = pipeline.Wrap[status](retry).Do(t.Context(), func(context.Context) (status, error) { return 1, nil })
	require.NoError(t, err, "the policies that were given are as before")
}

// Policies with state share it between the pipelines that they are in, whatever these mean.
func TestMeansSharesTheStateOfPolicies(t *testing.T) {
	var discarded []status
	v := clock.NewVirtual()
	stale := &policy.Stale[status]{MaxAge: time.Hour, Clock: v}
	plain := pipeline.Wrap[status](stale)
	meant := plain.Means(protocol(&discarded))
	_, err := plain.Do(t.Context(), func(context.Context) (status, error) { return 1, nil })
	require.NoError(t, err)
	got, err := meant.Do(t.Context(), func(context.Context) (status, error) { return 5, nil })
	require.NoError(t, err)
	require.Equal(t, status(1), got)
	got, err = plain.Do(t.Context(), func(context.Context) (status, error) { return 5, nil })
	require.NoError(t, err)
	require.Equal(t, status(5), got, "a success where nothing else is meant")
}

// A pipeline inside another one keeps its meaning, and the outer one's events go by it.
func TestMeansHoldsInsideAnotherPipeline(t *testing.T) {
	var discarded []status
	for name, inner := range map[string]pipeline.Pipeline[status]{
		"flattened": pipeline.Wrap[status](&policy.Retry[status]{Backoff: policy.Constant(0), MaxHint: time.Hour, Clock: clock.NewVirtual()}).Means(protocol(&discarded)),
		"named":     pipeline.Wrap[status](&policy.Retry[status]{Backoff: policy.Constant(0), MaxHint: time.Hour, Clock: clock.NewVirtual()}).Named("inner").Means(protocol(&discarded)),
	} {
		t.Run(name, func(t *testing.T) {
			recorder := new(policytest.Recorder)
			calls := 0
			_, err := pipeline.Wrap[status](inner).Observe(recorder).Do(t.Context(), func(context.Context) (status, error) { calls++; return 5, nil })
			require.NoError(t, err)
			require.Equal(t, 3, calls)
			for _, e := range recorder.Events(policy.Attempted) {
				require.Equal(t, policy.TransientFailure, e.Outcome)
			}
			require.Len(t, recorder.Events(policy.Attempted), 3)
		})
	}
}

// A meaning costs a success nothing but its classifier.
func TestMeansAllocatesNothing(t *testing.T) {
	var discarded []status
	p := pipeline.Wrap[status](
		&policy.Fallback[status]{Func: policy.Static(status(1))}, &policy.Retry[status]{},
		&policy.Breaker[status]{Circuit: new(policy.Circuit)},
	).Means(protocol(&discarded))
	ctx, fn := t.Context(), func(context.Context) (status, error) { return 1, nil }
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = p.Do(ctx, fn) }))
}

// Explain shows what the user has set, and not what a meaning has filled in.
func TestMeansShowsInExplain(t *testing.T) {
	var discarded []status
	p := pipeline.Wrap[status](
		&policy.Retry[status]{}, &policy.Breaker[status]{Circuit: new(policy.Circuit)},
		&policy.Shed[status]{Throttle: new(policy.Throttle)},
	)
	require.Equal(t, p.Explain().Policies, p.Means(protocol(&discarded)).Explain().Policies)
}

// One observer of a pipeline and of one inside it gets each event once, whatever the two are called.
func TestObserverOfTwoPipelinesGetsEachEventOnce(t *testing.T) {
	for _, c := range []struct {
		inner, outer string
		finished     []string // pipelines
	}{
		{"", "", []string{""}}, {"", "outer", []string{"outer"}}, {"inner", "outer", []string{"inner", "outer"}}, {"inner", "", []string{"inner", ""}},
	} {
		t.Run(c.inner+" in "+c.outer, func(t *testing.T) {
			v := clock.NewVirtual()
			recorder := &policytest.Recorder{Clock: v}
			inner := pipeline.Wrap(&policy.Retry[int]{Attempts: 2, Backoff: policy.Constant(0), Clock: v}).Named(c.inner).Observe(recorder)
			p := pipeline.Wrap[int](inner).Named(c.outer).Observe(recorder)
			_, err := p.Do(t.Context(), func(context.Context) (int, error) { return 0, errors.New("down") })
			require.Error(t, err)
			require.Len(t, recorder.Events(policy.Attempted), 2)
			require.Len(t, recorder.Events(policy.Retrying), 1)
			require.Len(t, recorder.Events(policy.GaveUp), 1)
			var finished []string
			for _, e := range recorder.Events(policy.Finished) {
				finished = append(finished, e.Pipeline)
			}
			require.Equal(t, c.finished, finished)
		})
	}
}

// An inner pipeline's own observers get its events; the outer's get everything once, and no second execution of the
// same name.
func TestObserversOfNestedPipelinesCountExecutionsOnce(t *testing.T) {
	own, outer := new(policytest.Recorder), new(policytest.Recorder)
	p := pipeline.Wrap[int](pipeline.Wrap[int]().Observe(own)).Named("users").Observe(outer)
	_, err := p.Do(t.Context(), func(context.Context) (int, error) { return 1, nil })
	require.NoError(t, err)
	kinds := func(r *policytest.Recorder) (kinds []policy.Kind) {
		for _, kind := range []policy.Kind{policy.Attempted, policy.Finished} {
			kinds = append(kinds, slices.Repeat([]policy.Kind{kind}, len(r.Events(kind)))...)
		}
		return kinds
	}
	require.Equal(t, []policy.Kind{policy.Attempted, policy.Finished}, kinds(own))
	require.Equal(t, []policy.Kind{policy.Attempted, policy.Finished}, kinds(outer))
}
