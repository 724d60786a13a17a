package policy_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

// A judge is a core that learns from how calls end, inside a policy that forwards to it.
type judge struct {
	policy  func(policy.Classifier[int]) policy.Policy[int]
	counted func() bool // whether it has counted a failure
}

// judges are those of the library, each on v.
func judges(v clock.Clock) map[string]judge {
	circuit := &policy.Circuit{Trip: policy.Consecutive(1), Clock: v}
	throttle := &policy.Throttle{Clock: v}
	limit := &policy.Limit{Algorithm: policy.AIMD{}, Clock: v}
	_, before := limit.Load()
	return map[string]judge{
		"breaker": {
			func(c policy.Classifier[int]) policy.Policy[int] {
				return &policy.Breaker[int]{Circuit: circuit, Classify: c}
			},
			func() bool { return circuit.State() != policy.Closed },
		},
		"shed": {
			func(c policy.Classifier[int]) policy.Policy[int] {
				return &policy.Shed[int]{Throttle: throttle, Classify: c}
			},
			func() bool { return throttle.DropRate() > 0 },
		},
		"adaptive": {
			func(c policy.Classifier[int]) policy.Policy[int] {
				return &policy.Adaptive[int]{Limit: limit, Classify: c}
			},
			func() bool { _, now := limit.Load(); return now < before },
		},
	}
}

// classifiers are those that a judge may be given.
var classifiers = map[string]policy.Classifier[int]{
	"nil":         nil,
	"PermanentOn": policy.PermanentOn[int](errTooLate),
	"one's own": func(_ int, err error) policy.Outcome {
		return map[bool]policy.Outcome{true: policy.Success}[err == nil]
	},
	"one that ignores": func(_ int, err error) policy.Outcome { return policy.Classify(0, err) },
}

// ended are contexts that are over, each for a reason of its own.
func ended(t *testing.T) map[string]context.Context {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	caused, cancelCause := context.WithCancelCause(t.Context())
	cancelCause(errHungUp)
	expired, stop := context.WithTimeout(t.Context(), -time.Second)
	t.Cleanup(stop)
	late, stopLate := context.WithTimeoutCause(t.Context(), -time.Second, errTooLate)
	t.Cleanup(stopLate)
	return map[string]context.Context{"canceled": canceled, "canceled with a cause": caused, "expired": expired, "expired with a cause": late}
}

// Nothing is admitted under a context that has ended: the func is not called, and no judge counts.
func TestJudgesAdmitNothingUnderAnEndedContext(t *testing.T) {
	for why, ctx := range ended(t) {
		for name, j := range judges(clock.NewVirtual()) {
			t.Run(name+", "+why, func(t *testing.T) {
				for range 100 {
					_, err := policy.Through(func(ctx context.Context) (int, error) {
						t.Fatal("called")
						return 0, nil
					}, j.policy(nil)).Do(ctx)
					require.Equal(t, context.Cause(ctx), err)
				}
				require.False(t, j.counted())
			})
		}
	}
	c, _ := onVirtual(new(policy.Circuit))
	for why, ctx := range ended(t) {
		err := c.Do(ctx, func(context.Context) error { t.Fatal("called"); return nil })
		require.Equal(t, context.Cause(ctx), err, why)
	}
	require.Equal(t, policy.Closed, c.State())
}

// Once the caller has canceled, no error counts, whatever its text, whatever the cause, and whatever the classifier.
func TestJudgesCountNothingOfACallerThatCanceled(t *testing.T) {
	for text, fails := range map[string]func(context.Context) error{
		"its error": context.Context.Err,
		"its cause": context.Cause,
		"the driver's own words": func(context.Context) error {
			return errors.New("pq: canceling statement due to user request")
		},
		"a deadline": func(context.Context) error { return context.DeadlineExceeded },
		"a panic":    func(context.Context) error { panic("aborted") },
	} {
		for which, classify := range classifiers {
			for name, j := range judges(clock.NewVirtual()) {
				t.Run(name+", "+text+", "+which, func(t *testing.T) {
					for range 100 {
						ctx, cancel := context.WithCancelCause(t.Context())
						func() {
							defer func() { _ = recover() }()
							_, _ = policy.Through(func(ctx context.Context) (int, error) {
								cancel(errHungUp)
								return 0, fails(ctx)
							}, j.policy(classify)).Do(ctx)
						}()
					}
					require.False(t, j.counted())
				})
			}
		}
	}
}

