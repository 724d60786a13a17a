package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

func retry(attempts int, b policy.Backoff) *policy.Retry[int] {
	return &policy.Retry[int]{Attempts: attempts, Backoff: b}
}

func limit(d time.Duration) *policy.Timeout[int] { return &policy.Timeout[int]{Limit: d} }

func guard() *policy.Breaker[int] {
	return &policy.Breaker[int]{Circuit: &policy.Circuit{Name: "users"}}
}

func hedge(legs int) *policy.Hedge[int] { return &policy.Hedge[int]{Delay: time.Second, Max: legs} }

func answer() *policy.Fallback[int] { return &policy.Fallback[int]{Func: policy.Static(0)} }

func eager(v int, err error) policy.Outcome {
	if err != nil {
		return policy.TransientFailure
	}
	return policy.Success
}

func careful(v int, err error) policy.Outcome {
	if _, refused := errors.AsType[*policy.Rejection](err); refused {
		return policy.Ignored
	}
	return eager(v, err)
}

// Every lint, where it must fire, with what it says, and close to it where it must not.
func TestLints(t *testing.T) {
	const s = time.Second
	every := policy.Constant(s)
	always := func(c policy.Classifier[int]) *policy.Retry[int] { return &policy.Retry[int]{Classify: c} }
	within := func(d time.Duration) *policy.Retry[int] {
		return &policy.Retry[int]{Attempts: 3, Backoff: every, MaxElapsed: d}
	}
	for _, c := range []struct {
		name     string
		policies []policy.Policy[int]
		want     []string
	}{
		{"nothing", nil, nil},
		{"the usual order", []policy.Policy[int]{answer(), limit(10 * s), retry(3, every), guard(), limit(s)}, nil},

		{"waits that reach the limit", []policy.Policy[int]{limit(2 * s), retry(4, every)}, []string{
			"unreachable-attempt: attempt 3 of the retry can never start: the waits before it take at least 2s, and the timeout ends everything at 2s",
		}},
		{"waits that just fit", []policy.Policy[int]{limit(2*s + 1), retry(3, every)}, nil},
		{"waits of which the least fit", []policy.Policy[int]{limit(2 * s), retry(9, policy.FullJitter(every))}, nil},
		{"attempts that hang", []policy.Policy[int]{limit(4 * s), retry(3, every), limit(s)}, []string{
			"unreachable-attempt: attempt 3 of the retry cannot start when the attempts before it hang for 1s each: the timeout ends everything at 4s",
		}},
		{"attempts that hang and just fit", []policy.Policy[int]{limit(4*s + 1), retry(3, every), limit(s)}, nil},
		{"the shortest of the limits inside counts", []policy.Policy[int]{limit(4*s + 1), retry(3, every), limit(2 * s), limit(s)}, nil},
		{"hanging first, then never", []policy.Policy[int]{limit(3 * s), retry(9, every), limit(2 * s)}, []string{
			"unreachable-attempt: attempt 2 of the retry cannot start when the attempts before it hang for 2s each: the timeout ends everything at 3s",
			"unreachable-attempt: attempt 4 of the retry can never start: the waits before it take at least 3s, and the timeout ends everything at 3s",
		}},
		{"a limit inside alone", []policy.Policy[int]{retry(9, every), limit(s)}, nil},
		{"max elapsed that is spent", []policy.Policy[int]{within(2*s - 1)}, []string{
			"unreachable-attempt: attempt 3 of the retry can never start: the waits before it take at least 2s, and its max elapsed is 1.999999999s",
		}},
		{"max elapsed that just fits", []policy.Policy[int]{within(2 * s)}, nil},
		{"max elapsed without end", []policy.Policy[int]{within(math.MaxInt64)}, nil},
		{"max elapsed, and attempts that hang", []policy.Policy[int]{within(4*s - 1), limit(s)}, []string{
			"unreachable-attempt: attempt 3 of the retry cannot start when the attempts before it hang for 1s each: its max elapsed is 3.999999999s",
		}},
		{"max elapsed, and attempts that hang and just fit", []policy.Policy[int]{within(4 * s), limit(s)}, nil},

		{"nested retries", []policy.Policy[int]{retry(3, nil), &policy.Retry[int]{Name: "inner", Attempts: 4}}, []string{
			`nested-retries: the retry "inner" is inside the retry: up to 3 × 4 calls of the func; keep one of them`,
		}},
		{"nested retries without end", []policy.Policy[int]{retry(3, nil), retry(math.MaxInt, every)}, []string{
			`nested-retries: the retry is inside the retry: up to 3 × any number of calls of the func; keep one of them`,
		}},
		{"attempts until the limit", []policy.Policy[int]{limit(1000 * s), retry(math.MaxInt, every), limit(s)}, nil},
		{"attempts until max elapsed", []policy.Policy[int]{&policy.Retry[int]{Attempts: math.MaxInt, Backoff: every, MaxElapsed: 1000 * s}}, nil},

		{"nested in a pipeline inside", []policy.Policy[int]{retry(2, nil), pipeline.Wrap(retry(2, nil)).Named("inner")}, []string{
			"nested-retries: the retry is inside the retry: up to 2 × 2 calls of the func; keep one of them",
		}},
		{"nested, one that calls once", []policy.Policy[int]{retry(3, nil), retry(1, nil)}, nil},
		{"nested in one that calls once", []policy.Policy[int]{retry(1, nil), retry(3, nil)}, nil},

		{"retries what is refused", []policy.Policy[int]{always(eager), guard()}, []string{
			`retries-open: the retry retries what the breaker "users" refuses: an open circuit uses up its attempts; let its classifier ignore a *policy.Rejection`,
		}},
		{"does not retry what is refused", []policy.Policy[int]{always(careful), guard()}, nil},
		{"by default", []policy.Policy[int]{always(nil), guard()}, nil},
		{"a breaker around a retry", []policy.Policy[int]{guard(), always(eager)}, []string{
			`one-outcome: the breaker "users" is outside the retry: all its attempts are one call to the circuit, and it opens late; put it inside`,
		}},
		{"a breaker around a retry that calls once", []policy.Policy[int]{guard(), retry(1, nil)}, nil},
		{"retries nothing at all", []policy.Policy[int]{&policy.Retry[int]{Attempts: 1, Classify: eager}, guard()}, nil},
		{"a classifier that panics on nothing", []policy.Policy[int]{always(func(v int, _ error) policy.Outcome { return policy.Outcome(1 / v) }), guard()}, []string{
			`retries-open: unknown whether the retry retries what the breaker "users" refuses: its classifier panics on a zero value`,
		}},

		{"a fallback inside a retry", []policy.Policy[int]{retry(3, nil), answer()}, []string{
			"hidden-failures: the fallback is inside the retry, which sees its answers instead of failures; put it outside",
		}},
		{"a fallback inside a breaker", []policy.Policy[int]{guard(), answer()}, []string{
			`hidden-failures: the fallback is inside the breaker "users", which sees its answers instead of failures; put it outside`,
		}},
		{"a fallback inside a retry that calls once", []policy.Policy[int]{retry(1, nil), answer()}, nil},
		{"a fallback inside a limit", []policy.Policy[int]{limit(s), answer()}, nil},
		{"a retry inside a hedge", []policy.Policy[int]{hedge(3), retry(4, nil)}, []string{
			"nested-retries: the retry is inside the hedge: up to 3 × 4 calls of the func; put it outside",
		}},
		{"a hedge inside a retry", []policy.Policy[int]{retry(4, nil), hedge(3)}, nil},
		{"a retry inside a hedge of one leg", []policy.Policy[int]{hedge(1), retry(4, nil)}, nil},
		{"a retry inside what nobody knows", []policy.Policy[int]{policy.PolicyFunc[int](through), retry(4, nil)}, nil},
		{"chaos outside", []policy.Policy[int]{answer(), &policy.Chaos[int]{Name: "drill", Switch: new(policy.Switch)}, guard(), limit(s)}, []string{
			`unseen-faults: no fault of the chaos "drill" reaches the breaker "users", the timeout, which it is outside of; put it innermost`,
		}},
		{"chaos innermost, twice", []policy.Policy[int]{answer(), guard(), &policy.Chaos[int]{Switch: new(policy.Switch)}, &policy.Chaos[int]{Switch: new(policy.Switch)}}, nil},

		{"a fallback inside one that may fail", []policy.Policy[int]{answer(), &policy.Fallback[int]{
			Func: func(context.Context, int, error) (int, error) { return 0, nil },
		}}, nil},
		{"a fallback inside one that cannot fail", []policy.Policy[int]{answer(), answer()}, []string{
			"dead-fallback: the fallback can never answer: the fallback inside it answers everything; keep one of them",
		}},

		{"limits inside a retry", []policy.Policy[int]{
			retry(3, every), &policy.RateLimit[int]{Bucket: new(policy.Bucket)}, &policy.Bulkhead[int]{Gate: &policy.Gate{Name: "g"}},
			&policy.Adaptive[int]{Limit: new(policy.Limit)}, &policy.Shed[int]{Throttle: new(policy.Throttle)},
		}, []string{
			"limit-inside-retry: the rate limit is inside the retry: each attempt asks it anew, and a refusal ends the retrying; put it outside",
			`limit-inside-retry: the bulkhead "g" is inside the retry: each attempt asks it anew, and a refusal ends the retrying; put it outside`,
			"limit-inside-retry: the adaptive is inside the retry: each attempt asks it anew, and a refusal ends the retrying; put it outside",
			"limit-inside-retry: the shed is inside the retry: each attempt asks it anew, and a refusal ends the retrying; put it outside",
		}},
		{"limits outside a retry", []policy.Policy[int]{&policy.RateLimit[int]{Bucket: new(policy.Bucket)}, &policy.Bulkhead[int]{Gate: new(policy.Gate)}, retry(3, every)}, nil},
		{"limits inside a retry that calls once", []policy.Policy[int]{retry(1, every), &policy.RateLimit[int]{Bucket: new(policy.Bucket)}}, nil},

		{"a hedge later than the timeout around it", []policy.Policy[int]{limit(s), hedge(2)}, []string{
			"late-hedge: the hedge never calls a second time: the timeout around it ends the first call at 1s; make its delay shorter",
		}},
		{"a hedge later than the timeout inside it", []policy.Policy[int]{hedge(2), limit(s)}, []string{
			"late-hedge: the hedge calls a second time only when the first has failed: the timeout inside it ends that at 1s, before the delay of 1s; make its delay shorter",
		}},
		{"a hedge in time", []policy.Policy[int]{limit(s + 1), hedge(2)}, nil},
		{"a hedge of one leg, later", []policy.Policy[int]{limit(s), hedge(1)}, nil},
		{"a hedge whose delay is not known", []policy.Policy[int]{limit(s), &policy.Hedge[int]{Delay: 2 * s, Quantile: 0.9}}, nil},

		{"a timeout around a longer one", []policy.Policy[int]{limit(s), limit(2 * s)}, []string{
			"dead-timeout: the timeout never ends anything: the timeout around it ends it at 1s; make it shorter, or leave it out",
		}},
		{"a timeout around one as long", []policy.Policy[int]{limit(s), limit(s)}, []string{
			"dead-timeout: the timeout never ends anything: the timeout around it ends it at 1s; make it shorter, or leave it out",
		}},
		{"a timeout around a shorter one", []policy.Policy[int]{limit(s), limit(s - 1)}, nil},

		{"a bulkhead around what it does not count", []policy.Policy[int]{
			&policy.Bulkhead[int]{Gate: new(policy.Gate)}, &policy.Timeout[int]{Limit: s, Detach: true}, &policy.Hedge[int]{Delay: s / 2},
		}, []string{
			"boundless-bulkhead: the bulkhead does not count the calls that the timeout makes or leaves behind: more than its limit may be in flight; put it inside",
			"boundless-bulkhead: the bulkhead does not count the calls that the hedge makes or leaves behind: more than its limit may be in flight; put it inside",
		}},
		{"a bulkhead around a call", []policy.Policy[int]{&policy.Bulkhead[int]{Gate: new(policy.Gate)}, limit(s)}, nil},

		{"a queue that outlasts the timeout", []policy.Policy[int]{limit(5 * s), &policy.Bulkhead[int]{Gate: &policy.Gate{Limit: 10, Queue: 41}}, limit(s)}, []string{
			"long-queue: the last of 41 waiters of the bulkhead wait for 5s when calls hang for 1s each, and the timeout ends them at 5s; shorten the queue, or set its MaxWait",
		}},
		{"a queue that fits", []policy.Policy[int]{limit(5 * s), &policy.Bulkhead[int]{Gate: &policy.Gate{Limit: 10, Queue: 40}}, limit(s)}, nil},
		{"a queue of calls that take any time", []policy.Policy[int]{limit(5 * s), &policy.Bulkhead[int]{Gate: &policy.Gate{Limit: 1, Queue: 400}}}, nil},
		{"no queue", []policy.Policy[int]{limit(5 * s), &policy.Bulkhead[int]{Gate: &policy.Gate{Limit: 1}}, limit(s)}, nil},

		{"a timeout around a dedupe", []policy.Policy[int]{limit(s), &policy.Dedupe[int]{Key: func(context.Context) string { return "" }}}, []string{
			"call-left-alone: the timeout ends the wait of a caller, and not the call that the dedupe shares, which nothing limits; put a timeout inside",
		}},
		{"a timeout around and inside a dedupe", []policy.Policy[int]{limit(2 * s), &policy.Dedupe[int]{Key: func(context.Context) string { return "" }}, limit(s)}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var found []string
			for _, l := range pipeline.Wrap(c.policies...).Explain().Lints {
				found = append(found, fmt.Sprintf("%s: %s", l.Rule, l.Text))
			}
			require.Equal(t, c.want, found)
		})
	}
}

