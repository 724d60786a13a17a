package sim_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/pipeline/sim"
	"github.com/holdfast-go/holdfast/policy"
)

// everything has a bit of everything in it.
func everything(seed uint64) sim.Setup {
	return sim.Setup{
		Name: "everything", Seed: seed, Length: time.Minute, Clients: 3, Arrivals: sim.Poisson(30),
		Server: sim.Server{
			Latency:  func(l sim.Load) time.Duration { return time.Duration(50+l.InFlight+l.Rand.IntN(50)) * time.Millisecond },
			Capacity: 8, Queue: 40, Network: sim.Normal(3*time.Millisecond, time.Millisecond), Failures: 0.01,
		},
		Phases: []sim.Phase{
			{Name: "surge", From: 10 * time.Second, To: 15 * time.Second, Rate: 120},
			{From: 20 * time.Second, To: 25 * time.Second, Slower: 2.5},
			{Name: "outage", From: 30 * time.Second, To: 35 * time.Second, Failures: 1},
			{Name: "stall", From: 40 * time.Second, To: 41 * time.Second, Stalled: true},
		},
		Build: func(env sim.Env) pipeline.Pipeline[none] {
			return pipeline.Wrap(
				&policy.Fallback[none]{Func: func(_ context.Context, v none, err error) (none, error) {
					if env.Rand.IntN(10) == 0 {
						return v, nil
					}
					return v, err
				}},
				retry(env, 3, policy.FullJitter(policy.Exponential(50*time.Millisecond, time.Second))), breaker(env),
				timeout(env, 400*time.Millisecond),
			)
		},
	}
}

// rendered is r in all its forms.
func rendered(t *testing.T, r sim.Report) string {
	t.Helper()
	var b bytes.Buffer
	b.WriteString(r.String())
	encoder := json.NewEncoder(&b)
	encoder.SetIndent("", " ")
	require.NoError(t, encoder.Encode(r))
	require.NoError(t, r.WriteHTML(&b))
	return b.String()
}

var update = flag.Bool("update", false, "write testdata anew")

