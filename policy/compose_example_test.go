package policy_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

// flaky fails so many times, then works.
func flaky(failures int) policy.Func[string] {
	return func(context.Context) (string, error) {
		if failures--; failures >= 0 {
			return "", errors.New("connection reset")
		}
		return "hello", nil
	}
}

func ExampleRetry() {
	v := clock.NewVirtual() // so that this takes no time
	start := v.Nanos()
	p := pipeline.Wrap(&policy.Retry[string]{
		Attempts: 4, Backoff: policy.Exponential(100*time.Millisecond, time.Second), Clock: v,
	})
	got, err := p.Do(context.Background(), flaky(3))
	fmt.Println(got, err, "after", time.Duration(v.Nanos()-start))
	// Output: hello <nil> after 700ms
}

// The value of an attempt that is not returned is closed by Discard.
func ExampleRetry_discard() {
	p := pipeline.Wrap(&policy.Retry[string]{
		Backoff:  policy.Constant(0),
		Classify: func(v string, _ error) policy.Outcome { return map[string]policy.Outcome{"200": policy.Success}[v] },
		Discard:  func(v string) { fmt.Println("closed", v) },
	})
	answers := []string{"503", "502", "200"}
	got, _ := p.Do(context.Background(), func(ctx context.Context) (string, error) { return answers[policy.Attempt(ctx)-1], nil })
	fmt.Println("got", got)
	// Output:
	// closed 503
	// closed 502
	// got 200
}

func ExampleFallback() {
	cache := map[string]string{"greeting": "hello from the cache"}
	p := pipeline.Wrap(&policy.Fallback[string]{
		Func: func(_ context.Context, _ string, err error) (string, error) {
			if v, ok := cache["greeting"]; ok {
				return v, nil
			}
			return "", errors.New("not cached") // and the call's error is joined to it
		},
	})
	fmt.Println(p.Do(context.Background(), flaky(1)))
	// Output: hello from the cache <nil>
}

func ExampleStatic() {
	p := pipeline.Wrap(&policy.Fallback[string]{Func: policy.Static("guest")})
	fmt.Println(p.Do(context.Background(), flaky(1)))
	// Output: guest <nil>
}

func ExampleTimeout() {
	v := clock.NewVirtual()
	p := pipeline.Wrap(&policy.Timeout[string]{Name: "users", Limit: 300 * time.Millisecond, Clock: v})
	_, err := p.Do(context.Background(), func(ctx context.Context) (string, error) {
		return "too late", v.Sleep(ctx, time.Minute) // heeds its context
	})
	fmt.Println(err)
	fmt.Println(errors.Is(err, policy.ErrTimeout), errors.Is(err, context.DeadlineExceeded))
	// Output:
	// users: timeout after 300ms
	// true true
}

// A func says itself that calling again will not mend it.
func ExamplePermanent() {
	calls := 0
	p := pipeline.Wrap(&policy.Retry[string]{})
	_, err := p.Do(context.Background(), func(context.Context) (string, error) {
		calls++
		return "", policy.Permanent(errors.New("no such user"))
	})
	fmt.Println(err, "after", calls, "call")
	// Output: no such user after 1 call
}

// A func hands on the dependency's wish to be left alone for a while.
func ExampleRetryAfter() {
	v := clock.NewVirtual()
	start := v.Nanos()
	p := pipeline.Wrap(&policy.Retry[string]{Backoff: policy.Constant(time.Second), Clock: v})
	got, err := p.Do(context.Background(), func(ctx context.Context) (string, error) {
		if policy.Attempt(ctx) == 1 {
			return "", policy.RetryAfter(errors.New("too many requests"), 10*time.Second)
		}
		return "hello", nil
	})
	fmt.Println(got, err, "after", time.Duration(v.Nanos()-start))
	// Output: hello <nil> after 10s
}

// A payment without an idempotency key must not be made twice, whatever the pipeline around it.
func ExampleOnce() {
	pay := pipeline.Wrap(&policy.Retry[string]{Attempts: 5}).Bind(flaky(1))
	_, err := pay(policy.Once(context.Background()))
	fmt.Println(err)
	// Output: connection reset
}

func ExampleAttempt() {
	p := pipeline.Wrap(&policy.Retry[string]{Backoff: policy.Constant(0)})
	_, _ = p.Do(context.Background(), func(ctx context.Context) (string, error) {
		fmt.Println("attempt", policy.Attempt(ctx))
		return "", errors.New("down")
	})
	// Output:
	// attempt 1
	// attempt 2
	// attempt 3
}

func ExampleClassify() {
	fmt.Println(policy.Classify("", nil))
	fmt.Println(policy.Classify("", errors.New("connection reset")))
	fmt.Println(policy.Classify("", policy.Permanent(errors.New("no such user"))))
	fmt.Println(policy.Classify("", context.Canceled))
	// Output:
	// success
	// transient failure
	// permanent failure
	// ignored
}

var errBusy, errBroken = errors.New("busy"), errors.New("broken")

// Where most errors are for good, list those that are not.
func ExampleTransientOnly() {
	classify := policy.TransientOnly[string](errBusy)
	fmt.Println(classify("", errBusy))
	fmt.Println(classify("", errBroken))
	// Output:
	// transient failure
	// permanent failure
}

