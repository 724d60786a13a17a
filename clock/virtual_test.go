package clock_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/holdfast-go/holdfast/clock"
)

// What falls due happens in order of time, then of registration, exactly when it is due, also what is put off on the
// way, and what was stopped does not.
func TestVirtualModel(t *testing.T) {
	type planned struct {
		id int
		at int64
	}
	rapid.Check(t, func(t *rapid.T) {
		v := clock.NewVirtual()
		want, got := []planned{}, []planned{}
		timers := map[int]clock.Timer{}
		id := 0
		var put func(d time.Duration, again int)
		put = func(d time.Duration, again int) {
			id++
			me := planned{id, v.Nanos() + int64(max(0, d))}
			want = append(want, me)
			timers[me.id] = v.AfterFunc(d, func() {
				got = append(got, planned{me.id, v.Nanos()})
				if again > 0 {
					put(time.Duration(again), again-1)
				}
			})
		}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"put", "put", "stop", "advance", "sleep"}).Draw(t, "step") {
			case "put":
				put(time.Duration(rapid.IntRange(-1, 9).Draw(t, "in")), rapid.IntRange(0, 2).Draw(t, "again"))
			case "stop":
				which := rapid.IntRange(1, 10).Draw(t, "which")
				if timer, ok := timers[which]; ok {
					ran := slices.ContainsFunc(got, func(p planned) bool { return p.id == which })
					pending := slices.ContainsFunc(want, func(p planned) bool { return p.id == which }) && !ran
					require.Equal(t, pending, timer.Stop())
					if pending {
						want = slices.DeleteFunc(want, func(p planned) bool { return p.id == which })
					}
				}
			case "advance":
				v.Advance(time.Duration(rapid.IntRange(-1, 12).Draw(t, "by")))
			case "sleep":
				before, d := v.Nanos(), time.Duration(rapid.IntRange(0, 12).Draw(t, "for"))
				require.NoError(t, v.Sleep(context.Background(), d))
				require.Equal(t, before+int64(d), v.Nanos())
			}
		}
		v.Advance(time.Hour)
		slices.SortStableFunc(want, func(a, b planned) int { return cmp.Compare(a.at, b.at) })
		require.Equal(t, want, got)
		require.Zero(t, v.Pending())
	})
}

// Time stops where the context ended, and a century passes at once.
func TestVirtualSleep(t *testing.T) {
	v := clock.NewVirtual()
	start := v.Nanos()
	require.Equal(t, "2100-01-01T00:00:00Z", clock.Time(v, start).UTC().Format(time.RFC3339))
	ctx, cancel := context.WithCancel(t.Context())
	v.AfterFunc(time.Minute, cancel)
	require.ErrorIs(t, v.Sleep(ctx, time.Hour), context.Canceled)
	require.Equal(t, time.Minute, time.Duration(v.Nanos()-start))
	require.NoError(t, v.Sleep(t.Context(), 100*365*24*time.Hour))
}

// Waiting inside a timer's func is a mistake that says so, and neither it nor any other panic breaks the clock.
func TestVirtualSurvivesPanics(t *testing.T) {
	v := clock.NewVirtual()
	v.AfterFunc(1, func() { _ = v.Sleep(t.Context(), 1) })
	v.AfterFunc(2, func() { panic("boom") })
	ran := false
	v.AfterFunc(3, func() { ran = true })
	func() {
		defer func() {
			require.Contains(t, fmt.Sprint(recover()), "clock: Virtual.Sleep while another goroutine drives the clock")
		}()
		v.Advance(time.Second)
	}()
	require.PanicsWithValue(t, "boom", func() { v.Advance(time.Second) })
	v.Advance(time.Second)
	require.True(t, ran)
}

