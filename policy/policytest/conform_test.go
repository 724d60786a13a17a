package policytest_test

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
	"github.com/holdfast-go/holdfast/policy/policytest"
)

// Every policy of ours keeps the rules that we ask of others'.
func TestEveryPolicyConforms(t *testing.T) {
	policies := map[string]func(clock.Clock) policy.Policy[int]{
		"Retry": func(c clock.Clock) policy.Policy[int] { return &policy.Retry[int]{Clock: c} },
		"Retry with a Budget": func(c clock.Clock) policy.Policy[int] {
			return &policy.Retry[int]{Budget: &policy.Budget{Clock: c}, Clock: c}
		},
		"Breaker": func(c clock.Clock) policy.Policy[int] {
			return &policy.Breaker[int]{Circuit: &policy.Circuit{Clock: c}}
		},
		"Breaker, time window": func(c clock.Clock) policy.Policy[int] {
			trip := policy.FailureRate{Ratio: 0.5, Window: time.Minute, MinCalls: 5}
			return &policy.Breaker[int]{Circuit: &policy.Circuit{Trip: trip, Slow: time.Second, Clock: c}}
		},
		"Fallback": func(clock.Clock) policy.Policy[int] {
			return &policy.Fallback[int]{Func: policy.Static(1)}
		},
		"Fallback that fails": func(clock.Clock) policy.Policy[int] {
			return &policy.Fallback[int]{Func: func(_ context.Context, v int, _ error) (int, error) { return v, errors.New("no") }}
		},
		"Timeout": func(c clock.Clock) policy.Policy[int] { return &policy.Timeout[int]{Limit: time.Second, Clock: c} },
		"Timeout, detached": func(c clock.Clock) policy.Policy[int] {
			return &policy.Timeout[int]{Limit: time.Second, Detach: true, Clock: c}
		},
		"Bulkhead": func(c clock.Clock) policy.Policy[int] {
			return &policy.Bulkhead[int]{Gate: &policy.Gate{Limit: 2, Queue: 3, MaxWait: time.Second, Clock: c}}
		},
		"RateLimit": func(c clock.Clock) policy.Policy[int] {
			return &policy.RateLimit[int]{Bucket: &policy.Bucket{Rate: 10, Per: time.Second, Burst: 5, MaxWait: time.Second, Clock: c}}
		},
		"Hedge": func(c clock.Clock) policy.Policy[int] {
			return &policy.Hedge[int]{Delay: 10 * time.Millisecond, Max: 3, Clock: c}
		},
		"Shed": func(c clock.Clock) policy.Policy[int] {
			return &policy.Shed[int]{Throttle: &policy.Throttle{Clock: c}}
		},
		"Adaptive": func(c clock.Clock) policy.Policy[int] {
			return &policy.Adaptive[int]{Limit: &policy.Limit{Clock: c}}
		},
		"Chaos": func(c clock.Clock) policy.Policy[int] {
			return &policy.Chaos[int]{Switch: new(policy.Switch), Rate: 1, Clock: c}
		},
		"Dedupe": func(clock.Clock) policy.Policy[int] {
			return &policy.Dedupe[int]{Key: func(context.Context) string { return "" }}
		},
		"Dedupe, alone": func(c clock.Clock) policy.Policy[int] {
			var asked atomic.Int64 // so that nobody shares a call: the rules are about a caller's own
			return &policy.Dedupe[int]{Key: func(context.Context) string { return strconv.FormatInt(asked.Add(1), 10) }, Clock: c}
		},
		"Stale": func(c clock.Clock) policy.Policy[int] { return &policy.Stale[int]{MaxAge: time.Minute, Clock: c} },
		"Pipeline": func(c clock.Clock) policy.Policy[int] {
			return pipeline.Wrap(
				&policy.Timeout[int]{Limit: 10 * time.Second, Clock: c},
				&policy.Retry[int]{Clock: c},
				&policy.Breaker[int]{Circuit: &policy.Circuit{Clock: c}},
				&policy.Timeout[int]{Limit: time.Second, Clock: c},
			)
		},
	}
	for name, build := range policies {
		t.Run(name, func(t *testing.T) { policytest.Conform(t, build) })
	}
}
