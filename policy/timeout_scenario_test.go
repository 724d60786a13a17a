package policy_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

// Scenario 49: a func that does not heed its context is waited for, and what it returns successfully is returned.
func TestTimeoutWaitsForTheFunc(t *testing.T) {
	v := clock.NewVirtual()
	p := pipeline.Wrap(&policy.Timeout[int]{Name: "users", Limit: time.Second, Clock: v})
	for _, want := range []error{nil, errDown} {
		start := v.Nanos()
		got, err := p.Do(t.Context(), func(context.Context) (int, error) {
			v.Advance(time.Minute)
			return 7, want
		})
		require.Equal(t, time.Minute, time.Duration(v.Nanos()-start))
		require.Equal(t, 7, got, "the value comes along with an error too")
		if want == nil {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, errDown)
		require.EqualError(t, err, "users: timeout after 1s: down")
	}
}

// Scenario 50: the context has the deadline, its cause is the error, and the error matches all that it should.
func TestTimeoutSaysWhatItIs(t *testing.T) {
	v := clock.NewVirtual()
	p := pipeline.Wrap(&policy.Timeout[int]{Name: "users", Limit: time.Second, Clock: v})
	start := v.Nanos()
	var cause error
	_, err := p.Do(t.Context(), func(ctx context.Context) (int, error) {
		deadline, ok := ctx.Deadline()
		require.True(t, ok)
		require.Equal(t, clock.Time(v, start+int64(time.Second)), deadline)
		_ = v.Sleep(ctx, time.Minute)
		cause = context.Cause(ctx)
		return 0, ctx.Err()
	})
	require.ErrorIs(t, err, policy.ErrTimeout)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	var timeout *policy.TimeoutError
	require.ErrorAs(t, err, &timeout)
	require.Equal(t, "users", timeout.Name)
	require.Equal(t, time.Second, timeout.Limit)
	require.Equal(t, context.DeadlineExceeded, timeout.Err, "what the func returned")
	require.EqualError(t, err, "users: timeout after 1s")
	require.ErrorAs(t, cause, &timeout)
	require.EqualError(t, cause, "users: timeout after 1s")
	var network net.Error
	require.ErrorAs(t, err, &network)
	require.True(t, network.Timeout())
	require.True(t, network.Temporary()) //nolint:staticcheck // as context.DeadlineExceeded says
	require.EqualError(t, &policy.TimeoutError{Limit: time.Second}, "timeout after 1s")
}

// A func that returns its context's cause returns the timeout's error already: it is not wrapped in another.
func TestTimeoutDoesNotWrapItsOwnError(t *testing.T) {
	v := clock.NewVirtual()
	p := pipeline.Wrap(&policy.Timeout[int]{Limit: time.Second, Clock: v})
	var cause error
	_, err := p.Do(t.Context(), func(ctx context.Context) (int, error) {
		cause = v.Sleep(ctx, time.Minute)
		return 0, cause
	})
	require.Same(t, cause, err)
	_, err = p.Do(t.Context(), func(ctx context.Context) (int, error) {
		cause = errors.Join(errDown, v.Sleep(ctx, time.Minute))
		return 0, cause
	})
	require.ErrorIs(t, err, cause)
	require.Equal(t, []string{"", ""}, labels(err))
}

// Scenario 50: the end of the caller's context is never called a timeout, whatever its kind.
func TestTimeoutDoesNotClaimTheCallersEnd(t *testing.T) {
	for name, c := range map[string]caller{
		"hung up before": {cancel: -1}, "hung up": {cancel: tick}, "deadline": {deadline: tick}, "deadline at the limit": {deadline: 3 * tick},
	} {
		t.Run(name, func(t *testing.T) {
			cc := composedCase{layers: []layer{{kind: "timeout", limit: 3 * tick}}, script: script{{takes: 5 * tick}}, caller: c}
			r := cc.run()
			require.NotErrorIs(t, r.err, policy.ErrTimeout)
			require.Empty(t, r.of(policy.TimedOut))
			require.True(t, r.calls[0].err == r.err)
		})
	}
}

// T5: of nested timeouts the one that fires is named, outside or inside.
func TestTheTimeoutThatFiresIsNamed(t *testing.T) {
	for want, limits := range map[string][]time.Duration{"a": {tick, 2 * tick}, "b": {2 * tick, tick}} {
		c := timeoutCase{step: step{takes: time.Hour}, limits: limits}
		r := c.run(clock.NewVirtual(), theTimeouts)
		require.Equal(t, []string{want}, labels(r.err))
		require.Equal(t, tick, r.ended)
		require.Equal(t, want, r.of(policy.TimedOut)[0].Name)
	}
}

// The func's goroutine is the caller's, and its panic too.
func TestTimeoutRunsTheFuncWhereTheCallerIs(t *testing.T) {
	p := pipeline.Wrap(&policy.Timeout[int]{Limit: time.Hour})
	var seen []context.Context
	require.PanicsWithValue(t, "bug", func() {
		_, _ = p.Do(t.Context(), func(given context.Context) (int, error) {
			seen = append(seen, given)
			panic("bug")
		})
	})
	require.ErrorIs(t, seen[0].Err(), context.Canceled, "T3: its context has ended")
}

// Scenario 47: whoever waited on the context, nothing of it is left, on the system's clock either.
func TestTimeoutLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.Wrap(
			&policy.Retry[int]{Attempts: 3, Backoff: policy.Constant(time.Minute)},
			&policy.Timeout[int]{Limit: time.Hour},
		)
		start, ended := time.Now(), 0
		_, err := p.Do(t.Context(), func(ctx context.Context) (int, error) {
			context.AfterFunc(ctx, func() { ended++ })
			derived, cancel := context.WithCancel(ctx)
			defer cancel()
			<-time.After(time.Second)
			return 0, derived.Err()
		})
		require.NoError(t, err)
		synctest.Wait()
		require.Equal(t, 1, ended, "the context has ended with the call")
		require.Equal(t, time.Second, time.Since(start))
	})
}

// A Timeout gives a Retry inside it its deadline, and a Retry outside it a new limit for each attempt.
func TestTimeoutAroundAndInsideARetry(t *testing.T) {
	hangs := script{{takes: time.Hour}, {takes: time.Hour}, {takes: time.Hour}}
	around := composedCase{
		layers: []layer{{kind: "timeout", limit: 5 * tick}, {kind: "retry", attempts: 3, waits: waits{kind: "constant", base: 5 * tick}}},
		script: script{{does: fails}},
	}
	r := around.run()
	require.Zero(t, r.ended, "a wait that would end at the limit is not begun")
	require.Same(t, r.calls[0].err, r.err)
	require.Equal(t, policy.DeadlineNear, r.of(policy.GaveUp)[0].Reason)
	inside := composedCase{
		layers: []layer{{kind: "retry", attempts: 3, waits: waits{kind: "constant", base: tick}}, {kind: "timeout", limit: 5 * tick}},
		script: hangs,
	}
	r = inside.run()
	require.Equal(t, 17*tick, r.ended)
	require.Len(t, r.calls, 3)
	require.Equal(t, []string{""}, labels(r.err), "the last attempt's alone")
}
