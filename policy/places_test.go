package policy_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
	"github.com/holdfast-go/holdfast/policy/policytest"
)

// Scenario 58: the latest turn, given back, is as if never taken, also once its time has passed.
func TestBucketTurnGivenBackIsForgotten(t *testing.T) {
	v := clock.NewVirtual()
	b := &policy.Bucket{Rate: 1, Burst: 1, MaxWait: time.Minute, Clock: v}
	require.True(t, b.Allow())
	ctx, cancel := clock.WithTimeout(t.Context(), v, 500*time.Millisecond, nil)
	defer cancel()
	require.Error(t, b.Acquire(ctx), "a turn after the deadline is refused")
	gone, leave := context.WithCancel(t.Context())
	v.AfterFunc(500*time.Millisecond, leave)
	require.ErrorIs(t, b.Acquire(gone), context.Canceled)
	v.Advance(time.Second) // to 1.5 s
	require.True(t, b.Allow())
	require.False(t, b.Allow())
}

// brokenClock is a clock whose waits panic.
type brokenClock struct{ *clock.Virtual }

func (brokenClock) Wait(context.Context, *clock.Latch) error { panic("broken") }

// Scenario 56: whoever stops waiting, by a panic of the clock too, leaves the queue, and no place is lost.
func TestGateWithAClockThatPanics(t *testing.T) {
	g := &policy.Gate{Limit: 1, Queue: 1, Clock: brokenClock{clock.NewVirtual()}}
	slot, err := g.Acquire(t.Context())
	require.NoError(t, err)
	require.PanicsWithValue(t, "broken", func() { _, _ = g.Acquire(t.Context()) })
	inFlight, waiting := g.Load()
	require.Equal(t, []int{1, 0}, []int{inFlight, waiting})
	slot.Release()
	slot, err = g.Acquire(t.Context())
	require.NoError(t, err)
	slot.Release()
}

// A place that comes at the very moment at which the caller goes is passed on; the caller's own end is no refusal.
func TestGatePlaceForACallerWhoHasGone(t *testing.T) {
	for seed := range uint64(20) {
		v := clock.NewVirtual()
		v.Shuffle(seed)
		g := &policy.Gate{Limit: 1, Queue: 2, Clock: v}
		heard := &policytest.Recorder{Clock: v}
		p := pipeline.Wrap(&policy.Bulkhead[int]{Gate: g}).Observe(heard)
		var ended int
		call := func(ctx context.Context, at, stays time.Duration) {
			v.Go(func() {
				_ = v.Sleep(t.Context(), at)
				_, err := p.Do(ctx, func(ctx context.Context) (int, error) {
					require.NoError(t, ctx.Err(), "who has gone does not run")
					return 0, v.Sleep(t.Context(), stays)
				})
				if ended++; err != nil {
					require.ErrorIs(t, err, context.Canceled)
				}
			})
		}
		gone, leave := context.WithCancel(t.Context())
		v.AfterFunc(time.Second, leave)
		call(t.Context(), 0, time.Second)
		call(gone, time.Millisecond, 0)
		call(t.Context(), 2*time.Millisecond, time.Second)
		v.Run()
		require.Equal(t, 3, ended)
		require.Empty(t, heard.Events(policy.Rejected))
		inFlight, waiting := g.Load()
		require.Zero(t, inFlight+waiting)
	}
}

// Nobody calls for a caller whose context has ended, and who asks before that is told its cause.
func TestHedgeCallsNobodyForACallerWhoHasGone(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errDown)
	v := clock.NewVirtual()
	h := &policy.Hedge[int]{Delay: time.Second, Clock: v}
	_, err := policy.Through(func(context.Context) (int, error) { t.Error("called"); return 0, nil }, policy.Policy[int](h)).Do(ctx)
	require.ErrorIs(t, err, errDown)
}
