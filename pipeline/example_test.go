package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

// said is a policy that says when it is entered and left.
func said(name string) policy.Policy[string] {
	return policy.PolicyFunc[string](func(ctx context.Context, next policy.Next[string]) (string, error) {
		fmt.Println("into", name)
		defer fmt.Println("out of", name)
		return next.Do(ctx)
	})
}

// The first policy is the outermost: the order reads from the outside in.
func ExampleWrap() {
	p := pipeline.Wrap(said("fallback"), said("retry"), said("breaker"))
	v, err := p.Do(context.Background(), func(context.Context) (string, error) {
		fmt.Println("func")
		return "hello", nil
	})
	fmt.Println(v, err)
	// Output:
	// into fallback
	// into retry
	// into breaker
	// func
	// out of breaker
	// out of retry
	// out of fallback
	// hello <nil>
}

// Check says in one error what Wrap would panic with: all that is wrong.
func ExampleCheck() {
	fmt.Println(pipeline.Check[int](
		&policy.Retry[int]{Attempts: -1, Backoff: policy.Exponential(time.Second, time.Millisecond)},
		&policy.Timeout[int]{},
	))
	// Output:
	// pipeline: Retry.Attempts is -1; want 0 or more (policy 1 of 2)
	// pipeline: Retry.Backoff: Exponential maximum is 1ms; want at least its base, 1s (policy 1 of 2)
	// pipeline: Timeout.Limit is 0s; want more than 0 (policy 2 of 2)
}

// A bound func is called in the place of the original.
func ExamplePipeline_Bind() {
	calls := 0
	flaky := func(context.Context) (string, error) {
		if calls++; calls < 3 {
			return "", errors.New("connection reset")
		}
		return "hello", nil
	}
	greet := pipeline.Wrap(&policy.Retry[string]{Backoff: policy.Constant(0)}).Bind(flaky)
	v, err := greet(context.Background())
	fmt.Println(v, err, calls)
	// Output: hello <nil> 3
}

// Decorate is Bind for a func with an argument.
func ExampleDecorate() {
	square := pipeline.Decorate(
		pipeline.Wrap(&policy.Retry[int]{}, &policy.Timeout[int]{Limit: time.Second}),
		func(_ context.Context, n int) (int, error) { return n * n, nil },
	)
	fmt.Println(square(context.Background(), 7))
	// Output: 49 <nil>
}

// Run is for funcs that return just an error.
func ExampleRun() {
	ping := pipeline.Wrap(&policy.Retry[struct{}]{Attempts: 2, Backoff: policy.Constant(0)})
	err := pipeline.Run(context.Background(), ping, func(ctx context.Context) error {
		return fmt.Errorf("attempt %d: no route to host", policy.Attempt(ctx))
	})
	fmt.Println(err)
	// Output: attempt 2: no route to host
}

// The zero Pipeline runs a func as it is, so that a field of this type need not be set.
func ExamplePipeline() {
	var client struct{ Pipeline pipeline.Pipeline[int] }
	fmt.Println(client.Pipeline.Do(context.Background(), func(context.Context) (int, error) { return 7, nil }))
	// Output: 7 <nil>
}

// An observer hears of all that happens, under the pipeline's name.
func ExamplePipeline_Observe() {
	v := clock.NewVirtual()
	p := pipeline.Wrap[string](
		&policy.Fallback[string]{Func: policy.Static("guest")},
		&policy.Retry[string]{Attempts: 2, Backoff: policy.Constant(time.Second), Clock: v},
	).Named("users").Observe(policy.ObserverFunc(func(_ context.Context, e policy.Event) {
		switch e.Kind {
		case policy.Retrying:
			fmt.Println(e.Pipeline, e.Kind, "after", e.Delay)
		case policy.GaveUp:
			fmt.Printf("%s %s: %s\n", e.Pipeline, e.Kind, e.Reason)
		default:
			fmt.Println(e.Pipeline, e.Kind, e.Outcome)
		}
	}))
	fmt.Println(p.Do(context.Background(), func(context.Context) (string, error) { return "", errors.New("down") }))
	// Output:
	// users attempted transient failure
	// users retrying after 1s
	// users attempted transient failure
	// users gave up: attempts spent
	// users fell back transient failure
	// users finished success
	// guest <nil>
}

