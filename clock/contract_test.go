package clock_test

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	theirs "github.com/benbjohnson/clock"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/clock/benclock"
)

// A world is a clock, and how its time passes.
type world struct {
	clock.Clock
	pass   func(d time.Duration)           // lets d pass
	during func(d time.Duration, f func()) // calls f, which waits on the clock for up to d
	left   func() int                      // timers that have neither fired nor been stopped; nil if the clock cannot tell
}

// worlds runs test in every kind of time.
func worlds(t *testing.T, test func(t *testing.T, w world)) {
	t.Helper()
	t.Run("System in a bubble", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			test(t, world{
				Clock:  clock.System,
				pass:   func(d time.Duration) { time.Sleep(d); synctest.Wait() },
				during: func(_ time.Duration, f func()) { f() },
			})
		})
	})
	t.Run("Virtual", func(t *testing.T) {
		v := clock.NewVirtual()
		test(t, world{Clock: v, pass: v.Advance, during: func(_ time.Duration, f func()) { f() }, left: v.Pending})
	})
	for name, start := range map[string]int64{"crossing 1970": -int64(time.Second), "from the year 1677": math.MinInt64} {
		t.Run("A clock "+name, func(t *testing.T) {
			v := clock.NewVirtual()
			c := shifted{v, v.Nanos(), start}
			test(t, world{Clock: c, pass: v.Advance, during: func(_ time.Duration, f func()) { f() }, left: v.Pending})
		})
	}
	mocked := func(start time.Time, settle func()) func(*testing.T) {
		return func(t *testing.T) {
			mock := theirs.NewMock()
			mock.Set(start)
			c := benclock.From(mock)
			test(t, world{
				Clock: c,
				pass:  func(d time.Duration) { mock.Add(d); settle() },
				during: func(d time.Duration, f func()) {
					pending, done := c.Pending(), make(chan struct{})
					go func() { defer close(done); f() }()
					c.BlockUntil(pending + 1)
					mock.Add(d)
					<-done
				},
				left: c.Pending,
			})
		}
	}
	t.Run("benclock over Mock", mocked(time.Unix(0, 0), func() {}))
	t.Run("benclock over Mock from the year 1", mocked(time.Time{}, func() {}))
	t.Run("benclock over Mock in a bubble", func(t *testing.T) {
		synctest.Test(t, mocked(time.Unix(0, 0), synctest.Wait))
	})
}

// shifted is a clock that tells another time than the one it goes by, and that package clock does not know.
type shifted struct {
	*clock.Virtual
	from, to int64 // the first reading, and what is told in its place
}

func (s shifted) Nanos() int64 { return s.to + (s.Virtual.Nanos() - s.from) }

// after lets d pass, and returns ctx's Done.
func (w world) after(d time.Duration, ctx context.Context) <-chan struct{} {
	done := ctx.Done()
	w.pass(d)
	return done
}

func (w world) requireNothingLeft(t *testing.T) {
	t.Helper()
	if w.left != nil {
		require.Zero(t, w.left(), "timers are left")
	}
}

func TestClockPasses(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		start := w.Nanos()
		w.pass(time.Hour)
		require.Equal(t, time.Hour, time.Duration(w.Nanos()-start))
		w.during(time.Minute, func() { require.NoError(t, w.Sleep(t.Context(), time.Minute)) })
		require.Equal(t, time.Hour+time.Minute, time.Duration(w.Nanos()-start))
		for _, d := range []time.Duration{0, -time.Hour, math.MinInt64} {
			require.NoError(t, w.Sleep(t.Context(), d))
		}
		require.Equal(t, time.Hour+time.Minute, time.Duration(w.Nanos()-start))
		w.requireNothingLeft(t)
	})
}

