package clock_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
)

// counted is a context that counts what it is asked.
type counted struct {
	context.Context
	errs, values, deadlines atomic.Int64
}

// total returns how often it was asked anything since the last call of total.
func (c *counted) total() int {
	return int(c.errs.Swap(0) + c.values.Swap(0) + c.deadlines.Swap(0))
}

func (c *counted) Err() error {
	c.errs.Add(1)
	return c.Context.Err()
}

func (c *counted) Value(key any) any {
	c.values.Add(1)
	return c.Context.Value(key)
}

func (c *counted) Deadline() (time.Time, bool) {
	c.deadlines.Add(1)
	return c.Context.Deadline()
}

// watch is a clock that counts its readings, and that package clock does not know.
type watch struct {
	clock.Clock
	readings atomic.Int64
}

func (w *watch) Nanos() int64 {
	w.readings.Add(1)
	return w.Clock.Nanos()
}

// nest returns depth deadlines on c, each under the one before or what between makes of that.
func nest(root context.Context, c clock.Clock, depth int, between func(context.Context) context.Context) []*clock.Deadline {
	ds := make([]*clock.Deadline, depth)
	for i := range ds {
		ds[i] = new(clock.Deadline)
		ds[i].Begin(between(root), c, time.Duration(depth-i+1)*time.Hour, errors.New("why"))
		root = ds[i]
	}
	return ds
}

func nothing(ctx context.Context) context.Context { return ctx }

// Err of nested deadlines asks the context around them once and reads the clock at most once, while nothing happens.
func TestDeadlineErrIsAskedOnceHoweverDeep(t *testing.T) {
	for _, depth := range []int{1, 2, 10, 100} {
		for _, on := range []clock.Clock{clock.System, clock.NewVirtual()} {
			for _, armed := range []bool{false, true} {
				c := &watch{Clock: on}
				root, end := context.WithCancel(t.Context())
				around := &counted{Context: root}
				ds := nest(around, c, depth, nothing)
				inner := ds[depth-1]
				if armed {
					inner.Done()
				}
				for ask, f := range map[string]func(){
					"Err":     func() { require.NoError(t, inner.Err()) },
					"Expired": func() { require.False(t, inner.Expired()) },
					"Cause":   func() { require.NoError(t, context.Cause(inner)) },
				} {
					around.total()
					c.readings.Store(0)
					f()
					require.LessOrEqual(t, around.total(), 1, "%s at a depth of %d, armed %v", ask, depth, armed)
					require.LessOrEqual(t, int(c.readings.Load()), 1, "%s at a depth of %d, armed %v", ask, depth, armed)
				}
				inner.Cancel()
				require.LessOrEqual(t, around.total(), 2)
				end()
			}
		}
	}
}

// An armed deadline asks the context around by itself, not through every deadline between.
func TestDeadlineErrIsAsShallowHoweverDeep(t *testing.T) {
	for _, on := range []clock.Clock{clock.NewVirtual(), &watch{Clock: clock.NewVirtual()}} {
		frames := func(depth int) int {
			root, end := context.WithCancel(t.Context())
			defer end()
			around := &traced{Context: root}
			ds := nest(around, on, depth, nothing)
			ds[depth-1].Done()
			require.NoError(t, ds[depth-1].Err())
			return around.frames
		}
		require.Equal(t, frames(2), frames(50))
	}
}

// traced is a context that notes how deep in calls it was last asked for Err.
type traced struct {
	context.Context
	frames int
}

func (c *traced) Err() error {
	c.frames = runtime.Callers(0, make([]uintptr, 1000))
	return c.Context.Err()
}

// A deadline that comes no earlier than the one around it starts no timer.
func TestDeadlineStartsNoTimerForWhatNeverComes(t *testing.T) {
	v := clock.NewVirtual()
	var outer, inner clock.Deadline
	outer.Begin(t.Context(), v, time.Minute, nil)
	inner.Begin(&outer, v, time.Hour, nil)
	inner.Done()
	require.Equal(t, 1, v.Pending())
	inner.Cancel()
	outer.Cancel()
}

// When the context around nested deadlines ends, or the outermost deadline passes, to ask each of them costs what is
// linear in the depth, also the first time.
func TestDeadlineEndsAtALinearCostHoweverDeep(t *testing.T) {
	const depth = 64
	ends := map[string]func(v *clock.Virtual, cancel func()){
		"canceled": func(_ *clock.Virtual, cancel func()) { cancel() },
		"expired":  func(v *clock.Virtual, _ func()) { v.Advance(1000 * time.Hour) },
	}
	between := map[string]func(context.Context) context.Context{
		"nothing": nothing,
		"a value": func(ctx context.Context) context.Context { return context.WithValue(ctx, t, t) },
		"a child": func(ctx context.Context) context.Context {
			child, cancel := context.WithCancel(ctx)
			t.Cleanup(cancel)
			return child
		},
	}
	for end, happens := range ends {
		for what, made := range between {
			for _, armed := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %s between, armed %v", end, what, armed), func(t *testing.T) {
					v := clock.NewVirtual()
					for _, on := range []clock.Clock{v, &watch{Clock: v}} {
						for _, innermostFirst := range []bool{false, true} {
							root, cancel := context.WithCancel(t.Context())
							around := &counted{Context: root}
							ds := nest(around, on, depth, made)
							if armed {
								ds[depth-1].Done()
							}
							inner := ds[depth-1]
							if innermostFirst {
								slices.Reverse(ds)
							}
							around.total()
							happens(v, cancel)
							if what == "a child" {
								<-inner.Done() // package context's contexts are notified by goroutines
							}
							requireEnded(t, ds)
							require.Less(t, around.total(), 10*depth)
							cancel()
						}
					}
				})
			}
		}
	}
}

// requireEnded asks each deadline several times for all that it knows of its end.
func requireEnded(t *testing.T, ds []*clock.Deadline) {
	t.Helper()
	for _, d := range ds {
		for range 3 {
			require.Error(t, d.Err())
			require.Error(t, context.Cause(d))
			d.Expired()
			<-d.Done()
		}
	}
}

// Deadlines on two clocks in turns cost what is linear in the depth, too.
func TestDeadlinesOfTwoClocksEndAtALinearCost(t *testing.T) {
	const depth = 32
	v, other := clock.NewVirtual(), clock.NewVirtual()
	root, cancel := context.WithCancel(t.Context())
	around := &counted{Context: root}
	var inner context.Context = around
	for i := range depth {
		d := new(clock.Deadline)
		d.Begin(inner, []clock.Clock{v, other}[i%2], time.Hour, nil)
		inner = d
	}
	require.NoError(t, inner.Err())
	inner.Done()
	around.total()
	require.NoError(t, inner.Err())
	require.LessOrEqual(t, around.total(), depth)
	cancel()
	require.Equal(t, context.Canceled, inner.Err())
	require.Equal(t, context.Canceled, context.Cause(inner))
	require.Less(t, around.total(), 10*depth)
}
