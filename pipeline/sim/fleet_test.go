package sim_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/pipeline/sim"
	"github.com/holdfast-go/holdfast/policy"
)

func takes(d time.Duration) func(sim.Load) time.Duration {
	return func(sim.Load) time.Duration { return d }
}

// However fast requests arrive, as many do as the rate says: the parts of a nanosecond between them add up.
func TestArrivalsAreAsManyAsTheRateSays(t *testing.T) {
	const length = 100 * time.Microsecond
	for _, rate := range []float64{3e8, 6e8, 1e9} {
		want := rate * length.Seconds()
		steady := sim.Run(sim.Setup{Arrivals: sim.Steady(rate), Length: length})
		require.InDelta(t, want, steady.Requests, 2, "%v a second", rate)
		poisson := sim.Run(sim.Setup{Arrivals: sim.Poisson(rate), Length: length})
		require.InDelta(t, want, poisson.Requests, want/50, "%v a second", rate)
	}
}

// Users wait for an answer before they send the next request, so that a slow server gets fewer.
func TestUsersSendOneRequestAfterTheOther(t *testing.T) {
	s := sim.Setup{
		Users: 10, Think: sim.Fixed(90 * time.Millisecond), Clients: 3, Length: 20 * time.Second,
		Server: sim.Server{Latency: takes(10 * time.Millisecond)},
		Phases: []sim.Phase{{From: 10 * time.Second, To: 20 * time.Second, Slower: 11}},
	}
	r := sim.Run(s)
	require.InDelta(t, 1000, arrived(r, 0, 10*time.Second), 20)
	require.InDelta(t, 500, arrived(r, 10*time.Second, 20*time.Second), 20, "200 ms for each request")
	require.Contains(t, r.String(), "arrivals by users alone")
	require.Contains(t, r.String(), "10 users, each of whom sends a request after the one before.")
	require.Equal(t, r.String(), sim.Run(s).String())

	s.Arrivals = sim.Steady(50)
	require.InDelta(t, 1000+500, arrived(sim.Run(s), 0, 10*time.Second), 20, "both")
}

func arrived(r sim.Report, from, to time.Duration) (n int) {
	for _, p := range r.Timeline {
		if p.At >= from && p.At < to {
			n += p.Offered
		}
	}
	return n
}

// In a quiet phase nothing arrives, and afterwards as much as before.
func TestQuietPhaseHasNoArrivals(t *testing.T) {
	for name, s := range map[string]sim.Setup{
		"arrivals": {Arrivals: sim.Steady(100)},
		"users":    {Users: 10, Think: sim.Fixed(100 * time.Millisecond)},
	} {
		s.Length = 30 * time.Second
		s.Phases = []sim.Phase{{From: 10 * time.Second, To: 20 * time.Second, Quiet: true}}
		r := sim.Run(s)
		require.InDelta(t, 1000, arrived(r, 0, 10*time.Second), 20, name)
		require.Zero(t, arrived(r, 10*time.Second, 20*time.Second), name)
		require.InDelta(t, 1000, arrived(r, 20*time.Second, 30*time.Second), 20, name)
	}
}

// A phase may change how many calls the server takes at once, and how soon a failure is told.
func TestPhaseOfLessCapacityAndQuickFailures(t *testing.T) {
	r := sim.Run(sim.Setup{
		Users: 20, Think: sim.Fixed(time.Nanosecond), Length: 30 * time.Second,
		Server: sim.Server{Latency: takes(100 * time.Millisecond), Capacity: 10},
		Phases: []sim.Phase{{From: 10 * time.Second, To: 20 * time.Second, Capacity: 2}},
	})
	good := func(from, to time.Duration) float64 { return r.Goodput(from, to) }
	require.InDelta(t, 100, good(0, 10*time.Second), 3)
	require.InDelta(t, 20, good(12*time.Second, 20*time.Second), 3)
	require.InDelta(t, 100, good(22*time.Second, 30*time.Second), 3)

	for after, want := range map[time.Duration]int{0: 100, time.Millisecond: 100_000} {
		r := sim.Run(sim.Setup{
			Users: 10, Think: sim.Fixed(time.Nanosecond), Length: 10 * time.Second,
			Server: sim.Server{Latency: takes(time.Second), Failures: 1, FailsAfter: after},
		})
		require.InDelta(t, want, r.Requests, float64(want)/50, "failures after %v", after)
	}
}

