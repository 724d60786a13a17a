package policy_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/policy"
)

// The texts by which Explain shows a backoff.
func TestBackoffsSayWhatTheyAre(t *testing.T) {
	const s, m = time.Second, time.Minute
	for want, b := range map[string]policy.Backoff{
		"constant 1s":                       policy.Constant(s),
		"linear 1s up to 1m0s":              policy.Linear(s, m),
		"exponential 1s up to 1m0s":         policy.Exponential(s, m),
		"decorrelated jitter 1s up to 1m0s": policy.Decorrelated(s, m),
		"smooth jitter 1s up to 1m0s":       policy.SmoothJitter(s, m),
		"constant 1s, full jitter":          policy.FullJitter(policy.Constant(s)),
		"constant 1s, equal jitter":         policy.EqualJitter(policy.Constant(s)),
		"constant 1s, jitter ±7%":           policy.Jitter(policy.Constant(s), 0.07), // which is not 7/100 in a float64
		"constant 1s, jitter ±29%":          policy.Jitter(policy.Constant(s), 0.29),
		"policy.BackoffFunc, full jitter":   policy.FullJitter(policy.BackoffFunc(func(policy.Step) time.Duration { return 0 })),
	} {
		require.Equal(t, want, fmt.Sprint(b))
	}
}

// What is wrong with a backoff is said with the value that is wrong, as it was written.
func TestWrongBackoffsAreNamed(t *testing.T) {
	const s = time.Second
	fine := policy.Constant(s)
	var none policy.BackoffFunc
	for want, b := range map[string]policy.Backoff{
		"Constant delay is -1s; want 0s or more":                policy.Constant(-s),
		"Linear base is -1s; want 0 or more":                    policy.Linear(-s, s),
		"Linear maximum is 1s; want at least its base, 2s":      policy.Linear(2*s, s),
		"Exponential base is -1s; want 0 or more":               policy.Exponential(-s, s),
		"Exponential maximum is 1s; want at least its base, 2s": policy.Exponential(2*s, s),
		"Decorrelated base is -1s; want 0 or more":              policy.Decorrelated(-s, s),
		"SmoothJitter base is -1s; want 0 or more":              policy.SmoothJitter(-s, s),
		"Jitter ratio is 1.1; want 0 to 1":                      policy.Jitter(fine, 1.1),
		"Jitter ratio is -0.2; want 0 to 1":                     policy.Jitter(fine, -0.2),
		"Jitter ratio is NaN; want 0 to 1":                      policy.Jitter(fine, math.NaN()),
		"Jitter ratio is +Inf; want 0 to 1":                     policy.Jitter(fine, math.Inf(1)),
		"full jitter has nothing to spread; want a Backoff":     policy.FullJitter(nil),
		"equal jitter has nothing to spread; want a Backoff":    policy.EqualJitter(none),
		"a nil policy.BackoffFunc; want a Backoff":              none,
	} {
		err := (&policy.Retry[int]{Backoff: b}).Validate()
		require.EqualError(t, err, "Retry.Backoff: "+want)
	}
	require.EqualError(t, (&policy.Retry[int]{Backoff: policy.FullJitter(policy.Jitter(policy.Constant(-s), 0.5))}).Validate(),
		"Retry.Backoff: Constant delay is -1s; want 0s or more", "however deep")
	for _, b := range []policy.Backoff{
		policy.Constant(0), policy.Linear(0, 0), policy.Exponential(s, s), policy.Decorrelated(0, s), policy.SmoothJitter(s, s),
		policy.Jitter(fine, 0), policy.Jitter(fine, 1), policy.BackoffFunc(func(policy.Step) time.Duration { return -s }),
	} {
		require.NoError(t, (&policy.Retry[int]{Backoff: b}).Validate(), "%v", b)
	}
}
