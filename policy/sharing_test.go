package policy_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

type keyOf struct{}

func keyed(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, keyOf{}, key)
}

func key(ctx context.Context) string {
	k, _ := ctx.Value(keyOf{}).(string)
	return k
}

// Callers of one key at one time share one call; another key, no key, and a later time get their own.
func TestDedupeSharesACallUnderWay(t *testing.T) {
	v := clock.NewVirtual()
	calls := 0
	d := &policy.Dedupe[int]{Key: key, Clock: v}
	next := policy.Through(func(ctx context.Context) (int, error) {
		calls++
		me := calls
		return me, v.Sleep(ctx, 10*time.Second)
	}, policy.Policy[int](d))
	var got []string
	for i, at := range []int{0, 1, 2, 3, 12} {
		k := []string{"a", "a", "b", "", "a"}[i]
		v.Go(func() {
			_ = v.Sleep(t.Context(), time.Duration(at)*time.Second)
			n, err := next.Do(keyed(t.Context(), k))
			got = append(got, fmt.Sprint(k, n, err))
		})
	}
	v.Run()
	require.Equal(t, []string{"a1 <nil>", "a1 <nil>", "b2 <nil>", "3 <nil>", "a4 <nil>"}, got)
}

// A caller whose context ends leaves alone; the call goes on for the others, and is cancelled when the last has left.
func TestDedupeCancelsTheCallWithItsLastCaller(t *testing.T) {
	v := clock.NewVirtual()
	start := v.Nanos()
	var ended time.Duration
	d := &policy.Dedupe[int]{Key: key, Clock: v}
	next := policy.Through(func(ctx context.Context) (int, error) {
		err := v.Sleep(ctx, time.Hour)
		ended = time.Duration(v.Nanos() - start)
		return 0, err
	}, policy.Policy[int](d))
	for i := range 2 {
		v.Go(func() {
			ctx, cancel := clock.WithTimeout(keyed(t.Context(), "a"), v, time.Duration(i+1)*time.Second, nil)
			defer cancel()
			_, err := next.Do(ctx)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, time.Duration(i+1)*time.Second, time.Duration(v.Nanos()-start))
		})
	}
	v.Run()
	require.Equal(t, 2*time.Second, ended)
}

// A panic reaches every caller that shares the call.
func TestDedupePanicsOnEveryCaller(t *testing.T) {
	v := clock.NewVirtual()
	panicked := 0
	next := policy.Through(func(ctx context.Context) (int, error) {
		_ = v.Sleep(ctx, time.Second)
		panic("boom")
	}, policy.Policy[int](&policy.Dedupe[int]{Key: key, Clock: v}))
	for range 3 {
		v.Go(func() {
			defer func() {
				p, ok := recover().(*policy.Panic)
				require.True(t, ok)
				require.Equal(t, "boom", p.Value)
				panicked++
			}()
			_, _ = next.Do(keyed(t.Context(), "a"))
		})
	}
	v.Run()
	require.Equal(t, 3, panicked)
}

// A panic is never lost: once all callers have left it is the clock's, or the program's; a caller that leaves at the
// same moment still gets it. Nor is there a call for callers that have all left before it began.
func TestDedupePanicsWithNobodyLeft(t *testing.T) {
	told, alone := 0, 0
	for seed := range uint64(50) {
		v := clock.NewVirtual()
		v.Shuffle(seed)
		next := policy.Through(func(ctx context.Context) (int, error) {
			_ = v.Sleep(context.WithoutCancel(ctx), 10)
			panic("boom")
		}, policy.Policy[int](&policy.Dedupe[int]{Key: key, Clock: v}))
		caller := false
		v.Go(func() {
			ctx, cancel := clock.WithTimeout(keyed(t.Context(), "a"), v, time.Duration(9+seed%2), nil)
			defer cancel()
			defer func() {
				if p := recover(); p != nil {
					require.Equal(t, "boom", p.(*policy.Panic).Value)
					caller = true
				}
			}()
			_, _ = next.Do(ctx)
		})
		if caught := panicOf(v.Run); caller {
			require.Nil(t, caught)
			told++
		} else {
			require.Equal(t, "boom", caught)
			alone++
		}
	}
	require.NotZero(t, told)
	require.Greater(t, alone, 25)
}

func panicOf(f func()) (p any) {
	defer func() { p = recover() }()
	f()
	return nil
}

