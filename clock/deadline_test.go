package clock_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
)

// Values are the parent's, whatever the key: one that cannot be compared with package context's too, and a pointer to
// an int, which is what package context's own is.
func TestDeadlinePassesValuesThrough(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		type key struct{ any }
		pointer := new(int)
		parent := context.WithValue(context.WithValue(t.Context(), pointer, "by pointer"), key{1}, "by struct")
		ctx, cancel := clock.WithTimeout(parent, w.Clock, time.Minute, nil)
		defer cancel()
		for _, ask := range []func(){func() {}, func() { ctx.Done() }, cancel} {
			ask()
			require.Equal(t, "by pointer", ctx.Value(pointer))
			require.Equal(t, "by struct", ctx.Value(key{1}))
			require.Nil(t, ctx.Value(new(int)))
		}
		w.requireNothingLeft(t)
	})
}

// An error once told is told for good, whoever cancels later, and its cause with it.
func TestDeadlineKeepsToItsError(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		why := errors.New("why")
		parent, cancelParent := clock.WithTimeout(t.Context(), w.Clock, time.Minute, why)
		defer cancelParent()
		var d, late clock.Deadline
		d.Begin(parent, w.Clock, time.Hour, nil)
		late.Begin(t.Context(), w.Clock, time.Minute, why)
		w.pass(time.Minute)
		require.Equal(t, context.DeadlineExceeded, d.Err())
		require.True(t, late.Expired())
		d.Cancel()
		late.Cancel()
		require.Equal(t, context.DeadlineExceeded, d.Err())
		require.Equal(t, why, context.Cause(&d))
		require.True(t, late.Expired())
		require.Equal(t, context.DeadlineExceeded, late.Err())
	})
}

// As with context.WithTimeoutCause, a parent that ended first tells the error and the cause, whatever is canceled later:
// also where nobody had asked before.
func TestDeadlineCanceledAfterItsParentEndedHasTheParentsEnd(t *testing.T) {
	why := errors.New("why")
	worlds(t, func(t *testing.T, w world) {
		for name, ends := range map[string]func(t *testing.T) (parent context.Context, end func(), err, cause error){
			"canceled with a cause": func(t *testing.T) (context.Context, func(), error, error) {
				parent, end := context.WithCancelCause(t.Context())
				return parent, func() { end(why) }, context.Canceled, why
			},
			"canceled by a clock's": func(t *testing.T) (context.Context, func(), error, error) {
				root, end := context.WithCancelCause(t.Context())
				parent, cancel := clock.WithCancel(root, w.Clock)
				t.Cleanup(cancel)
				return parent, func() { end(why) }, context.Canceled, why
			},
			"passed": func(t *testing.T) (context.Context, func(), error, error) {
				parent, cancel := clock.WithTimeout(t.Context(), w.Clock, time.Second, why)
				t.Cleanup(cancel)
				return parent, func() { w.pass(time.Second); _ = parent.Err() }, context.DeadlineExceeded, why
			},
			"a deadline canceled": func(t *testing.T) (context.Context, func(), error, error) {
				parent, cancel := clock.WithTimeout(t.Context(), w.Clock, time.Hour, nil)
				return parent, cancel, context.Canceled, context.Canceled
			},
			"a deadline whose parent ended": func(t *testing.T) (context.Context, func(), error, error) {
				root, end := context.WithCancelCause(t.Context())
				parent, cancel := clock.WithTimeout(root, w.Clock, time.Hour, nil)
				t.Cleanup(cancel)
				return parent, func() { end(why) }, context.Canceled, why
			},
		} {
			for _, armed := range []bool{false, true} {
				parent, end, err, cause := ends(t)
				var d clock.Deadline
				d.Begin(parent, w.Clock, time.Minute, errors.New("limit"))
				if armed {
					d.Done()
				}
				end()
				d.Cancel()
				require.Equal(t, err, d.Err(), "%s, armed %v", name, armed)
				require.Equal(t, cause, context.Cause(&d), "%s, armed %v", name, armed)
				require.False(t, d.Expired(), "%s, armed %v", name, armed)
				<-d.Done()
			}
		}
	})
}

// A deadline whose own time came before the parent ended keeps to it.
func TestDeadlineCanceledAfterItsParentEndedLaterKeepsItsOwnEnd(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		why := errors.New("why")
		parent, cancelParent := clock.WithTimeout(t.Context(), w.Clock, time.Hour, nil)
		defer cancelParent()
		var d clock.Deadline
		d.Begin(parent, w.Clock, time.Minute, why)
		w.pass(2 * time.Hour)
		require.Equal(t, context.DeadlineExceeded, parent.Err())
		d.Cancel()
		require.Equal(t, why, context.Cause(&d))
		require.True(t, d.Expired())
	})
}

