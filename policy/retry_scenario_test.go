package policy_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

var errDown = errors.New("down")

// failing is a func that fails with err and counts its calls.
func failing(calls *int, err error) policy.Func[int] {
	return func(context.Context) (int, error) {
		*calls++
		return -*calls, err
	}
}

// Scenario 32: a limit on the elapsed time and a wait, both near the longest duration, do not wrap round.
func TestRetryNearTheLongestDurationDoesNotWrapRound(t *testing.T) {
	v, calls := clock.NewVirtual(), 0
	p := pipeline.Wrap(&policy.Retry[int]{
		Attempts: 9, Clock: v, MaxElapsed: math.MaxInt64 - 1, MaxHint: math.MaxInt64,
		Backoff: policy.Constant(math.MaxInt64/2 + 1), Hint: func(int, error) time.Duration { return 1 },
	})
	start := v.Nanos()
	_, err := p.Do(t.Context(), failing(&calls, errDown))
	require.Same(t, errDown, err)
	require.Equal(t, 2, calls, "the second wait would end after MaxElapsed")
	require.Equal(t, int64(math.MaxInt64/2+1), v.Nanos()-start)
}

// Scenario 33: a wait that does not fit before the deadline is not begun, and what the last call returned comes back
// at once as it is. By the design it is not joined with DeadlineExceeded: the deadline has not passed.
func TestRetryDoesNotBeginAWaitThatDoesNotFit(t *testing.T) {
	for _, c := range []struct {
		deadline time.Duration
		calls    int
	}{
		{time.Second - 1, 1}, {time.Second, 1}, {time.Second + 1, 2}, {2 * time.Second, 2}, {2*time.Second + 1, 3},
	} {
		v, calls := clock.NewVirtual(), 0
		ctx, cancel := clock.WithTimeout(t.Context(), v, c.deadline, nil)
		p := pipeline.Wrap(&policy.Retry[int]{Attempts: 9, Clock: v, Backoff: policy.Constant(time.Second)})
		start := v.Nanos()
		got, err := p.Do(ctx, failing(&calls, errDown))
		require.True(t, err == errDown, "%v", err)
		require.Equal(t, -calls, got, "with its value")
		require.Equal(t, c.calls, calls, "within %v", c.deadline)
		require.Equal(t, int64(c.calls-1)*int64(time.Second), v.Nanos()-start, "at once")
		require.NoError(t, ctx.Err())
		cancel()
	}
}

// Scenario 34: with a context that has ended the func is not called; a success is returned though it has ended since.
func TestRetryAndAContextThatEnds(t *testing.T) {
	calls := 0
	p := pipeline.Wrap(&policy.Retry[int]{})
	ctx, cancel := context.WithCancelCause(t.Context())
	got, err := p.Do(ctx, func(context.Context) (int, error) { calls++; cancel(errHungUp); return 7, nil })
	require.NoError(t, err)
	require.Equal(t, 7, got)
	_, err = p.Do(ctx, failing(&calls, errDown))
	require.Same(t, errHungUp, err)
	require.Equal(t, 1, calls)
}

// Scenario 35: whichever hook the context ends in, there is no further call.
func TestRetryCallsNoMoreWhenAHookEndsTheContext(t *testing.T) {
	for where, wait := range map[string]time.Duration{
		"classifier": time.Second, "backoff": time.Second, "hint": time.Second, "observer": time.Second, "discard": time.Second,
		"as the wait ends": time.Second, "backoff, without a wait": 0, "observer, without a wait": 0, "discard, without a wait": 0,
	} {
		t.Run(where, func(t *testing.T) {
			where, _, _ := strings.Cut(where, ",")
			v, calls, discarded := clock.NewVirtual(), 0, 0
			ctx, cancel := context.WithCancelCause(t.Context())
			at := func(hook string) {
				if hook == where {
					cancel(errHungUp)
				}
			}
			if where == "as the wait ends" {
				v.AfterFunc(time.Second, func() { cancel(errHungUp) })
			}
			p := pipeline.Wrap(&policy.Retry[int]{
				Clock:    v,
				Classify: func(int, error) policy.Outcome { at("classifier"); return policy.TransientFailure },
				Backoff:  policy.BackoffFunc(func(policy.Step) time.Duration { at("backoff"); return wait }),
				Hint:     func(int, error) time.Duration { at("hint"); return 0 },
				Discard:  func(int) { discarded++; at("discard") },
			}).Observe(policy.ObserverFunc(func(_ context.Context, e policy.Event) {
				if e.Kind == policy.Retrying {
					at("observer")
				}
			}))
			got, err := p.Do(ctx, failing(&calls, errDown))
			require.Equal(t, 1, calls)
			require.ErrorIs(t, err, errHungUp)
			require.ErrorIs(t, err, errDown)
			if where == "discard" {
				require.Zero(t, got, "the value is closed by now")
			} else {
				require.Equal(t, -1, got)
			}
			require.Equal(t, where == "discard", discarded == 1, "each value is returned or discarded")
		})
	}
}

