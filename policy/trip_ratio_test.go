package policy_test

import (
	"context"
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/policy"
)

// byRatio are the trips that go by a ratio, once there are so many calls.
var byRatio = map[string]func(ratio float64, calls int) policy.Trip{
	"a rate": func(ratio float64, calls int) policy.Trip {
		return policy.FailureRate{Ratio: ratio, Window: time.Hour, MinCalls: calls}
	},
	"a count": func(ratio float64, calls int) policy.Trip {
		return policy.FailureCount{Ratio: ratio, Last: calls}
	},
}

// opens reports whether a circuit opens at the last of the calls, of which so many fail, the last ones.
func opens(t *testing.T, trip policy.Trip, calls, failures int) bool {
	t.Helper()
	c, _ := onVirtual(&policy.Circuit{Trip: trip})
	for range calls - failures {
		report(t, c, policy.Success)
	}
	for range failures {
		require.Equal(t, policy.Closed, c.State(), "opened too early")
		report(t, c, policy.TransientFailure)
	}
	return c.State() == policy.Open
}

// Scenario 17: ratios compare exactly, as the decimals they were written as, though no float64 is 0.57.
func TestEveryWholePercentageIsExact(t *testing.T) {
	for name, trip := range byRatio {
		for percent := 1; percent <= 100; percent++ {
			ratio, err := strconv.ParseFloat(strconv.Itoa(percent)+"e-2", 64)
			require.NoError(t, err)
			require.True(t, opens(t, trip(ratio, 100), 100, percent), "%s, %d%%", name, percent)
			require.False(t, opens(t, trip(ratio, 100), 100, percent-1), "%s, %d%%", name, percent)
		}
	}
}

// Scenario 17: neither is a ratio rounded to per cents, nor the number of failures to whole calls.
func TestARatioIsNotRounded(t *testing.T) {
	for _, c := range []struct {
		ratio           float64
		calls, failures int
		open            bool
	}{
		{0.004, 1000, 3, false},
		{0.004, 1000, 4, true},
		{0.003, 1000, 3, true},
		{0.5, 200, 99, false},
		{0.5, 200, 100, true},
		{0.5, 3, 1, false},
		{0.5, 3, 2, true},
		{0.333, 3, 1, true},
		{0.334, 3, 1, false},
		{1.0 / 3, 3, 1, true},
		{2.0 / 3, 3, 2, true}, // it is 0.6666666666666666
		{0.6666666666666667, 3, 2, false},
		{0.001, 1000, 1, true},
		{0.0011, 1000, 1, false},
		{1e-9, 1000, 1, true},
		{math.SmallestNonzeroFloat64, 1000, 1, true},
		{0.9999999999999999, 1000, 999, false},
		{0.9999999999999999, 1000, 1000, true},
		{1, 1000, 999, false},
	} {
		for name, trip := range byRatio {
			require.Equal(t, c.open, opens(t, trip(c.ratio, c.calls), c.calls, c.failures), "%s: %d of %d at %v", name, c.failures, c.calls, c.ratio)
		}
	}
}

// A success never opens a circuit, though it makes the calls enough: the next failure does.
func TestOpeningIsDecidedWhenAFailureIsCounted(t *testing.T) {
	for name, trip := range byRatio {
		t.Run(name, func(t *testing.T) {
			c, _ := onVirtual(&policy.Circuit{Trip: trip(0.5, 4)})
			report(t, c, policy.TransientFailure)
			report(t, c, policy.TransientFailure)
			report(t, c, policy.TransientFailure)
			report(t, c, policy.Success)
			require.Equal(t, policy.Closed, c.State())
			report(t, c, policy.TransientFailure)
			require.Equal(t, policy.Open, c.State())
		})
	}
}

// What a FailureCount counts are the last calls, and no others.
func TestAFailureCountForgetsWhatIsNotAmongTheLast(t *testing.T) {
	c, _ := onVirtual(&policy.Circuit{Trip: policy.FailureCount{Ratio: 1, Last: 3}})
	for range 5 {
		report(t, c, policy.TransientFailure)
		report(t, c, policy.TransientFailure)
		require.Equal(t, policy.Closed, c.State())
		report(t, c, policy.Success)
	}
	require.Equal(t, policy.Snapshot{State: policy.Closed, Generation: 1, Calls: 3, Failures: 2}, c.Snapshot())
}