// A rate window that the offered executions cannot fill is found, once it is known what is offered.
func TestALintAboutWindowsThatStayEmpty(t *testing.T) {
	rate := func(minCalls int) policy.Policy[int] {
		return &policy.Breaker[int]{Circuit: &policy.Circuit{Name: "users", Trip: policy.FailureRate{Ratio: 0.5, Window: 10 * time.Second, MinCalls: minCalls}}}
	}
	idle := func(perSecond float64, policies ...policy.Policy[int]) bool {
		plan := pipeline.Wrap(policies...).Explain()
		require.Empty(t, plan.Lints, "unknown before it is said what is offered")
		lints := plan.Offered(perSecond).Lints
		require.Empty(t, plan.Lints, "the plan itself stays as it was")
		for _, l := range lints {
			require.Equal(t, pipeline.RuleIdle, l.Rule)
		}
		return len(lints) > 0
	}
	require.True(t, idle(1.99, rate(0)), "20 calls in 10 s are 2 a second")
	require.False(t, idle(2, rate(0)))
	require.False(t, idle(0.7, retry(3, policy.Constant(0)), rate(0)), "all attempts of every execution count")
	require.True(t, idle(0.6, retry(3, policy.Constant(0)), rate(0)))
	require.False(t, idle(0.001, guard()), "failures in a row need no rate")
	require.False(t, idle(0.001, policy.PolicyFunc[int](through), rate(0)), "who knows how often it calls")
	lints := pipeline.Wrap(rate(50)).Explain().Offered(3).Lints
	require.Equal(t, []pipeline.Lint{{Rule: pipeline.RuleIdle, Text: `the breaker "users" can never open at 3 executions a second: its window needs 5 calls a second and gets at most 3`}}, lints)
}

