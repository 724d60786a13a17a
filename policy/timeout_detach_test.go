package policy_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

// judgeDetached judges T1 to T6 of a Timeout that has left a func behind, if it did: one that takes its time.
func (c timeoutCase) judgeDetached(r *run) (f findings) {
	ends, mortal := c.caller.ends()
	first := c.limits[0]
	if mortal {
		first = min(first, ends)
	}
	v := r.calls
	f.require(r.ended <= first, "T1: took %v, its context ended at %v", r.ended, first)
	switch takes := c.step.takes; {
	case takes > first:
		f.require(r.ended == first, "T1: returned at %v and not at %v", r.ended, first)
		f.require(r.err != nil && r.v == 0, "T2: returned %d, %v without the func", r.v, r.err)
		f.require(len(r.of(policy.Abandoned)) == 1, "left the func and did not say so")
		fired := !mortal || c.limits[0] < ends || c.limits[0] == ends && errors.Is(r.err, policy.ErrTimeout) // or the caller's end
		f.require(errors.Is(r.err, policy.ErrTimeout) == fired, "T4: %v; the limit of %v came first: %t", r.err, c.limits[0], fired)
		f.require(len(r.of(policy.TimedOut)) == map[bool]int{true: 1}[fired], "T4: told of a timeout: %v", r.of(policy.TimedOut))
		f.require(fired || r.err == c.caller.cause(), "T4: %v in place of the cause", r.err)
		f.require(len(r.discarded) == 1, "T2: late value discarded %d times", len(r.discarded))
	case takes < first:
		f.require(r.ended == takes, "T2: done at %v, returned at %v", takes, r.ended)
		f.require(len(r.discarded) == 0 && len(r.of(policy.Abandoned)) == 0, "T2: abandoned a call that was in time")
		f.require(r.v == v[0].v && r.err == v[0].err, "T2: %d, %v for %d, %v", r.v, r.err, v[0].v, v[0].err)
	default: // both, but not twice
		f.require((r.v == 0) == (len(r.discarded) == 1), "T2: returned %d and discarded %v", r.v, r.discarded)
	}
	f.require(v[0].ctx.Err() != nil, "T3: the context outlives the call")
	return f
}

// T1 to T6 where a func that does not heed its context is left behind: the caller returns on time, a late value is
// discarded once, and when the func has ended nothing is left, or the bubble would not end.
func TestDetachingTimeoutKeepsItsInvariants(t *testing.T) {
	drawn := rapid.Custom(drawTimeout)
	rapid.Check(t, func(t *rapid.T) {
		c := drawn.Draw(t, "case")
		c.detach, c.limits, c.step.deaf = true, c.limits[:1], true
		if c.caller.cancel < 0 || c.step.does == panics { // has tests of its own, below
			c.caller.cancel, c.step.does = 0, works
		}
		if c.caller.cancel == c.caller.deadline {
			c.caller.deadline = 0 // which of the two comes first nobody knows
		}
		rapid.SyncTest(t, func(t *rapid.T) {
			r := c.run(clock.System, theTimeouts)
			time.Sleep(time.Hour) // whatever is still under way ends
			r.mu.Lock()
			defer r.mu.Unlock()
			if found := c.judgeDetached(r); len(found) > 0 {
				t.Fatalf("%q", []string(found))
			}
		})
	})
}

// detached runs fn behind a Timeout of a second that detaches.
func detached(ctx context.Context, discard func(int), fn policy.Func[int]) (int, error) {
	return pipeline.Wrap(&policy.Timeout[int]{Limit: time.Second, Detach: true, Discard: discard}).Do(ctx, fn)
}

// Scenario 49: a panic of a func that is waited for arrives at the caller, with the stack of where it happened.
func TestDetachedPanicArrivesAtTheCaller(t *testing.T) {
	defer func() {
		p, ok := recover().(*policy.Panic)
		require.True(t, ok)
		require.Equal(t, errDown, p.Value)
		require.ErrorIs(t, p, errDown, "an error that was panicked with is found")
		require.Contains(t, string(p.Stack), "TestDetachedPanicArrivesAtTheCaller")
		require.Contains(t, p.Error(), "down\n\noriginal stack:\n")
		require.NoError(t, (&policy.Panic{Value: "no error"}).Unwrap())
	}()
	_, _ = detached(t.Context(), nil, func(context.Context) (int, error) { panic(errDown) })
	t.Fatal("returned")
}

