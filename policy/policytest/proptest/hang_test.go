package proptest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
	"github.com/holdfast-go/holdfast/policy/policytest/internal/watchdog"
)

// A pipeline that hangs is found, and the search ends with the case as it is.
func TestCheckEndsWhatHangs(t *testing.T) {
	defer func(limit time.Duration) { watchdog.Limit = limit }(watchdog.Limit)
	watchdog.Limit = 50 * time.Millisecond
	found, err := search(t.Name(), Cases(), func(Env) pipeline.Pipeline[int] {
		var mu sync.Mutex
		return pipeline.Wrap[int](policy.PolicyFunc[int](func(ctx context.Context, next policy.Next[int]) (int, error) {
			mu.Lock()
			v, err := next.Do(ctx)
			mu.Unlock()
			return v, err
		}))
	}, nil)
	require.NoError(t, err)
	require.NotNil(t, found)
	require.Contains(t, found.report(), "the run hangs: nothing has happened for 50ms")
	require.Contains(t, found.report(), "PolicyFunc[...].Execute")
}
