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