// Where most errors may pass, list those that will not.
func ExamplePermanentOn() {
	classify := policy.PermanentOn[string](errBroken)
	fmt.Println(classify("", errBusy))
	fmt.Println(classify("", errBroken))
	// Output:
	// transient failure
	// permanent failure
}

// A Policy of one's own is a func.
func ExamplePolicyFunc() {
	logged := policy.PolicyFunc[string](func(ctx context.Context, next policy.Next[string]) (string, error) {
		v, err := next.Do(ctx)
		fmt.Printf("attempt %d: %q, %v\n", policy.Attempt(ctx), v, err)
		return v, err
	})
	p := pipeline.Wrap(&policy.Retry[string]{Backoff: policy.Constant(0)}, policy.Policy[string](logged))
	_, _ = p.Do(context.Background(), flaky(1))
	// Output:
	// attempt 1: "", connection reset
	// attempt 2: "hello", <nil>
}

// Through tests a policy without a pipeline.
func ExampleThrough() {
	next := policy.Through(flaky(2), policy.Policy[string](&policy.Retry[string]{Backoff: policy.Constant(0)}))
	fmt.Println(next.Do(context.Background()))
	// Output: hello <nil>
}

// A policy of one's own tells observers what it does.
func ExampleObserver() {
	refuse := policy.PolicyFunc[string](func(ctx context.Context, next policy.Next[string]) (string, error) {
		err := &policy.Rejection{Policy: "weekend", Reason: errors.New("closed on Sundays")}
		next.Emit(ctx, policy.Event{Kind: policy.Rejected, Policy: "weekend", Outcome: policy.Ignored, Err: err})
		return "", err
	})
	var observer policy.Observer = policy.ObserverFunc(func(_ context.Context, e policy.Event) {
		fmt.Println(e.Kind, e.Policy, e.Err)
	})
	_, _ = pipeline.Wrap[string](refuse).Observe(observer).Do(context.Background(), flaky(0))
	// Output:
	// rejected weekend weekend: closed on Sundays
	// finished  weekend: closed on Sundays
}

func ExampleBackoffFunc() {
	fibonacci := policy.BackoffFunc(func(s policy.Step) time.Duration {
		return max(time.Second, s.Total-s.Previous+time.Second)
	})
	step := policy.Step{}
	for step.Retry = 1; step.Retry <= 4; step.Retry++ {
		d := fibonacci.Delay(step)
		fmt.Println(d)
		step.Previous, step.Total = d, step.Total+d
	}
	// Output:
	// 1s
	// 1s
	// 2s
	// 3s
}

// The backoffs of this package, by their first four delays; jitter is taken at the middle.
func ExampleBackoff() {
	half := func() float64 { return 0.5 }
	show := func(b policy.Backoff) {
		step := policy.Step{Rand: half}
		var said []time.Duration
		for step.Retry = 1; step.Retry <= 4; step.Retry++ {
			said = append(said, b.Delay(step).Round(time.Millisecond))
			step.Previous, step.Total = said[step.Retry-1], step.Total+said[step.Retry-1]
		}
		fmt.Println(b, "→", said)
	}
	show(policy.Constant(time.Second))
	show(policy.Linear(time.Second, 3*time.Second))
	show(policy.Exponential(time.Second, 6*time.Second))
	show(policy.Decorrelated(time.Second, 6*time.Second))
	show(policy.SmoothJitter(time.Second, 6*time.Second))
	show(policy.FullJitter(policy.Exponential(time.Second, 6*time.Second)))
	show(policy.EqualJitter(policy.Exponential(time.Second, 6*time.Second)))
	show(policy.Jitter(policy.Exponential(time.Second, 6*time.Second), 0.2))
	// Output:
	// constant 1s → [1s 1s 1s 1s]
	// linear 1s up to 3s → [1s 2s 3s 3s]
	// exponential 1s up to 6s → [1s 2s 4s 6s]
	// decorrelated jitter 1s up to 6s → [2s 3.5s 5.75s 6s]
	// smooth jitter 1s up to 6s → [897ms 1.093s 2.036s 4.046s]
	// exponential 1s up to 6s, full jitter → [500ms 1s 2s 3s]
	// exponential 1s up to 6s, equal jitter → [750ms 1.5s 3s 4.5s]
	// exponential 1s up to 6s, jitter ±20% → [1s 2s 4s 6s]
}

// What matters less is refused sooner: here background work, which may have half of what the dependency can take.
func ExampleAdaptive() {
	type background struct{}
	limit := &policy.Limit{Initial: 2, Max: 50}
	p := pipeline.Wrap(&policy.Adaptive[string]{Limit: limit, Priority: func(ctx context.Context) int {
		if ctx.Value(background{}) != nil {
			return 5
		}
		return 0
	}})
	hello := func(context.Context) (string, error) { return "hello", nil }

	held, _ := limit.Acquire(0) // a call in flight, in two steps
	_, err := p.Do(context.WithValue(context.Background(), background{}, true), hello)
	fmt.Println(err)
	fmt.Println(p.Do(context.Background(), hello))
	held.Done(policy.Success)
	// Output:
	// adaptive: no place is free
	// hello <nil>
}