func TestDedupeCallsNobodyForCallersWhoHaveGone(t *testing.T) {
	calls := 0
	for seed := range uint64(50) {
		v := clock.NewVirtual()
		v.Shuffle(seed)
		gone := false
		next := policy.Through(func(context.Context) (int, error) {
			require.False(t, gone)
			calls++
			return 0, nil
		}, policy.Policy[int](&policy.Dedupe[int]{Key: key, Clock: v}))
		v.Go(func() {
			ctx, cancel := context.WithCancel(keyed(t.Context(), "a"))
			v.Go(cancel)
			_, _ = next.Do(ctx)
			gone = true
		})
		v.Run()
	}
	require.NotZero(t, calls)
	require.Less(t, calls, 50)
}

// Nobody joins a call that has ended, though its callers have yet to hear of it, nor one whose callers have all left,
// though it goes on for a while.
func TestDedupeSharesOnlyWhatIsUnderWay(t *testing.T) {
	met := 0
	for seed := range uint64(50) {
		v := clock.NewVirtual()
		v.Shuffle(seed)
		calls, ended := 0, false
		next := policy.Through(func(context.Context) (int, error) {
			calls++
			call := calls
			_ = v.Sleep(context.Background(), 10) // whether it is cancelled or not
			ended = call == 1
			return call, nil
		}, policy.Policy[int](&policy.Dedupe[int]{Key: key, Clock: v}))
		v.Go(func() {
			got, err := next.Do(keyed(t.Context(), "ends"))
			require.NoError(t, err)
			require.Equal(t, 1, got)
		})
		v.Go(func() {
			_ = v.Sleep(t.Context(), 10)
			over := ended
			if got, err := next.Do(keyed(t.Context(), "ends")); over {
				met++
				require.NoError(t, err)
				require.Equal(t, 2, got)
			}
		})
		v.Go(func() {
			_ = v.Sleep(t.Context(), 15)
			got, err := next.Do(keyed(t.Context(), "ends"))
			require.NoError(t, err)
			require.Equal(t, 2, got, "the second call, whoever asked for it first")
		})
		v.Run()

		calls = 0
		v.Go(func() {
			ctx, cancel := clock.WithTimeout(keyed(t.Context(), "left"), v, 5, nil)
			defer cancel()
			_, err := next.Do(ctx)
			require.ErrorIs(t, err, context.DeadlineExceeded)
		})
		for _, late := range []time.Duration{6, 11} { // the first call is still running, and then is not any more
			v.Go(func() {
				_ = v.Sleep(t.Context(), late)
				got, err := next.Do(keyed(t.Context(), "left"))
				require.NoError(t, err)
				require.Equal(t, 2, got)
			})
		}
		v.Run()
		require.Equal(t, 2, calls)
	}
	require.NotZero(t, met)
	require.Less(t, met, 50)
}

// Twice in a pipeline it would wait for itself.
func TestDedupeTwiceIsRefused(t *testing.T) {
	d := &policy.Dedupe[int]{Key: key}
	require.ErrorContains(t, pipeline.Check[int](d, d), "twice")
}

// Keys that never had an answer take no room from those that have.
func TestStaleKeepsAnswersWhenOtherKeysFail(t *testing.T) {
	s := &policy.Stale[int]{MaxAge: time.Hour, Keys: 2, Key: key}
	run := func(k string, err error) (int, error) {
		return policy.Through(func(context.Context) (int, error) { return 7, err }, policy.Policy[int](s)).Do(keyed(t.Context(), k))
	}
	down := errors.New("down")
	_, err := run("a", nil)
	require.NoError(t, err)
	for _, k := range []string{"b", "c", "d"} {
		_, err = run(k, down)
		require.ErrorIs(t, err, down)
	}
	got, err := run("a", down)
	require.NoError(t, err)
	require.Equal(t, 7, got)

	_, _ = run("b", nil)
	_, _ = run("a", down)
	_, _ = run("c", nil)
	_, err = run("a", down)
	require.NoError(t, err, "asked for later than b")
	_, err = run("b", down)
	require.ErrorIs(t, err, down)
}

// F6: a stale answer is the last good value of its key, at most MaxAge old, and there is none before a success.
func TestStaleProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := clock.NewVirtual()
		type good struct {
			value int
			at    int64
		}
		last := map[string]good{}
		down := errors.New("down")
		s := &policy.Stale[int]{MaxAge: 10, Key: key, Clock: v}
		for i := range rapid.IntRange(1, 30).Draw(t, "calls") {
			v.Advance(time.Duration(rapid.IntRange(0, 8).Draw(t, "later")))
			k := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "key")
			var fails error
			if rapid.Bool().Draw(t, "fails") {
				fails = down
			}
			got, err := policy.Through(func(context.Context) (int, error) { return i, fails }, policy.Policy[int](s)).Do(keyed(context.Background(), k))
			old, known := last[k]
			switch {
			case fails == nil:
				require.NoError(t, err)
				require.Equal(t, i, got)
				last[k] = good{i, v.Nanos()}
			case known && v.Nanos()-old.at <= 10:
				require.NoError(t, err)
				require.Equal(t, old.value, got)
			default:
				require.True(t, err == down)
			}
		}
	})
}

