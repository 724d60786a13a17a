package policy_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
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

// A plannedLeg is what one leg of a hedge is to do, and what it did. Times are milliseconds since the call.
type plannedLeg struct {
	takes          int
	fails, deaf    bool // deaf: it does not heed its context
	started, ended int
	cancelled      bool
}

// H1–H3, H5–H7: legs start when they should, the first success wins as soon as it is there, losers are cancelled at
// once, and every value that is not returned is discarded exactly once.
func TestHedgeProperty(t *testing.T) { rapid.Check(t, hedgeCalls) }

func FuzzHedge(f *testing.F) { f.Fuzz(rapid.MakeFuzz(hedgeCalls)) }

func hedgeCalls(t *rapid.T) {
	v := clock.NewVirtual()
	start := v.Nanos()
	now := func() int { return int(time.Duration(v.Nanos()-start) / time.Millisecond) }
	delay := 10 * rapid.IntRange(1, 4).Draw(t, "delay")
	legs := make([]plannedLeg, rapid.IntRange(1, 4).Draw(t, "max"))
	for i := range legs {
		legs[i] = plannedLeg{
			takes: 10*rapid.IntRange(0, 9).Draw(t, "takes") + 1 + i, // no two events fall together
			fails: rapid.Bool().Draw(t, "fails"), deaf: rapid.Bool().Draw(t, "deaf"), started: -1, ended: -1,
		}
	}
	var discarded []int
	h := &policy.Hedge[int]{
		Delay: time.Duration(delay) * time.Millisecond, Max: len(legs), Clock: v,
		Discard: func(i int) { discarded = append(discarded, i) },
	}
	down := errors.New("down")
	calls := 0
	got, err := policy.Through(func(ctx context.Context) (int, error) {
		me := &legs[calls]
		calls++
		number := calls
		me.started = now()
		within := ctx
		if me.deaf {
			within = context.WithoutCancel(ctx)
		}
		if v.Sleep(within, time.Duration(me.takes)*time.Millisecond) != nil {
			me.cancelled, me.ended = true, now()
			return number, context.Cause(ctx)
		}
		me.ended = now()
		if me.fails {
			return number, down
		}
		return number, nil
	}, policy.Policy[int](h)).Do(t.Context())
	end := now()
	v.Run()

	// What should have happened, leg by leg.
	winner, won, next := 0, -1, 0
	var failures []int
	for i := range legs {
		begin := next
		if i > 0 { // a failure brings the next leg forward
			for _, f := range failures {
				if f > legs[i-1].started && f < begin {
					begin = f
				}
			}
		}
		if won >= 0 && (begin > won || i > 0 && legs[i-1].started < 0) {
			require.Equal(t, -1, legs[i].started, "a leg starts only if nothing has succeeded")
			continue
		}
		require.Equal(t, begin, legs[i].started, "leg %d", i+1)
		next = begin + delay
		if over := begin + legs[i].takes; legs[i].fails {
			failures = append(failures, over)
			slices.Sort(failures)
		} else if won < 0 || over < won {
			winner, won = i+1, over
		}
	}
	if won >= 0 {
		require.NoError(t, err)
		require.Equal(t, winner, got)
		require.Equal(t, won, end)
	} else {
		require.ErrorIs(t, err, down)
		require.Equal(t, failures[len(failures)-1], end)
	}
	var want []int
	for i := range legs {
		if legs[i].started < 0 {
			continue
		}
		if i+1 != got {
			want = append(want, i+1)
		}
		if won >= 0 && i+1 != winner && legs[i].started+legs[i].takes > won && !legs[i].deaf {
			require.True(t, legs[i].cancelled, "loser %d is cancelled", i+1)
			require.Equal(t, won, legs[i].ended, "at once")
		}
	}
	slices.Sort(discarded)
	require.Equal(t, want, discarded)
	require.Zero(t, v.Pending())
}

