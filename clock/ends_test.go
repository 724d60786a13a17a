package clock_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
)

// The end of a context of the standard library's reaches what derives from a deadline on a Virtual clock at the very
// time, every time, also where package context had to be asked to tell of it.
func TestVirtualSleepEndsWithAStandardChildOfADeadline(t *testing.T) {
	for range 100 {
		v := clock.NewVirtual()
		start := v.Nanos()
		parent, end := context.WithCancel(t.Context())
		ours, cancel := clock.WithTimeout(parent, v, 1000*time.Hour, nil)
		child, cancelChild := context.WithCancel(ours)
		v.AfterFunc(time.Minute, end)
		require.ErrorIs(t, v.Sleep(child, time.Hour), context.Canceled)
		require.Equal(t, time.Minute, time.Duration(v.Nanos()-start))
		cancelChild()
		cancel()
	}
}

// The same, where the end came before anybody drove.
func TestVirtualSleepDoesNotBeginWhereAChildHasEnded(t *testing.T) {
	for range 100 {
		v := clock.NewVirtual()
		start := v.Nanos()
		parent, end := context.WithCancel(t.Context())
		ours, cancel := clock.WithTimeout(parent, v, 1000*time.Hour, nil)
		child, cancelChild := context.WithCancel(ours)
		end()
		require.ErrorIs(t, v.Sleep(child, time.Hour), context.Canceled)
		require.Equal(t, start, v.Nanos())
		cancelChild()
		cancel()
	}
}

// What package context derives from a deadline on a Virtual clock ends at the very time, whatever stands between: a
// value, a context of another's making.
func TestVirtualEndsWhatDerivesFromADeadlineAtItsTime(t *testing.T) {
	type wrapped struct{ context.Context }
	for name, between := range map[string]func(context.Context) context.Context{
		"nothing":   func(ctx context.Context) context.Context { return ctx },
		"a value":   func(ctx context.Context) context.Context { return context.WithValue(ctx, t, t) },
		"a wrapper": func(ctx context.Context) context.Context { return wrapped{ctx} },
	} {
		for range 20 {
			v := clock.NewVirtual()
			start := v.Nanos()
			why := errors.New("why")
			ours, cancel := clock.WithTimeout(t.Context(), v, time.Minute, why)
			child, cancelChild := context.WithCancel(between(ours))
			grandchild, cancelGrandchild := context.WithTimeout(between(child), 1000*time.Hour)
			v.AfterFunc(2*time.Minute, func() {})
			v.Go(func() {
				require.Equal(t, why, v.Sleep(grandchild, time.Hour), name)
				require.Equal(t, time.Minute, time.Duration(v.Nanos()-start), name)
				require.Equal(t, context.DeadlineExceeded, grandchild.Err(), name)
			})
			v.Run()
			cancelGrandchild()
			cancelChild()
			cancel()
		}
	}
}

// A deadline ends with the one around it at once, whatever stands between.
func TestVirtualEndsANestedDeadlineAtOnce(t *testing.T) {
	v := clock.NewVirtual()
	var outer, inner clock.Deadline
	outer.Begin(t.Context(), v, time.Hour, nil)
	inner.Begin(context.WithValue(&outer, t, t), v, time.Minute, nil)
	child, cancel := context.WithCancel(&inner)
	defer cancel()
	v.AfterFunc(time.Second, func() {
		outer.Cancel()
		require.Equal(t, context.Canceled, child.Err())
	})
	v.Advance(time.Second)
	require.Error(t, child.Err())
}