// A context.Canceled while the caller waits is the dependency's doing, whatever the classifier.
func TestJudgesCountACancellationThatIsNotTheCallers(t *testing.T) {
	for which, classify := range classifiers {
		for name, j := range judges(clock.NewVirtual()) {
			if name == "adaptive" && classify == nil {
				continue // it goes by timeouts and hints alone
			}
			t.Run(name+", "+which, func(t *testing.T) {
				for range 100 {
					_, err := policy.Through(func(context.Context) (int, error) {
						return 0, fmt.Errorf("upstream: %w", context.Canceled)
					}, j.policy(classify)).Do(t.Context())
					require.Error(t, err)
				}
				require.True(t, j.counted())
			})
		}
	}
}

// A classifier is shown such an error as any other: it matches what it holds, except context.Canceled.
func TestClassifierIsNotMisledByACancellationOfTheDependencys(t *testing.T) {
	known := &policy.TimeoutError{Name: "inner"}
	err := errors.Join(errDown, known, context.Canceled)
	var seen error
	classify := policy.Classifier[int](func(_ int, err error) policy.Outcome { seen = err; return policy.PermanentFailure })
	require.Equal(t, policy.PermanentFailure, classify.Apply(t.Context(), 0, err))
	require.NotErrorIs(t, seen, context.Canceled)
	require.ErrorIs(t, seen, errDown)
	var timeout *policy.TimeoutError
	require.ErrorAs(t, seen, &timeout)
	require.Same(t, known, timeout)
	require.Equal(t, err.Error(), seen.Error())
	require.Equal(t, policy.PermanentFailure, policy.TransientOnly[int](errDown).Apply(t.Context(), 0, context.Canceled), "not what was asked for")
}

// A wait in a policy's own queue that the caller's deadline ends is nobody's failure: the dependency was not asked.
func TestJudgesCountNoWaitInAQueue(t *testing.T) {
	for which, classify := range classifiers {
		for name := range judges(clock.NewVirtual()) {
			for queue, full := range map[string]func(clock.Clock) policy.Policy[int]{
				"bulkhead": func(v clock.Clock) policy.Policy[int] {
					g := &policy.Gate{Limit: 1, Queue: 10, Clock: v}
					_, err := g.Acquire(t.Context())
					require.NoError(t, err)
					return &policy.Bulkhead[int]{Gate: g}
				},
			} {
				for _, inner := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s around %s, %s, by a timeout inside: %v", name, queue, which, inner), func(t *testing.T) {
						v := clock.NewVirtual()
						j := judges(v)[name]
						policies := []policy.Policy[int]{j.policy(classify)}
						if inner {
							policies = append(policies, &policy.Timeout[int]{Limit: time.Second, Clock: v})
						}
						policies = append(policies, full(v))
						for range 100 {
							ctx, cancel := clock.WithTimeout(t.Context(), v, 2*time.Second, nil)
							_, err := policy.Through(func(context.Context) (int, error) { return 0, nil }, policies...).Do(ctx)
							require.ErrorIs(t, err, context.DeadlineExceeded)
							var refused *policy.Rejection
							require.ErrorAs(t, err, &refused)
							cancel()
						}
						require.False(t, j.counted())
					})
				}
			}
		}
	}
}

// A caller's deadline that passes while the dependency works does count.
func TestJudgesCountADeadlineWhileTheDependencyWorks(t *testing.T) {
	v := clock.NewVirtual()
	for name, j := range judges(v) {
		for range 100 {
			ctx, cancel := clock.WithTimeout(t.Context(), v, time.Second, nil)
			_, _ = policy.Through(func(ctx context.Context) (int, error) { return 0, v.Sleep(ctx, time.Minute) }, j.policy(nil)).Do(ctx)
			cancel()
		}
		require.True(t, j.counted(), name)
	}
}

