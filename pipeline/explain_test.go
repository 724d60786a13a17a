package pipeline_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

// The worst cases of compositions that can be worked out by hand.
func TestBoundsOfKnownCompositions(t *testing.T) {
	const s = time.Second
	type d = time.Duration
	detach := func(l d) policy.Policy[int] { return &policy.Timeout[int]{Limit: l, Detach: true} }
	every := policy.Constant(s)
	hinted := func(n int, most d) *policy.Retry[int] {
		return &policy.Retry[int]{Attempts: n, Backoff: every, MaxHint: most}
	}
	within := func(most d) *policy.Retry[int] {
		return &policy.Retry[int]{Attempts: 5, Backoff: every, MaxHint: s, MaxElapsed: most}
	}
	const endless = "unbounded: no Timeout limits the func"
	for _, c := range []struct {
		name                             string
		policies                         []policy.Policy[int]
		calls, atOnce                    int
		wait, duration, hWait, hDuration d // a negative duration is unbounded
		besides                          string
		detaches                         bool
	}{
		{"the func alone", nil, 1, 1, 0, -1, 0, -1, "", false},
		{"limit", []policy.Policy[int]{limit(s)}, 1, 1, 0, s, 0, s, "", false},
		{"the shorter limit, outside", []policy.Policy[int]{limit(s), limit(2 * s)}, 1, 1, 0, s, 0, s, "", false},
		{"the shorter limit, inside", []policy.Policy[int]{limit(2 * s), limit(s)}, 1, 1, 0, s, 0, s, "", false},
		{"retry", []policy.Policy[int]{hinted(3, s)}, 3, 1, 2 * s, -1, 2 * s, -1, "", false},
		{"retry that grants hints", []policy.Policy[int]{hinted(3, 5*s)}, 3, 1, 2 * s, -1, 10 * s, -1, "", false},
		{"retry of limited calls", []policy.Policy[int]{hinted(3, 5*s), limit(2 * s)}, 3, 1, 2 * s, 8 * s, 10 * s, 16 * s, "", false},
		{"limited retry of limited calls", []policy.Policy[int]{limit(9 * s), hinted(3, 5*s), limit(2 * s)}, 3, 1, 2 * s, 8 * s, 9 * s, 9 * s, "", false},
		{"retry within a time", []policy.Policy[int]{within(2 * s), limit(3 * s)}, 5, 1, 2 * s, 5 * s, 2 * s, 5 * s, "", false},
		{"retry within a time it never reaches", []policy.Policy[int]{within(20 * s), limit(3 * s)}, 5, 1, 4 * s, 19 * s, 4 * s, 19 * s, "", false},
		{"retries nested", []policy.Policy[int]{hinted(2, s), hinted(3, s), limit(s)}, 6, 1, 5 * s, 11 * s, 5 * s, 11 * s, "", false},
		{"breaker", []policy.Policy[int]{guard(), limit(s)}, 1, 1, 0, s, 0, s, "", false},
		{"fallback", []policy.Policy[int]{answer(), limit(s)}, 1, 1, 0, s, 0, s, "Fallback.Func", false},
		{"limited fallback", []policy.Policy[int]{limit(3 * s), answer(), limit(s)}, 1, 1, 0, 3 * s, 0, 3 * s, "", false},
		{"fallback of an endless func", []policy.Policy[int]{answer()}, 1, 1, 0, -1, 0, -1, "Fallback.Func", false},
		{"detached", []policy.Policy[int]{detach(s)}, 1, 1, 0, s, 0, s, "", true},
		{"retry of detached calls", []policy.Policy[int]{hinted(3, s), detach(s)}, 3, 3, 2 * s, 5 * s, 2 * s, 5 * s, "", true},
		{"one attempt of a detached call", []policy.Policy[int]{hinted(1, s), detach(s)}, 1, 1, 0, s, 0, s, "", true},
		{"limited detached call", []policy.Policy[int]{limit(9 * s), detach(s)}, 1, 1, 0, s, 0, s, "", true},
		{"retry that waits by the default", []policy.Policy[int]{retry(3, nil), limit(s)}, 3, 1, 283724955, 3*s + 283724955, 2 * time.Minute, 2*time.Minute + 3*s, "", false},
		{"detached retries", []policy.Policy[int]{detach(9 * s), hinted(3, s), limit(s)}, 3, 1, 2 * s, 5 * s, 2 * s, 5 * s, "", true},
		{"a pipeline inside", []policy.Policy[int]{hinted(2, s), pipeline.Wrap[int](hinted(3, s), limit(s)).Named("in")}, 6, 1, 5 * s, 11 * s, 5 * s, 11 * s, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			most := func(d time.Duration) policy.Bound[time.Duration] {
				if d < 0 {
					return policy.Missing[time.Duration](endless)
				}
				return policy.Most(d)
			}
			require.Equal(t, policy.Bounds{
				Calls: policy.Most(c.calls), AtOnce: policy.Most(c.atOnce), Wait: most(c.wait), Duration: most(c.duration),
				HintedWait: most(c.hWait), HintedDuration: most(c.hDuration), Besides: c.besides, Detaches: c.detaches,
			}, pipeline.Wrap(c.policies...).Explain().Bounds)
		})
	}
}

