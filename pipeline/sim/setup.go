package sim

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
)

// A Setup is what a run consists of: who asks for what and when, through which policies, of which server, and what
// goes wrong meanwhile. Only Arrivals or Users is required, and Length unless the arrivals end by themselves.
//
// Everything random is drawn from Seed: the same Setup gives the same Report, to the byte. Funcs in a Setup that keep
// state of their own belong to one run; for several runs make several Setups, as [Repeat] does.
type Setup struct {
	Name string // heads the report
	Seed uint64 // 0 is a seed like any other

	// Length is how long requests arrive and are counted. What is under way by then ends, but counts as unfinished. 0
	// means until every request has ended, and is for AtOnce only, with a server that answers.
	Length time.Duration

	Arrivals Arrivals // when requests arrive, of all clients together: Poisson, Steady or AtOnce; required without Users

	// Users is the number of users in a closed loop, besides the Arrivals: each sends a request, waits until it has ended,
	// thinks for a while, and sends the next. So they send less when the server is slow. A user thinks before the first
	// request, too, and keeps to one client. 0 means none.
	Users int
	Think Delay // how long a user thinks; required with Users, and more than 0 on average

	Clients  int      // client processes, which get the requests in turn; 0 means 1
	Server   Server   // what they call; the zero value answers at once
	Replicas []Server // in place of Server: several, among which Balance chooses for each call; nil means Server alone
	Balance  Balance  // how; 0 means RoundRobin

	// Zones spreads the clients over so many zones, in turn, and the Replicas likewise; a call between two zones takes
	// CrossZone longer, each way. 0 means that there are no zones.
	Zones     int
	CrossZone Delay // nil means none

	Phases []Phase // what changes for a while; if they overlap, the later in the list wins

	// Build is called once for every client, before the run. Policies and circuits must be on env.Clock, and should
	// draw from env.Rand; two clients share what Build gives to both. Run hears of the circuits' changes by their
	// OnChange, and hands them on to the func that was there. Nil means no policies.
	Build func(env Env) pipeline.Pipeline[struct{}]

	// Call is what an attempt does: what the pipeline runs. Nil means Env.Serve. It may sleep on env.Clock.
	Call func(ctx context.Context, env Env) error

	Goal float64       // the share of Arrivals that counts as recovered, in (0, 1]; 0 means 0.9
	Step time.Duration // of the timeline; 0 means 1s, or Length/1000 where that is longer

	// Progress is called after every step of the timeline, on the goroutine of Run or one it waits for.
	Progress func(Progress)
}

// Progress is how far a run has come.
type Progress struct {
	At, Length time.Duration // virtual time since the start, and of the whole run; 0 if nobody knows
	Requests   int           // that have arrived
}

// An Env is a client's surroundings.
type Env struct {
	Clock  *clock.Virtual // the time of the run
	Rand   *rand.Rand     // the client's own; not for funcs that may run on other goroutines than the run's
	Client int            // which client it is, from 0

	request *request // that env is used for; nil in Build
}

// Serve calls the server, for Setup.Call. It returns context.Cause(ctx) if ctx ends first, and the server works on all
// the same. ctx is the one that Call was given, or one derived from it by the standard library or a policy.
func (e Env) Serve(ctx context.Context) error {
	return e.request.world.fleet.choose(e.request).call(ctx, e.request)
}

// A Phase is a time in which things are different: a surge, an outage. A field left zero changes nothing.
type Phase struct {
	Name string        `json:"name"` // shown in the charts
	From time.Duration `json:"from_ns"`
	To   time.Duration `json:"to_ns"`

	Rate     float64 `json:"rate"`            // of arrivals, requests a second
	Quiet    bool    `json:"quiet,omitempty"` // nothing arrives, and no user begins a request
	Failures float64 `json:"failures"`        // the share of calls that the server answers with ErrFailed; 1 is an outage
	Slower   float64 `json:"slower"`          // what the server's latency is multiplied by
	Stalled  bool    `json:"stalled"`         // the server begins nothing that arrives now until the phase is over

	FailsAfter time.Duration `json:"fails_after_ns,omitempty"` // how long a call that fails takes, without a place in the server's line
	Capacity   int           `json:"capacity,omitempty"`       // calls that the server serves at once, of those that arrive now
	Replica    int           `json:"replica,omitempty"`        // the one of Replicas, from 1, that Failures and what follows are about; 0 means all
}

func (p Phase) covers(at time.Duration) bool { return p.From <= at && at < p.To }