// A wait that nothing can end, or that is over, leaves nothing to look at or to be told.
func TestVirtualForgetsWhatIsNotWaitedFor(t *testing.T) {
	v := clock.NewVirtual()
	v.Go(func() { _ = v.Sleep(context.Background(), time.Hour) })
	v.Advance(time.Minute)
	require.Zero(t, v.Polled())
	require.Zero(t, v.Waited())

	parent := &telling{Context: t.Context(), done: make(chan struct{})}
	ctx, cancel := clock.WithTimeout(parent, v, time.Hour, nil)
	ctx.Done()
	require.Equal(t, 1, parent.telling)
	require.Equal(t, 1, v.Waited())
	cancel()
	require.Zero(t, parent.telling)
	require.Zero(t, v.Waited())
	v.Run()
}

// telling is a context that counts those that it is to tell of its end.
type telling struct {
	context.Context
	done    chan struct{}
	telling int
}

func (c *telling) Done() <-chan struct{} { return c.done }

func (c *telling) AfterFunc(func()) func() bool {
	c.telling++
	return func() bool {
		c.telling--
		return true
	}
}

// Nobody needs to drive the clock for an end to arrive.
func TestVirtualTellsOfAnEndWhileNobodyDrives(t *testing.T) {
	v := clock.NewVirtual()
	why := errors.New("why")
	parent, end := context.WithCancelCause(t.Context())
	ours, cancel := clock.WithTimeout(parent, v, time.Hour, nil)
	defer cancel()
	child, cancelChild := context.WithCancel(ours)
	defer cancelChild()
	end(why)
	<-child.Done()
	require.Equal(t, why, context.Cause(child))
	require.Zero(t, v.Pending())
}

// Nor does it have to wait until the clock is notified of what ended it.
func TestVirtualTellsOfAnEndThatItIsYetToBeNotifiedOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := clock.NewVirtual()
		var outer, inner clock.Deadline
		outer.Begin(t.Context(), v, time.Hour, nil)
		between, cancel := clock.WithCancel(&outer, v)
		defer cancel()
		inner.Begin(between, v, time.Minute, nil)
		inner.Done()
		told := false
		outer.AfterFunc(func() {
			<-inner.Done() // which keeps outer from notifying the clock
			told = true
		})
		outer.Cancel()
		require.True(t, told)
	})
}

// hurried is a context that ends when it is first asked for Done.
type hurried struct {
	context.Context
	end context.CancelFunc
}

func (h hurried) Done() <-chan struct{} {
	h.end()
	return h.Context.Done()
}

// A context that ends while a process begins to wait for it ends the wait at once.
func TestProcessWaitsForAContextThatEndsMeanwhile(t *testing.T) {
	v := clock.NewVirtual()
	start := v.Nanos()
	v.Go(func() {
		ctx, cancel := clock.WithCancel(context.Background(), v)
		require.ErrorIs(t, v.Sleep(hurried{ctx, cancel}, time.Hour), context.Canceled)
		require.Equal(t, start, v.Nanos())
	})
	v.Run()
}

// Every deadline under one parent hears of its end, not only the first.
func TestVirtualTellsAllWhoseParentEnds(t *testing.T) {
	v := clock.NewVirtual()
	start := v.Nanos()
	parent, end := context.WithCancel(t.Context())
	woken := 0
	for range 3 {
		v.Go(func() {
			ours, cancel := clock.WithTimeout(parent, v, 1000*time.Hour, nil)
			defer cancel()
			child, cancelChild := context.WithCancel(ours)
			defer cancelChild()
			require.ErrorIs(t, v.Sleep(child, time.Hour), context.Canceled)
			require.Equal(t, time.Minute, time.Duration(v.Nanos()-start))
			woken++
		})
	}
	v.AfterFunc(time.Minute, end)
	v.Run()
	require.Equal(t, 3, woken)
}

// A process that panics is over: the clock goes on without it.
func TestVirtualForgetsAProcessThatPanics(t *testing.T) {
	v := clock.NewVirtual()
	v.Go(func() {
		_ = v.Sleep(t.Context(), time.Second)
		panic("boom")
	})
	require.PanicsWithValue(t, "boom", v.Run)
	ran := false
	v.Go(func() { ran = true })
	v.Run()
	require.True(t, ran)
}