// A context that nobody waits for knows at once of what a deadline around it has been told.
func TestDeadlineKnowsThatItsParentWasCanceled(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		var outer, middle, inner clock.Deadline
		outer.Begin(t.Context(), w.Clock, time.Hour, nil)
		middle.Begin(&outer, w.Clock, time.Hour, nil)
		inner.Begin(&middle, w.Clock, time.Minute, nil)
		middle.Cancel()
		require.Equal(t, context.Canceled, inner.Err())
		require.NoError(t, outer.Err())
		outer.Cancel()
	})
}

// Without a cause a deadline knows itself by context.DeadlineExceeded.
func TestDeadlineWithoutACauseExpires(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		for _, armed := range []bool{false, true} {
			var d clock.Deadline
			d.Begin(t.Context(), w.Clock, time.Minute, nil)
			if armed {
				d.Done()
			}
			require.False(t, d.Expired())
			w.pass(time.Minute)
			if armed {
				<-d.Done()
			}
			require.True(t, d.Expired())
			require.Equal(t, context.DeadlineExceeded, context.Cause(&d))
			d.Cancel()
		}
	})
}

// Of a deadline on another clock nobody knows whether it came before this one: the parent has the first say.
func TestDeadlineAfterOneOnAnotherClockIsNotExpired(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		other, why := clock.NewVirtual(), errors.New("why")
		parent, cancel := clock.WithTimeout(t.Context(), other, time.Minute, why)
		defer cancel()
		var d clock.Deadline
		d.Begin(parent, w.Clock, time.Minute, nil)
		w.pass(time.Minute)
		other.Advance(time.Minute)
		require.False(t, d.Expired())
		require.Equal(t, context.DeadlineExceeded, d.Err())
		require.Equal(t, why, context.Cause(&d))
	})
}

// The cause is found again by identity, also below contexts of package context.
func TestDeadlineCauseIsTheVeryOne(t *testing.T) {
	type cause struct{ error }
	worlds(t, func(t *testing.T, w world) {
		why := &cause{errors.New("why")}
		ctx, cancel := clock.WithTimeout(t.Context(), w.Clock, time.Minute, why)
		defer cancel()
		child, cancelChild := context.WithCancelCause(context.WithValue(ctx, t, t))
		defer cancelChild(nil)
		apart := context.WithoutCancel(child)
		<-w.after(time.Minute, child)
		require.Same(t, why, context.Cause(ctx))
		require.Same(t, why, context.Cause(child))
		require.NoError(t, apart.Err())
		require.NoError(t, context.Cause(apart))
		_, ok := apart.Deadline()
		require.False(t, ok)
	})
}

// As package context's, the method calls its func once the context has ended, unless it was stopped before.
func TestDeadlineAfterFunc(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		for name, afterFunc := range map[string]func(d *clock.Deadline, f func()) func() bool{
			"its method":        func(d *clock.Deadline, f func()) func() bool { return d.AfterFunc(f) },
			"package context's": func(d *clock.Deadline, f func()) func() bool { return context.AfterFunc(d, f) },
		} {
			for end, ends := range map[string]func(*clock.Deadline){
				"canceled": (*clock.Deadline).Cancel,
				"passed":   func(*clock.Deadline) { w.pass(time.Minute) },
			} {
				var d clock.Deadline
				d.Begin(t.Context(), w.Clock, time.Minute, nil)
				called := make(chan error, 10)
				f := func() { called <- d.Err() }
				stopped := afterFunc(&d, f)
				other := afterFunc(&d, f)
				again := afterFunc(&d, f)
				require.True(t, stopped(), name)
				require.False(t, stopped(), name)
				require.Empty(t, called, name)
				ends(&d)
				for range 2 {
					require.Error(t, <-called, "%s, %s", name, end)
				}
				require.False(t, other(), name)
				require.False(t, again(), name)
				late := afterFunc(&d, f)
				require.Error(t, <-called, name)
				require.False(t, late(), name)
				require.Empty(t, called, name)
				d.Cancel()
			}
		}
		w.requireNothingLeft(t)
	})
}

// A parent may have a deadline that nobody can wait for.
func TestDeadlineUnderAContextThatNobodyCanWaitFor(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		why := errors.New("why")
		parent := undone{context.Background(), clock.Time(w.Clock, w.Nanos()+int64(time.Hour))}
		ctx, cancel := clock.WithTimeout(parent, w.Clock, time.Minute, why)
		defer cancel()
		<-w.after(time.Minute, ctx)
		require.Equal(t, why, context.Cause(ctx))
		w.requireNothingLeft(t)
	})
}

