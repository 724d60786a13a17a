package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

// A sliced clock cannot be compared.
type sliced struct {
	clock.Clock
	_ []int
}

// Every field of every policy that can be wrong is named, with its value and what it should be; nothing else is.
func TestCheckNamesEveryWrongField(t *testing.T) {
	var noClock *clock.Virtual
	var noFunc policy.BackoffFunc
	apples := sliced{Clock: clock.System}
	answer := policy.Static(0)
	for _, c := range []struct {
		policy policy.Policy[int]
		want   []string
	}{
		{&policy.Retry[int]{}, nil},
		{&policy.Retry[int]{Attempts: 1, MaxElapsed: 1, MaxHint: 1, Backoff: policy.Constant(0), Clock: clock.System}, nil},
		{&policy.Retry[int]{Attempts: -1}, []string{"Retry.Attempts is -1; want 0 or more"}},
		{&policy.Retry[int]{MaxElapsed: -time.Second}, []string{"Retry.MaxElapsed is -1s; want 0 or more"}},
		{&policy.Retry[int]{MaxHint: -1}, []string{"Retry.MaxHint is -1ns; want 0 or more"}},
		{&policy.Retry[int]{Backoff: policy.Constant(-1)}, []string{"Retry.Backoff: Constant delay is -1ns; want 0s or more"}},
		{&policy.Retry[int]{Backoff: noFunc}, []string{"Retry.Backoff: a nil policy.BackoffFunc; want a Backoff"}},
		{&policy.Retry[int]{Clock: noClock}, []string{"Retry.Clock is a nil *clock.Virtual; want a clock, or nothing for clock.System"}},
		{&policy.Retry[int]{Clock: apples}, []string{"Retry.Clock is a pipeline_test.sliced, which cannot be compared; want a pointer to it"}},
		{
			&policy.Retry[int]{Attempts: -1, MaxElapsed: -1, MaxHint: -1, Backoff: policy.Jitter(policy.Constant(1), math.NaN()), Clock: noClock},
			[]string{
				"Retry.Attempts is -1; want 0 or more", "Retry.Backoff: Jitter ratio is NaN; want 0 to 1",
				"Retry.MaxElapsed is -1ns; want 0 or more", "Retry.MaxHint is -1ns; want 0 or more",
				"Retry.Clock is a nil *clock.Virtual; want a clock, or nothing for clock.System",
			},
		},
		{&policy.Fallback[int]{Func: answer}, nil},
		{&policy.Fallback[int]{}, []string{"Fallback.Func is nil; want a func, such as Static(v)"}},
		{&policy.Timeout[int]{Limit: 1, Clock: clock.System}, nil},
		{&policy.Timeout[int]{}, []string{"Timeout.Limit is 0s; want more than 0"}},
		{&policy.Timeout[int]{Limit: -time.Second, Clock: noClock}, []string{
			"Timeout.Limit is -1s; want more than 0", "Timeout.Clock is a nil *clock.Virtual; want a clock, or nothing for clock.System",
		}},
		{&policy.Timeout[int]{Limit: 1, Clock: apples}, []string{"Timeout.Clock is a pipeline_test.sliced, which cannot be compared; want a pointer to it"}},
		{&policy.Breaker[int]{Circuit: &policy.Circuit{}}, nil},
		{&policy.Breaker[int]{}, []string{"Breaker.Circuit is nil; want a Circuit"}},
		{&policy.Breaker[int]{Circuit: &policy.Circuit{Probes: -1, Slow: -1, Trip: policy.Consecutive(0)}}, []string{
			"Circuit.Trip: Consecutive is 0; want 1 or more", "Circuit.Probes is -1; want 0 or more", "Circuit.Slow is -1ns; want 0 or more",
		}},
		{policy.PolicyFunc[int](through), nil},
		{nil, []string{"policy 2 of 3 is nil; want a policy"}},
		{(*policy.Retry[int])(nil), []string{"policy 2 of 3 is a nil *policy.Retry[int]; want a policy"}},
		{policy.PolicyFunc[int](nil), []string{"policy 2 of 3 is a nil policy.PolicyFunc[int]; want a policy"}},
		{(*pipeline.Pipeline[int])(nil), []string{"policy 2 of 3 is a nil *pipeline.Pipeline[int]; want a policy"}},
		{pipeline.Pipeline[int]{}, nil},
		{&pipeline.Pipeline[int]{}, nil},
	} {
		err := pipeline.Check[int](policy.PolicyFunc[int](through), c.policy, &policy.Timeout[int]{Limit: time.Hour})
		if len(c.want) == 0 {
			require.NoError(t, err)
			require.NotPanics(t, func() { pipeline.Wrap(c.policy) })
			continue
		}
		for i, want := range c.want {
			if c.want[i] = "pipeline: " + want; !strings.HasPrefix(want, "policy 2") {
				c.want[i] += " (policy 2 of 3)"
			}
		}
		require.EqualError(t, err, strings.Join(c.want, "\n"))
		var panicked any
		func() {
			defer func() { panicked = recover() }()
			pipeline.Wrap[int](policy.PolicyFunc[int](through), c.policy, &policy.Timeout[int]{Limit: time.Hour})
		}()
		require.EqualError(t, panicked.(error), err.Error(), "Wrap panics with what Check returns")
	}
}

