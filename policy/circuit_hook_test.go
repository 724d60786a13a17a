package policy_test

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/policy"
)

// Every change is told once, with what led to it.
func TestEveryChangeIsToldOnce(t *testing.T) {
	var heard []policy.Change
	c, v := onVirtual(&policy.Circuit{Name: "users", Slow: time.Minute, OnChange: func(c policy.Change) { heard = append(heard, c) }})
	at := func() time.Time { return time.Unix(0, v.Nanos()) }
	want := []policy.Change{{"users", policy.Closed, policy.Open, 2, at(), errBackend}}
	require.ErrorIs(t, c.Do(t.Context(), func(context.Context) error { return errBackend }), errBackend)

	v.Advance(time.Second)
	want = append(want, policy.Change{"users", policy.Open, policy.HalfOpen, 3, at(), nil})
	begin(t, c)
	v.Advance(time.Minute) // too long for a probe with a lease of 30s
	c.State()
	slow := begin(t, c)
	v.Advance(time.Second)
	want = append(want, policy.Change{"users", policy.HalfOpen, policy.Closed, 4, at(), nil})
	slow.Done(policy.Success)

	begin(t, c)
	v.Advance(2 * time.Minute)
	want = append(want, policy.Change{"users", policy.Closed, policy.Open, 5, at(), policy.ErrSlow})
	require.Equal(t, policy.Open, c.State())
	want = append(want, policy.Change{"users", policy.Open, policy.Isolated, 6, at(), nil})
	c.Isolate()
	want = append(want, policy.Change{"users", policy.Isolated, policy.Bypassed, 7, at(), nil})
	c.Bypass()
	want = append(want, policy.Change{"users", policy.Bypassed, policy.Closed, 8, at(), nil})
	c.Reset()
	c.Reset()
	require.Equal(t, want, heard)
}

// Scenario 24: a hook may call any method of its circuit, and a func that the circuit protects.
func TestAHookMayCallItsCircuit(t *testing.T) {
	var c *policy.Circuit
	var states []policy.State
	c, _ = onVirtual(&policy.Circuit{OnChange: func(change policy.Change) {
		states = append(states, change.To, c.State(), c.Snapshot().State)
		permit, err := c.Acquire()
		require.Equal(t, change.To == policy.Closed || change.To == policy.Bypassed, err == nil, "%v", change.To)
		permit.Done(policy.Success)
		_ = c.Do(t.Context(), func(context.Context) error { return nil })
		switch change.To {
		case policy.Open:
			c.Isolate()
		case policy.Isolated:
			c.Bypass()
		case policy.Bypassed:
			c.Reset()
		default:
		}
	}})
	report(t, c, policy.TransientFailure)
	require.Equal(t, []policy.State{
		policy.Open, policy.Open, policy.Open, policy.Isolated, policy.Isolated, policy.Isolated,
		policy.Bypassed, policy.Bypassed, policy.Bypassed, policy.Closed, policy.Closed, policy.Closed,
	}, states)
}

// Scenario 25: a hook's panic reaches whoever caused the change, and leaves the circuit consistent: unlocked, in its new
// state, and with the changes that follow told.
func TestAHookThatPanicsLeavesTheCircuitConsistent(t *testing.T) {
	for name, do := range forms {
		t.Run(name, func(t *testing.T) {
			var heard []policy.State
			c, v := onVirtual(&policy.Circuit{OnChange: func(c policy.Change) {
				if heard = append(heard, c.To); c.To != policy.Closed {
					panic(c.To.String())
				}
			}})
			require.PanicsWithValue(t, "open", func() {
				_ = do(c, t.Context(), func(context.Context) error { return errBackend })
			})
			require.Equal(t, policy.Snapshot{State: policy.Open, Generation: 2, Until: time.Unix(0, v.Nanos()).Add(time.Second)}, c.Snapshot())
			v.Advance(time.Second)
			require.PanicsWithValue(t, "half-open", func() { _, _ = c.Acquire() })
			c.Reset()
			require.Equal(t, []policy.State{policy.Open, policy.HalfOpen, policy.Closed}, heard)
			report(t, c, policy.Success)
		})
	}
}

// Scenario 25: changes that a hook has caused before it panicked are told, in order.
func TestWhatAPanickingHookHasCausedIsTold(t *testing.T) {
	var heard []policy.State
	var c *policy.Circuit
	c, _ = onVirtual(&policy.Circuit{OnChange: func(change policy.Change) {
		heard = append(heard, change.To)
		if change.To == policy.Open {
			c.Isolate()
			c.Bypass()
			panic("boom")
		}
	}})
	permit := begin(t, c)
	require.PanicsWithValue(t, "boom", func() { permit.Done(policy.TransientFailure) })
	require.Equal(t, []policy.State{policy.Open, policy.Isolated, policy.Bypassed}, heard)
}

