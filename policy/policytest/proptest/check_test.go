package proptest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
	"github.com/holdfast-go/holdfast/policy/policytest"
)

// What is smaller has less in it, so that making smaller comes to an end.
func TestPropertySmallerIsSmaller(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Cases().Draw(t, "case")
		for smaller := range c.smaller() {
			require.Less(t, weight(smaller), weight(c), "%v of %v", smaller, c)
		}
	})
}

// weight is how much there is in a case.
func weight(c Case) int {
	total := 0
	step := func(s policytest.Step) {
		total += 10 + 2*min(int(s.Act), 2)
		for _, more := range []bool{s.Latency > 0, s.Hint > 0, s.Deaf} {
			if more {
				total++
			}
		}
	}
	switch s := c.Schedule.(type) {
	case policytest.Calls:
		total++
		for _, s := range s {
			step(s)
		}
	case policytest.Phases:
		total++
		for _, p := range s {
			step(p.Step)
			for _, more := range []bool{p.Share > 0, p.Capacity > 0} {
				if more {
					total++
				}
			}
		}
	}
	for _, r := range c.Requests {
		total += 4
		for _, more := range []bool{r.At > 0, r.Leaves > 0, r.Patience != patience} {
			if more {
				total++
			}
		}
	}
	if c.Seed > 0 {
		total++
	}
	return total
}

// Generated cases are sound: they can be written down and read again.
func TestPropertyCasesAreData(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Cases().Draw(t, "case")
		read, err := policytest.Parse(c.Schedule.String())
		require.NoError(t, err)
		require.Equal(t, c.Schedule.String(), read.String())
		require.NotEmpty(t, c.Requests)
		for i, r := range c.Requests {
			require.Positive(t, r.Patience)
			require.True(t, i == 0 || r.At >= c.Requests[i-1].At)
		}
		require.Equal(t, len(c.Requests), strings.Count(fmt.Sprintf("%#v", c), "Patience: "))
	})
}

// The same case runs the same way, to the line.
func TestPropertyRunsRepeat(t *testing.T) {
	build := func(env Env) pipeline.Pipeline[int] {
		return pipeline.Wrap(
			&policy.Retry[int]{Clock: env.Clock, Rand: env.Rand},
			&policy.Breaker[int]{Circuit: &policy.Circuit{Clock: env.Clock, Rand: env.Rand}},
			&policy.Hedge[int]{Delay: 10 * time.Millisecond, Clock: env.Clock},
		)
	}
	rapid.Check(t, func(t *rapid.T) {
		c := Cases().Draw(t, "case")
		first, second := run(c, build, time.Minute), run(c, build, time.Minute)
		require.Equal(t, first.lines, second.lines)
	})
}

// What would make a check meaningless is told.
func TestBuildsThatAreWrong(t *testing.T) {
	used := new(policy.Circuit)
	one := Case{Schedule: policytest.MustParse("fail"), Requests: Every(0, 1)}
	for want, build := range map[string]func(Env) pipeline.Pipeline[int]{
		"the pipeline is not on Env.Clock": func(Env) pipeline.Pipeline[int] {
			return pipeline.Wrap(&policy.Retry[int]{})
		},
		"build must make everything anew: circuit \"\" has been in use before": func(env Env) pipeline.Pipeline[int] {
			used.Clock = env.Clock
			return pipeline.Wrap(&policy.Breaker[int]{Circuit: used})
		},
		"the run did not come to its end: clock: deadlock": func(env Env) pipeline.Pipeline[int] {
			return pipeline.Wrap(policy.PolicyFunc[int](func(context.Context, policy.Next[int]) (int, error) {
				return 0, new(clock.Latch).Wait(context.Background(), env.Clock)
			}))
		},
	} {
		_ = judge(one, build, nil)
		found := judge(one, build, nil)
		require.NotNil(t, found, want)
		require.ErrorContains(t, errors.Join(found.errs...), want)
	}
}

// Where no properties are given there are some.
func TestCheckWithoutProperties(t *testing.T) {
	found := judge(Case{Requests: Every(0, 1)}, func(env Env) pipeline.Pipeline[int] {
		env.Clock.AfterFunc(time.Hour, func() {})
		return pipeline.Wrap[int]()
	}, nil)
	require.NotNil(t, found)
	require.Equal(t, []string{"proptest.NothingLeft()"}, found.broken)
}