// What is wrong with several policies is said of all of them.
func TestCheckNamesTheMistakesOfAllPolicies(t *testing.T) {
	err := pipeline.Check[int](&policy.Retry[int]{Attempts: -1}, nil, &policy.Fallback[int]{}, &policy.Timeout[int]{})
	require.EqualError(t, err, "pipeline: Retry.Attempts is -1; want 0 or more (policy 1 of 4)\n"+
		"pipeline: policy 2 of 4 is nil; want a policy\n"+
		"pipeline: Fallback.Func is nil; want a func, such as Static(v) (policy 3 of 4)\n"+
		"pipeline: Timeout.Limit is 0s; want more than 0 (policy 4 of 4)")
	require.NoError(t, pipeline.Check[int]())
}

// A strict policy says what is wrong with it in errors of its own kinds.
type strict struct{ wrong error }

func (s strict) Execute(ctx context.Context, next policy.Next[int]) (int, error) { return next.Do(ctx) }
func (s strict) Validate() error                                                 { return s.wrong }

// hollow is an error that joins none.
type hollow struct{}

func (hollow) Error() string   { return "hollow" }
func (hollow) Unwrap() []error { return nil }

// What another package's policy says of itself is kept word for word; only what errors.Join has joined is told apart.
func TestCheckKeepsWhatAnotherPolicySays(t *testing.T) {
	low, high := errors.New("low"), errors.New("high")
	for want, wrong := range map[string]error{
		"pipeline: low":                                  low,
		"pipeline: low\npipeline: high":                  errors.Join(low, high),
		"pipeline: strict is low":                        fmt.Errorf("strict is %w", low),
		"pipeline: strict is both low and high":          fmt.Errorf("strict is both %w and %w", low, high),
		"pipeline: high\npipeline: low\npipeline: other": errors.Join(high, errors.Join(low, errors.New("other"))),
		"pipeline: hollow":                               hollow{},
	} {
		err := pipeline.Check[int](strict{wrong})
		require.EqualError(t, err, want)
		if wrong != error(hollow{}) {
			require.True(t, errors.Is(err, low) || errors.Is(err, high))
		}
	}
	require.NoError(t, pipeline.Check[int](strict{}))
}