// What zero means for each field of a trip and a circuit.
func TestTheDefaultsOfACircuit(t *testing.T) {
	require.True(t, opens(t, policy.FailureRate{Ratio: 0.5, Window: time.Hour}, 20, 10))
	require.False(t, opens(t, policy.FailureRate{Ratio: 0.5, Window: time.Hour}, 19, 19))
	require.True(t, opens(t, policy.FailureCount{Ratio: 0.5, Last: 30}, 30, 15))
	require.False(t, opens(t, policy.FailureCount{Ratio: 0.5, Last: 30}, 29, 29))

	j := &jumpy{now: 1e15}
	c := &policy.Circuit{Clock: j}
	for range 5 {
		require.Equal(t, policy.Closed, c.State())
		report(t, c, policy.TransientFailure)
	}
	require.Equal(t, 30*time.Second, cools(t, c))
	j.now += int64(30 * time.Second)
	probe := begin(t, c)
	requireFull(t, c, 1)
	probe.Done(policy.Success)
	require.Equal(t, policy.Closed, c.State())
}

// Scenarios 19 and 22: a configuration that makes no sense is refused, by name, before any call.
func TestAnInvalidCircuitSaysWhyAndCallsNothing(t *testing.T) {
	var nilTrip *policy.FailureRate
	for want, c := range map[string]*policy.Circuit{
		"Circuit.Trip: FailureCount.MinCalls is 11; want at most Last, 10": {Trip: policy.FailureCount{Ratio: 0.5, Last: 10, MinCalls: 11}},
		"FailureCount.Last is 0; want 1 to 1000000":                        {Trip: policy.FailureCount{Ratio: 0.5}},
		"FailureCount.Last is 1000001; want 1 to 1000000":                  {Trip: policy.FailureCount{Ratio: 0.5, Last: 1_000_001}},
		"FailureCount.Ratio is 0; want more than 0 and at most 1":          {Trip: policy.FailureCount{Last: 10}},
		"FailureRate.Ratio is NaN; want more than 0 and at most 1":         {Trip: policy.FailureRate{Ratio: math.NaN(), Window: 1}},
		"FailureRate.Ratio is +Inf; want more than 0 and at most 1":        {Trip: policy.FailureRate{Ratio: math.Inf(1), Window: 1}},
		"FailureRate.Ratio is -0.5; want more than 0 and at most 1":        {Trip: policy.FailureRate{Ratio: -0.5, Window: 1}},
		"FailureRate.Ratio is 1.01; want more than 0 and at most 1":        {Trip: policy.FailureRate{Ratio: 1.01, Window: 1}},
		"FailureRate.Window is 0s; want more than 0":                       {Trip: policy.FailureRate{Ratio: 1}},
		"FailureRate.Window is -1ns; want more than 0":                     {Trip: policy.FailureRate{Ratio: 1, Window: -1}},
		"FailureRate.MinCalls is -1; want 0 or more":                       {Trip: policy.FailureRate{Ratio: 1, Window: 1, MinCalls: -1}},
		"Circuit.Trip: Consecutive is 0; want 1 or more":                   {Trip: policy.Consecutive(0)},
		"Circuit.Trip: Consecutive is -3; want 1 or more":                  {Trip: policy.Consecutive(-3)},
		"Circuit.Trip is a *policy.FailureRate; want a value":              {Trip: nilTrip},
		"Circuit.Cooldown: Constant delay is -1ns; want 0s or more":        {Cooldown: policy.Constant(-1)},
		"Circuit.Probes is -1; want 0 or more":                             {Probes: -1},
		"Circuit.Successes is -1; want 0 or more":                          {Successes: -1},
		"Circuit.ProbeLease is -1s; want 0 or more":                        {ProbeLease: -time.Second},
		"Circuit.Slow is -1s; want 0 or more":                              {Slow: -time.Second},
		"Circuit.Clock is a nil *policy_test.jumpy":                        {Clock: (*jumpy)(nil)},
	} {
		require.ErrorContains(t, c.Validate(), want)
		require.ErrorContains(t, (&policy.Breaker[int]{Circuit: c}).Validate(), want)
		for name, do := range forms {
			require.ErrorContains(t, do(c, t.Context(), func(context.Context) error { panic("called") }), want, name)
		}
		c.Isolate()
		c.Reset()
		_, err := c.Acquire()
		require.ErrorContains(t, err, want)
		require.Equal(t, policy.Snapshot{Generation: 1}, c.Snapshot())
		require.Equal(t, policy.Closed, c.State())
	}
	require.ErrorContains(t, (&policy.Breaker[int]{}).Validate(), "Breaker.Circuit is nil")
	require.NoError(t, (&policy.Circuit{}).Validate())
}

// Scenario 22: every problem is named at once.
func TestEveryProblemOfACircuitIsNamed(t *testing.T) {
	err := (&policy.Circuit{Probes: -1, Slow: -1, Trip: policy.FailureRate{Ratio: 2}}).Validate()
	for _, what := range []string{"Probes", "Slow", "Ratio", "Window"} {
		require.ErrorContains(t, err, what)
	}
}