// One bad replica of three fails a third of the calls, or fewer if the balance notices.
func TestReplicasAreBalanced(t *testing.T) {
	share := func(b sim.Balance, bad sim.Phase, zones int) float64 {
		bad.To, bad.Replica = time.Minute, 2
		healthy := sim.Server{Latency: takes(10 * time.Millisecond)}
		r := sim.Run(sim.Setup{
			Arrivals: sim.Steady(200), Length: time.Minute, Clients: 3, Zones: zones, Balance: b,
			Replicas: []sim.Server{healthy, healthy, healthy}, Phases: []sim.Phase{bad},
			Build: func(env sim.Env) pipeline.Pipeline[struct{}] {
				return pipeline.Wrap(&policy.Timeout[struct{}]{Limit: 100 * time.Millisecond, Clock: env.Clock})
			},
		})
		return float64(r.Failed) / float64(r.Requests)
	}
	fails, slow := sim.Phase{Failures: 1}, sim.Phase{Slower: 100}
	require.InDelta(t, 1.0/3, share(sim.RoundRobin, fails, 0), 0.01)
	require.InDelta(t, 1.0/3, share(sim.Randomly, fails, 0), 0.03)
	require.InDelta(t, 1.0/3, share(sim.SameZone, fails, 3), 0.01, "the clients of its zone")
	require.InDelta(t, 1.0/3, share(sim.RoundRobin, slow, 0), 0.01)
	require.Less(t, share(sim.LeastInFlight, slow, 0), 0.05)
}

// A call to another zone takes longer.
func TestZonesAreApart(t *testing.T) {
	for balance, want := range map[sim.Balance]time.Duration{sim.SameZone: 10 * time.Millisecond, sim.RoundRobin: 50 * time.Millisecond} {
		r := sim.Run(sim.Setup{
			Arrivals: sim.Steady(100), Length: time.Minute, Clients: 2, Zones: 2, Balance: balance, CrossZone: sim.Fixed(20 * time.Millisecond),
			Replicas: []sim.Server{{Latency: takes(10 * time.Millisecond)}, {Latency: takes(10 * time.Millisecond)}, {Latency: takes(10 * time.Millisecond)}},
		})
		require.InEpsilon(t, want, r.Latency.P99, 0.05, "%v", balance)
		require.Contains(t, r.String(), "3 replicas, calls "+balance.String()+".\n2 zones.")
	}
}

// Whatever the setup, each request has ended one way, or is still under way.
func TestRunPropertyConservesRequests(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		duration := func(label string, most int) time.Duration {
			return time.Duration(rapid.IntRange(0, most).Draw(t, label)) * time.Millisecond
		}
		server := func() sim.Server {
			return sim.Server{
				Latency: takes(duration("latency", 300)), Capacity: rapid.IntRange(0, 5).Draw(t, "capacity"), Queue: rapid.IntRange(0, 3).Draw(t, "queue"),
				Failures: float64(rapid.IntRange(0, 4).Draw(t, "failures")) / 4, FailsAfter: duration("fails after", 10),
			}
		}
		s := sim.Setup{
			Seed: rapid.Uint64().Draw(t, "seed"), Length: 5 * time.Second, Clients: rapid.IntRange(1, 3).Draw(t, "clients"),
			Arrivals: sim.Poisson(float64(rapid.IntRange(1, 60).Draw(t, "rate"))), Server: server(),
			Users: rapid.IntRange(0, 5).Draw(t, "users"), Think: sim.Fixed(duration("think", 200) + time.Millisecond),
			Balance: sim.Balance(rapid.IntRange(0, 2).Draw(t, "balance")), Zones: rapid.IntRange(0, 2).Draw(t, "zones"), CrossZone: sim.Fixed(duration("cross", 20)),
			Build: func(env sim.Env) pipeline.Pipeline[struct{}] {
				return pipeline.Wrap(
					&policy.Retry[struct{}]{Attempts: 2, Clock: env.Clock, Rand: env.Rand.Float64},
					&policy.Breaker[struct{}]{Circuit: &policy.Circuit{Clock: env.Clock}},
					&policy.Timeout[struct{}]{Limit: 200 * time.Millisecond, Clock: env.Clock},
				)
			},
		}
		for range rapid.IntRange(0, 3).Draw(t, "replicas") {
			s.Replicas = append(s.Replicas, server())
		}
		for range rapid.IntRange(0, 3).Draw(t, "phases") {
			from := duration("from", 4000)
			s.Phases = append(s.Phases, sim.Phase{
				From: from, To: from + duration("lasts", 2000) + 1, Quiet: rapid.Bool().Draw(t, "quiet"), Stalled: rapid.Bool().Draw(t, "stalled"),
				Failures: 0.5, Capacity: rapid.IntRange(0, 3).Draw(t, "phase capacity"), Replica: rapid.IntRange(0, len(s.Replicas)).Draw(t, "replica"),
			})
		}
		r := sim.Run(s)
		if ended := r.Succeeded + r.FellBack + r.Refused + r.Failed; r.Requests != ended+r.Unfinished {
			t.Fatalf("%d requests, %d ended and %d unfinished", r.Requests, ended, r.Unfinished)
		}
		if again := sim.Run(s); again.String() != r.String() {
			t.Fatal("another run of the same setup differs")
		}
	})
}

