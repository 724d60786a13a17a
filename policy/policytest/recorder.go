package policytest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/policy"
)

// A Recorder remembers what a pipeline's observers hear, for tests to look at: give it to Observe, and its Changed to
// Circuit.OnChange. The zero value works. It is safe for concurrent use and must not be copied.
type Recorder struct {
	Clock clock.Clock // nil means clock.System

	mu    sync.Mutex // guards the fields below
	begun bool
	start int64
	heard []Heard
}

// Heard is an event, or a change of a circuit, and when it was heard.
type Heard struct {
	At     time.Duration // since the first that was heard
	Event  policy.Event
	Change *policy.Change // in the place of Event; nil for an event
}

// Observe implements policy.Observer.
func (r *Recorder) Observe(_ context.Context, e policy.Event) { r.add(Heard{Event: e}) }

// Changed is for Circuit.OnChange.
func (r *Recorder) Changed(c policy.Change) { r.add(Heard{Change: &c}) }

func (r *Recorder) add(h Heard) {
	now := clock.OrSystem(r.Clock).Nanos()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.begun {
		r.begun, r.start = true, now
	}
	h.At = clock.Since(r.start, now)
	r.heard = append(r.heard, h)
}

// All is everything that was heard, in order.
func (r *Recorder) All() []Heard {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.heard)
}

// Events are the events that were heard of the given kinds, or of all kinds if none is given, in order.
func (r *Recorder) Events(kinds ...policy.Kind) []policy.Event {
	var events []policy.Event
	for _, h := range r.All() {
		if h.Change == nil && (len(kinds) == 0 || slices.Contains(kinds, h.Event.Kind)) {
			events = append(events, h.Event)
		}
	}
	return events
}

// Changes are the changes that were heard, in order.
func (r *Recorder) Changes() []policy.Change {
	var changes []policy.Change
	for _, h := range r.All() {
		if h.Change != nil {
			changes = append(changes, *h.Change)
		}
	}
	return changes
}

// Reset forgets everything.
func (r *Recorder) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun, r.heard = false, nil
}

// String is what was heard, a line each.
func (r *Recorder) String() string {
	var text strings.Builder
	for _, h := range r.All() {
		fmt.Fprintf(&text, "%-10v %s\n", h.At, h)
	}
	return text.String()
}

// String is what was heard, without the time.
func (h Heard) String() string {
	if h.Change != nil {
		return sentence("circuit", h.Change.Circuit, fmt.Sprintf("%v → %v", h.Change.From, h.Change.To), cause(h.Change.Cause))
	}
	e := h.Event
	says := []string{e.Policy, e.Name, e.Kind.String()}
	switch e.Kind {
	case policy.Attempted:
		says = append(says, fmt.Sprintf("(attempt %d%s)", e.Attempt, elapsed(e, ", ")))
	case policy.Retrying:
		says[2] = fmt.Sprintf("calls again in %v", e.Delay)
	case policy.GaveUp:
		says = append(says, "("+e.Reason.String()+")")
	case policy.Finished:
		says = append(says, elapsed(e, "after "))
	case policy.Rejected, policy.FellBack, policy.TimedOut, policy.Abandoned, policy.Panicked:
	}
	return sentence(append(says, cause(e.Err))...)
}

func elapsed(e policy.Event, before string) string {
	if e.Elapsed == 0 {
		return ""
	}
	return before + e.Elapsed.String()
}

func cause(err error) string {
	if err == nil {
		return ""
	}
	if p, ok := errors.AsType[*policy.Panic](err); ok {
		return fmt.Sprintf("— %v", p.Value) // the stack says nothing about the schedule
	}
	return "— " + err.Error()
}

// sentence joins the words that are not empty.
func sentence(words ...string) string {
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
}