// An observer that panics is not the dependency's failure, nor is an OnChange. A func that does is.
func TestJudgesCountNoPanicOfAHook(t *testing.T) {
	boom := policy.ObserverFunc(func(context.Context, policy.Event) { panic("an observer") })
	works := func(context.Context) (int, error) { return 0, nil }
	for what, c := range map[string]struct {
		inner   func(v clock.Clock) policy.Policy[int]
		fn      policy.Func[int]
		counted bool
	}{
		"the func": {func(clock.Clock) policy.Policy[int] { return pipeline.Wrap[int]() }, func(context.Context) (int, error) { panic("the func") }, true},
		"an observer": {func(clock.Clock) policy.Policy[int] {
			return pipeline.Wrap[int]().Observe(boom)
		}, works, false},
		"an observer of a hedge's leg": {func(v clock.Clock) policy.Policy[int] {
			return pipeline.Wrap(policy.Policy[int](&policy.Hedge[int]{Delay: time.Second, Clock: v}),
				pipeline.Wrap[int]().Observe(boom))
		}, works, false},
		"an observer that ends the goroutine": {func(clock.Clock) policy.Policy[int] {
			return pipeline.Wrap[int]().Observe(policy.ObserverFunc(func(context.Context, policy.Event) { runtime.Goexit() }))
		}, works, false},
		"OnChange": {func(v clock.Clock) policy.Policy[int] {
			return &policy.Breaker[int]{Circuit: &policy.Circuit{Trip: policy.Consecutive(1), Clock: v, OnChange: func(policy.Change) { panic("OnChange") }}}
		}, func(context.Context) (int, error) { return 0, errDown }, false},
		"a func under a hook": {func(clock.Clock) policy.Policy[int] {
			return pipeline.Wrap[int]()
		}, func(context.Context) (int, error) {
			defer func() { panic("the func") }()
			_, _ = pipeline.Wrap[int]().Observe(policy.ObserverFunc(func(context.Context, policy.Event) {})).Do(context.Background(), works)
			return 0, nil
		}, true},
	} {
		v := clock.NewVirtual()
		for name, j := range judges(v) {
			if name == "adaptive" {
				continue // no panic counts there
			}
			t.Run(name+", "+what, func(t *testing.T) {
				for range 20 {
					over := make(chan bool)
					go func() {
						defer close(over)
						defer func() { _ = recover() }()
						_, _ = policy.Through(c.fn, j.policy(nil), c.inner(v)).Do(t.Context())
					}()
					<-over
				}
				require.Equal(t, c.counted, j.counted())
			})
		}
	}
}

// In Circuit.Do the rule is the same.
func TestCircuitDoCountsNoPanicOfAHook(t *testing.T) {
	c, _ := onVirtual(new(policy.Circuit))
	p := pipeline.Wrap[struct{}]().Observe(policy.ObserverFunc(func(context.Context, policy.Event) { panic("an observer") }))
	require.Panics(t, func() {
		_ = c.Do(t.Context(), func(ctx context.Context) error {
			return pipeline.Run(ctx, p, func(context.Context) error { return nil })
		})
	})
	require.Equal(t, policy.Closed, c.State())
	require.Panics(t, func() { _ = c.Do(t.Context(), func(context.Context) error { panic("the func") }) })
	require.Equal(t, policy.Open, c.State())
}

// An Outcome beyond the four is Ignored by every core.
func TestCoresIgnoreAnUnknownOutcome(t *testing.T) {
	const unknown = policy.Outcome(9)
	garbage := func(int, error) policy.Outcome { return unknown }
	v := clock.NewVirtual()
	for name, j := range judges(v) {
		for range 100 {
			_, _ = policy.Through(func(context.Context) (int, error) { return 0, errDown }, j.policy(garbage)).Do(t.Context())
		}
		require.False(t, j.counted(), name)
	}
	throttle, limit := &policy.Throttle{Clock: v}, &policy.Limit{Algorithm: policy.AIMD{}, Clock: v}
	for range 100 {
		require.NoError(t, throttle.Acquire())
		throttle.Done(unknown)
		admission, err := limit.Acquire(0)
		require.NoError(t, err)
		admission.Done(unknown)
	}
	require.Zero(t, throttle.DropRate())
	_, now := limit.Load()
	require.Equal(t, 20, now)

	calls := 0
	_, err := pipeline.Wrap[int](
		&policy.Fallback[int]{Func: policy.Static(7), Classify: garbage},
		&policy.Retry[int]{Classify: garbage},
	).Do(t.Context(), failing(&calls, errDown))
	require.ErrorIs(t, err, errDown)
	require.Equal(t, 1, calls)
}