// The same bytes come out on every architecture, today and tomorrow: when this fails after a change of a policy's
// behaviour, look at what has changed and run the test with -update.
func TestAReportIsTheSameToTheByteOnEveryMachine(t *testing.T) {
	golden := filepath.Join("testdata", "everything.txt")
	got := sim.Run(everything(1)).String()
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

func TestTheSameSeedGivesTheSameReportAtAnyGOMAXPROCS(t *testing.T) {
	want := rendered(t, sim.Run(everything(1)))
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, n := range []int{1, 2, 4} {
		runtime.GOMAXPROCS(n)
		require.Equal(t, want, rendered(t, sim.Run(everything(1))))
		require.Equal(t, want, rendered(t, sim.Repeat(2, everything)[0]))
	}
	require.NotEqual(t, want, rendered(t, sim.Run(everything(2))))
}

func TestEveryRequestIsAccountedFor(t *testing.T) {
	for _, r := range sim.Repeat(5, everything) {
		require.Equal(t, r.Requests, r.Succeeded+r.FellBack+r.Refused+r.Failed+r.Unfinished)
		for _, n := range []int{r.Succeeded, r.FellBack, r.Refused, r.Failed, r.Calls, len(r.Changes)} {
			require.Positive(t, n)
		}
		var sum sim.Point
		for i, p := range r.Timeline {
			require.Equal(t, time.Duration(i)*time.Second, p.At)
			sum.Offered, sum.Good, sum.FellBack = sum.Offered+p.Offered, sum.Good+p.Good, sum.FellBack+p.FellBack
			sum.Refused, sum.Failed, sum.Calls = sum.Refused+p.Refused, sum.Failed+p.Failed, sum.Calls+p.Calls
			require.LessOrEqual(t, p.P50, p.P99)
			require.LessOrEqual(t, p.Open+p.HalfOpen, 1.0)
		}
		require.Len(t, r.Timeline, 60)
		require.Equal(t, []int{r.Requests, r.Succeeded, r.FellBack, r.Refused, r.Failed, r.Calls},
			[]int{sum.Offered, sum.Good, sum.FellBack, sum.Refused, sum.Failed, sum.Calls})
	}
}

func TestClientsTakeTurnsAndEachHasItsOwnPolicies(t *testing.T) {
	requests := make([]int, 4)
	built := map[int]bool{}
	r := sim.Run(sim.Setup{
		Length: 10 * time.Second, Arrivals: sim.Steady(40), Clients: 4,
		Build: func(env sim.Env) pipeline.Pipeline[none] {
			built[env.Client] = true
			return pipeline.Wrap(breaker(env))
		},
		Call: func(ctx context.Context, env sim.Env) error {
			requests[env.Client]++
			if env.Client == 0 {
				return sim.ErrFailed
			}
			return env.Serve(ctx)
		},
	})
	require.Len(t, built, 4)
	require.Equal(t, 4, r.Circuits)
	require.Equal(t, []int{100, 100, 99}, requests[1:])
	require.Less(t, requests[0], 30)
	for _, c := range r.Changes {
		require.Zero(t, c.Client)
	}
	require.InDelta(t, 0.25, r.Timeline[9].Open, 0.01)
}

func TestARunEndsOnTimeThoughItsRequestsWouldNot(t *testing.T) {
	r := sim.Run(sim.Setup{
		Length: 10 * time.Second, Arrivals: sim.Steady(1), Server: sim.Server{Failures: 1},
		Build: build(func(env sim.Env) []policy.Policy[none] {
			return []policy.Policy[none]{retry(env, 1_000_000_000, policy.Constant(time.Second))}
		}),
	})
	require.Equal(t, 10*time.Second, r.Length)
	require.Equal(t, 9, r.Requests)
	require.Equal(t, 9, r.Unfinished)
	require.Equal(t, 1, r.Timeline[1].Calls)
	require.Equal(t, 9, r.Timeline[9].Calls)
}

func TestWithoutALengthARunLastsUntilAllIsDone(t *testing.T) {
	r := sim.Run(sim.Setup{
		Arrivals: sim.AtOnce(5), Step: 30 * time.Millisecond,
		Server: sim.Server{Capacity: 1, Latency: func(sim.Load) time.Duration { return 10 * time.Millisecond }},
	})
	require.Equal(t, 50*time.Millisecond, r.Length)
	require.Equal(t, 5, r.Succeeded)
	require.Len(t, r.Timeline, 2)
	require.Contains(t, rendered(t, r), "100.0 %")
}

func TestProgressIsToldStepByStep(t *testing.T) {
	var told []sim.Progress
	s := everything(1)
	s.Progress = func(p sim.Progress) { told = append(told, p) }
	r := sim.Run(s)
	require.Len(t, told, 60)
	require.Equal(t, sim.Progress{At: time.Second, Length: time.Minute, Requests: r.Timeline[0].Offered}, told[0])
	require.Equal(t, sim.Progress{At: time.Minute, Length: time.Minute, Requests: r.Requests}, told[59])
}

func TestAnswersFromElsewhereAreNoGoodput(t *testing.T) {
	r := sim.Run(sim.Setup{
		Length: time.Second, Arrivals: sim.Steady(100), Server: sim.Server{Failures: 1},
		Build: func(sim.Env) pipeline.Pipeline[none] {
			return pipeline.Wrap(&policy.Fallback[none]{Func: policy.Static(none{})})
		},
	})
	require.Equal(t, 99, r.FellBack)
	require.Zero(t, r.Succeeded)
}

func TestMisuseSaysWhichField(t *testing.T) {
	require.NoError(t, everything(1).Validate())
	for want, s := range map[string]sim.Setup{
		"sim: Setup.Arrivals is empty":                                {Length: 1},
		"sim: Setup.Arrivals is -1 a second, Poisson":                 {Length: 1, Arrivals: sim.Poisson(-1)},
		"sim: Setup.Length is 0s":                                     {Arrivals: sim.Poisson(1)},
		"sim: Setup.Length is 1752000h0m0s; want at most 876000h0m0s": {Arrivals: sim.Poisson(1), Length: 200 * 365 * 24 * time.Hour},
		"sim: Setup.Clients is -1":                                    {Length: 1, Arrivals: sim.Poisson(1), Clients: -1},
		"sim: Setup.Goal is 2":                                        {Length: 1, Arrivals: sim.Poisson(1), Goal: 2},
		"sim: Setup.Step is -1ns":                                     {Length: 1, Arrivals: sim.Poisson(1), Step: -1},
		"sim: Setup.Server.Capacity is -1":                            {Length: 1, Arrivals: sim.Poisson(1), Server: sim.Server{Capacity: -1}},
		"sim: Setup.Server.Queue is -1":                               {Length: 1, Arrivals: sim.Poisson(1), Server: sim.Server{Queue: -1}},
		"sim: Setup.Server.Failures is 1.5":                           {Length: 1, Arrivals: sim.Poisson(1), Server: sim.Server{Failures: 1.5}},
		"sim: Setup.Phases[0] is from 2ns to 1ns":                     {Length: 1, Arrivals: sim.Poisson(1), Phases: []sim.Phase{{From: 2, To: 1}}},
		"sim: Setup.Phases[0].Rate is 5; want 0 with AtO":             {Arrivals: sim.AtOnce(1), Phases: []sim.Phase{{To: 1, Rate: 5}}},
	} {
		require.ErrorContains(t, s.Validate(), want)
		require.Panics(t, func() { sim.Run(s) })
	}
}

func TestAPolicyOnAnotherClockIsRefused(t *testing.T) {
	var err error
	func() {
		defer func() { err, _ = recover().(error) }()
		sim.Run(sim.Setup{Length: 1, Arrivals: sim.Poisson(1), Build: func(sim.Env) pipeline.Pipeline[none] {
			return pipeline.Wrap(&policy.Retry[none]{})
		}})
	}()
	require.ErrorContains(t, err, "sim: Setup.Build for client 0: the pipeline is not on Env.Clock")
}

func TestAPanicInsideGoesOn(t *testing.T) {
	require.PanicsWithError(t, "ouch", func() {
		sim.Run(sim.Setup{Length: time.Hour, Arrivals: sim.Steady(1), Call: func(context.Context, sim.Env) error { panic(errors.New("ouch")) }})
	})
}
