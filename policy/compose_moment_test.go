package policy_test

import (
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
	"github.com/holdfast-go/holdfast/policy/policytest"
)

// Scenario 51: where a call succeeds at the very instant of its limit it has one outcome, the same for the caller, the
// circuit and the observers, in whichever order the two happen.
func TestSuccessAtTheInstantOfTheLimitHasOneOutcome(t *testing.T) {
	for _, detach := range []bool{false, true} {
		late := 0 // runs in which the limit was first
		for seed := range uint64(50) {
			v := clock.NewVirtual()
			v.Shuffle(seed)
			heard := &policytest.Recorder{Clock: v}
			c := &policy.Circuit{Trip: policy.Consecutive(2), Clock: v}
			discarded := 0 // in this run
			p := pipeline.Wrap(
				&policy.Breaker[int]{Circuit: c},
				&policy.Timeout[int]{Limit: time.Second, Detach: detach, Discard: func(int) { discarded++ }, Clock: v},
			).Observe(heard)
			v.Go(func() {
				got, err := p.Do(t.Context(), func(context.Context) (int, error) {
					return 7, v.Sleep(context.Background(), time.Second)
				})
				failures, told := c.Snapshot().Failures, len(heard.Events(policy.TimedOut))+len(heard.Events(policy.Abandoned))
				if err == nil {
					require.Equal(t, []int{7, 0, 0}, []int{got, failures, told})
					return
				}
				late++
				require.ErrorIs(t, err, policy.ErrTimeout)
				require.Equal(t, 1, failures)
				require.Positive(t, told)
			})
			v.Run()
			require.LessOrEqual(t, discarded, late, "what is returned is not discarded")
		}
		require.Equal(t, detach, late > 0, "a func that is waited for has the last word")
	}
}

// Scenario 55: in a hedge inside a retry inside a timeout the legs of an attempt carry its number, a leg's end is not
// the attempt's, and the whole limit ends them all, at once and for good.
func TestHedgeInRetryInTimeout(t *testing.T) {
	v := clock.NewVirtual()
	start := v.Nanos()
	s := &policytest.Script[int]{Schedule: policytest.MustParse("fail@30ms fail@25ms hang fail@1s hang hang"), Clock: v}
	p := pipeline.Wrap(
		&policy.Timeout[int]{Limit: 1500 * time.Millisecond, Clock: v},
		&policy.Retry[int]{Attempts: 3, Backoff: policy.Constant(100 * time.Millisecond), Clock: v},
		&policy.Hedge[int]{Delay: 20 * time.Millisecond, Clock: v},
	)
	v.Go(func() {
		_, err := p.Do(t.Context(), s.Call)
		require.ErrorIs(t, err, policy.ErrTimeout)
		require.Equal(t, 1500*time.Millisecond, time.Duration(v.Nanos()-start))
	})
	v.Run()
	var attempts []int
	for _, visit := range s.Visits() {
		require.True(t, visit.Ended)
		require.LessOrEqual(t, visit.End, 1500*time.Millisecond)
		attempts = append(attempts, visit.Attempt)
	}
	require.Equal(t, []int{1, 1, 2, 2}, attempts)
	require.Zero(t, v.Pending())
}

// Scenario 59: there is no way to give a call policies of its own, whose state would be as young as the call: what runs a
// call takes a context and a func, and nothing else.
func TestCallsTakeNoOptions(t *testing.T) {
	p := reflect.TypeFor[pipeline.Pipeline[int]]()
	for i := range p.NumMethod() {
		m := p.Method(i).Type
		for in := 1; in < m.NumIn(); in++ {
			switch m.In(in) {
			case reflect.TypeFor[context.Context](), reflect.TypeFor[policy.Func[int]](), reflect.TypeFor[func(context.Context) (int, error)](),
				reflect.TypeFor[string](), reflect.TypeFor[[]policy.Observer](), reflect.TypeFor[policy.Next[int]](), reflect.TypeFor[policy.Observer](), reflect.TypeFor[policy.Meaning[int]]():
			default:
				t.Errorf("Pipeline.%s takes a %v", p.Method(i).Name, m.In(in))
			}
		}
	}
}