// A goroutine that the pipeline has started and left is found. One that somebody else starts meanwhile, such as a test
// beside this one, is not blamed on it.
func TestNothingLeftKnowsWhoseGoroutinesAre(t *testing.T) {
	over := make(chan struct{})
	defer close(over)
	waits := func(context.Context, policy.Next[int]) (int, error) {
		for range 50 { // more than other tests may just be ending
			go func() { <-over }()
		}
		return 7, nil
	}
	one := Case{Requests: Every(0, 1)}
	found := judge(one, func(Env) pipeline.Pipeline[int] { return pipeline.Wrap(policy.PolicyFunc[int](waits)) }, []Property{NothingLeft()})
	require.NotNil(t, found)
	require.ErrorContains(t, errors.Join(found.errs...), "goroutines left behind: 50")

	asked, started := make(chan struct{}), make(chan struct{})
	go func() { // a neighbour
		for range asked {
			go func() { <-over }()
			started <- struct{}{}
		}
	}()
	defer close(asked)
	found = judge(one, func(Env) pipeline.Pipeline[int] {
		asked <- struct{}{}
		<-started
		return pipeline.Wrap[int]()
	}, []Property{NothingLeft()})
	require.Nil(t, found)
}

// A dependency that is well again at once may be asked for at once.
func TestRecoversAtOnce(t *testing.T) {
	Replay(t, Case{Requests: Every(0, 1)}, func(Env) pipeline.Pipeline[int] { return pipeline.Wrap[int]() }, Recovers(0))
}

// What keeps cases from being tried fails the test, and says why: a check that has checked nothing must not pass.
func TestSearchesThatComeToNothing(t *testing.T) {
	fine := func(env Env) pipeline.Pipeline[int] { return pipeline.Wrap(&policy.Retry[int]{Clock: env.Clock}) }
	for want, search := range map[string]func() (*finding, error){
		"boom": func() (*finding, error) {
			return search(t.Name(), Cases(), func(Env) pipeline.Pipeline[int] { panic("boom") }, nil)
		},
		"Timeout.Limit is 0s": func() (*finding, error) {
			return search(t.Name(), Cases(), func(Env) pipeline.Pipeline[int] { return pipeline.Wrap(&policy.Timeout[int]{}) }, nil)
		},
		"clock": func() (*finding, error) {
			return search(t.Name(), Cases(), func(env Env) pipeline.Pipeline[int] {
				return pipeline.Wrap(&policy.Timeout[int]{Limit: 1, Clock: env.Clock}, &policy.Retry[int]{})
			}, nil)
		},
		"no judge": func() (*finding, error) {
			return search(t.Name(), Cases(), fine, []Property{{Name: "mine", Judge: func(*Run) error { panic("no judge") }}})
		},
		`the property "mine" has no Judge`: func() (*finding, error) {
			return search(t.Name(), Cases(), fine, []Property{{Name: "mine"}})
		},
		"no case": func() (*finding, error) {
			return search(t.Name(), rapid.Custom(func(*rapid.T) Case { panic("no case") }), fine, nil)
		},
		"valid tests": func() (*finding, error) {
			return search(t.Name(), Cases().Filter(func(Case) bool { return false }), fine, nil)
		},
	} {
		found, err := search()
		require.Nil(t, found, want)
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "the cases could not be tried")
	}
}

// Each Recovers is about its own time, whatever others are asked for beside it.
func TestRecoversBesideAnother(t *testing.T) {
	build := func(env Env) pipeline.Pipeline[int] {
		c := &policy.Circuit{Trip: policy.Consecutive(1), Cooldown: policy.Constant(30 * time.Minute), Clock: env.Clock}
		return pipeline.Wrap(&policy.Breaker[int]{Circuit: c})
	}
	found := judge(Case{Schedule: policytest.MustParse("fail"), Requests: Every(time.Second, 1)}, build, []Property{Recovers(time.Second), Recovers(time.Hour)})
	require.NotNil(t, found)
	require.Equal(t, []string{"proptest.Recovers(time.Second)"}, found.broken)
}
