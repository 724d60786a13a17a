package policy_test

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

// Ten deposits of a tenth are worth one call, exactly, and there is no floor: an unused budget allows nothing.
func TestBudgetAllowsOneExtraCallForTenFirstOnes(t *testing.T) {
	b := &policy.Budget{Clock: clock.NewVirtual()}
	require.False(t, b.Withdraw(), "nothing was deposited")
	for i := range 10 {
		require.False(t, b.Withdraw(), "after %d deposits", i)
		b.Deposit()
	}
	require.True(t, b.Withdraw())
	require.False(t, b.Withdraw())
}

// On a clock that moves a full budget is still worth a call: what it lost by the time it is asked would be just what a
// budget of one call cannot do without.
func TestBudgetStaysFullWhileItIsInUse(t *testing.T) {
	v := clock.NewVirtual()
	b := &policy.Budget{Clock: v}
	for range 100 {
		b.Deposit()
		v.Advance(100 * time.Millisecond)
	}
	require.InDelta(t, 1, b.Credit(), 1e-9)
	v.Advance(8 * time.Second)
	require.True(t, b.Withdraw())

	for range 10 {
		b.Deposit()
	}
	v.Advance(10 * time.Second)
	require.False(t, b.Withdraw(), "what was deposited has expired")
}

// U1, U2, U3 and U5: a budget agrees with a model that knows all deposits, never allows more than its share over any
// interval, and keeps nothing.
func TestBudgetModel(t *testing.T) { rapid.Check(t, spendBudget) }

func FuzzBudget(f *testing.F) { f.Fuzz(rapid.MakeFuzz(spendBudget)) }

func spendBudget(t *rapid.T) {
	v := clock.NewVirtual()
	ratio := rapid.SampledFrom([]float64{0.1, 0.25, 0.5, 1}).Draw(t, "ratio")
	most := rapid.SampledFrom([]float64{1, 2, 5}).Draw(t, "cap")
	ttl := time.Duration(rapid.SampledFrom([]int{10, 1000, 60_000}).Draw(t, "ttl")) * time.Millisecond
	b := &policy.Budget{Ratio: ratio, Cap: most, TTL: ttl, Clock: v}
	step := ttl / 10
	deposits := map[time.Duration]float64{} // by tenth of ttl
	since := time.Duration(v.Nanos())
	credit := func() (sum float64) {
		for at, n := range deposits {
			if at > since/step-10 {
				sum += n
			}
		}
		return sum
	}
	spend := func(n float64) {
		for at := since/step - 9; n > 1e-12; at++ {
			part := min(n, deposits[at])
			deposits[at] -= part
			n -= part
		}
	}
	type sample struct{ first, extra int }
	trace := []sample{{}}
	for range rapid.IntRange(1, 60).Draw(t, "steps") {
		now := trace[len(trace)-1]
		switch rapid.SampledFrom([]string{"first", "first", "extra", "extra", "pause"}).Draw(t, "step") {
		case "first":
			b.Deposit()
			deposits[since/step] += ratio
			spend(credit() - most)
			now.first++
		case "extra":
			want := credit() >= 1-1e-9
			if got := b.Withdraw(); got != want {
				t.Fatalf("Withdraw is %v with a credit of %v", got, credit())
			} else if got {
				spend(1)
				now.extra++
			}
		case "pause":
			d := time.Duration(rapid.IntRange(0, 2*int(ttl/time.Millisecond)).Draw(t, "ms")) * time.Millisecond
			v.Advance(d)
			since += d
		}
		trace = append(trace, now)
		require.InDelta(t, credit(), b.Credit(), 1e-9)
	}
	for i, from := range trace {
		for _, to := range trace[i:] {
			first, extra := to.first-from.first, to.extra-from.extra
			if float64(extra) > most+ratio*float64(first)+1e-9 {
				t.Fatalf("%d extra calls for %d first ones", extra, first)
			}
		}
	}
	v.Advance(ttl)
	require.Zero(t, b.Credit(), "nothing lasts longer than TTL")
}

// Scenario 44: the bound holds under concurrency, and panics and cancellations leave no credit behind or missing.
func TestBudgetHoldsUnderConcurrency(t *testing.T) {
	b := &policy.Budget{Ratio: 0.5, Cap: 1000, Clock: clock.NewVirtual()}
	var first, extra atomic.Int64
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 2000 {
				b.Deposit()
				first.Add(1)
				if b.Withdraw() {
					extra.Add(1)
				}
			}
		})
	}
	group.Wait()
	require.LessOrEqual(t, extra.Load(), 1000+first.Load()/2)
	require.GreaterOrEqual(t, extra.Load(), first.Load()/2-8, "credit was lost")
}

