package policy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

// What an error means by default: the first rule that applies.
func TestClassifyGoesByTheFirstRuleThatApplies(t *testing.T) {
	refused := &policy.Rejection{Policy: "breaker", Reason: policy.ErrOpen}
	for name, c := range map[string]struct {
		err  error
		want policy.Outcome
	}{
		"none":                          {nil, policy.Success},
		"any":                           {errDown, policy.TransientFailure},
		"marked":                        {policy.Permanent(errDown), policy.PermanentFailure},
		"marked, deep inside":           {fmt.Errorf("a: %w", errors.Join(errDown, policy.Permanent(errDown))), policy.PermanentFailure},
		"marked timeout":                {policy.Permanent(policy.ErrTimeout), policy.PermanentFailure},
		"timeout":                       {&policy.TimeoutError{}, policy.TransientFailure},
		"timeout of a cancelled call":   {&policy.TimeoutError{Err: context.Canceled}, policy.TransientFailure},
		"timeout of a refused call":     {&policy.TimeoutError{Err: refused}, policy.TransientFailure},
		"refusal":                       {refused, policy.Ignored},
		"refusal, wrapped":              {fmt.Errorf("a: %w", refused), policy.Ignored},
		"cancellation":                  {context.Canceled, policy.Ignored},
		"cancellation, wrapped":         {fmt.Errorf("a: %w", context.Canceled), policy.Ignored},
		"deadline":                      {context.DeadlineExceeded, policy.TransientFailure},
		"wish to be left alone":         {policy.RetryAfter(errDown, time.Second), policy.TransientFailure},
		"permanent wish to be left out": {policy.RetryAfter(policy.Permanent(errDown), time.Second), policy.PermanentFailure},
	} {
		require.Equal(t, c.want, policy.Classify(0, c.err), name)
	}
}

// A policy that goes by the default knows its own context besides: who cancelled, and why.
func TestAnAbsentClassifierKnowsTheContext(t *testing.T) {
	alive := t.Context()
	gone, cancel := context.WithCancelCause(alive)
	cancel(errHungUp)
	late, stop := context.WithTimeout(alive, 0)
	defer stop()
	refused := &policy.Rejection{Reason: policy.ErrOpen}
	for name, c := range map[string]struct {
		ctx  context.Context
		err  error
		want policy.Outcome
	}{
		"cancelled, and not by the caller":            {alive, context.Canceled, policy.TransientFailure},
		"cancelled by the caller":                     {gone, context.Canceled, policy.Ignored},
		"cancelled by the caller, told by the cause":  {gone, fmt.Errorf("a: %w", errHungUp), policy.Ignored},
		"the cause, while the caller waits":           {alive, errHungUp, policy.TransientFailure},
		"cancelled once the deadline had come":        {late, context.Canceled, policy.Ignored},
		"the caller's deadline":                       {late, context.DeadlineExceeded, policy.TransientFailure},
		"another failure once the caller had gone":    {gone, errDown, policy.Ignored},
		"a timeout inside, and the caller gone since": {gone, &policy.TimeoutError{Err: context.Canceled}, policy.Ignored},
		"refused while the caller waits":              {alive, refused, policy.Ignored},
		"refused, for a cancellation":                 {alive, errors.Join(refused, context.Canceled), policy.Ignored},
		"success once the caller had gone":            {gone, nil, policy.Success},
		"permanent once the caller had gone":          {gone, policy.Permanent(context.Canceled), policy.Ignored},
	} {
		require.Equal(t, c.want, policy.Classifier[int](nil).Apply(c.ctx, 0, c.err), name)
	}
	always := policy.Classifier[int](func(v int, err error) policy.Outcome { return policy.Outcome(v) })
	for _, o := range []policy.Outcome{policy.TransientFailure, policy.PermanentFailure, policy.Ignored, policy.Success} {
		require.Equal(t, o, always.Apply(alive, int(o), errDown), "a classifier decides while the caller waits")
		require.Equal(t, policy.Ignored, always.Apply(gone, int(o), errDown), "no error counts once the caller has gone")
	}
	require.Equal(t, policy.Success, always.Apply(gone, int(policy.Success), nil))
	require.Equal(t, policy.Ignored, always.Apply(gone, int(policy.TransientFailure), nil), "a failed value does not count either")
	require.Equal(t, policy.Ignored, always.Apply(alive, 100, errDown), "an unknown outcome")
}

