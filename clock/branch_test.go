package clock_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/holdfast-go/holdfast/clock"
)

func TestWithCancelIsLikePackageContexts(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		type key struct{}
		why := errors.New("why")
		outer, cancelOuter := clock.WithTimeout(context.WithValue(t.Context(), key{}, "value"), w.Clock, time.Hour, nil)
		defer cancelOuter()
		parent, end := context.WithCancelCause(outer)
		defer end(nil)
		make := func() (context.Context, context.CancelFunc) { return clock.WithCancel(parent, w.Clock) }

		ctx, cancel := make()
		require.NoError(t, ctx.Err())
		require.Equal(t, "value", ctx.Value(key{}))
		left, ok := clock.Remaining(ctx, w.Clock)
		require.True(t, ok)
		require.Equal(t, time.Hour, left)
		child, cancelChild := context.WithCancel(context.WithValue(ctx, key{}, "other"))
		defer cancelChild()
		ours, cancelOurs := clock.WithTimeout(ctx, w.Clock, time.Minute, nil)
		defer cancelOurs()
		sibling, cancelSibling := make()
		defer cancelSibling()
		cancel()
		cancel()
		for name, c := range map[string]context.Context{"itself": ctx, "a child": child, "a deadline": ours} {
			<-c.Done()
			require.Equal(t, context.Canceled, c.Err(), name)
			require.Equal(t, context.Canceled, context.Cause(c), name)
		}
		require.NoError(t, sibling.Err())
		require.NoError(t, parent.Err())
		end(why)
		<-sibling.Done()
		require.Equal(t, context.Canceled, sibling.Err())
		require.Equal(t, why, context.Cause(sibling))
		late, cancelLate := make()
		defer cancelLate()
		require.Equal(t, why, context.Cause(late))
	})
}

func TestWithCancelWithoutAClockIsOnSystem(t *testing.T) {
	ctx, cancel := clock.WithCancel(t.Context(), nil)
	cancel()
	require.Equal(t, context.Canceled, ctx.Err())
}

func TestWithCancelPrintsLikePackageContexts(t *testing.T) {
	ctx, cancel := clock.WithCancel(context.Background(), clock.NewVirtual())
	defer cancel()
	require.Equal(t, "context.Background.WithCancel", fmt.Sprint(ctx))
}

// However many processes wait under contexts by WithCancel, none of these is looked at after an event. What they derive
// from is looked at once for all, if it is of package context.
func TestWithCancelIsNotPolled(t *testing.T) {
	const many = 1000
	type made func(ctx context.Context, v *clock.Virtual) (context.Context, context.CancelFunc)
	branch := made(func(ctx context.Context, v *clock.Virtual) (context.Context, context.CancelFunc) {
		return clock.WithCancel(ctx, v)
	})
	limited := made(func(ctx context.Context, v *clock.Virtual) (context.Context, context.CancelFunc) {
		return clock.WithTimeout(ctx, v, 1000*time.Hour, nil)
	})
	valued := made(func(ctx context.Context, _ *clock.Virtual) (context.Context, context.CancelFunc) {
		return context.WithValue(ctx, t, t), func() {}
	})
	standard := made(func(ctx context.Context, _ *clock.Virtual) (context.Context, context.CancelFunc) {
		return context.WithCancel(ctx)
	})
	for name, test := range map[string]struct {
		root   context.Context
		layers []made
		polled int
	}{
		"alone":                        {context.Background(), []made{branch}, 0},
		"nested":                       {context.Background(), []made{branch, branch, branch}, 0},
		"under a deadline":             {context.Background(), []made{limited, branch}, 0},
		"through values":               {context.Background(), []made{limited, valued, branch, valued, branch, valued}, 0},
		"around a deadline":            {context.Background(), []made{branch, limited}, 0},
		"under package context's":      {t.Context(), []made{branch}, 1},
		"nested under package context": {t.Context(), []made{branch, branch}, 1},
		"a deadline between":           {t.Context(), []made{branch, limited, branch}, 1},
		"package context's":            {context.Background(), []made{standard}, many},
		"package context's below":      {context.Background(), []made{branch, standard}, many},
		"package context's above":      {context.Background(), []made{standard, branch}, many},
	} {
		t.Run(name, func(t *testing.T) {
			v := clock.NewVirtual()
			start := v.Nanos()
			woken := 0
			for range many {
				ctx, cancel := test.root, context.CancelFunc(nil)
				for _, layer := range test.layers {
					var undo context.CancelFunc
					ctx, undo = layer(ctx, v)
					if cancel == nil {
						cancel = undo
					}
				}
				v.Go(func() {
					require.ErrorIs(t, v.Sleep(ctx, time.Hour), context.Canceled)
					require.Equal(t, 2*time.Second, time.Duration(v.Nanos()-start))
					woken++
				})
				v.AfterFunc(2*time.Second, cancel)
			}
			v.Advance(time.Second)
			require.Equal(t, test.polled, v.Polled())
			v.Run()
			require.Equal(t, many, woken)
			require.Zero(t, v.Polled(), "nothing is left behind")
			require.Zero(t, v.Waited(), "nothing is left behind")
		})
	}
}

