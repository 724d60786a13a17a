package policy_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

// A refused caller reads why: the failure that opened the circuit is part of the text, and not of what errors.Is matches.
func TestRejectionNamesTheFailureThatOpenedTheCircuit(t *testing.T) {
	c, v := onVirtual(&policy.Circuit{Name: "users", Cooldown: policy.Constant(time.Second)})
	require.Equal(t, errDown, c.Do(t.Context(), func(context.Context) error { return errDown }))
	refused := func() *policy.Rejection {
		_, err := c.Acquire()
		var r *policy.Rejection
		require.ErrorAs(t, err, &r)
		require.NotErrorIs(t, err, errDown)
		require.ErrorIs(t, err, policy.ErrOpen)
		return r
	}
	require.Equal(t, errDown, refused().Cause)
	require.Contains(t, refused().Error(), "after: down")
	v.Advance(time.Second)
	probe := begin(t, c)
	require.Equal(t, errDown, refused().Cause, "while the probe is under way")
	probe.Done(policy.TransientFailure)
	require.NoError(t, refused().Cause, "a permit's outcome has no error")
	c.Isolate()
	_, err := c.Acquire()
	require.Equal(t, "breaker users: circuit is isolated", err.Error())
}

// A failed value without an error opens the circuit by the name that its Meaning gives it.
func TestChangeNamesAFailedValue(t *testing.T) {
	var causes []error
	c, _ := onVirtual(&policy.Circuit{OnChange: func(c policy.Change) { causes = append(causes, c.Cause) }})
	p := pipeline.Wrap(&policy.Breaker[int]{Circuit: c}).Means(policy.Meaning[int]{
		Classify: func(int, error) policy.Outcome { return policy.TransientFailure },
		Failure:  func(int) error { return errDown },
	})
	_, err := p.Do(t.Context(), func(context.Context) (int, error) { return 503, nil })
	require.NoError(t, err)
	require.Equal(t, []error{errDown}, causes)
}

// An OnChange that panics, or ends its goroutine, while a call takes the circuit half-open keeps no slot.
func TestAcquireGivesTheSlotBackWhenOnChangeFails(t *testing.T) {
	for name, fail := range map[string]func(){"panic": func() { panic("boom") }, "exit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			failing := false
			c, v := onVirtual(&policy.Circuit{OnChange: func(policy.Change) {
				if failing {
					fail()
				}
			}})
			report(t, c, policy.TransientFailure)
			v.Advance(time.Second)
			failing = true
			over := make(chan bool)
			go func() {
				defer close(over)
				defer func() { _ = recover() }()
				_, _ = c.Acquire()
				t.Error("Acquire returned")
			}()
			<-over
			failing = false
			require.Zero(t, c.Snapshot().InFlight)
			report(t, c, policy.Success)
			require.Equal(t, policy.Closed, c.State())
		})
	}
}