// However many changes have waited for a hook, telling them takes no more of the stack than telling one.
func TestManyChangesAreToldFromTheSameDepth(t *testing.T) {
	var depths []int
	var c *policy.Circuit
	c, _ = onVirtual(&policy.Circuit{OnChange: func(policy.Change) {
		if len(depths) == 0 {
			for range 500 {
				c.Isolate()
				c.Reset()
			}
		}
		depths = append(depths, runtime.Callers(0, make([]uintptr, 5000)))
	}})
	c.Bypass()
	require.Len(t, depths, 1001)
	require.InDelta(t, depths[0], slices.Max(depths), 5)
}

// Scenario 26: changes are told in their order, one at a time, also when a hook causes them.
func TestAHookHearsOfWhatItCausesOnlyAfterwards(t *testing.T) {
	var c *policy.Circuit
	var log []string
	c, _ = onVirtual(&policy.Circuit{OnChange: func(change policy.Change) {
		log = append(log, "told "+change.To.String())
		if change.To == policy.Open {
			c.Isolate()
			c.Reset()
		}
		log = append(log, "done "+change.To.String())
	}})
	report(t, c, policy.TransientFailure)
	require.Equal(t, []string{"told open", "done open", "told isolated", "done isolated", "told closed", "done closed"}, log)
}

// Scenario 27: while a hook takes its time, nobody else waits, and what changes meanwhile is told by the same goroutine.
func TestASlowHookHoldsUpNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard []policy.State
		c := &policy.Circuit{Trip: policy.Consecutive(1), Cooldown: policy.Constant(time.Second)}
		c.OnChange = func(change policy.Change) {
			time.Sleep(time.Hour)
			heard = append(heard, change.To)
		}
		var slow sync.WaitGroup
		slow.Go(func() { report(t, c, policy.TransientFailure) })
		time.Sleep(time.Minute)
		began := time.Now()
		require.Equal(t, policy.HalfOpen, func() policy.State { begin(t, c); return c.State() }())
		require.Equal(t, 1, c.Snapshot().InFlight)
		_, err := c.Acquire()
		require.ErrorIs(t, err, policy.ErrOpen)
		c.Isolate()
		c.Reset()
		report(t, c, policy.Success)
		require.Zero(t, time.Since(began), "of the bubble's time")
		slow.Wait()
		require.Equal(t, []policy.State{policy.Open, policy.HalfOpen, policy.Isolated, policy.Closed}, heard)
		require.Equal(t, 4*time.Hour-time.Minute, time.Since(began))
	})
}

// Scenario 28: what a hook is told, and reads, is its own: later changes leave it alone.
func TestWhatAHookIsToldDoesNotChange(t *testing.T) {
	var c *policy.Circuit
	var told []policy.Change
	var read []policy.Snapshot
	c, v := onVirtual(&policy.Circuit{OnChange: func(change policy.Change) {
		told = append(told, change)
		read = append(read, c.Snapshot())
	}})
	report(t, c, policy.TransientFailure)
	change, snapshot := told[0], read[0]
	v.Advance(time.Second)
	report(t, c, policy.TransientFailure)
	c.Reset()
	report(t, c, policy.Success)
	require.Equal(t, change, told[0])
	require.Equal(t, snapshot, read[0])
}

// Whoever hears of an opening can see how long it lasts, also where Cooldown takes its time and others use the circuit
// meanwhile.
func TestAnOpeningIsToldOnceItsEndIsKnown(t *testing.T) {
	v := clock.NewVirtual()
	c := &policy.Circuit{Trip: policy.Consecutive(1), Clock: v}
	inside := make(chan struct{})
	c.Cooldown = policy.BackoffFunc(func(policy.Step) time.Duration {
		require.Equal(t, policy.Open, c.State())
		go func() {
			defer close(inside)
			require.Zero(t, c.Snapshot().Until)
			require.ErrorIs(t, c.Do(t.Context(), func(context.Context) error { return nil }), policy.ErrOpen)
		}()
		<-inside
		return time.Hour
	})
	told := 0
	c.OnChange = func(change policy.Change) {
		told++
		require.Equal(t, policy.Open, change.To)
		require.False(t, c.Snapshot().Until.IsZero())
	}
	_ = c.Do(t.Context(), func(context.Context) error { return errDown })
	require.Equal(t, 1, told)
}
