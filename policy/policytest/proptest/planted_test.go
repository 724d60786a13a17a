//go:build !race

// Under the race detector Check tries too few cases to find every one of these.

package proptest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
	"github.com/holdfast-go/holdfast/policy/policytest"
)

type bug string

// retry is a copy of Retry, in short, with a bug.
func retry(b bug, env Env) policy.Policy[int] {
	const attempts, wait = 3, 100 * time.Millisecond
	return policy.PolicyFunc[int](func(ctx context.Context, next policy.Next[int]) (int, error) {
		for attempt := 1; ; attempt++ {
			v, err := next.Do(ctx)
			permanent := policy.Classify(v, err) == policy.PermanentFailure
			if b == "a permanent failure is tried again" {
				permanent = false
			}
			last := attempts
			if b == "an attempt too many" {
				last++
			}
			if b == "a success is tried again" && attempt == 2 && err == nil {
				_, err = next.Do(ctx)
			}
			if err == nil || permanent || attempt == last || ctx.Err() != nil {
				return v, err
			}
			left, limited := clock.Remaining(ctx, env.Clock)
			if limited && left <= wait && b != "a wait past the deadline" {
				return v, err
			}
			waiting := ctx
			if b == "a wait past the deadline" {
				waiting = context.WithoutCancel(ctx)
			}
			if env.Clock.Sleep(waiting, wait) != nil {
				return v, err
			}
		}
	})
}

// circuit is a copy of Circuit and Breaker, in short, with a bug: it opens after three failures in a row, for a minute.
type circuit struct {
	bug        bug
	clock      clock.Clock
	open       bool
	until      int64
	generation int
	failed     int
	probing    bool
	onOpen     func()
}

var errShut = &policy.Rejection{Policy: "copy", Reason: policy.ErrOpen}

func (c *circuit) Execute(ctx context.Context, next policy.Next[int]) (v int, err error) {
	probe := false
	if c.open {
		if c.clock.Nanos() < c.until || c.probing {
			return 0, errShut
		}
		probe, c.probing = true, true
	}
	generation := c.generation
	settled := false
	defer func() {
		if !settled && c.bug != "a slot is leaked by a panic" {
			c.settle(probe, generation, policy.TransientFailure)
		}
	}()
	v, err = next.Do(ctx)
	settled = true
	o := policy.Classifier[int](nil).Apply(ctx, v, err)
	if o == policy.Ignored && probe && c.bug == "a slot is leaked by a cancelled call" {
		return v, err
	}
	c.settle(probe, generation, o)
	return v, err
}

func (c *circuit) settle(probe bool, generation int, o policy.Outcome) {
	if generation != c.generation && c.bug != "a stale result is counted" {
		return
	}
	if probe {
		c.probing = false
	}
	switch {
	case o == policy.Ignored:
	case o == policy.Success || o == policy.PermanentFailure:
		c.failed = 0
		if c.open {
			c.open, c.generation = false, c.generation+1
		}
	case c.open || c.failed == 2:
		c.open, c.failed, c.until, c.generation = true, 0, clock.After(c.clock.Nanos(), time.Minute), c.generation+1
		if c.bug == "open for good" {
			c.until = clock.After(c.until, 1000*time.Hour)
		}
		c.onOpen()
	default:
		c.failed++
	}
}

// timeout is a copy of Timeout, in short, with a bug.
func timeout(b bug, env Env) policy.Policy[int] {
	const limit = time.Second
	return policy.PolicyFunc[int](func(ctx context.Context, next policy.Next[int]) (int, error) {
		limited, cancel := clock.WithTimeout(ctx, env.Clock, limit, policy.ErrTimeout)
		defer cancel()
		start := env.Clock.Nanos()
		if b == "the limit is not kept" {
			limited = ctx
		}
		if b == "a timer is left" {
			env.Clock.AfterFunc(limit, func() {})
		}
		v, err := next.Do(limited)
		took := clock.Since(start, env.Clock.Nanos())
		if err != nil && took >= limit || b == "a success near the limit is lost" && took >= limit-100*time.Millisecond {
			return v, &policy.TimeoutError{Limit: limit, Err: err}
		}
		return v, err
	})
}

// fallback is a copy of Fallback, in short, with a bug.
func fallback(b bug, _ Env) policy.Policy[int] {
	return policy.PolicyFunc[int](func(ctx context.Context, next policy.Next[int]) (int, error) {
		v, err := next.Do(ctx)
		gone := ctx.Err() != nil && errors.Is(err, context.Canceled)
		if err == nil && b != "a success is answered" || gone && b != "who went away is answered" {
			return v, err
		}
		next.Emit(ctx, policy.Event{Kind: policy.FellBack, Policy: "copy", Err: err})
		return 1, nil
	})
}