// The two classifiers that go by a list of errors.
func TestClassifiersByListsOfErrors(t *testing.T) {
	busy, broken := errors.New("busy"), errors.New("broken")
	only, never := policy.TransientOnly[int](busy, context.DeadlineExceeded), policy.PermanentOn[int](broken, context.Canceled)
	for name, c := range map[string]struct {
		err         error
		only, never policy.Outcome
	}{
		"none":               {nil, policy.Success, policy.Success},
		"busy":               {fmt.Errorf("a: %w", busy), policy.TransientFailure, policy.TransientFailure},
		"busy, for good":     {policy.Permanent(busy), policy.PermanentFailure, policy.PermanentFailure},
		"broken":             {fmt.Errorf("a: %w", broken), policy.PermanentFailure, policy.PermanentFailure},
		"broken, marked":     {policy.Permanent(broken), policy.PermanentFailure, policy.PermanentFailure},
		"another":            {errDown, policy.PermanentFailure, policy.TransientFailure},
		"deadline":           {context.DeadlineExceeded, policy.TransientFailure, policy.TransientFailure},
		"timeout, as listed": {&policy.TimeoutError{}, policy.TransientFailure, policy.TransientFailure},
		"refusal":            {&policy.Rejection{Reason: policy.ErrOpen}, policy.Ignored, policy.Ignored},
		"cancellation":       {context.Canceled, policy.Ignored, policy.PermanentFailure},
	} {
		require.Equal(t, c.only, only(0, c.err), name)
		require.Equal(t, c.never, never(0, c.err), name)
	}
	listed := policy.TransientOnly[int](policy.ErrOpen)
	require.Equal(t, policy.TransientFailure, listed(0, &policy.Rejection{Reason: policy.ErrOpen}), "what is listed is transient, a refusal too")
	require.Equal(t, policy.PermanentFailure, policy.TransientOnly[int]()(0, errDown))
	require.Equal(t, policy.TransientFailure, policy.PermanentOn[int]()(0, errDown))
	require.Equal(t, policy.Success, policy.PermanentOn[int](nil)(0, nil), "no error is a success, whatever is listed")
}

// Marks change what an error means and nothing else about it.
func TestMarksLeaveTheErrorAsItWas(t *testing.T) {
	for _, marked := range []error{policy.Permanent(errDown), policy.RetryAfter(errDown, time.Second)} {
		require.Equal(t, "down", marked.Error())
		require.ErrorIs(t, marked, errDown)
		require.ErrorIs(t, fmt.Errorf("a: %w", marked), errDown)
		found, ok := errors.AsType[*failure](policy.Permanent(policy.RetryAfter(&failure{7}, 1)))
		require.True(t, ok)
		require.Equal(t, 7, found.call)
	}
	require.NoError(t, policy.Permanent(nil))
	require.NoError(t, policy.RetryAfter(nil, time.Second))
	require.Equal(t, time.Second, policy.HintOf(fmt.Errorf("a: %w", policy.RetryAfter(errDown, time.Second))))
	require.Equal(t, time.Minute, policy.HintOf(policy.RetryAfter(policy.RetryAfter(errDown, time.Second), time.Minute)), "the outermost")
	require.Zero(t, policy.HintOf(errDown))
	require.Zero(t, policy.HintOf(nil))
}

// A hollowError is an error that most code takes for a failure, though it holds nothing.
type hollowError struct{}

func (*hollowError) Error() string { return "typed nil" }