// undone has a deadline, and a nil Done.
type undone struct {
	context.Context
	when time.Time
}

func (u undone) Deadline() (time.Time, bool) { return u.when, true }

// A deadline that comes no later than its own is the parent's, also where both would tell of the same cause.
func TestDeadlineDoesNotTakeItsParentsForItsOwn(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		for _, watched := range []bool{false, true} {
			parent, cancel := clock.WithTimeout(t.Context(), w.Clock, time.Minute, nil)
			var d clock.Deadline
			d.Begin(parent, w.Clock, time.Hour, nil)
			if watched {
				d.Done()
			}
			w.pass(2 * time.Hour)
			<-d.Done()
			require.Equal(t, context.DeadlineExceeded, d.Err())
			require.False(t, d.Expired(), "watched %v", watched)
			d.Cancel()
			cancel()
		}
	})
}

// A cause that cannot be compared is as good as any for telling why, and breaks nothing.
func TestDeadlineWithACauseThatCannotBeCompared(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		var d clock.Deadline
		d.Begin(t.Context(), w.Clock, time.Minute, uncomparable{"why"})
		w.pass(time.Minute)
		<-d.Done()
		require.Equal(t, uncomparable{"why"}, context.Cause(&d))
		require.False(t, d.Expired())
	})
}

type uncomparable []string

func (u uncomparable) Error() string { return u[0] }

// The ends of the range of time neither wrap round nor come early: a deadline in the year 9999 is far away, and one that
// was over before time began is over.
func TestDeadlinesAtTheEndsOfTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, cancelParent := context.WithDeadline(t.Context(), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))
		defer cancelParent()
		left, ok := clock.Remaining(parent, clock.System)
		require.True(t, ok)
		require.Greater(t, left, 200*365*24*time.Hour)
		ctx, cancel := clock.WithTimeout(parent, clock.System, time.Minute, nil)
		defer cancel()
		left, ok = clock.Remaining(ctx, clock.System)
		require.True(t, ok)
		require.Equal(t, time.Minute, left)

		over, cancelOver := clock.WithTimeout(t.Context(), clock.System, math.MinInt64, nil)
		defer cancelOver()
		require.Equal(t, context.DeadlineExceeded, over.Err())
		<-over.Done()
	})
}

// A context can be printed while others use it, and says what it is made of.
func TestDeadlinePrints(t *testing.T) {
	v := clock.NewVirtual()
	parent, cancelParent := context.WithCancel(context.Background())
	defer cancelParent()
	ctx, cancel := clock.WithTimeout(parent, v, time.Hour, nil)
	defer cancel()
	var group sync.WaitGroup
	group.Go(func() { ctx.Done() })
	when, _ := ctx.Deadline()
	require.Equal(t, fmt.Sprintf("context.Background.WithCancel.WithTimeout(%v)", when), fmt.Sprint(ctx))
	group.Wait()
}

// A deadline inside a struct allocates nothing where nobody waits, however deep it is nested; WithTimeout allocates
// the context and nothing else.
func TestDeadlineAllocations(t *testing.T) {
	for name, c := range map[string]clock.Clock{"System": clock.System, "Virtual": clock.NewVirtual()} {
		var outer, middle, inner clock.Deadline
		ctx, why := context.Background(), errors.New("why")
		require.Zero(t, testing.AllocsPerRun(100, func() {
			outer, middle, inner = clock.Deadline{}, clock.Deadline{}, clock.Deadline{}
			outer.Begin(ctx, c, time.Hour, why)
			middle.Begin(&outer, c, time.Minute, why)
			inner.Begin(&middle, c, 2*time.Hour, why)
			_ = inner.Err()
			_, _ = clock.Remaining(&inner, c)
			_ = inner.Expired()
			inner.Cancel()
			middle.Cancel()
			outer.Cancel()
		}), name)
		require.Equal(t, 1, int(testing.AllocsPerRun(100, func() {
			ctx, cancel := clock.WithTimeout(ctx, c, time.Hour, why)
			_ = ctx.Err()
			cancel()
		})), name)
	}
}

func ExampleRemaining() {
	v := clock.NewVirtual()
	ctx, cancel := clock.WithTimeout(context.Background(), v, time.Minute, nil)
	defer cancel()
	_ = v.Sleep(ctx, 45*time.Second)
	fmt.Println(clock.Remaining(ctx, v))
	fmt.Println(clock.Remaining(ctx, clock.System)) // it has no deadline there
	// Output:
	// 15s true
	// 0s false
}