// Scenario 53: every leg's context ends with the call, unless a Meaning holds the winner's.
func TestHedgeEndsTheContextsOfItsLegs(t *testing.T) {
	for name, held := range map[string]bool{"without a meaning": false, "held": true} {
		t.Run(name, func(t *testing.T) {
			v := clock.NewVirtual()
			var contexts []context.Context
			var done func()
			h := pipeline.Wrap(&policy.Hedge[context.Context]{Delay: time.Second, Clock: v})
			if held {
				h = h.Means(policy.Meaning[context.Context]{Hold: func(ctx context.Context, release func()) context.Context {
					done = release
					return ctx
				}})
			}
			got, err := h.Do(t.Context(), func(ctx context.Context) (context.Context, error) {
				contexts = append(contexts, ctx)
				_ = v.Sleep(ctx, time.Duration(4-len(contexts))*time.Second)
				return ctx, nil
			})
			require.NoError(t, err)
			require.True(t, got == contexts[0], "both end after three seconds, and the first had a head start")
			require.Error(t, contexts[1].Err())
			if held {
				require.NoError(t, contexts[0].Err())
				done()
			}
			require.Error(t, contexts[0].Err())
			v.Run()
		})
	}
}

// A parent counts who is to be told of its end.
type parent struct {
	context.Context
	done    chan struct{}
	waiting atomic.Int64
}

func (p *parent) Done() <-chan struct{} { return p.done }

func (p *parent) AfterFunc(func()) func() bool {
	p.waiting.Add(1)
	return func() bool { p.waiting.Add(-1); return true }
}

// Nothing of a call stays with a caller's context that lives on, whatever T is.
func TestHedgeLeavesNothingWithTheCallersContext(t *testing.T) {
	require.Zero(t, stayWith[struct{}](t))
	require.Zero(t, stayWith[any](t))
	require.Zero(t, stayWith[*http.Response](t))
}

func stayWith[T any](t *testing.T) int64 {
	v := clock.NewVirtual()
	ctx := &parent{Context: t.Context(), done: make(chan struct{})}
	h := &policy.Hedge[T]{Delay: time.Second, Clock: v}
	_, err := policy.Through(func(ctx context.Context) (z T, err error) {
		return z, v.Sleep(ctx, 2*time.Second)
	}, policy.Policy[T](h)).Do(ctx)
	require.NoError(t, err)
	v.Run()
	return ctx.waiting.Load()
}

// A leg that is due when another wins is not called.
func TestHedgeCallsNoLegAfterItsEnd(t *testing.T) {
	twice := 0
	for seed := range uint64(50) {
		v := clock.NewVirtual()
		v.Shuffle(seed)
		calls, over := 0, false
		h := &policy.Hedge[int]{Delay: time.Second, Clock: v}
		_, err := policy.Through(func(ctx context.Context) (int, error) {
			require.False(t, over, "called after the end")
			calls++
			return 0, v.Sleep(ctx, time.Second)
		}, policy.Policy[int](h)).Do(t.Context())
		over = true
		require.NoError(t, err)
		v.Run()
		twice += calls - 1
	}
	require.NotZero(t, twice)
	require.NotEqual(t, 50, twice)
}

// Scenario 43: where a hook panics, every value is still discarded, once.
func TestHedgeDiscardsWhereHooksPanic(t *testing.T) {
	down := errors.New("down")
	var discarded []int
	panics := func(h *policy.Hedge[int], errs ...error) {
		v := clock.NewVirtual()
		h.Delay, h.Max, h.Clock = time.Second, len(errs), v
		discarded = nil
		note := h.Discard
		h.Discard = func(i int) {
			discarded = append(discarded, i)
			if note != nil {
				note(i)
			}
		}
		calls := 0
		require.PanicsWithValue(t, "hook", func() {
			_, _ = policy.Through(func(ctx context.Context) (int, error) {
				calls++
				me := calls
				_ = v.Sleep(context.WithoutCancel(ctx), 5*time.Second)
				return me, errs[me-1]
			}, policy.Policy[int](h)).Do(t.Context())
		})
		v.Run()
		slices.Sort(discarded)
	}
	panics(&policy.Hedge[int]{Classify: func(int, error) policy.Outcome { panic("hook") }}, nil, nil)
	require.Equal(t, []int{1, 2}, discarded)
	first := func(i int) {
		if i == 1 {
			panic("hook")
		}
	}
	panics(&policy.Hedge[int]{Discard: first}, down, nil)
	require.Equal(t, []int{1, 2}, discarded, "the winner's value is lost with the panic")
	panics(&policy.Hedge[int]{Discard: first}, down, down, nil)
	require.Equal(t, []int{1, 2, 3}, discarded)
}