// Scenarios 36 and 47: a sleep ends with its context, by the cause, and leaves no timer.
func TestSleepEndsWithItsContext(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		why := errors.New("why")
		ended, end := context.WithCancelCause(t.Context())
		end(why)
		start := w.Nanos()
		require.Equal(t, why, w.Sleep(ended, time.Hour))
		require.Equal(t, why, w.Sleep(ended, 0), "also where there is nothing to wait for")

		ctx, cancel := clock.WithTimeout(t.Context(), w.Clock, time.Minute, why)
		defer cancel()
		w.during(time.Minute, func() { require.Equal(t, why, w.Sleep(ctx, time.Hour)) })
		require.Equal(t, time.Minute, time.Duration(w.Nanos()-start))
		w.requireNothingLeft(t)
	})
}

func TestAfterFuncCallsOnceUnlessStopped(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		var calls atomic.Int64
		called := make(chan struct{}, 10)
		timer := w.AfterFunc(time.Minute, func() { calls.Add(1); called <- struct{}{} })
		stopped := w.AfterFunc(time.Minute, func() { calls.Add(100) })
		require.True(t, stopped.Stop())
		require.False(t, stopped.Stop())
		w.pass(time.Minute - 1)
		require.Zero(t, calls.Load())
		w.pass(1)
		<-called
		w.pass(time.Hour)
		require.EqualValues(t, 1, calls.Load())
		require.False(t, timer.Stop())
		w.AfterFunc(-time.Hour, func() { called <- struct{}{} })
		w.pass(0)
		<-called
		w.requireNothingLeft(t)
	})
}

// Scenario 50: a context with a deadline on any clock has one, ends when it comes, with context.DeadlineExceeded and
// the given cause, and so do its children, whatever they are made of.
func TestDeadlineComes(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		why := errors.New("why")
		ctx, cancel := clock.WithTimeout(t.Context(), w.Clock, time.Minute, why)
		defer cancel()
		child, cancelChild := context.WithCancel(context.WithValue(ctx, t, t))
		defer cancelChild()
		later, cancelLater := context.WithTimeout(ctx, 1000*time.Hour)
		defer cancelLater()
		ran := make(chan struct{})
		context.AfterFunc(child, func() { close(ran) })
		all := map[string]context.Context{"itself": ctx, "a child": child, "one with a deadline": later}

		when, ok := ctx.Deadline()
		require.True(t, ok)
		require.True(t, when.Equal(clock.Time(w.Clock, w.Nanos()+int64(time.Minute))))
		w.pass(time.Minute - 1)
		for name, c := range all {
			require.NoError(t, c.Err(), name)
		}
		w.pass(1)
		<-ran
		for name, c := range all {
			<-c.Done()
			require.Equal(t, context.DeadlineExceeded, c.Err(), name)
			require.Equal(t, why, context.Cause(c), name)
		}
		w.requireNothingLeft(t)
	})
}

// A context that nobody waits for knows its time all the same.
func TestDeadlineComesUnwatched(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		ctx, cancel := clock.WithTimeout(context.Background(), w.Clock, time.Minute, nil)
		defer cancel()
		require.NoError(t, ctx.Err())
		w.pass(time.Minute)
		require.Equal(t, context.DeadlineExceeded, ctx.Err())
		require.Equal(t, context.DeadlineExceeded, context.Cause(ctx))
		<-ctx.Done()
		over, cancel := clock.WithTimeout(context.Background(), w.Clock, -time.Minute, nil)
		defer cancel()
		<-over.Done()
		require.Equal(t, context.DeadlineExceeded, over.Err())
		w.requireNothingLeft(t)
	})
}