// A Stale answers a refusal, and not the caller's own cancellation.
func TestStaleAnswersWhatAFallbackWould(t *testing.T) {
	s := &policy.Stale[int]{MaxAge: time.Hour}
	run := func(ctx context.Context, err error) (int, error) {
		return policy.Through(func(context.Context) (int, error) { return 7, err }, policy.Policy[int](s)).Do(ctx)
	}
	_, err := run(t.Context(), nil)
	require.NoError(t, err)
	got, err := run(t.Context(), &policy.Rejection{Reason: policy.ErrOpen})
	require.NoError(t, err)
	require.Equal(t, 7, got)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = run(gone, context.Canceled)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, (&policy.Stale[int]{Keys: -1}).Validate(), "Stale.MaxAge is 0s")
	require.ErrorContains(t, (&policy.Stale[int]{Keys: -1}).Validate(), "Stale.Keys is -1")
}

// A Keyed remembers at most Max cores, forgets the one not asked for the longest, and never one that is not idle.
func TestKeyedProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 4).Draw(t, "max")
		type core struct{ key string }
		busy := map[*core]bool{}
		k := &policy.Keyed[*core]{
			Max: most, New: func(key string) *core { return &core{key} }, Idle: func(c *core) bool { return !busy[c] },
		}
		var order []*core // remembered, the latest asked for last
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			name := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"}).Draw(t, "key")
			got := k.Get(name)
			require.Equal(t, name, got.key)
			at := -1
			for i, c := range order {
				if c.key == name {
					at = i
				}
			}
			switch {
			case at >= 0:
				require.Same(t, order[at], got)
				order = append(append(order[:at:at], order[at+1:]...), got)
			case len(order) < most:
				order = append(order, got)
			default:
				for i, c := range order {
					if !busy[c] {
						order = append(append(order[:i:i], order[i+1:]...), got)
						break
					}
				}
			}
			require.Equal(t, len(order), k.Len())
			all := k.All()
			for _, c := range order {
				require.Same(t, c, all[c.key])
			}
			busy[got] = rapid.Bool().Draw(t, "busy")
		}
	})
}

// A New that panics or ends its goroutine is asked again by the next caller, and troubles no other key.
// Where it is not told what is idle, a Keyed asks the cores, and forgets none that knows something.
func TestKeyedAsksItsCores(t *testing.T) {
	v := clock.NewVirtual()
	for name, core := range map[string]struct {
		busy, idle func(k any)
		get        func() func(key string) any
	}{
		"circuit": {
			func(c any) { c.(*policy.Circuit).Isolate() }, func(c any) { c.(*policy.Circuit).Reset() },
			remembering(func() *policy.Circuit { return &policy.Circuit{Clock: v} }),
		},
		"gate": {
			func(g any) { _, _ = g.(*policy.Gate).Acquire(t.Context()) }, nil,
			remembering(func() *policy.Gate { return &policy.Gate{Clock: v} }),
		},
		"limit": {
			func(l any) { _, _ = l.(*policy.Limit).Acquire(0) }, nil,
			remembering(func() *policy.Limit { return &policy.Limit{Clock: v} }),
		},
		"bucket": {
			func(b any) { b.(*policy.Bucket).Allow() }, func(any) { v.Advance(time.Second) },
			remembering(func() *policy.Bucket { return &policy.Bucket{Clock: v} }),
		},
		"throttle": {
			func(s any) { s.(*policy.Throttle).Done(policy.TransientFailure) }, func(any) { v.Advance(time.Hour) },
			remembering(func() *policy.Throttle { return &policy.Throttle{Clock: v} }),
		},
	} {
		get := core.get()
		one := get("one")
		get("two")
		require.NotSame(t, one, get("one"), "%s: nothing is lost with it", name)
		one = get("one")
		core.busy(one)
		get("two")
		require.Same(t, one, get("one"), name)
		if core.idle != nil {
			core.idle(one)
			get("two")
			require.NotSame(t, one, get("one"), name)
		}
	}
}

