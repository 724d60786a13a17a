package policy_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/policy"
)

// A circuit tells of its changes. This one lives in virtual time, as in a test.
func ExampleCircuit() {
	now := clock.NewVirtual()
	users := &policy.Circuit{
		Name:     "users",
		Trip:     policy.FailureRate{Ratio: 0.5, Window: 10 * time.Second, MinCalls: 4},
		Cooldown: policy.Exponential(time.Second, time.Minute),
		OnChange: func(c policy.Change) {
			fmt.Printf("%s: %v → %v %v\n", c.Circuit, c.From, c.To, c.Cause)
		},
		Clock: now,
	}
	down := errors.New("connection refused")
	for _, err := range []error{nil, nil, down, down} {
		_ = users.Do(context.Background(), func(context.Context) error { return err })
	}
	now.Advance(time.Second)
	_ = users.Do(context.Background(), func(context.Context) error { return nil })
	// Output:
	// users: closed → open connection refused
	// users: open → half-open <nil>
	// users: half-open → closed <nil>
}

// The block form: any code, no pipeline.
func ExampleCircuit_Do() {
	mail := &policy.Circuit{Name: "mail", Trip: policy.Consecutive(2), Clock: clock.NewVirtual()}
	for range 3 {
		err := mail.Do(context.Background(), func(context.Context) error {
			return errors.New("no route to host")
		})
		if errors.Is(err, policy.ErrOpen) {
			fmt.Println("try again in", policy.HintOf(err))
			continue
		}
		fmt.Println(err)
	}
	// Output:
	// no route to host
	// no route to host
	// try again in 30s
}

// The two-step form, for code that is no func: a request that ends in a callback, say.
func ExampleCircuit_Acquire() {
	queue := &policy.Circuit{Name: "queue", Trip: policy.Consecutive(1)}
	permit, err := queue.Acquire()
	if err != nil {
		fmt.Println(err)
		return
	}
	delivered := func(ok bool) {
		if ok {
			permit.Done(policy.Success)
		} else {
			permit.Done(policy.TransientFailure)
		}
	}
	delivered(false)
	fmt.Println(queue.State())
	// Output: open
}

// An operator has the last word.
func ExampleCircuit_Bypass() {
	users := &policy.Circuit{Trip: policy.Consecutive(1)}
	fails := func(context.Context) error { return errors.New("down") }
	_ = users.Do(context.Background(), fails)
	fmt.Println(users.State())
	users.Bypass()
	_ = users.Do(context.Background(), fails)
	fmt.Println(users.State(), users.Snapshot().Failures)
	users.Reset()
	fmt.Println(users.State(), users.Snapshot().Failures)
	// Output:
	// open
	// bypassed 1
	// closed 0
}
