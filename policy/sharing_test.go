package policy_test

import (
	"context"
	"errors"
	"fmt"
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
