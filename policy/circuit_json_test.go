package policy_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/policy"
)

func TestASnapshotEncodesToJSON(t *testing.T) {
	c, v := onVirtual(&policy.Circuit{Name: "users", Trip: policy.Consecutive(2), Slow: time.Hour})
	report(t, c, policy.TransientFailure)
	begin(t, c)
	text, err := json.Marshal(c.Snapshot())
	require.NoError(t, err)
	require.JSONEq(t, `{"name": "users", "state": "closed", "generation": 1, "calls": 1, "failures": 1, "in_flight": 1}`, string(text))

	report(t, c, policy.TransientFailure)
	text, err = json.Marshal(c.Snapshot())
	require.NoError(t, err)
	var open struct {
		State string
		Until time.Time
	}
	require.NoError(t, json.Unmarshal(text, &open))
	require.Equal(t, "open", open.State)
	require.Equal(t, v.Nanos()+int64(time.Second), open.Until.UnixNano())
}

func TestStatesHaveNames(t *testing.T) {
	for state, name := range map[policy.State]string{
		policy.Closed: "closed", policy.Open: "open", policy.HalfOpen: "half-open",
		policy.Isolated: "isolated", policy.Bypassed: "bypassed", 99: "unknown",
	} {
		require.Equal(t, name, state.String())
	}
}
