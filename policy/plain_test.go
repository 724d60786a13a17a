package policy_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/policy"
)

// endsContext reports what the policies that make contexts say of values of type T, without and with a Hold.
func endsContext[T any](t *testing.T) bool {
	var held, bare []bool
	for _, p := range []policy.Interpreter[T]{
		&policy.Timeout[T]{Limit: time.Second}, &policy.Hedge[T]{Delay: time.Second}, &policy.Dedupe[T]{},
	} {
		bare = append(bare, p.(policy.Describer).Describe().EndsContext)
		meant := p.Interpret(policy.Meaning[T]{Hold: func(v T, release func()) T { return v }})
		held = append(held, meant.(policy.Describer).Describe().EndsContext)
	}
	require.Equal(t, []bool{false, false, false}, held)
	require.Equal(t, []bool{bare[0], bare[0], bare[0]}, bare)
	return bare[0]
}

// Plain data needs no context once the call has returned; what holds interfaces, funcs or channels may.
func TestDescriptionSaysWhoseContextEndsTooEarly(t *testing.T) {
	type data struct {
		Names map[string][]*data
		At    [2]time.Duration
	}
	require.False(t, endsContext[data](t))
	require.False(t, endsContext[*data](t))
	require.False(t, endsContext[struct{}](t))
	require.True(t, endsContext[any](t))
	require.True(t, endsContext[*http.Response](t))
	require.True(t, endsContext[map[string]chan int](t))
	require.True(t, endsContext[map[[1]any]int](t))
	require.True(t, endsContext[[]struct{ f func() }](t))
}
