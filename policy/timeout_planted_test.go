package policy_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/policy"
)

// A plainTimeout is a Timeout in its simplest form, with a place for every bug that is planted below.
type plainTimeout struct {
	name  string
	limit time.Duration
	clk   clock.Clock

	blamesItself, blamesNobody, leaks, dropsLate, never, late, noDeadline, bare bool
}

func (p *plainTimeout) Execute(ctx context.Context, next policy.Next[int]) (int, error) {
	limit := p.limit
	if p.late {
		limit++
	}
	if p.never {
		limit = time.Hour
	}
	own := &policy.TimeoutError{Name: p.name, Limit: p.limit}
	limited, cancel := clock.WithTimeout(ctx, p.clk, limit, own)
	if !p.leaks {
		defer cancel()
	}
	given := limited
	if p.noDeadline {
		given = undated{limited}
	}
	v, err := next.Do(given)
	fired := limited.Err() != nil && context.Cause(limited) == error(own)
	switch {
	case p.dropsLate && limited.Err() != nil && err == nil:
		return 0, own
	case err == nil, p.blamesNobody, !fired && (!p.blamesItself || limited.Err() == nil):
		return v, err
	case p.bare:
		return v, errors.Join(policy.ErrTimeout, err)
	}
	labelled := &policy.TimeoutError{Name: p.name, Limit: p.limit, Err: err}
	next.Emit(ctx, policy.Event{Kind: policy.TimedOut, Err: labelled})
	return v, labelled
}

// undated is a context that keeps its deadline to itself.
type undated struct{ context.Context }

func (undated) Deadline() (time.Time, bool) { return time.Time{}, false }

// The properties of Timeout find each of these bugs, and nothing in the same code without them.
func TestPlantedTimeoutBugsAreFound(t *testing.T) {
	bugs := map[string]func(*plainTimeout){
		"takes the parent's end for its own":   func(p *plainTimeout) { p.blamesItself = true },
		"never says that it has fired":         func(p *plainTimeout) { p.blamesNobody = true },
		"leaves its timer":                     func(p *plainTimeout) { p.leaks = true },
		"drops a late success":                 func(p *plainTimeout) { p.dropsLate = true },
		"never fires":                          func(p *plainTimeout) { p.never = true },
		"fires a nanosecond late":              func(p *plainTimeout) { p.late = true },
		"hides its deadline":                   func(p *plainTimeout) { p.noDeadline = true },
		"says it in an error that others miss": func(p *plainTimeout) { p.bare = true },
	}
	judge := func(plant func(*plainTimeout)) func(timeoutCase) findings {
		return judgeTimeout(func(c timeoutCase, r *run) (policies []policy.Policy[int]) {
			for i, limit := range c.limits {
				p := &plainTimeout{name: string(rune('a' + i)), limit: limit, clk: r.clk}
				plant(p)
				policies = append(policies, p)
			}
			return policies
		})
	}
	require.False(t, finds(cases, drawTimeout, judge(func(*plainTimeout) {})), "the plain Timeout itself is sound")
	for name, plant := range bugs {
		require.True(t, finds(cases, drawTimeout, judge(plant)), "a Timeout that %s", name)
	}
}
