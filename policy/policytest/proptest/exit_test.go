package proptest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
	"github.com/holdfast-go/holdfast/policy/policytest"
)

// A call that ends its goroutine ends its own caller, and no other: the others get their answers.
func TestExitEndsItsOwnCallerAlone(t *testing.T) {
	build := func(env Env) pipeline.Pipeline[int] {
		return pipeline.Wrap(&policy.Retry[int]{Attempts: 1, Clock: env.Clock})
	}
	c := Case{Schedule: policytest.MustParse("ok@1s exit@1s ok@1s ok@1s"), Requests: Every(time.Millisecond, 4)}
	r := run(c, build, 0)
	require.NoError(t, r.broken)
	require.NoError(t, r.left)
	for i, a := range r.Answers {
		require.Equal(t, 1, a.Calls)
		if i == 1 {
			require.ErrorIs(t, a.Err, policy.ErrPanicked)
			continue
		}
		require.NoError(t, a.Err, "request %d", i+1)
		require.Equal(t, time.Second, a.End-a.Begin)
	}
}
