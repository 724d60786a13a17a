package proptest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
	"github.com/holdfast-go/holdfast/policy/policytest"
	"github.com/holdfast-go/holdfast/policy/policytest/proptest"
)

// An example has no *testing.T: this one prints what a test would fail with.
type printer struct{ testing.TB }

func (printer) Helper()           {}
func (printer) Name() string      { return "Example" }
func (printer) Fatal(args ...any) { fmt.Println(args...) }

var t printer

// What a pipeline promises, whatever becomes of the dependency and of those who ask.
func ExampleCheck() {
	users := func(env proptest.Env) pipeline.Pipeline[string] {
		return pipeline.Wrap(
			&policy.Timeout[string]{Limit: 2 * time.Second, Clock: env.Clock},
			&policy.Retry[string]{Attempts: 2, Clock: env.Clock, Rand: env.Rand},
			&policy.Breaker[string]{Circuit: &policy.Circuit{Name: "users", Clock: env.Clock}},
		)
	}
	proptest.Check(t, users,
		proptest.Attempts(2),
		proptest.Within(2*time.Second),
		proptest.NoCallWhileOpen(),
		proptest.Recovers(time.Minute),
		proptest.NothingLeft(),
	)
	// Output:
}

// A pipeline that is meant to answer within a second, and does not: its limit is inside the retry. The case is one that
// Check has printed.
func ExampleReplay() {
	users := func(env proptest.Env) pipeline.Pipeline[string] {
		return pipeline.Wrap(
			&policy.Retry[string]{Attempts: 2, Backoff: policy.Constant(100 * time.Millisecond), Clock: env.Clock},
			&policy.Timeout[string]{Limit: time.Second, Clock: env.Clock},
		)
	}
	proptest.Replay(t, proptest.Case{
		Schedule: policytest.MustParse("hang"),
		Requests: []proptest.Request{
			{Patience: time.Hour},
		},
	}, users, proptest.Within(time.Second))
	// Output:
	// proptest.Within(time.Second) does not hold: request 1 took 1.1s; want at most 1s
	//
	// The dependency: hang
	//
	//     0s         request 1   begins
	//     0s         request 1   calls: call 1
	//     1s         request 1   attempted (attempt 1) — context deadline exceeded
	//     1s         request 1   timeout timed out — timeout after 1s
	//     1s         request 1   retry calls again in 100ms — timeout after 1s
	//     1.1s       request 1   calls: call 2
	//     1.1s       request 1   attempted (attempt 2)
	//     1.1s       request 1   got a success
}

// A property of one's own looks at the run.
func ExampleProperty() {
	polite := proptest.Property{Name: "polite", Judge: func(r *proptest.Run) error {
		for i := 1; i < len(r.Calls); i++ {
			if r.Calls[i].Request == r.Calls[i-1].Request && r.Calls[i].Begin == r.Calls[i-1].End {
				return fmt.Errorf("call %d came right after call %d", i+1, i)
			}
		}
		return nil
	}}
	impatient := func(env proptest.Env) pipeline.Pipeline[string] {
		return pipeline.Wrap(&policy.Retry[string]{Backoff: policy.Constant(0), Clock: env.Clock})
	}
	down := proptest.Case{Schedule: policytest.MustParse("3*fail"), Requests: proptest.Every(time.Second, 1)}
	proptest.Replay(t, down, impatient, polite)
	// Output:
	// polite does not hold: call 2 came right after call 1
	//
	// The dependency: 3*fail
	//
	//     0s         request 1   begins
	//     0s         request 1   calls: call 1
	//     0s         request 1   attempted (attempt 1) — call 1 failed, as scheduled
	//     0s         request 1   retry calls again in 0s — call 1 failed, as scheduled
	//     0s         request 1   calls: call 2
	//     0s         request 1   attempted (attempt 2) — call 2 failed, as scheduled
	//     0s         request 1   retry calls again in 0s — call 2 failed, as scheduled
	//     0s         request 1   calls: call 3
	//     0s         request 1   attempted (attempt 3) — call 3 failed, as scheduled
	//     0s         request 1   retry gave up (attempts spent) — call 3 failed, as scheduled
	//     0s         request 1   got the error "call 3 failed, as scheduled"
}