// A bug planted in a copy of a policy is found in seconds, by a schedule of at most three phases.
func TestPlantedBugsAreFound(t *testing.T) {
	var opened []int64 // of the copy of a circuit, in the latest run
	newCircuit := func(b bug, env Env) policy.Policy[int] {
		opened = nil
		return &circuit{bug: b, clock: env.Clock, onOpen: func() { opened = append(opened, env.Clock.Nanos()) }}
	}
	cooled := Property{Name: "cooled", Judge: func(r *Run) error {
		for _, c := range r.Calls {
			for _, at := range opened {
				if since := time.Duration(r.start + int64(c.Begin) - at); since > 0 && since < time.Minute {
					return fmt.Errorf("a call began %v after the circuit had opened", since)
				}
			}
		}
		return nil
	}}
	fellBack := Property{Name: "fellBack", Judge: func(r *Run) error {
		for i, a := range r.Answers {
			leaves := r.Case.Requests[i].Leaves
			if last := r.last(i + 1); a.FellBack && last != nil && last.Err == nil {
				return fmt.Errorf("request %d was answered, and its call had worked", i+1)
			} else if a.FellBack && leaves > 0 && a.End-a.Begin == leaves && errors.Is(last.Err, context.Canceled) && last.Step.Act != policytest.Cancel {
				return fmt.Errorf("request %d was answered, and its caller had gone away", i+1)
			}
		}
		return nil
	}}
	planted := []struct {
		bug      bug
		build    func(bug, Env) policy.Policy[int]
		property Property
	}{
		{"an attempt too many", retry, Attempts(3)},
		{"a permanent failure is tried again", retry, NoCallAfterAnswer()},
		{"a success is tried again", retry, NoCallAfterAnswer()},
		{"a wait past the deadline", retry, Prompt()},
		{"a slot is leaked by a panic", newCircuit, Recovers(10 * time.Minute)},
		{"a slot is leaked by a cancelled call", newCircuit, Recovers(10 * time.Minute)},
		{"open for good", newCircuit, Recovers(10 * time.Minute)},
		{"a stale result is counted", newCircuit, cooled},
		{"the limit is not kept", timeout, Within(time.Second)},
		{"a success near the limit is lost", timeout, KeepsResults()},
		{"a timer is left", timeout, NothingLeft()},
		{"a success is answered", fallback, fellBack},
		{"who went away is answered", fallback, fellBack},
	}
	all := []Property{Prompt(), KeepsResults(), KeepsBounds(), NothingLeft()}
	for _, p := range planted {
		t.Run(string(p.bug), func(t *testing.T) {
			build := func(b bug) func(Env) pipeline.Pipeline[int] {
				return func(env Env) pipeline.Pipeline[int] { return pipeline.Wrap(p.build(b, env)) }
			}
			found, err := search(t.Name(), Cases(), build(p.bug), []Property{p.property})
			require.NoError(t, err)
			require.NotNil(t, found, "it is not found")
			t.Log(found.report())
			require.LessOrEqual(t, phases(found.Case.Schedule), 3)

			again := judge(found.Case, build(p.bug), []Property{p.property})
			require.NotNil(t, again, "the case does not show it again")
			require.Equal(t, found.lines, again.lines)
			require.Nil(t, judge(found.Case, build(""), append(all, p.property)), "it is found where it is not")
		})
	}
	copies := map[string]func(bug, Env) policy.Policy[int]{"retry": retry, "circuit": newCircuit, "timeout": timeout, "fallback": fallback}
	properties := map[string][]Property{
		"retry":    {Attempts(3), NoCallAfterAnswer()},
		"circuit":  {Recovers(10 * time.Minute), cooled, Attempts(1)},
		"timeout":  {Within(time.Second), Attempts(1)},
		"fallback": {fellBack, Attempts(1)},
	}
	for name, build := range copies {
		t.Run(name+" without a bug", func(t *testing.T) {
			CheckOf(t, Cases(), func(env Env) pipeline.Pipeline[int] { return pipeline.Wrap(build("", env)) }, append(all, properties[name]...)...)
		})
	}
}

// phases is how many pieces a schedule has.
func phases(s policytest.Schedule) int {
	if s == nil || s.String() == "" {
		return 0
	}
	if p, ok := s.(policytest.Phases); ok {
		return len(p)
	}
	return len(strings.Fields(s.String()))
}