// Processes take turns: the same order for the same seed, another for another, always in order of time.
func TestProcessesRunTheSameEveryTime(t *testing.T) {
	run := func(seed uint64) string {
		v := clock.NewVirtual()
		v.Shuffle(seed)
		start := v.Nanos()
		var trace strings.Builder
		var open clock.Latch
		for i := range 5 {
			v.Go(func() {
				for range 3 {
					_ = v.Sleep(t.Context(), time.Second)
					fmt.Fprintf(&trace, "%d at %v\n", i, time.Duration(v.Nanos()-start))
				}
				err := open.Wait(t.Context(), v)
				fmt.Fprintf(&trace, "%d through at %v: %v\n", i, time.Duration(v.Nanos()-start), err)
			})
		}
		v.Go(func() {
			_ = v.Sleep(t.Context(), 10*time.Second)
			open.Open()
		})
		v.Run()
		return trace.String()
	}
	first, again, other := run(1), run(1), run(2)
	require.Equal(t, first, again)
	require.NotEqual(t, first, other)
	require.Equal(t, 5, strings.Count(first, "through at 10s: <nil>"))
	require.Equal(t, 5, strings.Count(first, "at 3s"))
}

// A process waits for a latch no longer than its context lasts; an open latch wins over an ended context.
func TestLatchWaitsAsLongAsTheContext(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		why := errors.New("why")
		var l clock.Latch
		ctx, cancel := clock.WithTimeout(t.Context(), w.Clock, time.Minute, why)
		defer cancel()
		start := w.Nanos()
		w.during(time.Minute, func() { require.Equal(t, why, l.Wait(ctx, w.Clock)) })
		require.Equal(t, time.Minute, time.Duration(w.Nanos()-start))
		w.during(time.Minute, func() {
			w.AfterFunc(time.Minute, l.Open)
			require.NoError(t, l.Wait(t.Context(), w.Clock))
		})
		require.NoError(t, l.Wait(ctx, w.Clock))
		require.True(t, l.IsOpen())
		ran := make(chan struct{})
		clock.Go(w.Clock, func() { close(ran) })
		w.pass(0)
		<-ran
	})
}

// A deadlock is reported with who waits for what, and stops those who wait.
func TestDeadlockIsReported(t *testing.T) {
	v := clock.NewVirtual()
	var never clock.Latch
	unwound := 0
	for range 2 {
		v.Go(func() {
			defer func() { unwound++ }()
			_ = never.Wait(t.Context(), v)
		})
	}
	report := func(f func()) (text string) {
		defer func() { text = fmt.Sprint(recover()) }()
		f()
		return ""
	}
	text := report(v.Run)
	require.Contains(t, text, "deadlock in Virtual.Run: nothing is due, and 2 processes wait")
	require.Contains(t, text, "virtual_test.go")
	require.Contains(t, text, "waits for a latch")
	require.Equal(t, 2, unwound)
	require.Contains(t, report(func() { _ = never.Wait(t.Context(), v) }), "deadlock")
	v.Go(func() { _ = v.Sleep(t.Context(), time.Second) })
	require.NotContains(t, report(v.Run), "deadlock", "the clock is usable")
}

// A process's panic reaches whoever drives.
func TestProcessPanicsReachTheDriver(t *testing.T) {
	v := clock.NewVirtual()
	v.Go(func() { panic("boom") })
	require.PanicsWithValue(t, "boom", v.Run)
}

func ExampleVirtual() {
	v := clock.NewVirtual()
	start := v.Nanos()
	v.AfterFunc(time.Minute, func() { fmt.Println("a minute has passed") })
	_ = v.Sleep(context.Background(), time.Hour) // returns at once
	fmt.Println(time.Duration(v.Nanos() - start))
	// Output:
	// a minute has passed
	// 1h0m0s
}

func ExampleVirtual_Go() {
	v := clock.NewVirtual()
	for _, name := range []string{"tick", "tock"} {
		v.Go(func() {
			for range 2 {
				_ = v.Sleep(context.Background(), time.Second)
				fmt.Println(name)
			}
		})
	}
	v.Run()
	// Output:
	// tick
	// tock
	// tick
	// tock
}

func ExampleWithTimeout() {
	v := clock.NewVirtual()
	ctx, cancel := clock.WithTimeout(context.Background(), v, time.Minute, errors.New("too slow"))
	defer cancel()
	left, _ := clock.Remaining(ctx, v)
	fmt.Println(left)
	v.Advance(time.Minute)
	fmt.Println(ctx.Err(), "because", context.Cause(ctx))
	// Output:
	// 1m0s
	// context deadline exceeded because too slow
}