// A pipeline is a policy. One that is named stays a node of its own in another.
func ExamplePipeline_Named() {
	guarded := pipeline.Wrap[int](
		&policy.Breaker[int]{Circuit: &policy.Circuit{Name: "users"}},
		&policy.Timeout[int]{Limit: time.Second},
	).Named("guarded")
	whole := pipeline.Wrap[int](&policy.Retry[int]{}, guarded)
	for _, node := range whole.Explain().Policies {
		fmt.Println(node.Kind, node.Name, len(node.Policies))
	}
	// Output:
	// retry  0
	// pipeline guarded 2
}

// What a pipeline does, at worst, and what in it is likely a mistake.
func ExamplePipeline_Explain() {
	p := pipeline.Wrap(
		&policy.Fallback[string]{Func: policy.Static("guest")},
		&policy.Timeout[string]{Name: "whole", Limit: 2 * time.Second},
		&policy.Retry[string]{Attempts: 4, Backoff: policy.FullJitter(policy.Exponential(100*time.Millisecond, 2*time.Second))},
		&policy.Breaker[string]{Circuit: &policy.Circuit{
			Name: "users", Trip: policy.FailureRate{Ratio: 0.5, Window: 10 * time.Second}, Cooldown: policy.Jitter(policy.Constant(10*time.Second), 0.2),
		}},
		&policy.Timeout[string]{Limit: 700 * time.Millisecond},
	).Named("users")
	fmt.Println(p.Explain().Offered(0.1))
	// Output:
	// pipeline users
	// └─ fallback: answers failures and rejections (default)
	//    └─ timeout whole: limit 2s
	//       └─ retry: attempts 4, backoff exponential 100ms up to 2s, full jitter, max hint 1m0s (default)
	//          └─ breaker users: opens at 50% of at least 20 calls within 10s, for constant 10s, jitter ±20%,
	//               probes 1 (default), successes 1 (default), probe lease 30s (default)
	//             └─ timeout: limit 700ms
	//                └─ func
	//
	// at worst
	//   calls     4
	//   at once   1
	//   waiting   700ms, up to 2s if the dependency asks for it
	//   duration  2s, plus the time of Fallback.Func
	//             (if the func ends once its context has ended)
	// lint unreachable-attempt: attempt 4 of the retry cannot start when the attempts before it hang for 700ms each: the timeout "whole" ends everything at 2s
	// lint idle-window: the breaker "users" can never open at 0.1 executions a second: its window needs 2 calls a second and gets at most 0.4
}

// A pipeline inside that has a name is drawn as a branch, and what runs on by itself is said.
func ExamplePlan() {
	fmt.Println(full().Explain())
	// Output:
	// pipeline users
	// └─ fallback guest: answers failures by a custom classifier
	//    └─ timeout whole: limit 30s
	//       └─ pipeline inner
	//          └─ retry again: attempts 4, backoff linear 1s up to 2s, jitter ±7%, max elapsed 1m0s,
	//               max hint 1m0s (default), classify custom
	//             └─ breaker users: opens at 5 failures in a row (default), for constant 30s (default),
	//                  probes 1 (default), successes 1 (default), probe lease 30s (default)
	//                └─ timeout: limit 1s, detach yes
	//                   └─ func
	//
	// at worst
	//   calls     4
	//   at once   4
	//   waiting   5.07s, up to 30s if the dependency asks for it
	//   duration  9.07s, up to 30s if the dependency asks for it, plus the time of Fallback.Func
	//             (if the func ends once its context has ended; a detached one may go on for longer)
}

// What is likely a mistake is also found by offering the traffic that is expected.
func ExamplePlan_Offered() {
	p := pipeline.Wrap(&policy.Breaker[int]{Circuit: &policy.Circuit{
		Name: "rare", Trip: policy.FailureRate{Ratio: 0.5, Window: time.Second},
	}})
	for _, lint := range p.Explain().Offered(5).Lints {
		fmt.Println(lint.Rule)
	}
	// Output: idle-window
}