// remembering makes Keyeds of one core.
func remembering[C any](build func() C) func() func(key string) any {
	return func() func(key string) any {
		k := &policy.Keyed[C]{Max: 1, New: func(string) C { return build() }}
		return func(key string) any { return k.Get(key) }
	}
}

func TestKeyedForgetsWhatCouldNotBeMade(t *testing.T) {
	fails := runtime.Goexit
	k := policy.Keyed[int]{Max: 1, New: func(key string) int {
		if key == "bad" {
			fails()
		}
		return len(key)
	}}
	over := make(chan any)
	go func() {
		defer func() { over <- recover() }()
		k.Get("bad")
	}()
	require.Nil(t, <-over)
	fails = func() { panic("boom") }
	for range 2 {
		require.PanicsWithValue(t, "boom", func() { k.Get("bad") })
		require.Equal(t, 4, k.Get("good"))
		require.Equal(t, map[string]int{"good": 4}, k.All())
	}
	fails = func() {}
	require.Equal(t, 3, k.Get("bad"))
	require.Equal(t, map[string]int{"bad": 3}, k.All())
}

// While New works on one key others can be had, New itself may ask for them, and what it works on is not forgotten.
func TestKeyedMakesOneKeyBesideAnother(t *testing.T) {
	var k policy.Keyed[int]
	k.Max = 1
	var crowded map[string]int
	k.New = func(key string) int {
		if key == "outer" {
			n := k.Get("inner") + 1
			crowded = k.All()
			return n
		}
		return 1
	}
	require.Equal(t, 2, k.Get("outer"))
	require.Empty(t, crowded, "inner found no room")
	require.Equal(t, map[string]int{"outer": 2}, k.All())
}

// Where New panics on one of several who wait for a key, another has it made.
func TestKeyedIsMadeByAnotherWhereNewPanics(t *testing.T) {
	for range 50 {
		begun, goOn := make(chan struct{}), make(chan struct{})
		var calls atomic.Int64
		k := policy.Keyed[int]{New: func(string) int {
			if calls.Add(1) == 1 {
				close(begun)
				<-goOn
				panic("boom")
			}
			return 7
		}}
		first := make(chan any)
		go func() { first <- panicOf(func() { k.Get("a") }) }()
		<-begun
		others := make(chan int)
		for range 4 {
			go func() { others <- k.Get("a") }()
		}
		for range 10 {
			runtime.Gosched() // so that most of them wait, which nothing shows
		}
		close(goOn)
		require.Equal(t, "boom", <-first)
		for range 4 {
			require.Equal(t, 7, <-others)
		}
		require.EqualValues(t, 2, calls.Load())
	}
}

// eager is a clock that runs at once, on the caller's goroutine, what it is to run beside it.
type eager struct{ clock.Clock }

func (*eager) Go(f func()) { f() }

func (e *eager) Wait(ctx context.Context, l *clock.Latch) error { return l.Wait(ctx, e.Clock) }

// A clock is somebody else's code, and is not called with a lock held.
func TestCallsBesideTheCallerMayRunAtOnce(t *testing.T) {
	c := &eager{clock.NewVirtual()}
	for _, p := range []policy.Policy[int]{
		&policy.Dedupe[int]{Key: func(context.Context) string { return "a" }, Clock: c},
		&policy.Hedge[int]{Delay: 1, Clock: c},
		&policy.Timeout[int]{Limit: 1, Detach: true, Clock: c},
	} {
		v, err := policy.Through(func(context.Context) (int, error) { return 7, nil }, p).Do(t.Context())
		require.NoError(t, err, "%T", p)
		require.Equal(t, 7, v)
	}
}

// Whoever comes while room is looked for, and whatever Idle does, a Keyed remembers no more than it may.
func TestKeyedKeepsToItsMax(t *testing.T) {
	var k *policy.Keyed[string]
	during := ""
	k = &policy.Keyed[string]{Max: 1, New: func(key string) string { return key }, Idle: func(core string) bool {
		if key := during; key != "" {
			during = ""
			over := make(chan struct{})
			go func() { defer close(over); k.Get(key) }()
			<-over
		}
		return core[0] == 'a' // what begins with another letter is busy
	}}
	k.Get("busy")
	for i := range 20 {
		during = fmt.Sprint("busy", i)
		k.Get(fmt.Sprint("a", i))
		require.Equal(t, 1, k.Len())
	}
	k = &policy.Keyed[string]{Max: 1, New: func(key string) string { return key }, Idle: func(string) bool { panic("boom") }}
	k.Get("one")
	require.PanicsWithValue(t, "boom", func() { k.Get("another") })
	require.Equal(t, 1, k.Len())
}