// Scenario 52: a panic in a leg panics on the caller, with the stack of where it happened; runtime.Goexit ends the
// caller too.
func TestHedgePanicsOnTheCaller(t *testing.T) {
	defer func() {
		p, ok := recover().(*policy.Panic)
		require.True(t, ok)
		require.Equal(t, "boom", p.Value)
		require.Contains(t, string(p.Stack), "TestHedgePanicsOnTheCaller")
	}()
	h := &policy.Hedge[int]{Delay: time.Hour}
	_, _ = policy.Through(func(context.Context) (int, error) { panic("boom") }, policy.Policy[int](h)).Do(t.Context())
	t.Error("it returned")
}

func TestHedgeEndsTheCallerWithALegThatEndsItsGoroutine(t *testing.T) {
	ended := make(chan bool, 1)
	go func() {
		returned := false
		defer func() { ended <- !returned }()
		h := &policy.Hedge[int]{Delay: time.Hour}
		_, _ = policy.Through(func(context.Context) (int, error) { runtime.Goexit(); return 0, nil }, policy.Policy[int](h)).Do(t.Context())
		returned = true
	}()
	require.True(t, <-ended)
}

// Scenario 54: a spent budget keeps new legs from starting and leaves those that run alone. A call marked by Once is
// not hedged.
func TestHedgeBudgetAndOnce(t *testing.T) {
	v := clock.NewVirtual()
	calls := 0
	budget := &policy.Budget{Ratio: 1, Cap: 2, TTL: time.Hour, Clock: v}
	h := &policy.Hedge[int]{Delay: time.Millisecond, Max: 5, Budget: budget, Clock: v}
	slow := policy.Through(func(ctx context.Context) (int, error) { calls++; return calls, v.Sleep(ctx, time.Second) }, policy.Policy[int](h))
	_, err := slow.Do(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, calls, "one first call pays for one extra leg")
	calls = 0
	_, err = slow.Do(policy.Once(t.Context()))
	require.NoError(t, err)
	require.Equal(t, 1, calls)
}

// A panic is not lost when another leg wins at the same moment: it takes the place of the value, which is discarded.
func TestHedgePanicsBesideAWinner(t *testing.T) {
	panicked := 0
	for seed := range uint64(20) {
		v := clock.NewVirtual()
		v.Shuffle(seed)
		var gone []int
		calls := 0
		h := &policy.Hedge[int]{Delay: time.Second, Clock: v, Discard: func(i int) { gone = append(gone, i) }}
		v.Go(func() {
			_, _ = policy.Through(func(ctx context.Context) (int, error) {
				calls++
				if calls == 1 {
					return 1, v.Sleep(ctx, 2*time.Second)
				}
				_ = v.Sleep(context.WithoutCancel(ctx), time.Second)
				panic("boom")
			}, policy.Policy[int](h)).Do(t.Context())
		})
		require.Panics(t, v.Run)
		if len(gone) > 0 {
			panicked++
			require.Equal(t, []int{1}, gone)
		}
	}
	require.NotZero(t, panicked, "some time both had ended before the caller looked")
}

// A result that says that calling again is no use ends the race.
func TestHedgeReturnsAPermanentFailureAtOnce(t *testing.T) {
	v := clock.NewVirtual()
	start := v.Nanos()
	bad := policy.Permanent(errors.New("bad request"))
	h := &policy.Hedge[int]{Delay: time.Second, Clock: v}
	_, err := policy.Through(func(context.Context) (int, error) { return 0, bad }, policy.Policy[int](h)).Do(t.Context())
	require.True(t, err == bad)
	require.Equal(t, start, v.Nanos())
}

