package policytest_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
	"github.com/holdfast-go/holdfast/policy/policytest"
)

// A dependency that fails twice, slowly, and then works.
func ExampleScript() {
	v := clock.NewVirtual()
	dependency := &policytest.Script[string]{Schedule: policytest.MustParse("2*fail@100ms ok"), Value: func(int) string { return "hello" }, Clock: v}
	p := pipeline.Wrap(&policy.Retry[string]{Backoff: policy.Constant(time.Second), Clock: v})

	got, err := p.Do(context.Background(), dependency.Call)
	fmt.Println(got, err)
	for _, visit := range dependency.Visits() {
		fmt.Println(visit.Begin, visit.End, visit.Err)
	}
	// Output:
	// hello <nil>
	// 0s 100ms call 1 failed, as scheduled
	// 1.1s 1.2s call 2 failed, as scheduled
	// 2.2s 2.2s <nil>
}

// A schedule is data: text, and a Go expression.
func ExampleParse() {
	schedule, err := policytest.Parse("10s ok; 5s 80% fail@200ms; 3s capacity 50")
	fmt.Println(schedule, err)
	fmt.Printf("%#v\n", schedule)

	_, err = policytest.Parse("3*ok 5*fial")
	fmt.Println(err)
	// Output:
	// 10s ok; 5s 80% fail@200ms; 3s capacity 50 <nil>
	// policytest.MustParse("10s ok; 5s 80% fail@200ms; 3s capacity 50")
	// policytest: schedule "3*ok 5*fial": "5*fial": want one of ok, fail, permanent, cancel, panic, exit, hang
}

// What a real dependency did, taken down, so that a test can do it again.
func ExampleRecording() {
	v := clock.NewVirtual()
	recording := &policytest.Recording[string]{Clock: v}
	p := pipeline.Wrap(&policy.Retry[string]{Backoff: policy.Constant(time.Second), Clock: v}, recording)

	_, _ = p.Do(context.Background(), func(ctx context.Context) (string, error) {
		_ = v.Sleep(ctx, 30*time.Millisecond)
		if policy.Attempt(ctx) < 3 {
			return "", errors.New("connection reset")
		}
		return "hello", nil
	})
	fmt.Println(recording.Schedule())
	// Output: 2*fail@30ms ok@30ms
}

func ExampleRecorder() {
	v := clock.NewVirtual()
	heard := &policytest.Recorder{Clock: v}
	p := pipeline.Wrap(&policy.Retry[string]{Attempts: 2, Backoff: policy.Constant(time.Second), Clock: v}).Observe(heard)

	_, _ = p.Do(context.Background(), (&policytest.Script[string]{Schedule: policytest.MustParse("2*fail"), Clock: v}).Call)
	fmt.Print(heard)
	// Output:
	// 0s         attempted (attempt 1) — call 1 failed, as scheduled
	// 0s         retry calls again in 1s — call 1 failed, as scheduled
	// 1s         attempted (attempt 2) — call 2 failed, as scheduled
	// 1s         retry gave up (attempts spent) — call 2 failed, as scheduled
	// 1s         finished after 1s — call 2 failed, as scheduled
}

// A dependency that fails on purpose, for a drill: the same schedules drive Chaos.
func ExampleFaults() {
	v := clock.NewVirtual()
	drill := new(policy.Switch)
	faults := policytest.Faults(policytest.MustParse("ok 2*fail"), errors.New("a drill"), v, nil)
	p := pipeline.Wrap(&policy.Chaos[string]{Switch: drill, Script: faults, Clock: v})
	drill.Set(true)
	for range 4 {
		got, err := p.Do(context.Background(), func(context.Context) (string, error) { return "hello", nil })
		fmt.Println(got, err)
	}
	// Output:
	// hello <nil>
	//  a drill
	//  a drill
	// hello <nil>
}
