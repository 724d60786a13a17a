package pipeline_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

// drawPolicy draws a policy, fine or not, and what is wrong with it.
func drawPolicy(t *rapid.T) (p policy.Policy[int], wrong []string) {
	ranged := func(field string) int {
		n := rapid.IntRange(-2, 5).Draw(t, field)
		if n < 0 {
			wrong = append(wrong, field)
		}
		return n
	}
	span := func(field string) time.Duration { return time.Duration(ranged(field)) * time.Second }
	switch rapid.IntRange(0, 4).Draw(t, "policy") {
	case 0:
		r := &policy.Retry[int]{Attempts: ranged("Retry.Attempts")}
		base := time.Duration(rapid.IntRange(-1, 3).Draw(t, "base")) * time.Second
		r.Backoff = policy.Exponential(base, 2*time.Second)
		if base < 0 || base > 2*time.Second {
			wrong = append(wrong, "Retry.Backoff")
		}
		r.MaxElapsed, r.MaxHint = span("Retry.MaxElapsed"), span("Retry.MaxHint")
		return r, wrong
	case 1:
		limit := time.Duration(rapid.IntRange(-1, 9).Draw(t, "limit")) * time.Second
		if limit <= 0 {
			wrong = append(wrong, "Timeout.Limit")
		}
		return &policy.Timeout[int]{Limit: limit, Detach: rapid.Bool().Draw(t, "detach")}, wrong
	case 2:
		c := &policy.Circuit{Probes: ranged("Circuit.Probes"), Successes: ranged("Circuit.Successes")}
		c.ProbeLease, c.Slow = span("Circuit.ProbeLease"), span("Circuit.Slow")
		return &policy.Breaker[int]{Circuit: c}, wrong
	case 3:
		f := &policy.Fallback[int]{Func: policy.Static(0)}
		if rapid.Bool().Draw(t, "no func") {
			f.Func, wrong = nil, append(wrong, "Fallback.Func")
		}
		return f, wrong
	default:
		return policy.PolicyFunc[int](through), nil
	}
}

// Check names what is wrong, all of it, in order, and nothing else.
func TestPropertyCheckNamesWhatIsWrong(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var policies []policy.Policy[int]
		var want []string
		for range rapid.IntRange(0, 5).Draw(t, "policies") {
			p, wrong := drawPolicy(t)
			policies, want = append(policies, p), append(want, wrong...)
		}
		err := pipeline.Check(policies...)
		if len(want) == 0 {
			require.NoError(t, err)
			_ = pipeline.Wrap(policies...).String()
			return
		}
		require.Error(t, err)
		var named []string
		for line := range strings.Lines(err.Error()) {
			field := strings.Fields(strings.TrimPrefix(line, "pipeline: "))[0]
			named = append(named, strings.TrimSuffix(field, ":"))
		}
		require.Equal(t, want, named)
	})
}

// C6 for Explain: however a pipeline is put together, and whatever its parts are called, its worst case and what is
// said to be likely a mistake stay the same.
func TestPropertyPlansDoNotDependOnGrouping(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var policies []policy.Policy[int]
		for range rapid.IntRange(0, 6).Draw(t, "policies") {
			if p, wrong := drawPolicy(t); len(wrong) == 0 {
				policies = append(policies, p)
			}
		}
		flat := pipeline.Wrap(policies...).Explain()
		cut := rapid.IntRange(0, len(policies)).Draw(t, "cut")
		inner := pipeline.Wrap(policies[cut:]...)
		if rapid.Bool().Draw(t, "named") {
			inner = inner.Named("inner")
		}
		grouped := pipeline.Wrap(append(policies[:cut:cut], inner)...).Explain()
		require.Equal(t, flat.Bounds, grouped.Bounds)
		require.Equal(t, flat.Lints, grouped.Lints)
		require.Equal(t, fmt.Sprint(flat.Offered(0.5).Lints), fmt.Sprint(grouped.Offered(0.5).Lints))
	})
}