// A leg that is refused is no answer: the one that is under way may still bring it. Nor is another leg tried.
func TestHedgeWaitsForTheOthersWhereALegIsRefused(t *testing.T) {
	v := clock.NewVirtual()
	g := &policy.Gate{Limit: 1, Clock: v}
	down := errors.New("down")
	calls := 0
	run := func(err error) (int, error) {
		calls = 0
		return pipeline.Wrap[int](
			&policy.Hedge[int]{Delay: time.Second, Max: 3, Clock: v}, &policy.Bulkhead[int]{Gate: g},
		).Do(t.Context(), func(ctx context.Context) (int, error) {
			calls++
			_ = v.Sleep(ctx, 3*time.Second)
			return 7, err
		})
	}
	got, err := run(nil)
	require.NoError(t, err)
	require.Equal(t, 7, got)
	require.Equal(t, 1, calls)
	_, err = run(down)
	require.ErrorIs(t, err, down)
	require.ErrorIs(t, err, policy.ErrFull)
	require.Equal(t, 1, calls)
	slot, err := g.Acquire(t.Context())
	require.NoError(t, err)
	start := v.Nanos()
	_, err = run(nil)
	_, alone := err.(*policy.Rejection) //nolint:errorlint // it is returned as it is
	require.True(t, alone)
	require.Equal(t, start, v.Nanos())
	slot.Release()
	v.Run()
}

// The caller leaves when its context ends, with the cause, and the legs are cancelled.
func TestHedgeLeavesWithTheCallersContext(t *testing.T) {
	v := clock.NewVirtual()
	why := errors.New("why")
	ctx, cancel := clock.WithTimeout(t.Context(), v, 1500*time.Millisecond, why)
	defer cancel()
	h := &policy.Hedge[int]{Delay: time.Second, Clock: v}
	cancelled := 0
	_, err := policy.Through(func(ctx context.Context) (int, error) {
		if v.Sleep(ctx, time.Hour) != nil {
			cancelled++
		}
		return 0, nil
	}, policy.Policy[int](h)).Do(ctx)
	require.ErrorIs(t, err, why)
	v.Run()
	require.Equal(t, 2, cancelled)
}

// With a Quantile the delay follows the latencies that were seen, within 5 %.
func TestHedgeDelayFollowsTheLatencies(t *testing.T) {
	v := clock.NewVirtual()
	h := &policy.Hedge[int]{Delay: time.Hour, Quantile: 0.95, Clock: v}
	calls := 0
	latency := time.Duration(0)
	next := policy.Through(func(ctx context.Context) (int, error) { calls++; return 0, v.Sleep(ctx, latency) }, policy.Policy[int](h))
	for i := range 100 {
		latency = time.Duration(i+1) * time.Millisecond
		_, err := next.Do(t.Context())
		require.NoError(t, err)
	}
	before := calls
	latency = 90 * time.Millisecond
	_, _ = next.Do(t.Context())
	require.Equal(t, before+1, calls, "below the quantile")
	latency = time.Minute
	start := v.Nanos()
	v.AfterFunc(100*time.Millisecond, func() {
		require.Equal(t, before+3, calls, "the second leg has started by %v", time.Duration(v.Nanos()-start))
	})
	_, _ = next.Do(t.Context())
	v.Run()
}

func TestHedgeRefusesNonsense(t *testing.T) {
	err := (&policy.Hedge[int]{Quantile: 1, Max: -1, Budget: &policy.Budget{Ratio: 2}}).Validate()
	for _, field := range []string{"Hedge.Delay is 0s", "Hedge.Quantile is 1", "Hedge.Max is -1", "Hedge.Budget: Budget.Ratio is 2"} {
		require.ErrorContains(t, err, field)
	}
}

// Latencies of long ago are forgotten, and what lasts longer than any is counted as the longest.
func TestHedgeDelayForgets(t *testing.T) {
	v := clock.NewVirtual()
	h := &policy.Hedge[int]{Delay: time.Hour, Quantile: 0.5, Clock: v}
	var latency time.Duration
	calls := 0
	next := policy.Through(func(ctx context.Context) (int, error) { calls++; return 0, v.Sleep(ctx, latency) }, policy.Policy[int](h))
	run := func(d time.Duration, times int) {
		latency = d
		for range times {
			_, err := next.Do(t.Context())
			require.NoError(t, err)
		}
	}
	run(0, 10)
	run(1000*time.Hour, 9)
	before := calls
	run(time.Millisecond, 1)
	require.Equal(t, before+1, calls, "the delay is the given one until 20 calls were seen")
	run(100*time.Millisecond, 2000)
	run(time.Millisecond, 1500) // fewer, but the latest
	before = calls
	run(50*time.Millisecond, 1)
	require.Equal(t, before+2, calls, "half of the recent calls took a millisecond")
	v.Run()
}