// A value that a panic of OnChange or of an observer takes the place of is discarded, if a Meaning says how.
func TestValueThatAHookLosesIsDiscarded(t *testing.T) {
	var discarded []int
	meaning := policy.Meaning[int]{Discard: func(n int) { discarded = append(discarded, n) }}
	works := func(context.Context) (int, error) { return 7, nil }

	failing := false
	c, v := onVirtual(&policy.Circuit{OnChange: func(policy.Change) {
		if failing {
			panic("boom")
		}
	}})
	report(t, c, policy.TransientFailure)
	v.Advance(time.Second)
	p := pipeline.Wrap(&policy.Breaker[int]{Circuit: c}).Means(meaning)
	require.PanicsWithValue(t, "boom", func() {
		_, _ = p.Do(t.Context(), func(context.Context) (int, error) { failing = true; return 7, nil }) // it closes the circuit
	})
	require.Equal(t, policy.Closed, c.State())
	require.Equal(t, []int{7}, discarded)

	discarded = nil
	observed := pipeline.Wrap[int]().Means(meaning).Observe(policy.ObserverFunc(func(context.Context, policy.Event) { panic("boom") }))
	require.PanicsWithValue(t, "boom", func() { _, _ = observed.Do(t.Context(), works) })
	require.Equal(t, []int{7}, discarded)

	discarded = nil
	classified := pipeline.Wrap(&policy.Breaker[int]{Circuit: &policy.Circuit{}, Classify: func(int, error) policy.Outcome { panic("boom") }}).Means(meaning)
	require.PanicsWithValue(t, "boom", func() { _, _ = classified.Do(t.Context(), works) })
	require.Equal(t, []int{7}, discarded)

	discarded = nil
	require.PanicsWithValue(t, "boom", func() {
		_, _ = classified.Do(t.Context(), func(context.Context) (int, error) { panic("boom") })
	})
	require.Empty(t, discarded, "there was none")

	calm := pipeline.Wrap(&policy.Breaker[int]{Circuit: &policy.Circuit{}}).Means(meaning)
	for _, err := range []error{nil, errDown, nil} {
		_, got := calm.Do(t.Context(), func(context.Context) (int, error) { return 7, err })
		require.Equal(t, err, got)
	}
	require.Empty(t, discarded, "what is returned is the caller's")
}

// Every policy that holds a value while user code runs discards it when that code panics.
func TestValueThatAnyHookLosesIsDiscarded(t *testing.T) {
	boom := func(int, error) policy.Outcome { panic("boom") }
	observer := policy.ObserverFunc(func(_ context.Context, e policy.Event) {
		if e.Kind != policy.Attempted {
			panic("boom")
		}
	})
	v := clock.NewVirtual()
	for name, p := range map[string]pipeline.Pipeline[int]{
		"shed's classifier":     pipeline.Wrap(&policy.Shed[int]{Throttle: new(policy.Throttle), Classify: boom}),
		"adaptive's classifier": pipeline.Wrap(&policy.Adaptive[int]{Limit: new(policy.Limit), Classify: boom}),
		"a meaning's":           pipeline.Wrap(&policy.Adaptive[int]{Limit: new(policy.Limit)}).Means(policy.Meaning[int]{Classify: boom}),
		"retry's classifier":    pipeline.Wrap(&policy.Retry[int]{Classify: boom}),
		"fallback's observer":   pipeline.Wrap(&policy.Fallback[int]{Func: policy.Static(1)}).Observe(observer),
		"timeout's observer":    pipeline.Wrap(&policy.Timeout[int]{Limit: time.Second, Clock: v}).Observe(observer),
		"detached":              pipeline.Wrap(&policy.Timeout[int]{Limit: time.Second, Detach: true, Clock: v}).Observe(observer),
		"an event's classifier": pipeline.Wrap[int]().Means(policy.Meaning[int]{Classify: boom}).Observe(policy.ObserverFunc(func(context.Context, policy.Event) {})),
		"timeout's hold": pipeline.Wrap(&policy.Timeout[int]{Limit: time.Minute, Clock: v}).Means(policy.Meaning[int]{
			Hold: func(int, func()) int { panic("boom") },
		}),
		"dedupe's hold": pipeline.Wrap(&policy.Dedupe[int]{Key: func(context.Context) string { return "k" }, Clock: v}).Means(policy.Meaning[int]{
			Hold: func(int, func()) int { panic("boom") },
		}),
	} {
		t.Run(name, func(t *testing.T) {
			var discarded []int
			p := p.Means(policy.Meaning[int]{Discard: func(n int) { discarded = append(discarded, n) }})
			v.Go(func() {
				require.Panics(t, func() {
					_, _ = p.Do(t.Context(), func(context.Context) (int, error) {
						_ = v.Sleep(context.Background(), 2*time.Second) // past the timeout's limit, if it is that
						if name == "timeout's observer" || name == "fallback's observer" {
							return 7, errDown
						}
						return 7, nil
					})
				})
			})
			v.Run()
			require.Equal(t, []int{7}, discarded)
		})
	}
}