// A policy that does not say what it costs makes the bounds around it unknown; what is outside it may know some again.
func TestBoundsAroundAPolicyThatDoesNotSay(t *testing.T) {
	own := policy.PolicyFunc[int](through)
	const why = "unknown: policy.PolicyFunc[int] does not say; a policy does by a Describe method, and a func by being a policy.Around"
	b := pipeline.Wrap[int](retry(3, policy.Constant(time.Second)), own, limit(time.Second)).Explain().Bounds
	require.Equal(t, policy.Missing[int](why), b.Calls)
	require.Equal(t, policy.Missing[int](why), b.AtOnce)
	require.Equal(t, policy.Missing[time.Duration](why), b.Wait)
	require.Equal(t, policy.Missing[time.Duration](why), b.Duration)

	b = pipeline.Wrap[int](limit(time.Minute), own).Explain().Bounds
	require.Equal(t, policy.Missing[int](why), b.Calls)
	require.Equal(t, policy.Most(time.Minute), b.Duration)
	require.Equal(t, policy.Most(time.Minute), b.HintedWait)

	b = pipeline.Wrap[int](retry(2, policy.BackoffFunc(func(policy.Step) time.Duration { return 1 })), limit(time.Second)).Explain().Bounds
	require.Equal(t, policy.Most(2), b.Calls)
	require.Equal(t, policy.Missing[time.Duration]("unknown: how long policy.BackoffFunc waits"), b.Wait)
	require.Equal(t, policy.Missing[time.Duration]("unknown: how long policy.BackoffFunc waits"), b.Duration)
}

// A clumsy backoff cannot even say what it is.
type clumsy struct{ _ *int }

func (clumsy) Delay(policy.Step) time.Duration { return 0 }
func (clumsy) String() string                  { panic("clumsy") }

// Where hints are short it is the backoff that bounds the waits, and that of smooth jitter grows from its base.
func TestBoundsWithHintsThatAreShort(t *testing.T) {
	b := pipeline.Wrap[int](&policy.Retry[int]{Attempts: 3, MaxHint: time.Millisecond}).Explain().Bounds
	require.GreaterOrEqual(t, b.HintedWait.Most, b.Wait.Most)
	require.Less(t, b.HintedWait.Most, time.Second)
}

// So many waits are not added up one by one, but the bound still holds for waits that grow for as long.
func TestBoundsOfVeryManyAttempts(t *testing.T) {
	const attempts = 30_000
	b := pipeline.Wrap[int](&policy.Retry[int]{Attempts: attempts, Backoff: policy.Linear(1, time.Hour)}).Explain().Bounds
	require.GreaterOrEqual(t, b.Wait.Most, time.Duration((attempts-1)*attempts/2))
	require.Less(t, b.Wait.Most, 2*time.Duration((attempts-1)*attempts/2))
}

// Explain survives whatever panics on the way, and what depends on it is unknown.
func TestExplainSurvivesWhatPanics(t *testing.T) {
	for name, p := range map[string]policy.Policy[int]{
		"a Describe":                  speechless{},
		"a Stringer":                  retry(3, clumsy{}),
		"a Stringer in a jitter":      retry(3, policy.FullJitter(clumsy{})),
		"a Stringer of a nil pointer": retry(3, &clumsy{}),
	} {
		t.Run(name, func(t *testing.T) {
			plan := pipeline.Wrap[int](limit(time.Second), p, guard()).Explain()
			require.False(t, plan.Bounds.Calls.Known())
			require.Contains(t, plan.Bounds.Calls.Missing, "unknown: ")
			require.Equal(t, policy.Most(time.Second), plan.Bounds.Duration)
			require.Len(t, plan.Policies, 3)
			require.Contains(t, plan.String(), "└─ breaker users")
		})
	}
}

