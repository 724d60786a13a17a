package policy_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/policy"
)

// Two breakers of different result types share one circuit: what the one learns, the other knows.
func ExampleBreaker() {
	now := clock.NewVirtual()
	api := &policy.Circuit{Name: "api", Trip: policy.Consecutive(1), Cooldown: policy.Constant(time.Minute), Clock: now}
	up := false
	name := policy.Through(func(context.Context) (string, error) {
		if !up {
			return "", errors.New("connection refused")
		}
		return "Ada", nil
	}, &policy.Breaker[string]{Circuit: api})
	age := policy.Through(func(context.Context) (int, error) { return 36, nil }, &policy.Breaker[int]{Circuit: api})

	fmt.Println(name.Do(context.Background()))
	_, err := age.Do(context.Background())
	fmt.Println(errors.Is(err, policy.ErrOpen), policy.HintOf(err))

	up = true
	now.Advance(time.Minute)
	fmt.Println(name.Do(context.Background()))
	fmt.Println(age.Do(context.Background()))
	// Output:
	//  connection refused
	// true 1m0s
	// Ada <nil>
	// 36 <nil>
}

// What an error means is for Classify to say: here a full disk, which another call will not mend, does count as failed.
func ExampleBreaker_classify() {
	errDiskFull := errors.New("disk full")
	disk := &policy.Circuit{Trip: policy.Consecutive(1)}
	write := policy.Through(func(context.Context) (int, error) { return 0, policy.Permanent(errDiskFull) }, &policy.Breaker[int]{
		Circuit: disk,
		Classify: func(_ int, err error) policy.Outcome {
			if errors.Is(err, errDiskFull) {
				return policy.TransientFailure
			}
			return policy.Classify(0, err)
		},
	})
	_, err := write.Do(context.Background())
	fmt.Println(err, disk.State())
	// Output: disk full open
}