// A call that needs no second leg pays for a goroutine, a timer and a context, and for little besides.
func TestHedgeAllocatesLittleWithoutASecondLeg(t *testing.T) {
	next := policy.Through(func(context.Context) (int, error) { return 1, nil }, policy.Policy[int](&policy.Hedge[int]{Delay: time.Hour}))
	ctx := context.Background()
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { _, _ = next.Do(ctx) }), 9.0)
}

// asked is a context that has something happen when it is asked whether it has ended, and it has.
type asked struct {
	context.Context
	then func()
}

func (a *asked) Err() error {
	err := a.Context.Err()
	if err != nil {
		a.then()
	}
	return err
}

// guarded is a clock that counts the goroutines that panic.
type guarded struct {
	clock.Clock
	all      sync.WaitGroup
	panicked atomic.Int64
}

func (g *guarded) Wait(ctx context.Context, l *clock.Latch) error { return l.Wait(ctx, g.Clock) }

func (g *guarded) Go(f func()) {
	g.all.Go(func() {
		defer func() {
			if recover() != nil {
				g.panicked.Add(1)
			}
		}()
		f()
	})
}

// A leg that panics while the caller is leaving, because its context has ended, panics on the caller.
func TestHedgeLosesNoPanicWhileItsCallerLeaves(t *testing.T) {
	c := &guarded{Clock: clock.System}
	inner, cancel := context.WithCancel(t.Context())
	boom, asks := make(chan struct{}), 0
	ctx := &asked{inner, func() {
		if asks++; asks == 2 { // by the race, which has looked for legs that have ended
			close(boom)
			c.all.Wait()
		}
	}}
	next := policy.Through(func(context.Context) (int, error) {
		cancel()
		<-boom
		panic("boom")
	}, policy.Policy[int](&policy.Hedge[int]{Delay: time.Hour, Clock: c}))
	defer func() {
		p, ok := recover().(*policy.Panic)
		require.True(t, ok, "the panic reached nobody")
		require.Equal(t, "boom", p.Value)
		require.Zero(t, c.panicked.Load())
	}()
	_, err := next.Do(ctx)
	t.Fatal(err)
}

// The share that is hedged is what the quantile leaves, whatever latencies are like: calls that were slow count, though
// another leg was quicker.
func TestHedgeAtAQuantileHedgesTheRest(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for name, draw := range map[string]func() float64{
		"uniform":      func() float64 { return 1 + 99*r.Float64() },
		"exponential":  func() float64 { return 10 * r.ExpFloat64() },
		"heavy-tailed": func() float64 { return 10 / (1 - r.Float64()) },
	} {
		v := clock.NewVirtual()
		legs, calls := 0, 0
		next := policy.Through(func(ctx context.Context) (int, error) {
			legs++
			return 1, v.Sleep(ctx, time.Duration(draw()*float64(time.Millisecond)))
		}, policy.Policy[int](&policy.Hedge[int]{Delay: 100 * time.Millisecond, Quantile: 0.95, Clock: v}))
		for i := range 12_000 {
			if i == 4000 {
				legs, calls = 0, 0
			}
			v.Go(func() { calls++; _, _ = next.Do(context.Background()) })
			v.Run()
		}
		require.InDelta(t, 0.05, float64(legs-calls)/float64(calls), 0.02, name)
	}
}

// A leg that has no time to call costs its budget nothing.
func TestHedgePaysForCallsOnly(t *testing.T) {
	alone := 0
	for seed := range uint64(200) {
		v := clock.NewVirtual()
		v.Shuffle(seed)
		b := &policy.Budget{Ratio: 1, Cap: 5, Clock: v}
		calls := 0
		next := policy.Through(func(ctx context.Context) (int, error) {
			calls++
			return 1, v.Sleep(ctx, time.Second)
		}, policy.Policy[int](&policy.Hedge[int]{Delay: time.Second, Budget: b, Clock: v}))
		v.Go(func() { _, _ = next.Do(t.Context()) })
		v.Run()
		if calls == 1 {
			alone++
			require.InDelta(t, 1, b.Credit(), 0, "seed %d", seed)
		}
	}
	require.NotZero(t, alone)
}