// A func that ends its goroutine ends the caller's, as it would without a Timeout.
func TestDetachedGoexitArrivesAtTheCaller(t *testing.T) {
	returned, done := false, make(chan struct{})
	go func() {
		defer close(done)
		_, _ = detached(t.Context(), nil, func(context.Context) (int, error) { runtime.Goexit(); return 0, nil })
		returned = true
	}()
	<-done
	require.False(t, returned)
}

// A detached func that ends its goroutine late has no value to discard, and nobody is disturbed.
func TestLateGoexitOfADetachedFuncIsNobodysConcern(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		discarded := 0
		_, err := detached(t.Context(), func(int) { discarded++ }, func(context.Context) (int, error) {
			time.Sleep(time.Minute)
			runtime.Goexit()
			return 0, nil
		})
		require.ErrorIs(t, err, policy.ErrTimeout)
		time.Sleep(time.Hour)
		require.Zero(t, discarded)
	})
}

// Scenario 49, by design: a panic of a func that was left behind ends the program, for there is nobody to tell.
func TestLatePanicOfADetachedFuncEndsTheProgram(t *testing.T) {
	if os.Getenv("HOLDFAST_LATE_PANIC") != "" {
		synctest.Test(t, func(t *testing.T) {
			_, _ = detached(t.Context(), nil, func(context.Context) (int, error) {
				time.Sleep(time.Minute)
				panic("nobody is left who could be told")
			})
			time.Sleep(time.Hour)
		})
		return
	}
	program := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	program.Env = append(os.Environ(), "HOLDFAST_LATE_PANIC=1")
	out, err := program.CombinedOutput()
	require.Error(t, err, "%s", out)
	require.Contains(t, string(out), "panic: nobody is left who could be told")
}

// The context of a func that is left behind has ended, with the timeout's error as its cause; that of one that is in
// time ends with the call.
func TestDetachedFuncsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var left []context.Context
		heeded := false
		_, err := detached(t.Context(), nil, func(ctx context.Context) (int, error) {
			left = append(left, ctx)
			<-ctx.Done()
			heeded = true
			return 0, ctx.Err()
		})
		require.ErrorIs(t, err, policy.ErrTimeout)
		synctest.Wait()
		require.True(t, heeded)
		require.ErrorIs(t, context.Cause(left[0]), policy.ErrTimeout)
		_, err = detached(t.Context(), nil, func(ctx context.Context) (int, error) {
			left = append(left, ctx)
			return 0, errDown
		})
		require.Same(t, errDown, err)
		require.ErrorIs(t, left[1].Err(), context.Canceled)
	})
}

// Each attempt of a Retry may leave a func behind; each is told of, and discards its own late value.
func TestEveryAttemptMayLeaveAFuncBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var discarded, abandoned []int
		p := pipeline.Wrap(
			&policy.Retry[int]{Attempts: 3, Backoff: policy.Constant(time.Second)},
			&policy.Timeout[int]{Limit: time.Second, Detach: true, Discard: func(v int) {
				mu.Lock()
				defer mu.Unlock()
				discarded = append(discarded, v)
			}},
		).Observe(policy.ObserverFunc(func(_ context.Context, e policy.Event) {
			if e.Kind == policy.Abandoned {
				abandoned = append(abandoned, e.Attempt)
			}
		}))
		start := time.Now()
		_, err := p.Do(t.Context(), func(ctx context.Context) (int, error) {
			n := policy.Attempt(ctx)
			time.Sleep(time.Minute * time.Duration(n))
			return n, nil
		})
		require.ErrorIs(t, err, policy.ErrTimeout)
		require.Equal(t, 5*time.Second, time.Since(start))
		require.Equal(t, []int{1, 2, 3}, abandoned)
		time.Sleep(time.Hour)
		mu.Lock()
		defer mu.Unlock()
		require.Equal(t, []int{1, 2, 3}, discarded)
	})
}