// Plans for different offers are independent of each other.
func TestOfferedLeavesOtherPlansAlone(t *testing.T) {
	rate := &policy.Breaker[int]{Circuit: &policy.Circuit{Trip: policy.FailureRate{Ratio: 0.5, Window: time.Second}}}
	plan := pipeline.Wrap[int](retry(2, nil), retry(2, nil), retry(2, nil), rate).Explain()
	require.Len(t, plan.Lints, 3)
	quiet, quieter := plan.Offered(0.2), plan.Offered(0.1)
	require.Contains(t, quiet.Lints[3].Text, "at 0.2 executions")
	require.Contains(t, quieter.Lints[3].Text, "at 0.1 executions")
}

// A vague policy calls again, and cannot say how long it waits.
type vague struct {
	leastWait func(int) time.Duration
	bounds    func(policy.Bounds) policy.Bounds
}

func (vague) Execute(ctx context.Context, next policy.Next[int]) (int, error) { return next.Do(ctx) }

func (v vague) Describe() policy.Description {
	return policy.Description{Kind: "vague", Bounds: v.bounds, Repeats: &policy.Repeats{Attempts: 3, LeastWait: v.leastWait}}
}

// Explain survives what another package's policy says of itself wrongly: what depends on it is unknown.
func TestExplainSurvivesAPolicyThatIsVague(t *testing.T) {
	for name, v := range map[string]vague{
		"says nothing":      {},
		"panics":            {func(int) time.Duration { panic("wait") }, func(policy.Bounds) policy.Bounds { panic("bounds") }},
		"panics about some": {func(n int) time.Duration { return []time.Duration{0, 1}[n] }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			plan := pipeline.Wrap[int](limit(time.Second), v, guard()).Explain()
			require.Equal(t, policy.Missing[int]("unknown: vague does not say; a policy does by a Describe method, and a func by being a policy.Around"), plan.Bounds.Calls)
			require.Equal(t, policy.Most(time.Second), plan.Bounds.Duration, "which a limit outside knows all the same")
			for _, l := range plan.Lints {
				require.Equal(t, pipeline.RuleRetriesOpen, l.Rule)
				require.Contains(t, l.Text, "unknown whether the vague retries")
			}
		})
	}
}