// Scenario 37: a permanent error is the same on the last attempt as on the first, recognised under any wrapping, and
// keeps its text.
func TestRetryStopsAtAPermanentErrorWhereverItIs(t *testing.T) {
	bad := errors.New("no such user")
	for _, last := range []int{1, 2, 3} {
		calls := 0
		wrapped := fmt.Errorf("user 7: %w", policy.Permanent(bad))
		p := pipeline.Wrap(&policy.Retry[int]{Attempts: 3, Backoff: policy.Constant(0)})
		_, err := p.Do(t.Context(), func(context.Context) (int, error) {
			if calls++; calls == last {
				return 0, wrapped
			}
			return 0, errDown
		})
		require.Equal(t, last, calls)
		require.Same(t, wrapped, err)
		require.ErrorIs(t, err, bad)
		require.Equal(t, "user 7: no such user", err.Error())
	}
}

// Scenario 40: each execution of a shared Retry counts its own attempts and grows its own delays.
func TestRetryIsSharedByManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.Wrap(&policy.Retry[int]{Attempts: 5, Backoff: policy.Exponential(time.Second, time.Hour)})
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				start, calls := time.Now(), 0
				_, err := p.Do(t.Context(), func(ctx context.Context) (int, error) {
					calls++
					if policy.Attempt(ctx) != calls {
						t.Errorf("caller %d: call %d is attempt %d", i, calls, policy.Attempt(ctx))
					}
					time.Sleep(time.Duration(i) * time.Millisecond)
					return 0, errDown
				})
				if took := time.Since(start); err != errDown || took != 15*time.Second+5*time.Duration(i)*time.Millisecond {
					t.Errorf("caller %d: %v after %v", i, err, took)
				}
			})
		}
		all.Wait()
	})
}

// Scenario 41: no number of attempts means 3, also past Wrap, which refuses a negative one.
func TestRetryWithoutANumberOfAttemptsMakesThree(t *testing.T) {
	for _, attempts := range []int{0, -1, math.MinInt} {
		calls := 0
		retry := &policy.Retry[int]{Attempts: attempts, Backoff: policy.Constant(0)}
		_, _ = policy.Through(failing(&calls, errDown), policy.Policy[int](retry)).Do(t.Context())
		require.Equal(t, 3, calls, "Attempts: %d", attempts)
	}
}

// Scenario 42: however many attempts, the memory in use stays the same.
func TestRetryOfVeryManyAttemptsHoldsOnToNone(t *testing.T) {
	p := pipeline.Wrap(&policy.Retry[[1024]byte]{Attempts: math.MaxInt32, Backoff: policy.Constant(0), Classify: policy.PermanentOn[[1024]byte](errHungUp)})
	var early, late runtime.MemStats
	_, err := p.Do(t.Context(), func(ctx context.Context) (v [1024]byte, err error) {
		switch policy.Attempt(ctx) {
		case 100:
			runtime.GC()
			runtime.ReadMemStats(&early)
		case 20_100:
			runtime.GC()
			runtime.ReadMemStats(&late)
			return v, errHungUp
		}
		return v, errDown
	})
	require.ErrorIs(t, err, errHungUp)
	require.Less(t, late.HeapInuse, early.HeapInuse+1<<20)
}

// Scenario 43: after the last call there is no wait and no event of one; each earlier one has its event first.
func TestRetryTellsOfAWaitOnlyWhereACallFollows(t *testing.T) {
	c := composedCase{
		layers: []layer{{kind: "retry", attempts: 3, waits: waits{kind: "linear", base: tick, max: time.Hour}, maxHint: tick}},
		script: script{{does: fails}, {does: fails}, {does: fails}},
	}
	r := c.run()
	require.Equal(t, 3*tick, r.ended)
	told := r.of(policy.Retrying)
	require.Len(t, told, 2)
	for i, e := range told {
		require.Equal(t, i+1, e.Attempt)
		require.Equal(t, time.Duration(i+1)*tick, e.Delay)
		require.Equal(t, r.calls[i].ends, e.at)
		require.Equal(t, r.calls[i].err, e.Err)
	}
	require.Equal(t, policy.AttemptsSpent, r.of(policy.GaveUp)[0].Reason)
}
