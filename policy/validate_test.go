package policy_test

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/policy"
)

// Everything that has a Clock says so where it is one that cannot work, whatever else is wrong.
func TestEveryClockIsChecked(t *testing.T) {
	for _, v := range []policy.Validator{
		new(policy.Budget), new(policy.Bucket), new(policy.Circuit), new(policy.Gate), new(policy.Limit), new(policy.Throttle),
		new(policy.Chaos[int]), new(policy.Dedupe[int]), new(policy.Hedge[int]), new(policy.Retry[int]), new(policy.Stale[int]),
		new(policy.Timeout[int]),
	} {
		field := reflect.ValueOf(v).Elem().FieldByName("Clock")
		for text, c := range map[string]clock.Clock{
			".Clock is a nil *clock.Virtual":                             (*clock.Virtual)(nil),
			".Clock is a policy_test.slippery, which cannot be compared": slippery{clock.System, nil},
		} {
			field.Set(reflect.ValueOf(c))
			require.ErrorContains(t, v.Validate(), text, "%T", v)
		}
	}
}

// slippery is a clock whose values cannot be compared.
type slippery struct {
	clock.Clock
	_ []int
}
