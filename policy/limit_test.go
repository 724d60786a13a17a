package policy_test

import (
	"context"
	"errors"
	"math"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

// K1 and K4: whatever calls tell, a limit stays where it may be, lets through as many as it says and no more, the lower
// the priority the fewer, forgets no place, and changes only by a call that began since it last did, or by a drop that
// began since one last lowered it.
func TestLimitModel(t *testing.T) { rapid.Check(t, admitCalls) }

func FuzzLimit(f *testing.F) { f.Fuzz(rapid.MakeFuzz(admitCalls)) }

func admitCalls(t *rapid.T) {
	v := clock.NewVirtual()
	least := rapid.IntRange(1, 5).Draw(t, "min")
	l := &policy.Limit{
		Algorithm: rapid.SampledFrom([]policy.Algorithm{nil, policy.AIMD{Backoff: 0.5}, policy.Vegas{}, policy.Gradient{Tolerance: 1}}).Draw(t, "algorithm"),
		Min:       least, Max: least + rapid.IntRange(0, 40).Draw(t, "more"), Clock: v,
	}
	require.NoError(t, l.Validate())
	type call struct {
		*policy.Admission
		begun int64
	}
	var under, ended []call
	changed := v.Nanos() // when the limit last did
	lowered := v.Nanos() // when it last did by a drop
	for range rapid.IntRange(1, 400).Draw(t, "steps") {
		inFlight, limit := l.Load()
		require.Len(t, under, inFlight)
		require.True(t, limit >= l.Min && limit <= l.Max, "limit %d", limit)
		switch rapid.SampledFrom([]string{"acquire", "acquire", "acquire", "done", "done", "twice", "time"}).Draw(t, "step") {
		case "acquire":
			priority := rapid.IntRange(-1, 11).Draw(t, "priority")
			share := float64(10-min(9, max(0, priority))) / 10
			a, err := l.Acquire(priority)
			if free := float64(inFlight) < float64(limit)*share-1e-9; free != (err == nil) {
				t.Fatalf("priority %d with %d of %d in flight: %v", priority, inFlight, limit, err)
			}
			if err != nil {
				require.ErrorIs(t, err, policy.ErrFull)
				continue
			}
			under = append(under, call{&a, v.Nanos()})
		case "done":
			if len(under) == 0 {
				continue
			}
			i := rapid.IntRange(0, len(under)-1).Draw(t, "which")
			c := under[i]
			under = append(under[:i], under[i+1:]...)
			ended = append(ended, c)
			o := rapid.SampledFrom([]policy.Outcome{policy.Success, policy.Success, policy.PermanentFailure, policy.TransientFailure, policy.Ignored}).Draw(t, "outcome")
			c.Done(o)
			_, after := l.Load()
			dropped := o == policy.TransientFailure
			if o == policy.Ignored || dropped && c.begun < lowered || !dropped && c.begun < changed {
				require.Equal(t, limit, after, "a call that tells nothing")
			}
			if after != limit {
				changed = v.Nanos()
			}
			if dropped && after < limit {
				lowered = v.Nanos()
			}
		case "twice":
			if len(ended) > 0 {
				ended[len(ended)-1].Done(policy.TransientFailure)
			}
		case "time":
			v.Advance(time.Duration(rapid.IntRange(0, 1000).Draw(t, "ms")) * time.Millisecond)
		}
	}
	for _, c := range under {
		c.Done(policy.Success)
	}
	inFlight, _ := l.Load()
	require.Zero(t, inFlight)
}

// saturate has as many calls in flight as l allows, for some rounds of calls that take as long as latency says of their
// number.
func saturate(t require.TestingT, l *policy.Limit, v *clock.Virtual, rounds int, latency func(inFlight int) time.Duration) {
	for range rounds {
		var calls []*policy.Admission
		for {
			a, err := l.Acquire(0)
			if err != nil {
				break
			}
			calls = append(calls, &a)
		}
		v.Advance(latency(len(calls)))
		for _, a := range calls {
			a.Done(policy.Success)
		}
		require.NotEmpty(t, calls)
	}
}

// A limit finds the number above which calls get slower, from below and from above, and where all of them get slower for
// good, whatever their number, it does not starve.
func TestLimitFindsTheKnee(t *testing.T) {
	knee := func(unloaded time.Duration, capacity int) func(int) time.Duration {
		return func(n int) time.Duration { return unloaded * time.Duration(max(n, capacity)) / time.Duration(capacity) }
	}
	for _, algorithm := range []policy.Algorithm{policy.Gradient{}, policy.Vegas{}} {
		for _, initial := range []int{1, 500} {
			v := clock.NewVirtual()
			l := &policy.Limit{Algorithm: algorithm, Initial: initial, Clock: v}
			saturate(t, l, v, 400, knee(100*time.Millisecond, 40))
			_, limit := l.Load()
			require.InDelta(t, 50, limit, 25, "%v from %d", algorithm, initial)
			saturate(t, l, v, 400, knee(300*time.Millisecond, 40))
			_, limit = l.Load()
			require.InDelta(t, 50, limit, 25, "%v from %d, slower", algorithm, initial)
		}
	}
}

// Under a constant latency a limit that is not made use of stays where it is, and refuses nobody.
func TestLimitDoesNotDrift(t *testing.T) {
	for _, algorithm := range []policy.Algorithm{policy.Gradient{}, policy.Vegas{}, policy.AIMD{}} {
		v := clock.NewVirtual()
		l := &policy.Limit{Algorithm: algorithm, Clock: v}
		for range 10_000 {
			for range 10 {
				a, err := l.Acquire(0)
				require.NoError(t, err)
				v.AfterFunc(100*time.Millisecond, func() { a.Done(policy.Success) })
			}
			v.Advance(100 * time.Millisecond)
		}
		_, limit := l.Load()
		require.Equal(t, 20, limit, "%v", algorithm)
	}
}

// What a call tells through a pipeline: timeouts and hints that it was too much, other failures nothing.
func TestAdaptiveLearnsFromTimeouts(t *testing.T) {
	for want, errs := range map[int][]error{
		20: {nil, errors.New("bug"), context.Canceled, &policy.Rejection{Reason: policy.ErrOpen}, policy.Permanent(errors.New("no"))},
		18: {context.DeadlineExceeded, policy.ErrTimeout, policy.RetryAfter(errors.New("429"), time.Second)},
	} {
		for _, err := range errs {
			l := &policy.Limit{Clock: clock.NewVirtual()}
			p := pipeline.Wrap(&policy.Adaptive[int]{Limit: l})
			got, gotErr := p.Do(t.Context(), func(context.Context) (int, error) { return 7, err })
			require.Equal(t, 7, got)
			require.True(t, gotErr == err)
			inFlight, limit := l.Load()
			require.Equal(t, []int{0, want}, []int{inFlight, limit}, "%v", err)
		}
	}
	l := &policy.Limit{Clock: clock.NewVirtual()}
	strict := pipeline.Wrap(&policy.Adaptive[int]{Limit: l, Classify: func(int, error) policy.Outcome { return policy.TransientFailure }})
	_, _ = strict.Do(t.Context(), func(context.Context) (int, error) { return 0, nil })
	_, limit := l.Load()
	require.Equal(t, 18, limit)
}

type rank struct{}

// Scenario 57, and priorities: whatever matters least is shed first, the func of who is refused is not called, and
// however a call ends its place is free again.
func TestAdaptiveShedsWhatMattersLeastAndLosesNoPlace(t *testing.T) {
	l := &policy.Limit{Name: "db", Initial: 10, Min: 10, Max: 10, Clock: clock.NewVirtual()}
	p := pipeline.Wrap(&policy.Adaptive[int]{Limit: l, Priority: func(ctx context.Context) int { return ctx.Value(rank{}).(int) }})
	ask := func(priority int) error {
		_, err := p.Do(context.WithValue(t.Context(), rank{}, priority), func(context.Context) (int, error) { return 0, nil })
		return err
	}
	var held []*policy.Admission
	for i := range 10 {
		for priority, refusedFrom := range map[int]int{0: 10, 1: 9, 4: 6, 9: 1} {
			require.Equal(t, i >= refusedFrom, errors.Is(ask(priority), policy.ErrFull), "priority %d with %d in flight", priority, i)
		}
		a, err := l.Acquire(0)
		require.NoError(t, err)
		held = append(held, &a)
	}
	err := ask(0)
	require.EqualError(t, err, "adaptive db: no place is free")
	for _, a := range held {
		a.Done(policy.Ignored)
	}
	func() {
		defer func() { require.Equal(t, "boom", recover()) }()
		_, _ = p.Do(context.WithValue(t.Context(), rank{}, 0), func(context.Context) (int, error) { panic("boom") })
	}()
	var group sync.WaitGroup
	group.Go(func() {
		_, _ = p.Do(context.WithValue(t.Context(), rank{}, 0), func(context.Context) (int, error) { runtime.Goexit(); return 0, nil })
	})
	group.Wait()
	inFlight, _ := l.Load()
	require.Zero(t, inFlight)
}

func TestAdaptiveAllocatesNothing(t *testing.T) {
	l := &policy.Limit{Max: 20}
	p := pipeline.Wrap(&policy.Adaptive[int]{Limit: l})
	ctx, fn := t.Context(), func(context.Context) (int, error) { return 1, nil }
	require.Zero(t, testing.AllocsPerRun(1000, func() { _, _ = p.Do(ctx, fn) }))
	for err := error(nil); err == nil; {
		_, err = l.Acquire(0)
	}
	_, err := p.Do(ctx, fn)
	require.ErrorIs(t, err, policy.ErrFull)
	require.Zero(t, testing.AllocsPerRun(1000, func() { _, _ = p.Do(ctx, fn) }), "refusals")
}

// A call that was dropped takes its share of the limit, at once, by every algorithm.
func TestADropTakesItsShare(t *testing.T) {
	for want, algorithms := range map[int][]policy.Algorithm{
		90: {nil, policy.Gradient{}, policy.Vegas{}, policy.AIMD{}}, 50: {policy.AIMD{Backoff: 0.5}},
	} {
		for _, algorithm := range algorithms {
			l := &policy.Limit{Algorithm: algorithm, Initial: 100, Clock: clock.NewVirtual()}
			a, err := l.Acquire(0)
			require.NoError(t, err)
			a.Done(policy.TransientFailure)
			_, limit := l.Load()
			require.Equal(t, want, limit, "%v", algorithm)
		}
	}
}

// What calls take where nothing queues is known better with every round in which they take less.
func TestTheUnloadedLatencyFalls(t *testing.T) {
	v := clock.NewVirtual()
	l := &policy.Limit{Initial: 30, Max: 100, Clock: v}
	constant := func(d time.Duration) func(int) time.Duration { return func(int) time.Duration { return d } }
	saturate(t, l, v, 1, constant(time.Second))
	saturate(t, l, v, 2, constant(100*time.Millisecond))
	_, before := l.Load()
	saturate(t, l, v, 2, constant(500*time.Millisecond)) // less than at first, and five times the least
	_, after := l.Load()
	require.Less(t, after, before)
}

// Before its first use a Limit can be configured to begin elsewhere, and otherwise begins where it would have.
func TestLimitConfiguredBeforeItsFirstUse(t *testing.T) {
	l := new(policy.Limit)
	require.NoError(t, l.Configure(func(l *policy.Limit) { l.Max = 50 }))
	_, limit := l.Load()
	require.Equal(t, 20, limit)
	l = new(policy.Limit)
	require.NoError(t, l.Configure(func(l *policy.Limit) { l.Initial = 30 }))
	_, limit = l.Load()
	require.Equal(t, 30, limit)
}

// AIMD does not go by latencies, and gives up nothing to measure them.
func TestAIMDNeverLooks(t *testing.T) {
	v := clock.NewVirtual()
	l := &policy.Limit{Algorithm: policy.AIMD{}, Clock: v}
	for range 200 {
		_, before := l.Load()
		saturate(t, l, v, 1, func(int) time.Duration { return time.Second })
		_, after := l.Load()
		require.GreaterOrEqual(t, after, before)
	}
}

// What a limit begins with can be read before it is used.
func TestLimitSaysWhatItBeginsWith(t *testing.T) {
	_, limit := new(policy.Limit).Load()
	require.Equal(t, 20, limit)
	_, limit = (&policy.Limit{Min: 30}).Load()
	require.Equal(t, 30, limit)
}

func TestLimitRefusesNonsense(t *testing.T) {
	err := (&policy.Limit{Initial: -1, Min: 5, Max: 2, Algorithm: policy.AIMD{Backoff: math.NaN()}}).Validate()
	for _, want := range []string{"Limit.Initial is -1", "Limit.Max is 2; want Min, which is 5", "Limit.Algorithm: AIMD.Backoff is NaN"} {
		require.ErrorContains(t, err, want)
	}
	require.ErrorContains(t, (&policy.Limit{Initial: 7, Max: 5}).Validate(), "Limit.Initial is 7; want 1 to 5")
	require.ErrorContains(t, (&policy.Limit{Algorithm: policy.Vegas{Alpha: 4, Beta: 4}}).Validate(), "Vegas.Beta is 4; want more than Alpha")
	require.ErrorContains(t, (&policy.Limit{Algorithm: policy.Vegas{Alpha: 7, Beta: 6}}).Validate(), "Vegas.Beta is 6; want more than Alpha, which is 7")
	negative := (&policy.Limit{Algorithm: policy.Vegas{Alpha: -1, Beta: -1}}).Validate()
	require.ErrorContains(t, negative, "Vegas.Alpha is -1; want 0 or more")
	require.ErrorContains(t, negative, "Vegas.Beta is -1; want 0 or more")
	require.NotContains(t, negative.Error(), "more than Alpha")
	require.NoError(t, (&policy.Limit{Algorithm: policy.Vegas{Alpha: 7}}).Validate())
	require.NoError(t, (&policy.Limit{Algorithm: policy.Vegas{Alpha: 7, Beta: 8}}).Validate())
	require.ErrorContains(t, (&policy.Limit{Algorithm: policy.Gradient{Tolerance: 0.5}}).Validate(), "Gradient.Tolerance is 0.5")
	require.ErrorContains(t, (&policy.Limit{Algorithm: (*policy.AIMD)(nil)}).Validate(), "Limit.Algorithm is a nil *policy.AIMD")
	require.ErrorContains(t, (&policy.Adaptive[int]{}).Validate(), "Adaptive.Limit is nil")
	require.NoError(t, (&policy.Adaptive[int]{Limit: new(policy.Limit)}).Validate())
}

// A clock that stands still while calls are made, or is too coarse for them, starves nobody.
func TestLimitWhereCallsTakeNoTime(t *testing.T) {
	for _, algorithm := range []policy.Algorithm{policy.Gradient{}, policy.Vegas{}, policy.AIMD{}} {
		v := clock.NewVirtual()
		l := &policy.Limit{Algorithm: algorithm, Clock: v}
		for range 200 {
			saturate(t, l, v, 1, func(int) time.Duration { return 0 })
			v.Advance(1)
		}
		_, limit := l.Load()
		require.Greater(t, limit, 20, "%v", algorithm)
	}
}

// What a limit began with does not keep it from being configured later.
func TestLimitConfiguredBelowWhatItBeganWith(t *testing.T) {
	l := &policy.Limit{Initial: 100}
	l.Load()
	require.NoError(t, l.Configure(func(l *policy.Limit) { l.Max = 50 }))
	require.NoError(t, l.Validate())
	_, limit := l.Load()
	require.Equal(t, 50, limit)
}