// Validate names every field that is wrong; Run panics with what it returns.
func (s Setup) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("sim: Setup."+format, args...)) }
	if s.Arrivals == (Arrivals{}) {
		if s.Users == 0 {
			bad("Arrivals is empty; want Poisson, Steady or AtOnce, or Users")
		}
	} else if a := s.Arrivals; a.once < 0 || a.once == 0 && !(a.rate > 0 && a.rate <= maxRate) {
		bad("Arrivals is %v; want more than 0 requests, and at most 1e9 a second", a)
	}
	if s.Length < 0 || s.Length == 0 && s.Arrivals.once == 0 {
		bad("Length is %v; want more than 0, or 0 with AtOnce", s.Length)
	}
	if s.Length > longestRun {
		bad("Length is %v; want at most %v", s.Length, longestRun)
	}
	s.validateFleet(bad)
	if s.Clients < 0 {
		bad("Clients is %d; want 0 or more", s.Clients)
	}
	if !(s.Goal >= 0 && s.Goal <= 1) {
		bad("Goal is %v; want 0 to 1", s.Goal)
	}
	if s.Step < 0 {
		bad("Step is %v; want 0 or more", s.Step)
	}
	s.Server.validate("Server", bad)
	for i, r := range s.Replicas {
		r.validate(fmt.Sprintf("Replicas[%d]", i), bad)
	}
	for i, p := range s.Phases {
		switch {
		case p.From < 0 || p.To <= p.From:
			bad("Phases[%d] is from %v to %v; want 0 or more, and To later than From", i, p.From, p.To)
		case !(p.Rate >= 0 && p.Rate <= maxRate):
			bad("Phases[%d].Rate is %v; want 0 to 1e9", i, p.Rate)
		case p.Rate > 0 && s.Arrivals.once > 0:
			bad("Phases[%d].Rate is %v; want 0 with AtOnce", i, p.Rate)
		case !isShare(p.Failures):
			bad("Phases[%d].Failures is %v; want 0 to 1", i, p.Failures)
		case !(p.Slower >= 0) || math.IsInf(p.Slower, 0):
			bad("Phases[%d].Slower is %v; want 0 or more", i, p.Slower)
		case p.Rate > 0 && p.Quiet:
			bad("Phases[%d].Rate is %v; want 0 with Quiet", i, p.Rate)
		case p.FailsAfter < 0 || p.Capacity < 0:
			bad("Phases[%d] has FailsAfter %v and Capacity %d; want 0 or more", i, p.FailsAfter, p.Capacity)
		case p.Replica < 0 || p.Replica > len(s.Replicas):
			bad("Phases[%d].Replica is %d; want 0 to %d", i, p.Replica, len(s.Replicas))
		}
	}
	return errors.Join(errs...)
}

// validateFleet names what is wrong with the users and the zones.
func (s Setup) validateFleet(bad func(format string, args ...any)) {
	if s.Users < 0 {
		bad("Users is %d; want 0 or more", s.Users)
	}
	if s.Users > 0 && s.Think == nil {
		bad("Think is nil; want a Delay with Users")
	}
	if s.Users > 0 && s.Length == 0 {
		bad("Length is 0; want more with Users, who go on for ever")
	}
	if s.Zones < 0 {
		bad("Zones is %d; want 0 or more", s.Zones)
	}
	if s.Balance > SameZone {
		bad("Balance is %d; want RoundRobin, Randomly, LeastInFlight or SameZone", s.Balance)
	}
	if s.Balance == SameZone && (s.Zones == 0 || s.Zones > len(s.Replicas)) {
		bad("Balance is SameZone with %d zones of %d replicas; want at least one replica in each", s.Zones, len(s.Replicas))
	}
}

func (s Server) validate(name string, bad func(format string, args ...any)) {
	if s.Capacity < 0 {
		bad("%s.Capacity is %d; want 0 or more", name, s.Capacity)
	}
	if s.Queue < 0 {
		bad("%s.Queue is %d; want 0 or more", name, s.Queue)
	}
	if !isShare(s.Failures) {
		bad("%s.Failures is %v; want 0 to 1", name, s.Failures)
	}
	if s.FailsAfter < 0 {
		bad("%s.FailsAfter is %v; want 0 or more", name, s.FailsAfter)
	}
}

// longestRun is a hundred years, which the clock has left.
const longestRun = 100 * 365 * 24 * time.Hour

func isShare(f float64) bool { return f >= 0 && f <= 1 }

func (s Setup) goal() float64 {
	if s.Goal == 0 {
		return 0.9
	}
	return s.Goal
}

func (s Setup) step() time.Duration {
	if s.Step == 0 {
		return max(time.Second, s.Length/1000)
	}
	return s.Step
}
