package peers_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/bench/internal/load"
	"github.com/holdfast-go/holdfast/bench/internal/peers"
)

// every runs f for each library and workload that it has.
func every(t *testing.T, f func(t *testing.T, p load.Peer, w load.Workload)) {
	t.Helper()
	for _, w := range load.All() {
		for _, p := range peers.All() {
			if p.Op(w.Name, w.Work()) != nil {
				t.Run(w.Name+"/"+p.Name(), func(t *testing.T) { f(t, p, w) })
			}
		}
	}
}

// counted is work that counts its calls and of which the first some fail.
func counted(w load.Work, fail int64) (load.Work, *atomic.Int64) {
	var calls atomic.Int64
	failing := func() bool { return calls.Add(1) <= fail }
	call, block, fetch := w.Call, w.Block, w.Fetch
	w.Call = func(ctx context.Context) (int, error) {
		if failing() {
			return 0, load.ErrDown
		}
		return call(ctx)
	}
	w.Block = func(ctx context.Context) (load.Block, error) {
		if failing() {
			return load.Block{}, load.ErrDown
		}
		return block(ctx)
	}
	w.Fetch = func(ctx context.Context, key int) (int, error) {
		if failing() {
			return 0, load.ErrDown
		}
		return fetch(ctx, key)
	}
	return w, &calls
}

const always = 1 << 60

func TestEveryOpAnswersAndCallsAsOftenAsItShould(t *testing.T) {
	every(t, func(t *testing.T, p load.Peer, w load.Workload) {
		ctx, cancel := w.Context()
		defer cancel()
		work, calls := counted(w.Work(), 0)
		op := p.Op(w.Name, work)
		for range 3 {
			calls.Store(0)
			v, err := op(ctx)
			require.NoError(t, err)
			require.Equal(t, load.Answer, v)
			require.EqualValues(t, w.Calls, calls.Load())
		}
	})
}

func TestRetriesTryAgain(t *testing.T) {
	every(t, func(t *testing.T, p load.Peer, w load.Workload) {
		if !w.Retries {
			t.Skip()
		}
		work, calls := counted(w.Work(), 2)
		v, err := p.Op(w.Name, work)(t.Context())
		require.NoError(t, err)
		require.Equal(t, load.Answer, v)
		require.EqualValues(t, 3, calls.Load())
	})
}

func TestBreakersOpen(t *testing.T) {
	every(t, func(t *testing.T, p load.Peer, w load.Workload) {
		if !w.Opens {
			t.Skip()
		}
		work, calls := counted(w.Work(), always)
		op := p.Op(w.Name, work)
		const most = 2 * load.Last
		for range most {
			_, _ = op(t.Context())
		}
		require.GreaterOrEqual(t, calls.Load(), int64(load.Threshold))
		require.LessOrEqual(t, calls.Load(), int64(load.Last))
	})
}

func TestFallbacksAnswer(t *testing.T) {
	every(t, func(t *testing.T, p load.Peer, w load.Workload) {
		if !w.Answers {
			t.Skip()
		}
		work, _ := counted(w.Work(), always)
		v, err := p.Op(w.Name, work)(t.Context())
		require.NoError(t, err)
		require.Equal(t, load.Guest, v)
	})
}

func TestTimeoutsReturnWithoutTheAnswer(t *testing.T) {
	every(t, func(t *testing.T, p load.Peer, w load.Workload) {
		if !w.TimesOut {
			t.Skip()
		}
		over := make(chan struct{})
		t.Cleanup(func() { close(over) })
		work := w.Work()
		work.Limit = time.Millisecond
		work.Call = func(ctx context.Context) (int, error) {
			select {
			case <-ctx.Done():
				return 0, ctx.Err()
			case <-over:
				return load.Answer, nil
			}
		}
		v, err := p.Op(w.Name, work)(t.Context())
		require.NotEqual(t, load.Answer, v)
		require.True(t, err != nil || w.Answers)
	})
}
