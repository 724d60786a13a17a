package differ_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/semaphore"

	"github.com/holdfast-go/holdfast/policy"
)

// A waiter has asked both a Gate and a semaphore for a place, under one context.
type waiter struct {
	cancel       context.CancelFunc
	ours, theirs error // errWaiting until each has answered
	slot         policy.Slot
}

var errWaiting = errors.New("waiting")

func (w *waiter) holds() bool { return w.ours == nil }

// A Gate with room in its queue gives its places to the callers that a semaphore gives them to, in the same order, with
// cancellations, and with contexts that are canceled before.
func TestGateServesAsASemaphoreDoes(t *testing.T) {
	r := random(t)
	waited, canceled := 0, 0
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			n := 1 + r.IntN(4)
			gate, sem := &policy.Gate{Limit: n, Queue: 1_000}, semaphore.NewWeighted(int64(n))
			var all []*waiter
			for range 100 {
				switch i := r.IntN(8); {
				case i < 4:
					ctx, cancel := context.WithCancel(t.Context())
					w := &waiter{cancel: cancel, ours: errWaiting, theirs: errWaiting}
					all = append(all, w)
					if r.IntN(10) == 0 {
						cancel()
					}
					go func() { w.slot, w.ours = gate.Acquire(ctx) }()
					go func() { w.theirs = sem.Acquire(ctx, 1) }()
				case i < 6:
					if w := pick(all, r.IntN(1+len(all)), (*waiter).holds); w != nil {
						w.slot.Release()
						sem.Release(1)
						w.ours, w.theirs = context.Canceled, context.Canceled // over
						w.cancel()
					}
				default:
					if w := pick(all, r.IntN(1+len(all)), func(w *waiter) bool { return w.ours == errWaiting }); w != nil {
						canceled++
						w.cancel()
					}
				}
				synctest.Wait()
				for i, w := range all {
					require.Equal(t, w.theirs, w.ours, "waiter %d", i)
					if w.ours == errWaiting {
						waited++
					}
				}
			}
			for _, w := range all {
				w.cancel()
			}
		})
	}
	require.Greater(t, waited, 1_000)
	require.Greater(t, canceled, 500)
}

// pick returns the first of all from the i-th on that is as wanted, or nil.
func pick(all []*waiter, i int, wanted func(*waiter) bool) *waiter {
	for _, w := range all[min(i, len(all)):] {
		if wanted(w) {
			return w
		}
	}
	return nil
}