// What package context has to watch by a goroutine ends a wait when its end has arrived, and not before.
func TestWithCancelUnderAContextThatEndsLate(t *testing.T) {
	for range 20 {
		v := clock.NewVirtual()
		start := v.Nanos()
		parent := &foreign{Context: context.Background(), done: make(chan struct{})}
		ctx, cancel := clock.WithCancel(parent, v)
		v.Go(func() {
			require.ErrorIs(t, v.Sleep(ctx, time.Hour), context.Canceled)
			require.LessOrEqual(t, time.Duration(v.Nanos()-start), 3*time.Second)
		})
		v.AfterFunc(2*time.Second, func() { close(parent.done) })
		v.AfterFunc(3*time.Second, func() { <-ctx.Done() })
		v.Run()
		cancel()
	}
}

// foreign is a context that package context does not know.
type foreign struct {
	context.Context
	done chan struct{}
}

func (f *foreign) Done() <-chan struct{} { return f.done }

func (f *foreign) Err() error {
	select {
	case <-f.done:
		return context.Canceled
	default:
		return nil
	}
}

// A wait that is over is no longer the context's concern.
func TestWithCancelForgetsWaitsThatAreOver(t *testing.T) {
	v := clock.NewVirtual()
	ctx, cancel := clock.WithCancel(t.Context(), v)
	defer cancel()
	v.Go(func() {
		for range 10 {
			require.NoError(t, v.Sleep(ctx, time.Second))
		}
		require.Zero(t, clock.Linked(ctx))
		_ = v.Sleep(ctx, time.Hour)
	})
	v.Advance(time.Minute)
	require.Equal(t, 1, clock.Linked(ctx))
	require.Equal(t, 1, v.Polled())
}

// A context that does not end with a deadline does not start its timer.
func TestWithCancelDoesNotArmADeadlineThatCannotEndIt(t *testing.T) {
	v := clock.NewVirtual()
	limited, cancelLimited := clock.WithTimeout(t.Context(), v, time.Hour, nil)
	defer cancelLimited()
	ctx, cancel := clock.WithCancel(context.WithoutCancel(limited), v)
	defer cancel()
	v.Go(func() { _ = v.Sleep(ctx, time.Minute) })
	v.Advance(time.Second)
	require.Equal(t, 1, v.Pending(), "the sleep alone")
}

// A run with contexts by WithCancel is the same as one with contexts of package context, event for event.
func TestWithCancelModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		type step struct{ kind, parent, after int }
		kinds := []string{"cancel", "cancel", "standard", "deadline", "value"}
		steps := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) step {
			return step{
				rapid.IntRange(0, len(kinds)-1).Draw(rt, "kind"),
				rapid.IntRange(0, 100).Draw(rt, "parent"),
				rapid.IntRange(0, 20).Draw(rt, "after"),
			}
		}), 1, 12).Draw(rt, "contexts")
		sleeps := rapid.SliceOfN(rapid.IntRange(0, 1000), 1, 12).Draw(rt, "sleeps")
		seed := rapid.Uint64().Draw(rt, "seed")

		play := func(derive func(context.Context, clock.Clock) (context.Context, context.CancelFunc)) string {
			v := clock.NewVirtual()
			v.Shuffle(seed)
			start := v.Nanos()
			var trace strings.Builder
			root, endRoot := context.WithCancel(context.Background())
			all, undo := []context.Context{root}, []context.CancelFunc{endRoot}
			for _, s := range steps {
				parent := all[s.parent%len(all)]
				ctx, cancel := parent, context.CancelFunc(func() {})
				switch kinds[s.kind] {
				case "cancel":
					ctx, cancel = derive(parent, v)
				case "standard":
					ctx, cancel = context.WithCancel(parent)
				case "deadline":
					ctx, cancel = clock.WithTimeout(parent, v, time.Duration(s.after)*time.Second, nil)
				case "value":
					ctx = context.WithValue(parent, rt, rt)
				}
				all, undo = append(all, ctx), append(undo, cancel)
			}
			for i, d := range sleeps {
				ctx := all[(d*7+i)%len(all)]
				v.Go(func() {
					for range 2 {
						err := v.Sleep(ctx, time.Duration(d%30)*time.Second)
						fmt.Fprintf(&trace, "%d: %v at %v\n", i, err, time.Duration(v.Nanos()-start))
						if d%3 == 0 {
							undo[d%len(undo)]()
						}
					}
					err := new(clock.Latch).Wait(ctx, v)
					fmt.Fprintf(&trace, "%d: %v at %v\n", i, err, time.Duration(v.Nanos()-start))
				})
			}
			v.AfterFunc(15*time.Second, undo[len(undo)/2])
			v.AfterFunc(25*time.Second, endRoot)
			v.Run()
			require.Zero(rt, v.Waited())
			require.Zero(rt, v.Polled())
			for _, cancel := range undo {
				cancel()
			}
			require.Zero(rt, v.Pending())
			return trace.String()
		}
		want := play(func(ctx context.Context, _ clock.Clock) (context.Context, context.CancelFunc) {
			return context.WithCancel(ctx)
		})
		require.Equal(rt, want, play(clock.WithCancel))
		require.Equal(rt, want, play(clock.WithCancel), "the same again")
	})
}
