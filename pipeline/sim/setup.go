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
// goes wrong meanwhile. Only Arrivals is required, and Length unless the arrivals end by themselves.
//
// Everything random is drawn from Seed: the same Setup gives the same Report, to the byte. Funcs in a Setup that keep
// state of their own belong to one run; for several runs make several Setups, as [Repeat] does.
type Setup struct {
	Name string // heads the report
	Seed uint64 // 0 is a seed like any other

	// Length is how long requests arrive and are counted. What is under way by then ends, but counts as unfinished. 0
	// means until every request has ended, and is for AtOnce only, with a server that answers.
	Length time.Duration

	Arrivals Arrivals // when requests arrive, of all clients together: Poisson, Steady or AtOnce; required
	Clients  int      // client processes, which get the requests in turn; 0 means 1
	Server   Server   // what they call; the zero value answers at once
	Phases   []Phase  // what changes for a while; where they overlap, the later in the list has its way

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
func (e Env) Serve(ctx context.Context) error { return e.request.world.server.call(ctx, e.request) }

// A Phase is a time in which things are different: a surge, an outage. A field left zero changes nothing.
type Phase struct {
	Name string        `json:"name"` // shown in the charts
	From time.Duration `json:"from_ns"`
	To   time.Duration `json:"to_ns"`

	Rate     float64 `json:"rate"`     // of arrivals, requests a second
	Failures float64 `json:"failures"` // the share of calls that the server answers with ErrFailed; 1 is an outage
	Slower   float64 `json:"slower"`   // what the server's latency is multiplied by
	Stalled  bool    `json:"stalled"`  // the server begins nothing that arrives now until the phase is over
}

func (p Phase) covers(at time.Duration) bool { return p.From <= at && at < p.To }

// Validate names every field that is wrong; Run panics with what it returns.
func (s Setup) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("sim: Setup."+format, args...)) }
	if s.Arrivals == (Arrivals{}) {
		bad("Arrivals is empty; want Poisson, Steady or AtOnce")
	} else if a := s.Arrivals; a.once < 0 || a.once == 0 && !(a.rate > 0 && a.rate <= maxRate) {
		bad("Arrivals is %v; want more than 0 requests, and at most 1e9 a second", a)
	}
	if s.Length < 0 || s.Length == 0 && s.Arrivals.once == 0 {
		bad("Length is %v; want more than 0, or 0 with AtOnce", s.Length)
	}
	if s.Length > longestRun {
		bad("Length is %v; want at most %v", s.Length, longestRun)
	}
	if s.Clients < 0 {
		bad("Clients is %d; want 0 or more", s.Clients)
	}
	if !(s.Goal >= 0 && s.Goal <= 1) {
		bad("Goal is %v; want 0 to 1", s.Goal)
	}
	if s.Step < 0 {
		bad("Step is %v; want 0 or more", s.Step)
	}
	if s.Server.Capacity < 0 {
		bad("Server.Capacity is %d; want 0 or more", s.Server.Capacity)
	}
	if s.Server.Queue < 0 {
		bad("Server.Queue is %d; want 0 or more", s.Server.Queue)
	}
	if !isShare(s.Server.Failures) {
		bad("Server.Failures is %v; want 0 to 1", s.Server.Failures)
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
		}
	}
	return errors.Join(errs...)
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
