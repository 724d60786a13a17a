package measure_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/bench/internal/load"
	"github.com/holdfast-go/holdfast/bench/internal/measure"
)

func background() (context.Context, context.CancelFunc) { return context.Background(), func() {} }

func ofOp(op load.Op, goroutines int) measure.Case {
	return measure.Case{Workload: "w", Peer: "p", Goroutines: goroutines, Op: op, Context: background}
}

func TestAWrongAnswerEndsTheRun(t *testing.T) {
	wrong := ofOp(func(context.Context) (int, error) { return load.Guest, nil }, 1)
	plan := measure.Plan{Rounds: 1, Slice: time.Microsecond}
	_, err := plan.Run(t.Context(), []measure.Case{wrong})
	require.ErrorContains(t, err, "answered 7")

	down := errors.New("down")
	failed := ofOp(func(context.Context) (int, error) { return load.Answer, down }, 4)
	_, _, err = failed.Time(100)
	require.ErrorIs(t, err, down)
}

var sink []byte

func TestAllocationsAreCountedPerCall(t *testing.T) {
	allocs, bytes, err := ofOp(func(context.Context) (int, error) {
		sink = make([]byte, 64)
		return load.Answer, nil
	}, 1).Allocations()
	require.NoError(t, err)
	require.EqualValues(t, 1, allocs)
	require.EqualValues(t, 64, bytes)
}

func TestEveryRoundMeasuresEveryCase(t *testing.T) {
	op := func(context.Context) (int, error) { return load.Answer, nil }
	var steps []int
	plan := measure.Plan{Rounds: 3, Slice: time.Microsecond, Progress: func(step, steps_ int, _ measure.Case) {
		require.Equal(t, 6, steps_)
		steps = append(steps, step)
	}}
	series, err := plan.Run(t.Context(), []measure.Case{ofOp(op, 1), ofOp(op, 8)})
	require.NoError(t, err)
	require.Equal(t, []int{0, 1, 2, 3, 4, 5}, steps)
	for _, s := range series {
		require.Len(t, s.Times, 3)
		require.Positive(t, measure.Median(s.Times))
	}
}

func TestNoRoundBeginsTooLate(t *testing.T) {
	plan := measure.Plan{Rounds: 1000, Most: time.Nanosecond, Slice: time.Microsecond}
	series, err := plan.Run(t.Context(), []measure.Case{ofOp(func(context.Context) (int, error) { return load.Answer, nil }, 1)})
	require.NoError(t, err)
	require.Len(t, series[0].Times, 1)
}

func TestARunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	cancel(enough)
	plan := measure.Plan{Rounds: 1, Slice: time.Microsecond}
	_, err := plan.Run(ctx, []measure.Case{ofOp(func(context.Context) (int, error) { return load.Answer, nil }, 1)})
	require.ErrorIs(t, err, enough)
}
