package policy_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/policy"
)

// A visitor is one caller of a Gate in a drawn run, and what became of it. Times are milliseconds.
type visitor struct {
	arrives, stays, patience int // patience 0: as long as it takes
	entered, left            int // -1: never
	err                      error
}

// gateModel says what becomes of visitors with distinct arrivals, by walking through every millisecond.
func gateModel(limit, queue, maxWait int, visitors []visitor) {
	var inside, waiting []int
	for now := range 3000 {
		inside = slices.DeleteFunc(inside, func(i int) bool { return visitors[i].left == now })
		waiting = slices.DeleteFunc(waiting, func(i int) bool {
			w := &visitors[i]
			switch waited := now - w.arrives; {
			case w.patience > 0 && waited == w.patience:
				w.err = context.DeadlineExceeded
			case maxWait > 0 && waited == maxWait:
				w.err = policy.ErrFull
			}
			return w.err != nil
		})
		enter := func(i int) {
			visitors[i].entered, visitors[i].left = now, now+visitors[i].stays
			inside = append(inside, i)
		}
		for len(waiting) > 0 && len(inside) < limit {
			enter(waiting[0])
			waiting = waiting[1:]
		}
		for i := range visitors {
			switch {
			case visitors[i].arrives != now:
			case len(inside) < limit:
				enter(i)
			case len(waiting) < queue:
				waiting = append(waiting, i)
			default:
				visitors[i].err = policy.ErrFull
			}
		}
	}
}

// K1–K7 and scenario 56: a Gate agrees with a model that walks through every millisecond: who enters when, who is
// refused, who gives up. No place stays empty while somebody waits, and none is lost.
func TestGateModel(t *testing.T) { rapid.Check(t, queueUp) }

func FuzzGate(f *testing.F) { f.Fuzz(rapid.MakeFuzz(queueUp)) }

func queueUp(t *rapid.T) {
	limit := rapid.IntRange(1, 3).Draw(t, "limit")
	queue := rapid.IntRange(0, 3).Draw(t, "queue")
	// Arrivals, ends, and the two kinds of impatience fall on different remainders of 40, so that no order is left open.
	maxWait := rapid.SampledFrom([]int{0, 25, 65, 145}).Draw(t, "max wait")
	visitors := make([]visitor, rapid.IntRange(1, 8).Draw(t, "visitors"))
	for i := range visitors {
		visitors[i] = visitor{
			arrives: 400*rapid.IntRange(0, 1).Draw(t, "wave") + 40*i,
			stays:   40*rapid.IntRange(0, 6).Draw(t, "stays") + 1 + i%4,
			entered: -1, left: -1,
		}
		if p := rapid.IntRange(0, 5).Draw(t, "patience"); p > 0 {
			visitors[i].patience = 40*p + 30
		}
	}
	want := slices.Clone(visitors)
	gateModel(limit, queue, maxWait, want)

	v := clock.NewVirtual()
	start := v.Nanos()
	now := func() int { return int(time.Duration(v.Nanos()-start) / time.Millisecond) }
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	g := &policy.Gate{Limit: limit, Queue: queue, MaxWait: ms(maxWait), Clock: v}
	most := 0
	for i := range visitors {
		me := &visitors[i]
		v.Go(func() {
			_ = v.Sleep(t.Context(), ms(me.arrives))
			ctx, cancel := t.Context(), context.CancelFunc(func() {})
			if me.patience > 0 {
				ctx, cancel = clock.WithTimeout(ctx, v, ms(me.patience), nil)
			}
			defer cancel()
			slot, err := g.Acquire(ctx)
			if me.err = err; err != nil {
				return
			}
			defer slot.Release()
			me.entered = now()
			inFlight, _ := g.Load()
			most = max(most, inFlight)
			_ = v.Sleep(t.Context(), ms(me.stays))
			me.left = now()
		})
	}
	v.Run()
	for i := range want {
		if want[i].entered != visitors[i].entered || want[i].left != visitors[i].left || !errors.Is(visitors[i].err, want[i].err) {
			t.Fatalf("visitor %d: got %+v\nwant %+v", i, visitors[i], want[i])
		}
	}
	require.LessOrEqual(t, most, limit)
	inFlight, waiting := g.Load()
	require.Zero(t, inFlight+waiting, "places are free again")
}

// Scenario 57: a panic and runtime.Goexit give the place back.
func TestBulkheadGivesThePlaceBackHoweverTheCallEnds(t *testing.T) {
	g := &policy.Gate{Limit: 1}
	run := func(fn policy.Func[int]) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer func() { _ = recover() }()
			_, _ = policy.Through(fn, policy.Policy[int](&policy.Bulkhead[int]{Gate: g})).Do(t.Context())
		}()
		<-done
	}
	run(func(context.Context) (int, error) { panic("boom") })
	run(func(context.Context) (int, error) { runtime.Goexit(); return 0, nil })
	inFlight, _ := g.Load()
	require.Zero(t, inFlight)
}

