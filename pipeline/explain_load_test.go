package pipeline_test

import (
	"context"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
	"github.com/holdfast-go/holdfast/policy/policytest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// What every policy says of itself, its fields left alone and all of them set: the settings, and what they cost.
func TestExplainOfEveryPolicy(t *testing.T) {
	const file = "testdata/policies.txt"
	classify := func(int, error) policy.Outcome { return policy.Success }
	key := func(context.Context) string { return "" }
	var text strings.Builder
	for _, p := range []policy.Policy[int]{
		&policy.Retry[int]{},
		&policy.Retry[int]{Name: "r", Attempts: 4, Backoff: policy.Constant(time.Second), MaxElapsed: 2 * time.Second, MaxHint: 3 * time.Second, Budget: &policy.Budget{Ratio: 0.2}, Classify: classify},
		&policy.Retry[int]{Attempts: 2, Backoff: policy.Constant(0), Budget: new(policy.Budget)},
		&policy.Breaker[int]{Circuit: new(policy.Circuit)},
		&policy.Breaker[int]{Name: "b", Circuit: &policy.Circuit{Name: "c", Trip: policy.FailureRate{Ratio: 0.5, Window: time.Second}, Cooldown: policy.Constant(time.Minute), Slow: time.Second, Probes: 2, Successes: 3, ProbeLease: time.Hour}, Classify: classify},
		&policy.Timeout[int]{Limit: time.Second},
		&policy.Timeout[int]{Name: "t", Limit: time.Second, Detach: true},
		&policy.Fallback[int]{Func: policy.Static(1)},
		&policy.Fallback[int]{Name: "f", Func: policy.Static(1), Classify: classify},
		&policy.Bulkhead[int]{Gate: new(policy.Gate)},
		&policy.Bulkhead[int]{Name: "b", Gate: &policy.Gate{Name: "g", Limit: 7, Queue: 3, MaxWait: time.Second}},
		&policy.Bulkhead[int]{Gate: &policy.Gate{Name: "g", Queue: 3}},
		&policy.Adaptive[int]{Limit: new(policy.Limit)},
		&policy.Adaptive[int]{Name: "a", Limit: &policy.Limit{Name: "l", Algorithm: policy.Vegas{Alpha: 4}, Initial: 5, Min: 2, Max: 50}, Priority: func(context.Context) int { return 0 }, Classify: classify},
		&policy.RateLimit[int]{Bucket: new(policy.Bucket)},
		&policy.RateLimit[int]{Name: "r", Bucket: &policy.Bucket{Name: "b", Rate: 5, Per: time.Minute, Burst: 2, MaxWait: time.Second}},
		&policy.Shed[int]{Throttle: new(policy.Throttle)},
		&policy.Shed[int]{Name: "s", Throttle: &policy.Throttle{Name: "t", K: 1.5, Window: time.Second, MaxDrop: 0.5}, Classify: classify},
		&policy.Hedge[int]{Delay: time.Second},
		&policy.Hedge[int]{Name: "h", Delay: time.Second, Quantile: 0.9, Max: 4, Budget: &policy.Budget{Ratio: 0.2}, Classify: classify},
		&policy.Stale[int]{MaxAge: time.Minute},
		&policy.Stale[int]{Name: "s", MaxAge: time.Minute, Key: key, Keys: 5, Classify: classify},
		&policy.Dedupe[int]{Key: key},
		&policy.Dedupe[int]{Name: "d", Key: key},
		&policy.Chaos[int]{Switch: new(policy.Switch), Rate: 0.1, Fault: policy.Fault{Latency: time.Second}},
		&policy.Chaos[int]{Name: "c", Switch: new(policy.Switch), Script: func(int) policy.Fault { return policy.Fault{} }},
	} {
		text.WriteString(pipeline.Wrap(p, &policy.Timeout[int]{Name: "inner", Limit: 100 * time.Millisecond}).String() + "\n\n")
	}
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(text.String()), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), text.String())
}

// A policy without its core says so, at build and, where nobody built it, when it is called; and the func is not called.
func TestPoliciesWithoutTheirCores(t *testing.T) {
	for want, p := range map[string]policy.Policy[int]{
		"Breaker.Circuit is nil":  &policy.Breaker[int]{},
		"Bulkhead.Gate is nil":    &policy.Bulkhead[int]{},
		"Adaptive.Limit is nil":   &policy.Adaptive[int]{},
		"RateLimit.Bucket is nil": &policy.RateLimit[int]{},
		"Shed.Throttle is nil":    &policy.Shed[int]{},
		"Chaos.Switch is nil":     &policy.Chaos[int]{Rate: 1},
		"Dedupe.Key is nil":       &policy.Dedupe[int]{},
	} {
		require.ErrorContains(t, pipeline.Check(p), want)
		_, err := policy.Through(func(context.Context) (int, error) { return 1, nil }, p).Do(t.Context())
		if want != "Chaos.Switch is nil" && want != "Dedupe.Key is nil" { // these can do without, and do nothing
			require.ErrorContains(t, err, want)
		}
	}
}

// Who refuses says so by name: the policy's own, or that of its core.
func TestRefusalsAreToldByName(t *testing.T) {
	full := &policy.Gate{Name: "core", Limit: 1}
	_, _ = full.Acquire(t.Context())
	empty := &policy.Bucket{Name: "core", Rate: 1, Per: time.Hour}
	empty.Allow()
	limit := &policy.Limit{Name: "core", Max: 1}
	_, _ = limit.Acquire(0)
	open := &policy.Circuit{Name: "core"}
	open.Isolate()
	for kind, build := range map[string]func(name string) policy.Policy[int]{
		"breaker":    func(name string) policy.Policy[int] { return &policy.Breaker[int]{Name: name, Circuit: open} },
		"bulkhead":   func(name string) policy.Policy[int] { return &policy.Bulkhead[int]{Name: name, Gate: full} },
		"adaptive":   func(name string) policy.Policy[int] { return &policy.Adaptive[int]{Name: name, Limit: limit} },
		"rate limit": func(name string) policy.Policy[int] { return &policy.RateLimit[int]{Name: name, Bucket: empty} },
	} {
		for name, want := range map[string]string{"": "core", "mine": "mine"} {
			heard := new(policytest.Recorder)
			_, err := pipeline.Wrap(build(name)).Observe(heard).Do(t.Context(), func(context.Context) (int, error) { return 1, nil })
			require.Error(t, err)
			refused := heard.Events(policy.Rejected)
			require.Len(t, refused, 1, kind)
			require.Equal(t, []string{kind, want}, []string{refused[0].Policy, refused[0].Name})
			require.Equal(t, policy.Ignored, refused[0].Outcome)
		}
	}
}
