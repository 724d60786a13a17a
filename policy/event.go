package policy

import (
	"context"
	"time"

	"github.com/holdfast-go/holdfast/clock"
)

// An Observer hears what happens in a pipeline. Observe is called on the goroutine of the call, with its context,
// while the call waits: it must be quick and safe for concurrent use. A detached func's own events come on its
// goroutine. A pipeline without observers measures nothing for them.
type Observer interface {
	Observe(ctx context.Context, e Event)
}

// An ObserverFunc is a func as an Observer.
type ObserverFunc func(ctx context.Context, e Event)

// Observe calls f.
func (f ObserverFunc) Observe(ctx context.Context, e Event) { f(ctx, e) }

// An Event is something that a policy did. Fields that say nothing about its Kind are zero.
type Event struct {
	Kind     Kind
	Pipeline string        // name of the pipeline, by Named
	Policy   string        // kind of the policy: "retry", "breaker", …
	Name     string        // the policy's own Name, if it has one
	Attempt  int           // of the nearest Retry outside: 1 for the first
	Outcome  Outcome       // of the result the event is about, in the eyes of the policy that emits it
	Err      error         // of that result
	Reason   Reason        // GaveUp: why
	Delay    time.Duration // Retrying: how long the wait will be. Rejected: how long until it is worth trying again
	Elapsed  time.Duration // Attempted, Finished: since the attempt or the execution began
}

// A Kind says what an Event is about.
type Kind uint8

// What observers hear of.
const (
	Attempted Kind = iota // the func was called and has returned, panicked, or ended its goroutine
	Retrying              // a Retry will call again after Delay
	GaveUp                // a Retry returns a transient failure; Reason says why it does not call again
	Rejected              // a policy refused the call; Err is its *Rejection
	FellBack              // a Fallback is about to answer instead of the result in Err
	TimedOut              // a Timeout's limit has passed; Err is its *TimeoutError
	Abandoned             // a detaching Timeout has left its func running, on its own
	Finished              // the pipeline returns
	Panicked              // a call panicked after its caller had left, or had been given another panic; Err is a *Panic
)

var kinds = [...]string{"attempted", "retrying", "gave up", "rejected", "fell back", "timed out", "abandoned", "finished", "panicked"}

// String is the kind's name in lower case.
func (k Kind) String() string { return nameOf(kinds[:], k) }

// MarshalText encodes the kind by its name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// A Reason says why a Retry gave up.
type Reason uint8

// Why a Retry gives up.
const (
	NoReason       Reason = iota
	AttemptsSpent         // Attempts calls were made
	ElapsedSpent          // the next attempt would start later than MaxElapsed
	DeadlineNear          // the wait would end at or after the context's deadline
	HintTooLong           // the dependency asked for a wait beyond MaxHint
	NotRepeatable         // the call was marked by Once
	BudgetSpent           // the Budget holds too little
	ContextEnded          // the context ended between attempts
	AttemptRefused        // a policy inside refused the next attempt, or would have after the wait
)

var reasons = [...]string{"", "attempts spent", "elapsed spent", "deadline near", "hint too long", "not repeatable", "budget spent", "context ended", "attempt refused"}

// String is the reason in lower case, and empty for NoReason.
func (r Reason) String() string { return nameOf(reasons[:], r) }

// MarshalText encodes the reason by its name.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// nameOf is the name of an enum's value, whatever the value.
func nameOf[E ~uint8](names []string, e E) string {
	if int(e) < len(names) {
		return names[e]
	}
	return "unknown"
}

// A Scope is what the policies of one pipeline share: its name and who observes it.
type Scope struct {
	Pipeline  string
	Clock     clock.Clock // measures Event.Elapsed; nil means clock.System
	Observers []Observer
}

// Emit tells the observers of e, having filled in the pipeline's name, and the attempt where that is 0.
func (s *Scope) Emit(ctx context.Context, e Event) {
	if len(s.Observers) == 0 {
		return
	}
	e.Pipeline = s.Pipeline
	if e.Attempt == 0 {
		e.Attempt = Attempt(ctx)
	}
	s.notify(ctx, e)
}

// notify calls the observers. A panic that passes through it is theirs, which hookPanicked finds out by its name.
func (s *Scope) notify(ctx context.Context, e Event) {
	for _, o := range s.Observers {
		o.Observe(ctx, e)
	}
}

// Nanos is the time by the scope's clock.
func (s *Scope) Nanos() int64 { return clock.OrSystem(s.Clock).Nanos() }
