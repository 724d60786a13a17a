package policytest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/policy"
	"github.com/holdfast-go/holdfast/policy/policytest/internal/watchdog"
)

// A keeper keeps its mutex locked when the call panics: the commonest mistake of all.
type keeper struct{ mu sync.Mutex }

func (k *keeper) Execute(ctx context.Context, next policy.Next[int]) (int, error) {
	k.mu.Lock()
	v, err := next.Do(ctx)
	k.mu.Unlock()
	return v, err
}

// A policy that hangs fails its rule, which says where it waits.
func TestConformEndsWhatHangs(t *testing.T) {
	defer func(limit time.Duration) { watchdog.Limit = limit }(watchdog.Limit)
	watchdog.Limit = 50 * time.Millisecond
	for _, r := range rules {
		if r.name != "panic" && r.name != "goexit" {
			continue
		}
		err := r.judge(t, func(clock.Clock) policy.Policy[int] { return new(keeper) })
		require.ErrorContains(t, err, "nothing has happened for 50ms: a mutex that stays locked over a panic", r.name)
		require.ErrorContains(t, err, "(*keeper).Execute", r.name)
	}
}
