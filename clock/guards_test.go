package clock_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
)

// In a bubble System tells the bubble's time, outside the machine's.
func TestSystemFollowsTheBubble(t *testing.T) {
	before := time.Now()
	now := clock.Time(clock.System, clock.System.Nanos())
	require.False(t, now.Before(before))
	require.False(t, time.Now().Before(now))
	synctest.Test(t, func(t *testing.T) {
		for range 3 {
			require.Equal(t, time.Now().UnixNano(), clock.System.Nanos())
			require.True(t, time.Now().Equal(clock.Time(clock.System, clock.System.Nanos())))
			time.Sleep(time.Hour)
		}
	})
}

// silent is a context that ends without telling anybody.
type silent struct {
	context.Context
	over atomic.Bool
}

func (s *silent) Err() error {
	if s.over.Load() {
		return context.Canceled
	}
	return nil
}

func (s *silent) Done() <-chan struct{} { return nil }

// Scenario 35: a sleep whose context has ended by the time it is over was not in time, whoever noticed.
func TestSleepLooksAtTheContextAtItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := &silent{Context: t.Context()}
		time.AfterFunc(time.Second, func() { ctx.over.Store(true) })
		require.ErrorIs(t, clock.System.Sleep(ctx, time.Minute), context.Canceled)
	})
}

// The standard library's deadline is on System also where it stands on one of ours, and a context without its
// parent's end has not its parent's deadline.
func TestRemainingOfAStandardDeadlineOnOneOfOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, cancel := clock.WithTimeout(t.Context(), clock.System, time.Hour, nil)
		defer cancel()
		standard, cancelStandard := context.WithTimeout(ours, time.Minute)
		defer cancelStandard()
		left, ok := clock.Remaining(standard, clock.System)
		require.True(t, ok)
		require.Equal(t, time.Minute, left)

		v := clock.NewVirtual()
		virtual, cancelVirtual := clock.WithTimeout(t.Context(), v, time.Hour, nil)
		defer cancelVirtual()
		apart, cancelApart := context.WithTimeout(context.WithoutCancel(virtual), time.Minute)
		defer cancelApart()
		_, ok = clock.Remaining(apart, v)
		require.False(t, ok)
	})
}

// However many goroutines ask first, one timer is started for good, and Cancel stops it.
func TestDeadlineArmsOnce(t *testing.T) {
	v := clock.NewVirtual()
	for range 200 {
		ctx, cancel := clock.WithTimeout(t.Context(), v, time.Hour, nil)
		var group sync.WaitGroup
		begin := make(chan struct{})
		for range 4 {
			group.Go(func() {
				<-begin
				ctx.Done()
			})
		}
		close(begin)
		group.Wait()
		require.Equal(t, 1, v.Pending())
		cancel()
		require.Zero(t, v.Pending())
	}
}

// A parent that has ended before the deadline came ended the context, also where its word has yet to arrive.
func TestDeadlineAsksItsParentBeforeItCallsItself(t *testing.T) {
	for range 100 {
		v := clock.NewVirtual()
		parent, end := context.WithCancel(t.Context())
		ctx, cancel := clock.WithTimeout(parent, v, time.Minute, nil)
		ctx.Done()
		end()
		v.Advance(time.Hour)
		require.Equal(t, context.Canceled, ctx.Err())
		cancel()
	}
}

// hasty is a parent that ends at the very moment it is asked to tell of its end.
type hasty struct {
	context.Context
	end context.CancelFunc
}

func (h hasty) AfterFunc(f func()) func() bool {
	h.end()
	f()
	return func() bool { return false }
}

// A parent that ends while a deadline is being armed leaves no timer.
func TestDeadlineWhoseParentEndsMeanwhile(t *testing.T) {
	v := clock.NewVirtual()
	c := struct{ clock.Clock }{v} // not known to be a Virtual, so that it goes by the parent's AfterFunc
	parent, end := context.WithCancel(t.Context())
	ctx, cancel := clock.WithTimeout(hasty{parent, end}, c, time.Minute, nil)
	defer cancel()
	<-ctx.Done()
	require.Equal(t, context.Canceled, ctx.Err())
	require.Zero(t, v.Pending())
}

// A context of the standard library that ends while the clock is driven ends a process's sleep at that very time.
func TestProcessHearsOfAnEndOnTheWay(t *testing.T) {
	v := clock.NewVirtual()
	start := v.Nanos()
	ctx, cancel := context.WithCancel(t.Context())
	v.AfterFunc(time.Minute, cancel)
	v.AfterFunc(time.Hour, func() {})
	v.Go(func() {
		require.ErrorIs(t, v.Sleep(ctx, 10*time.Hour), context.Canceled)
		require.Equal(t, time.Minute, time.Duration(v.Nanos()-start))
	})
	v.Run()
}

// What a process has stopped waiting for does not wake it from another wait.
func TestProcessIsNotWokenByAnOldWait(t *testing.T) {
	v := clock.NewVirtual()
	start := v.Nanos()
	var late clock.Latch
	why := errors.New("why")
	v.Go(func() {
		ctx, cancel := clock.WithTimeout(t.Context(), v, time.Second, why)
		defer cancel()
		require.Equal(t, why, late.Wait(ctx, v))
		require.NoError(t, v.Sleep(t.Context(), time.Hour))
		require.Equal(t, time.Hour+time.Second, time.Duration(v.Nanos()-start))

		short, cancelShort := clock.WithTimeout(t.Context(), v, time.Minute, why)
		defer cancelShort()
		require.NoError(t, v.Sleep(short, time.Second))
		require.NoError(t, v.Sleep(t.Context(), time.Hour))
		require.Equal(t, 2*time.Hour+2*time.Second, time.Duration(v.Nanos()-start))
	})
	v.AfterFunc(time.Minute, late.Open)
	v.Run()
}

// nosy is a clock that, asked for a timer, first does something else.
type nosy struct {
	*clock.Virtual
	first func()
}

func (n *nosy) AfterFunc(d time.Duration, f func()) clock.Timer {
	if first := n.first; first != nil {
		n.first = nil
		first()
	}
	return n.Virtual.AfterFunc(d, f)
}

// Whoever comes second to arming a deadline stops the timer it has started.
func TestDeadlineThatIsArmedMeanwhile(t *testing.T) {
	n := &nosy{Virtual: clock.NewVirtual()}
	ctx, cancel := clock.WithTimeout(context.Background(), n, time.Minute, nil)
	n.first = func() { ctx.Done() }
	ctx.Done()
	require.Equal(t, 1, n.Pending())
	cancel()
	require.Zero(t, n.Pending())
}

// moved is a clock that is moved between a reading and the timer that goes by it.
type moved struct{ *clock.Virtual }

func (m moved) AfterFunc(d time.Duration, f func()) clock.Timer {
	m.Advance(time.Minute)
	return m.Virtual.AfterFunc(d, f)
}

// A deadline comes also where the clock stood still before and stands still ever after.
func TestDeadlineThatComesWhileItIsArmed(t *testing.T) {
	c := moved{clock.NewVirtual()}
	why := errors.New("why")
	ctx, cancel := clock.WithTimeout(t.Context(), c, time.Minute, why)
	defer cancel()
	select {
	case <-ctx.Done():
		require.Equal(t, why, context.Cause(ctx))
	default:
		t.Fatal("it has not come")
	}
	require.Zero(t, c.Pending())
}
