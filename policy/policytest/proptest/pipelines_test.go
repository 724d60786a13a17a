package proptest

import (
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

// What our own policies promise holds for pipelines of many kinds, whatever the dependency and the callers do.
func TestPropertyPipelines(t *testing.T) {
	fullJitter := policy.FullJitter(policy.Exponential(100*time.Millisecond, 2*time.Second))
	safe := []Property{Prompt(), KeepsBounds(), NothingLeft()}
	for _, c := range []struct {
		name       string
		build      func(Env) pipeline.Pipeline[int]
		properties []Property
	}{
		{"retry", func(env Env) pipeline.Pipeline[int] {
			return pipeline.Wrap(&policy.Retry[int]{Backoff: fullJitter, Clock: env.Clock, Rand: env.Rand})
		}, []Property{Attempts(3), KeepsResults(), NoCallAfterAnswer()}},
		{"retry under a limit", func(env Env) pipeline.Pipeline[int] {
			return pipeline.Wrap(
				&policy.Timeout[int]{Limit: 2 * time.Second, Clock: env.Clock},
				&policy.Retry[int]{Attempts: 5, Clock: env.Clock, Rand: env.Rand},
				&policy.Timeout[int]{Limit: time.Second, Clock: env.Clock},
			)
		}, []Property{Attempts(5), Within(2 * time.Second), KeepsResults()}},
		{"retry with a budget", func(env Env) pipeline.Pipeline[int] {
			return pipeline.Wrap(&policy.Retry[int]{Attempts: 10, Budget: &policy.Budget{Clock: env.Clock}, Clock: env.Clock, Rand: env.Rand})
		}, []Property{Factor(1.1, 1), KeepsResults(), NoCallAfterAnswer()}},
		{"breaker", func(env Env) pipeline.Pipeline[int] {
			return pipeline.Wrap(
				&policy.Retry[int]{Clock: env.Clock, Rand: env.Rand},
				&policy.Breaker[int]{Circuit: &policy.Circuit{Clock: env.Clock, Rand: env.Rand}},
			)
		}, []Property{Attempts(3), NoCallWhileOpen(), Recovers(5 * time.Minute)}},
		{"breaker over slow calls", func(env Env) pipeline.Pipeline[int] {
			trip := policy.FailureRate{Ratio: 0.5, Window: 10 * time.Second, MinCalls: 3}
			return pipeline.Wrap(
				&policy.Breaker[int]{Circuit: &policy.Circuit{Trip: trip, Slow: 500 * time.Millisecond, Clock: env.Clock, Rand: env.Rand}},
				&policy.Timeout[int]{Limit: time.Second, Clock: env.Clock},
			)
		}, []Property{Attempts(1), Within(time.Second), NoCallWhileOpen(), Recovers(5 * time.Minute)}},
		{"bulkhead", func(env Env) pipeline.Pipeline[int] {
			return pipeline.Wrap(&policy.Bulkhead[int]{Gate: &policy.Gate{Limit: 2, Queue: 3, MaxWait: time.Second, Clock: env.Clock}})
		}, []Property{Attempts(1), KeepsResults(), Recovers(5 * time.Minute)}},
		{"adaptive limit", func(env Env) pipeline.Pipeline[int] {
			return pipeline.Wrap(
				&policy.Adaptive[int]{Limit: &policy.Limit{Initial: 3, Clock: env.Clock}},
				&policy.Timeout[int]{Limit: time.Second, Clock: env.Clock},
			)
		}, []Property{Attempts(1), Within(time.Second), Recovers(time.Minute)}},
		{"rate limit", func(env Env) pipeline.Pipeline[int] {
			return pipeline.Wrap(&policy.RateLimit[int]{Bucket: &policy.Bucket{Rate: 10, Per: time.Second, Burst: 2, MaxWait: time.Second, Clock: env.Clock}})
		}, []Property{Attempts(1), KeepsResults(), Recovers(time.Minute)}},
		{"hedge", func(env Env) pipeline.Pipeline[int] {
			return pipeline.Wrap(&policy.Hedge[int]{Delay: 50 * time.Millisecond, Max: 3, Clock: env.Clock})
		}, []Property{Attempts(3)}},
		{"everything", func(env Env) pipeline.Pipeline[int] {
			budget := &policy.Budget{Clock: env.Clock}
			return pipeline.Wrap(
				&policy.Fallback[int]{Func: policy.Static(1)},
				&policy.Timeout[int]{Limit: 5 * time.Second, Clock: env.Clock},
				&policy.RateLimit[int]{Bucket: &policy.Bucket{Rate: 100, Per: time.Second, Burst: 10, Clock: env.Clock}},
				&policy.Bulkhead[int]{Gate: &policy.Gate{Limit: 3, Queue: 2, Clock: env.Clock}},
				&policy.Retry[int]{Backoff: fullJitter, Budget: budget, Clock: env.Clock, Rand: env.Rand},
				&policy.Breaker[int]{Circuit: &policy.Circuit{Clock: env.Clock, Rand: env.Rand}},
				&policy.Hedge[int]{Delay: 100 * time.Millisecond, Budget: budget, Clock: env.Clock},
				&policy.Timeout[int]{Limit: time.Second, Clock: env.Clock},
			)
		}, []Property{Attempts(6), Factor(1.1, 1), Within(5 * time.Second), Recovers(5 * time.Minute)}},
	} {
		t.Run(c.name, func(t *testing.T) { Check(t, c.build, append(c.properties, safe...)...) })
	}
}