// What is wrong with a fleet is named.
func TestSetupOfAFleetIsValidated(t *testing.T) {
	ok := sim.Setup{Arrivals: sim.Steady(1), Length: time.Second}
	require.NoError(t, ok.Validate())
	for want, change := range map[string]func(*sim.Setup){
		"Users is -1; want 0 or more":                func(s *sim.Setup) { s.Users = -1 },
		"Think is nil; want a Delay with Users":      func(s *sim.Setup) { s.Users = 1 },
		"Length is 0; want more with Users":          func(s *sim.Setup) { s.Users, s.Think, s.Length = 1, sim.Fixed(1), 0 },
		"Arrivals is empty":                          func(s *sim.Setup) { s.Arrivals = sim.Arrivals{} },
		"Zones is -1":                                func(s *sim.Setup) { s.Zones = -1 },
		"Balance is 9":                               func(s *sim.Setup) { s.Balance = 9 },
		"Balance is SameZone with 2 zones of 1":      func(s *sim.Setup) { s.Balance, s.Zones, s.Replicas = sim.SameZone, 2, make([]sim.Server, 1) },
		"Replicas[0].Capacity is -1; want 0":         func(s *sim.Setup) { s.Replicas = []sim.Server{{Capacity: -1}} },
		"Server.FailsAfter is -1ns":                  func(s *sim.Setup) { s.Server.FailsAfter = -1 },
		"Phases[0].Replica is 1; want 0 to 0":        func(s *sim.Setup) { s.Phases = []sim.Phase{{To: 1, Replica: 1}} },
		"Phases[0].Rate is 1; want 0 with Quiet":     func(s *sim.Setup) { s.Phases = []sim.Phase{{To: 1, Rate: 1, Quiet: true}} },
		"Phases[0] has FailsAfter -1ns and Capacity": func(s *sim.Setup) { s.Phases = []sim.Phase{{To: 1, FailsAfter: -1}} },
	} {
		s := ok
		change(&s)
		require.ErrorContains(t, s.Validate(), want)
	}
}

// Ten users in a closed loop: a slower server gets fewer requests, where open arrivals would pile up.
func ExampleSetup_users() {
	for _, latency := range []time.Duration{10 * time.Millisecond, 410 * time.Millisecond} {
		r := sim.Run(sim.Setup{
			Users: 10, Think: sim.Fixed(90 * time.Millisecond), Length: 100 * time.Second,
			Server: sim.Server{Latency: func(sim.Load) time.Duration { return latency }},
		})
		fmt.Printf("%v: %.0f requests a second\n", latency, float64(r.Requests)/100)
	}
	// Output:
	// 10ms: 100 requests a second
	// 410ms: 20 requests a second
}

// One slow replica of three, behind two kinds of balancer.
func ExampleSetup_replicas() {
	healthy := sim.Server{Latency: func(sim.Load) time.Duration { return 10 * time.Millisecond }}
	slow := sim.Server{Latency: func(sim.Load) time.Duration { return time.Second }}
	for _, balance := range []sim.Balance{sim.RoundRobin, sim.LeastInFlight} {
		r := sim.Run(sim.Setup{
			Arrivals: sim.Steady(100), Length: time.Minute, Replicas: []sim.Server{slow, healthy, healthy}, Balance: balance,
		})
		fmt.Printf("%v: 90 %% within %v\n", balance, r.Latency.P90.Round(10*time.Millisecond))
	}
	// Output:
	// in turn: 90 % within 1s
	// to the least busy: 90 % within 10ms
}