// Scenarios 38 and 63: a nil pointer in an error is an error, this package's own types included, and nothing panics.
func TestTypedNilErrorsAreErrors(t *testing.T) {
	for want, err := range map[string]error{
		"typed nil":          (*hollowError)(nil),
		"a rejection":        (*policy.Rejection)(nil),
		"a timeout":          (*policy.TimeoutError)(nil),
		"a panic":            (*policy.Panic)(nil),
		"an empty rejection": &policy.Rejection{},
	} {
		t.Run(want, func(t *testing.T) {
			calls := 0
			p := pipeline.Wrap(
				&policy.Retry[int]{Attempts: 2, Backoff: policy.Constant(0)},
				&policy.Breaker[int]{Circuit: &policy.Circuit{}},
				&policy.Timeout[int]{Limit: time.Hour},
			)
			_, got := p.Do(t.Context(), failing(&calls, err))
			require.True(t, got == err)
			require.Equal(t, map[bool]int{false: 2, true: 1}[strings.HasSuffix(want, "rejection")], calls)
			require.NotEmpty(t, errors.Join(errDown, got).Error())
			require.Zero(t, policy.HintOf(err))
			answered := pipeline.Wrap(&policy.Fallback[int]{Func: policy.Static(7)})
			v, got := answered.Do(t.Context(), failing(&calls, err))
			require.NoError(t, got)
			require.Equal(t, 7, v)
		})
	}
}

// Scenario 63: the zero value of T, whatever T is, is a value like any other.
func TestZeroValuesAreValues(t *testing.T) {
	layers := func() []policy.Policy[fmt.Stringer] {
		return []policy.Policy[fmt.Stringer]{
			&policy.Fallback[fmt.Stringer]{Func: policy.Static[fmt.Stringer](nil)}, &policy.Retry[fmt.Stringer]{Backoff: policy.Constant(0)},
			&policy.Breaker[fmt.Stringer]{Circuit: &policy.Circuit{}}, &policy.Timeout[fmt.Stringer]{Limit: time.Hour},
		}
	}
	var typed *time.Time
	for _, want := range []fmt.Stringer{nil, typed, time.Second} {
		got, err := pipeline.Wrap(layers()...).Do(t.Context(), func(context.Context) (fmt.Stringer, error) { return want, nil })
		require.NoError(t, err)
		require.Equal(t, want, got)
		got, err = pipeline.Wrap(layers()...).Do(t.Context(), func(context.Context) (fmt.Stringer, error) { return want, errDown })
		require.NoError(t, err)
		require.Nil(t, got, "the fallback's nil")
	}
}

// Every enum prints in lower case, encodes as it prints, and says so where a value is none.
func TestEnumsHaveNames(t *testing.T) {
	for want, e := range map[string]fmt.Stringer{
		"transient failure": policy.TransientFailure, "permanent failure": policy.PermanentFailure,
		"ignored": policy.Ignored, "success": policy.Success,
		"attempted": policy.Attempted, "retrying": policy.Retrying, "gave up": policy.GaveUp, "rejected": policy.Rejected,
		"fell back": policy.FellBack, "timed out": policy.TimedOut, "abandoned": policy.Abandoned, "finished": policy.Finished,
		"attempts spent": policy.AttemptsSpent, "elapsed spent": policy.ElapsedSpent, "deadline near": policy.DeadlineNear,
		"hint too long": policy.HintTooLong, "not repeatable": policy.NotRepeatable, "budget spent": policy.BudgetSpent, "context ended": policy.ContextEnded,
		"attempt refused": policy.AttemptRefused, "panicked": policy.Panicked,
		"": policy.NoReason,
	} {
		require.Equal(t, want, e.String())
		encoded, err := json.Marshal(e)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("%q", want), string(encoded))
	}
	for _, e := range []fmt.Stringer{policy.Success + 1, policy.Panicked + 1, policy.AttemptRefused + 1, policy.Outcome(255)} {
		require.Equal(t, "unknown", e.String())
	}
}