// The parent's end, and cancel, reach the context and its children, and leave no timer.
func TestDeadlineEndsWithItsParent(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		why := errors.New("why")
		parent, end := context.WithCancelCause(t.Context())
		ctx, cancel := clock.WithTimeout(parent, w.Clock, time.Minute, nil)
		defer cancel()
		child, cancelChild := context.WithCancel(ctx)
		defer cancelChild()
		end(why)
		require.Equal(t, context.Canceled, ctx.Err(), "at once")
		<-child.Done()
		require.Equal(t, context.Canceled, child.Err())
		require.Equal(t, why, context.Cause(child))
		require.Equal(t, why, context.Cause(ctx))

		for _, ask := range []func(context.Context){func(context.Context) {}, func(c context.Context) { c.Done() }} {
			ctx, cancel = clock.WithTimeout(t.Context(), w.Clock, time.Minute, nil)
			ask(ctx)
			cancel()
			cancel()
			<-ctx.Done()
			require.Equal(t, context.Canceled, ctx.Err())
			require.Equal(t, context.Canceled, context.Cause(ctx))
		}
		w.requireNothingLeft(t)
	})
}

// Of nested deadlines the earlier counts, and only the one that came calls itself expired; the parent has the first say.
func TestNestedDeadlines(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		for _, test := range []struct {
			outer, inner time.Duration
			expired      bool
		}{{1, 2, false}, {2, 1, true}, {1, 1, false}} {
			for _, watched := range []bool{false, true} {
				var outer, inner clock.Deadline
				outerCause, innerCause := errors.New("outer"), errors.New("inner")
				outer.Begin(t.Context(), w.Clock, test.outer*time.Second, outerCause)
				inner.Begin(&outer, w.Clock, test.inner*time.Second, innerCause)
				left, ok := clock.Remaining(&inner, w.Clock)
				require.True(t, ok)
				require.Equal(t, min(test.outer, test.inner)*time.Second, left)
				if watched {
					inner.Done()
				}
				w.pass(3 * time.Second)
				<-inner.Done()
				require.Equal(t, test.expired, inner.Expired(), "%+v, watched %v", test, watched)
				want := outerCause
				if test.expired {
					want = innerCause
				}
				require.Equal(t, want, context.Cause(&inner))
				inner.Cancel()
				outer.Cancel()
			}
		}
		w.requireNothingLeft(t)
	})
}

// A deadline is one clock's: the standard library's is on System, and one of ours on its own.
func TestRemainingKnowsWhoseDeadlineItIs(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		other := clock.NewVirtual()
		ctx, cancel := clock.WithTimeout(t.Context(), w.Clock, time.Minute, nil)
		defer cancel()
		through, cancelThrough := context.WithCancel(context.WithValue(ctx, t, t))
		defer cancelThrough()
		for name, c := range map[string]context.Context{"itself": ctx, "through others": through} {
			left, ok := clock.Remaining(c, w.Clock)
			require.True(t, ok, name)
			require.Equal(t, time.Minute, left, name)
			_, ok = clock.Remaining(c, other)
			require.False(t, ok, name)
		}
		_, ok := clock.Remaining(context.WithoutCancel(ctx), w.Clock)
		require.False(t, ok)
		_, ok = clock.Remaining(t.Context(), w.Clock)
		require.False(t, ok)
		onOther, cancelOther := clock.WithTimeout(ctx, other, time.Hour, nil)
		defer cancelOther()
		left, ok := clock.Remaining(onOther, w.Clock)
		require.True(t, ok, "the other clock's deadline does not hide this one's")
		require.Equal(t, time.Minute, left)
		left, ok = clock.Remaining(onOther, other)
		require.True(t, ok)
		require.Equal(t, time.Hour, left)
		w.pass(2 * time.Minute)
		left, ok = clock.Remaining(ctx, w.Clock)
		require.True(t, ok)
		require.Equal(t, -time.Minute, left)
	})
}

// Durations at the ends of their range neither wrap round nor fire.
func TestHugeDurations(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		ctx, cancel := clock.WithTimeout(t.Context(), w.Clock, math.MaxInt64, nil)
		require.NoError(t, ctx.Err())
		ctx.Done()
		w.pass(time.Hour)
		require.NoError(t, ctx.Err())
		cancel()
		w.requireNothingLeft(t)
	})
}