// A context that a value may need for longer than the call is a lint, unless a Meaning holds it.
func TestLintOfAContextThatEnds(t *testing.T) {
	p := pipeline.Wrap(
		&policy.Hedge[*http.Response]{Delay: time.Second / 2}, &policy.Timeout[*http.Response]{Limit: time.Second},
	)
	lints := p.Explain().Lints
	require.Len(t, lints, 2)
	require.Equal(t, pipeline.Lint{Rule: pipeline.RuleEndsContext, Text: "the context that the hedge gives a call ends with the call: " +
		"a response's body or rows that are read later are cut off; give the pipeline a Meaning with a Hold, by Means"}, lints[0])
	held := p.Means(policy.Meaning[*http.Response]{Hold: func(r *http.Response, release func()) *http.Response { return r }})
	require.Empty(t, held.Explain().Lints)
	require.Empty(t, pipeline.Wrap(limit(time.Second)).Explain().Lints, "plain data")
}

// Explaining a pipeline asks a backoff little, however many attempts there are: it happens at the first request of a host.
func TestExplainAsksLittleOfManyAttempts(t *testing.T) {
	asked := 0
	for _, attempts := range []int{9_999, 10_000, math.MaxInt} {
		d := policy.Description{Kind: "retry", Repeats: &policy.Repeats{Attempts: attempts, LeastWait: func(n int) time.Duration {
			asked++
			return time.Duration(n)
		}}}
		pipeline.Wrap[int](limit(time.Hour), described{d}, limit(time.Second)).Explain()
	}
	require.Less(t, asked, 100)
}

// described is a policy that says what it is told to.
type described struct{ policy.Description }

func (described) Execute(ctx context.Context, next policy.Next[int]) (int, error) {
	return next.Do(ctx)
}
func (d described) Describe() policy.Description { return d.Description }