// U4 and scenario 45: an exhausted budget still lets first attempts run, ends retrying with the attempt's own result,
// and says so; it never turns into a hot loop.
func TestRetryEndsWithItsOwnResultWhenTheBudgetIsSpent(t *testing.T) {
	v := clock.NewVirtual()
	down := errors.New("down")
	var reasons []policy.Reason
	calls := 0
	r := &policy.Retry[int]{Attempts: 5, Backoff: policy.Constant(time.Second), Budget: &policy.Budget{Clock: v}, Clock: v}
	observe := policy.Scope{Clock: v, Observers: []policy.Observer{policy.ObserverFunc(func(_ context.Context, e policy.Event) {
		if e.Kind == policy.GaveUp {
			reasons = append(reasons, e.Reason)
		}
	})}}
	end := policy.PolicyFunc[int](func(ctx context.Context, next policy.Next[int]) (int, error) { return next.Do(ctx) })
	next := policy.Connect(policy.Layer[int]{Policy: r, Scope: &observe}, policy.Layer[int]{Policy: end}).
		With(func(context.Context) (int, error) { calls++; return calls, down })
	for range 20 {
		got, err := next.Do(t.Context())
		require.True(t, err == down)
		require.Equal(t, calls, got)
	}
	require.Equal(t, 20+2, calls, "one retry of the tenth call, one of the twentieth")
	require.Contains(t, reasons, policy.BudgetSpent)
}

// Scenario 44: a retry that is not made after all gives its credit back.
func TestRetryGivesBackTheCreditOfARetryThatWasCancelled(t *testing.T) {
	v := clock.NewVirtual()
	b := &policy.Budget{Ratio: 1, TTL: time.Hour, Clock: v}
	r := &policy.Retry[int]{Backoff: policy.Constant(time.Second), Budget: b, Clock: v}
	ctx, cancel := context.WithCancel(t.Context())
	v.AfterFunc(time.Millisecond, cancel)
	_, err := policy.Through(func(context.Context) (int, error) { return 0, errors.New("down") }, policy.Policy[int](r)).Do(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.InDelta(t, 1, b.Credit(), 0.001)
}

// Nor is there anything to pay where a hook ends what comes between two attempts.
func TestRetryGivesBackTheCreditOfARetryThatNeverBegan(t *testing.T) {
	down := errors.New("down")
	run := func(ctx context.Context, r *policy.Retry[int], o policy.Observer) float64 {
		v := clock.NewVirtual()
		r.Backoff, r.Clock = policy.Constant(0), v
		r.Budget = &policy.Budget{Ratio: 1, Cap: 10, Clock: v}
		_ = panicOf(func() {
			_, _ = pipeline.Wrap(r).Observe(o).Do(ctx, func(context.Context) (int, error) { return 0, down })
		})
		return r.Budget.Credit()
	}
	quiet := policy.ObserverFunc(func(context.Context, policy.Event) {})
	ctx, cancel := context.WithCancel(t.Context())
	require.InDelta(t, 1, run(ctx, &policy.Retry[int]{Discard: func(int) { cancel() }}, quiet), 0)
	require.InDelta(t, 1, run(t.Context(), &policy.Retry[int]{Discard: func(int) { panic("discard") }}, quiet), 0)
	require.InDelta(t, 1, run(t.Context(), new(policy.Retry[int]), policy.ObserverFunc(func(_ context.Context, e policy.Event) {
		if e.Kind == policy.Retrying {
			panic("observer")
		}
	})), 0)
	require.InDelta(t, 0, run(t.Context(), &policy.Retry[int]{Attempts: 2}, quiet), 0, "it began")
}

func TestBudgetRefusesNonsense(t *testing.T) {
	err := (&policy.Budget{Ratio: math.NaN(), Cap: 0.5, TTL: -1}).Validate()
	require.ErrorContains(t, err, "Budget.Ratio is NaN")
	require.ErrorContains(t, err, "Budget.Cap is 0.5")
	require.ErrorContains(t, err, "Budget.TTL is -1ns")
	require.NoError(t, (&policy.Budget{}).Validate())
}