func full() pipeline.Pipeline[int] {
	return pipeline.Wrap[int](
		&policy.Fallback[int]{Name: "guest", Func: policy.Static(0), Classify: policy.Classify[int]},
		&policy.Timeout[int]{Name: "whole", Limit: 30 * time.Second},
		pipeline.Wrap[int](
			&policy.Retry[int]{Name: "again", Attempts: 4, MaxElapsed: time.Minute, Classify: policy.Classify[int], Backoff: policy.Jitter(policy.Linear(time.Second, 2*time.Second), 0.07)},
			guard(),
		).Named("inner"),
		&policy.Timeout[int]{Limit: time.Second, Detach: true},
	).Named("users")
}

// The same pipeline is explained in the same words every time.
func TestExplainIsTheSameEveryTime(t *testing.T) {
	text, err := json.Marshal(full().Explain())
	require.NoError(t, err)
	for range 50 {
		require.Equal(t, full().String(), full().Explain().String())
		again, err := json.Marshal(full().Explain())
		require.NoError(t, err)
		require.Equal(t, string(text), string(again))
	}
}

// A Plan encodes as what it says.
func TestAPlanEncodes(t *testing.T) {
	text, err := json.Marshal(pipeline.Wrap(retry(2, policy.Constant(time.Second))).Named("p").Explain())
	require.NoError(t, err)
	var plan struct {
		Name     string
		Policies []struct{ Kind string }
		Bounds   struct {
			Calls    struct{ Most int }
			Duration struct{ Missing string }
		}
		Lints []any
	}
	require.NoError(t, json.Unmarshal(text, &plan))
	require.Equal(t, "p", plan.Name)
	require.Equal(t, "retry", plan.Policies[0].Kind)
	require.Equal(t, 2, plan.Bounds.Calls.Most)
	require.Contains(t, plan.Bounds.Duration.Missing, "unbounded")
	require.NotNil(t, plan.Lints, "none is [] and not null")
}

// Settings that were left out are shown with what that means, those that were given without a word.
func TestExplainTellsDefaultsFromChoices(t *testing.T) {
	line := func(p policy.Policy[int]) string {
		tree, _, _ := strings.Cut(strings.TrimPrefix(pipeline.Wrap(p).String(), "pipeline\n"), "\n   └─ func")
		return strings.ReplaceAll(tree, ",\n    ", ",")
	}
	for want, p := range map[string]policy.Policy[int]{
		"└─ retry: attempts 3 (default), backoff smooth jitter 100ms up to 20s (default), max hint 1m0s (default)": &policy.Retry[int]{},
		"└─ retry: attempts 3, backoff constant 0s, max hint 1m0s":                                                 &policy.Retry[int]{Attempts: 3, Backoff: policy.Constant(0), MaxHint: time.Minute},
		"└─ fallback: answers failures and rejections (default)":                                                   answer(),
		"└─ adaptive: limit 1 to 50, from 20 (default), by gradient, tolerance 1.5 (default)":                      &policy.Adaptive[int]{Limit: &policy.Limit{Max: 50}},
		"└─ timeout slow: limit 1s": &policy.Timeout[int]{Name: "slow", Limit: time.Second},
		"└─ breaker users: opens at 5 failures in a row (default), for constant 30s (default), probes 1 (default), successes 1 (default), probe lease 30s (default)": guard(),
		"└─ policy.PolicyFunc[int]": policy.PolicyFunc[int](through),
	} {
		require.Equal(t, want, line(p))
	}
}

// A Pipeline in an interface prints as its plan; the empty one as the func.
func TestTheEmptyPipelinePrints(t *testing.T) {
	require.Equal(t, "pipeline\n└─ func\n\nat worst\n  calls     1\n  at once   1\n  waiting   0s\n  duration  unbounded: no Timeout limits the func",
		pipeline.Pipeline[int]{}.String())
	_, _ = pipeline.Pipeline[int]{}.Do(context.Background(), work)
}