// One pipeline has one clock, that of circuits and of pipelines inside included.
func TestCheckRefusesAMixOfClocks(t *testing.T) {
	v, w := clock.NewVirtual(), clock.NewVirtual()
	on := func(c clock.Clock) policy.Policy[int] { return &policy.Retry[int]{Clock: c} }
	circuit := func(c clock.Clock) policy.Policy[int] {
		return &policy.Breaker[int]{Circuit: &policy.Circuit{Clock: c}}
	}
	fallback := &policy.Fallback[int]{Func: policy.Static(0)}
	for name, c := range map[string]struct {
		policies []policy.Policy[int]
		fine     bool
	}{
		"one":                       {[]policy.Policy[int]{on(v), fallback, on(v), circuit(v), &policy.Timeout[int]{Limit: 1, Clock: v}}, true},
		"the system's, unsaid":      {[]policy.Policy[int]{on(nil), circuit(clock.System), &policy.Timeout[int]{Limit: 1}}, true},
		"no need for any":           {[]policy.Policy[int]{fallback, policy.PolicyFunc[int](through)}, true},
		"two":                       {[]policy.Policy[int]{on(v), on(w)}, false},
		"unsaid, and another":       {[]policy.Policy[int]{on(nil), on(v)}, false},
		"a circuit's":               {[]policy.Policy[int]{on(v), circuit(nil)}, false},
		"a limit's":                 {[]policy.Policy[int]{on(v), fallback, &policy.Timeout[int]{Limit: 1, Clock: w}}, false},
		"in a pipeline inside":      {[]policy.Policy[int]{on(v), pipeline.Wrap(on(w))}, false},
		"in a named one inside":     {[]policy.Policy[int]{on(v), pipeline.Wrap(fallback, on(w)).Named("inner")}, false},
		"the same one inside":       {[]policy.Policy[int]{on(v), pipeline.Wrap(on(v)).Named("inner")}, true},
		"two deep, by a pointer to": {[]policy.Policy[int]{on(v), pointer(pipeline.Wrap[int](pipeline.Wrap(on(w)).Named("a")).Named("b"))}, false},
	} {
		err := pipeline.Check(c.policies...)
		if c.fine {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorContains(t, err, "on one clock", name)
		require.ErrorContains(t, err, "want one clock for all, set in each policy and circuit")
		require.NotContains(t, err.Error(), "\n", "once is enough")
	}
}

func pointer[T any](v T) *T { return &v }

// Scenario 62: a circuit that is in a pipeline twice would count every call twice.
func TestCheckRefusesACircuitTwice(t *testing.T) {
	users, orders := &policy.Circuit{Name: "users"}, &policy.Circuit{Name: "orders"}
	guard := func(c *policy.Circuit) policy.Policy[int] { return &policy.Breaker[int]{Circuit: c} }
	require.NoError(t, pipeline.Check(guard(users), guard(orders)))
	const twice = `pipeline: circuit "users" is in the pipeline twice; want it once, or every call counts twice`
	require.EqualError(t, pipeline.Check(guard(users), guard(orders), guard(users)), twice)
	require.EqualError(t, pipeline.Check[int](guard(users), pipeline.Wrap(guard(orders), guard(users)).Named("inner")), twice)
	require.EqualError(t, pipeline.Check[int](guard(users), &policy.Retry[int]{Clock: clock.NewVirtual()}, guard(users)),
		"pipeline: the breaker is on one clock, clock.system, and the retry on another, *clock.Virtual; want one clock for all, set in each policy and circuit\n"+twice)
}

// A policy whose Describe panics is checked by what it validates; its neighbours are checked as ever.
func TestCheckSurvivesAPolicyThatCannotDescribeItself(t *testing.T) {
	users := &policy.Circuit{Name: "users"}
	guard := func() policy.Policy[int] { return &policy.Breaker[int]{Circuit: users} }
	require.NoError(t, pipeline.Check[int](speechless{}, guard()))
	require.Error(t, pipeline.Check[int](guard(), speechless{}, guard()))
}

type speechless struct{}

func (speechless) Execute(ctx context.Context, next policy.Next[int]) (int, error) {
	return next.Do(ctx)
}
func (speechless) Describe() policy.Description { panic("speechless") }

// A problem says which policy it is of, by its place and its name.
func TestCheckSaysWhichPolicyIsWrong(t *testing.T) {
	users := &policy.Retry[int]{Name: "users", Attempts: -1}
	require.EqualError(t, pipeline.Check[int](users), `pipeline: Retry.Attempts is -1; want 0 or more ("users")`)
	require.EqualError(t, pipeline.Check[int](users, &policy.Retry[int]{Attempts: -2}),
		"pipeline: Retry.Attempts is -1; want 0 or more (policy 1 of 2, \"users\")\n"+
			"pipeline: Retry.Attempts is -2; want 0 or more (policy 2 of 2)")
	bad := &policy.Breaker[int]{Circuit: &policy.Circuit{Name: "users", Trip: policy.FailureRate{Ratio: 2, Window: -1}}}
	require.EqualError(t, pipeline.Check[int](bad),
		"pipeline: Circuit.Trip: FailureRate.Ratio is 2; want more than 0 and at most 1 (\"users\")\n"+
			"pipeline: Circuit.Trip: FailureRate.Window is -1ns; want more than 0 (\"users\")")
}
