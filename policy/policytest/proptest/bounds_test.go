package proptest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/policy"
	"github.com/holdfast-go/holdfast/policy/policytest"
)

// Each of the four bounds is checked, to the nanosecond.
func TestKeepsBoundsChecksAllFour(t *testing.T) {
	const s = time.Second
	call := func(begin, end time.Duration) Call {
		return Call{Request: 1, Visit: policytest.Visit{Begin: begin, End: end, Ended: true}}
	}
	r := &Run{
		Answers: []Answer{{Begin: s, End: 10 * s, Calls: 3}},
		Calls:   []Call{call(2*s, 4*s), call(3*s, 5*s), call(7*s, 12*s), {Request: 2, Visit: policytest.Visit{Begin: 2 * s}}},
	}
	bounds := func() policy.Bounds { // what the run needs, exactly
		return policy.Bounds{
			Calls: policy.Most(3), AtOnce: policy.Most(2), HintedWait: policy.Most(3 * s), HintedDuration: policy.Most(9 * s),
		}
	}
	for want, change := range map[string]func(*policy.Bounds){
		"":                                  func(*policy.Bounds) {},
		"made 3 calls":                      func(b *policy.Bounds) { b.Calls = policy.Most(2) },
		"had 2 calls in flight at once":     func(b *policy.Bounds) { b.AtOnce = policy.Most(1) },
		"waited 3s beside its calls":        func(b *policy.Bounds) { b.HintedWait = policy.Most(3*s - 1) },
		"took 9s; Explain says at most 8.9": func(b *policy.Bounds) { b.HintedDuration = policy.Most(9*s - 1) },
	} {
		r.Bounds = bounds()
		change(&r.Bounds)
		err := KeepsBounds().Judge(r)
		if want == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, want)
		}
	}
	r.Calls = []Call{call(s, s), call(s, s)}
	r.Answers[0].Calls = 2
	require.Equal(t, 1, r.peak(1), "one after the other, in no time")
}