// Scenario 56: a gate that grows lets waiters in at once; one that shrinks lets nobody in until there is room again.
func TestGateResizesWithCallsInFlight(t *testing.T) {
	v := clock.NewVirtual()
	g := &policy.Gate{Limit: 1, Queue: 5, Clock: v}
	var entered []time.Duration
	start := v.Nanos()
	for range 4 {
		v.Go(func() {
			slot, err := g.Acquire(t.Context())
			require.NoError(t, err)
			entered = append(entered, time.Duration(v.Nanos()-start))
			_ = v.Sleep(t.Context(), 10*time.Second)
			slot.Release()
			slot.Release()
		})
	}
	resize := func(limit, queue int) error {
		return g.Configure(func(g *policy.Gate) { g.Limit, g.Queue = limit, queue })
	}
	v.AfterFunc(time.Second, func() { require.NoError(t, resize(3, 5)) })
	v.AfterFunc(2*time.Second, func() { require.NoError(t, resize(1, 5)) })
	v.Run()
	require.Equal(t, []time.Duration{0, time.Second, time.Second, 11 * time.Second}, entered)
	require.ErrorContains(t, resize(-1, -1), "Gate.Limit is -1")
	require.ErrorContains(t, resize(-1, -1), "Gate.Queue is -1")
}

// A refusal says who refused, allocates nothing, and a free place costs nothing either.
func TestGateAllocatesNothingWithoutAWait(t *testing.T) {
	g := &policy.Gate{Name: "db", Limit: 1}
	p := policy.Through(func(context.Context) (int, error) { return 1, nil }, policy.Policy[int](&policy.Bulkhead[int]{Gate: g}))
	ctx := context.Background()
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = p.Do(ctx) }))
	slot, err := g.Acquire(ctx)
	require.NoError(t, err)
	_, err = p.Do(ctx)
	require.ErrorIs(t, err, policy.ErrFull)
	var r *policy.Rejection
	require.ErrorAs(t, err, &r)
	require.Equal(t, "db", r.Name)
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = p.Do(ctx) }))
	slot.Release()
	_, err = p.Do(ctx)
	require.NoError(t, err)
}

// K4 and K5 on real goroutines: nobody waits for ever, whoever is cancelled while waiting.
func TestGateLosesNoPlaceUnderStress(t *testing.T) {
	g := &policy.Gate{Limit: 3, Queue: 100}
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			for j := range 200 {
				ctx, cancel := context.WithCancel(context.Background())
				if (i+j)%3 == 0 {
					go cancel()
				}
				slot, err := g.Acquire(ctx)
				if err == nil {
					runtime.Gosched()
				}
				slot.Release()
				cancel()
			}
		})
	}
	group.Wait()
	inFlight, waiting := g.Load()
	require.Zero(t, inFlight)
	require.Zero(t, waiting)
}

func TestGateRefusesNonsense(t *testing.T) {
	g := &policy.Gate{Limit: -1, Queue: -1, MaxWait: -1}
	err := (&policy.Bulkhead[int]{Gate: g}).Validate()
	require.ErrorContains(t, err, "Gate.Limit is -1")
	require.ErrorContains(t, err, "Gate.Queue is -1")
	require.ErrorContains(t, err, "Gate.MaxWait is -1ns")
	_, err = g.Acquire(t.Context())
	require.ErrorContains(t, err, "Gate.Limit is -1")
	require.ErrorContains(t, (&policy.Bulkhead[int]{}).Validate(), "Bulkhead.Gate is nil")
}

// An invalid gate refuses; nobody waits for a place that cannot be.
func TestGateThatIsInvalidHasNobodyWait(t *testing.T) {
	g := &policy.Gate{Limit: -1, Queue: 1}
	_, err := g.Acquire(t.Context())
	require.ErrorContains(t, err, "Gate.Limit is -1")
	_, waiting := g.Load()
	require.Zero(t, waiting)
}

// Callers that wait go by the MaxWait of now, counted from when they came.
func TestGateWaitersGoByTheMaxWaitOfNow(t *testing.T) {
	for name, c := range map[string]struct {
		before, after, leaves time.Duration
	}{
		"shortened":             {time.Minute, 5 * time.Second, 5 * time.Second},
		"shortened to the past": {time.Minute, time.Second, 2 * time.Second},
		"lengthened":            {3 * time.Second, 10 * time.Second, 10 * time.Second},
		"set":                   {0, 10 * time.Second, 10 * time.Second},
		"taken away":            {3 * time.Second, 0, 20 * time.Second},
		"as it was":             {3 * time.Second, 3 * time.Second, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			v := clock.NewVirtual()
			start := v.Nanos()
			g := &policy.Gate{Limit: 1, Queue: 5, MaxWait: c.before, Clock: v}
			slot, err := g.Acquire(t.Context())
			require.NoError(t, err)
			v.AfterFunc(20*time.Second, slot.Release)
			v.AfterFunc(2*time.Second, func() { require.NoError(t, g.Configure(func(g *policy.Gate) { g.MaxWait = c.after })) })
			v.Go(func() {
				own, err := g.Acquire(t.Context())
				require.Equal(t, c.leaves, time.Duration(v.Nanos()-start))
				if c.leaves == 20*time.Second {
					require.NoError(t, err)
					own.Release()
				} else {
					require.ErrorIs(t, err, policy.ErrFull)
				}
			})
			v.Run()
			inFlight, waiting := g.Load()
			require.Zero(t, inFlight+waiting)
		})
	}
}

// A caller whose context has ended is not admitted, also if there is room.
func TestGateDoesNotAdmitAnEndedContext(t *testing.T) {
	g := &policy.Gate{Clock: clock.NewVirtual()}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errHungUp)
	_, err := g.Acquire(ctx)
	require.Equal(t, errHungUp, err)
	require.True(t, g.Idle())
}
