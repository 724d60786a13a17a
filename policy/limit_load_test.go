package policy_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

// crowd has so many callers make calls through p, one after the other, for a while, and counts those refused. A caller
// that was refused pauses.
func crowd(v *clock.Virtual, callers int, lasts time.Duration, p pipeline.Pipeline[int], call policy.Func[int], pause time.Duration) (calls, refused int) {
	end := clock.After(v.Nanos(), lasts)
	for range callers {
		v.Go(func() {
			for v.Nanos() < end {
				calls++
				if _, err := p.Do(context.Background(), call); errors.Is(err, policy.ErrFull) {
					refused++
					_ = v.Sleep(context.Background(), pause)
				}
			}
		})
	}
	v.Run()
	return calls, refused
}

// Timeouts bring the limit down, however slow they are: a call that began long before the round in which it is dropped
// counts. The slower they are the longer that takes.
func TestLimitSeesSlowTimeouts(t *testing.T) {
	for limit, lasts := range map[time.Duration]time.Duration{
		60 * time.Millisecond: 10 * time.Second, 400 * time.Millisecond: time.Minute, 10 * time.Second: 20 * time.Minute,
	} {
		t.Run(limit.String(), func(t *testing.T) {
			v := clock.NewVirtual()
			l := &policy.Limit{Initial: 60, Max: 80, Clock: v}
			random := rand.New(rand.NewPCG(1, 2))
			p := pipeline.Wrap[int](&policy.Adaptive[int]{Limit: l}, &policy.Timeout[int]{Limit: limit, Clock: v})
			crowd(v, 100, lasts, p, func(ctx context.Context) (int, error) {
				wait := limit / 20
				if random.Float64() < 0.3 {
					wait = time.Hour
				}
				return 0, v.Sleep(ctx, wait)
			}, limit)
			_, now := l.Load()
			require.LessOrEqual(t, now, 10)
		})
	}
}

// One burst of timeouts is one event: calls that began before the limit was lowered do not lower it again.
func TestLimitIsLoweredOnceForABurst(t *testing.T) {
	v := clock.NewVirtual()
	l := &policy.Limit{Algorithm: policy.AIMD{}, Initial: 100, Clock: v}
	var admitted [100]policy.Admission
	for i := range admitted {
		var err error
		admitted[i], err = l.Acquire(0)
		require.NoError(t, err)
	}
	v.Advance(time.Second)
	for i := range admitted {
		admitted[i].Done(policy.TransientFailure)
		v.Advance(time.Millisecond)
	}
	_, now := l.Load()
	require.Equal(t, 90, now)

	again, err := l.Acquire(0)
	require.NoError(t, err)
	v.Advance(time.Second)
	again.Done(policy.TransientFailure)
	_, now = l.Load()
	require.Equal(t, 81, now, "a call that began since does")
}

// Measuring the baseline refuses next to nothing if nothing queues.
func TestLimitRefusesLittleToMeasure(t *testing.T) {
	v := clock.NewVirtual()
	l := &policy.Limit{Initial: 40, Max: 40, Clock: v}
	random := rand.New(rand.NewPCG(1, 2))
	calls, refused := crowd(v, 40, 50*time.Millisecond, pipeline.Wrap(&policy.Adaptive[int]{Limit: l}), func(ctx context.Context) (int, error) {
		return 0, v.Sleep(ctx, time.Duration(20_000+random.IntN(10_000)))
	}, time.Millisecond)
	require.Greater(t, calls, 50_000)
	require.LessOrEqual(t, refused, calls/200)
}

// A clock before 1970 shows negative times: the limit learns all the same.
func TestLimitLearnsBefore1970(t *testing.T) {
	for _, offset := range []int64{0, -8_000_000_000_000_000_000} {
		v := clock.NewVirtual()
		l := &policy.Limit{Clock: shifted{v, offset}}
		crowd(v, 100, 10*time.Second, pipeline.Wrap(&policy.Adaptive[int]{Limit: l}), func(ctx context.Context) (int, error) {
			return 0, v.Sleep(ctx, 10*time.Millisecond)
		}, time.Second)
		_, now := l.Load()
		require.Greater(t, now, 60)
	}
}

// shifted is a clock whose time is another one's, shifted.
type shifted struct {
	*clock.Virtual
	by int64
}

func (s shifted) Nanos() int64 { return s.Virtual.Nanos() + s.by }
