package policy

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/clock"
)

// A Describer tells what a policy is and what it costs at worst, for pipeline.Explain. A policy that is none makes
// the bounds of the pipeline around it unknown, never wrong.
type Describer interface {
	Describe() Description
}

// A Description is what a policy says of itself.
type Description struct {
	Kind     string    // "retry", "breaker", …
	Name     string    // the policy's own, if it has one
	Settings []Setting // in the order in which they are shown

	// Bounds is the worst case of the policy around an inner part with the given one. Nil means unknown.
	Bounds func(inner Bounds) Bounds

	Clock   clock.Clock   // what the policy measures and waits on; nil where it does neither
	Core    any           // the *Circuit, *Gate, … that it may share with other pipelines, if any
	Repeats *Repeats      // how it calls again, if it does
	Limit   time.Duration // how long it lets a call take; 0 means no limit
	Answers bool          // it replaces failures with answers of its own
	Faults  bool          // it makes failures of its own, for others to be tried with
	Needs   float64       // calls a second below which it can never act; 0 means none
	Delay   time.Duration // how long it waits for a call before it makes another beside it; 0 means that it does not, or is not known
	Queue   Queue         // of callers that wait for a place
	Sure    bool          // it answers every failure and every refusal, and cannot fail to

	// EndsContext says that the context of a call ends with the call although a value of type T may need it for longer: T
	// holds interfaces, funcs or channels, and no Meaning holds the context.
	EndsContext bool
}

// A Queue is what a policy says of the callers that wait in it.
type Queue struct {
	Waiters int // at most
	Places  int // calls in flight at most
}

// A Setting is one field of a policy as Explain shows it.
type Setting struct {
	Name, Value string
	Default     bool // the field was left zero; Value is what that means
}

// Repeats says how a policy calls again after a failure.
type Repeats struct {
	Attempts   int                           // most calls, the first included
	MaxElapsed time.Duration                 // no attempt starts later than this; 0 means no limit
	LeastWait  func(waits int) time.Duration // the least that the first waits add up to
	Transient  func(error) bool              // whether it calls again after this error; it runs the user's classifier
}

// Bounds are worst cases of one execution of a part of a pipeline.
type Bounds struct {
	Calls    Bound[int]           // calls of the func
	AtOnce   Bound[int]           // calls of the func in flight at once
	Wait     Bound[time.Duration] // waiting between calls
	Duration Bound[time.Duration] // start to end, if the func ends once its context has ended

	// Hinted are Wait and Duration where the dependency asks for the longest waits it is granted.
	HintedWait, HintedDuration Bound[time.Duration]

	Besides  string // what the durations leave out because nobody can know it: "Fallback.Func"
	Detaches bool   // the func may go on running after the part has ended
}

// A Bound is a worst case: the Most there can be, unless Missing says why that is not known or has no limit.
type Bound[N int | time.Duration] struct {
	Most    N      `json:"most"`
	Missing string `json:"missing,omitempty"`
}

// Most is a known bound.
func Most[N int | time.Duration](n N) Bound[N] { return Bound[N]{Most: n} }

// Missing is a bound that is not known, or none, for the given reason.
func Missing[N int | time.Duration](why string) Bound[N] { return Bound[N]{Missing: why} }

// Known reports whether there is a worst case.
func (b Bound[N]) Known() bool { return b.Missing == "" }

// Plus is the bound of one part after another.
func (b Bound[N]) Plus(other Bound[N]) Bound[N] {
	if !b.Known() {
		return b
	}
	if !other.Known() {
		return other
	}
	return Most(within[N](addDurations(time.Duration(b.Most), time.Duration(other.Most))))
}

// Times is the bound of n such parts, one after another.
func (b Bound[N]) Times(n int) Bound[N] {
	if !b.Known() {
		return b
	}
	return Most(within[N](mulDuration(time.Duration(b.Most), n)))
}

// within returns v, held at the greatest N: an int has 32 bits on some processors.
func within[N int | time.Duration](v time.Duration) N {
	if n := N(v); time.Duration(n) == v {
		return n
	}
	greatest := math.MaxInt
	return N(greatest)
}

// Min is the bound of a part that something else bounds too.
func (b Bound[N]) Min(other Bound[N]) Bound[N] {
	if !b.Known() || other.Known() && other.Most < b.Most {
		return other
	}
	return b
}

// besides adds a name to those of what the durations leave out.
func besides(names, name string) string {
	switch {
	case names == "":
		return name
	case strings.Contains(names, name):
		return names
	default:
		return names + " and " + name
	}
}

// BareBounds are those of a func by itself: one call, for as long as it likes.
func BareBounds() Bounds {
	endless := Missing[time.Duration]("unbounded: no Timeout limits the func")
	return Bounds{
		Calls: Most(1), AtOnce: Most(1),
		Wait: Most[time.Duration](0), HintedWait: Most[time.Duration](0),
		Duration: endless, HintedDuration: endless,
	}
}

// UnknownBounds are those of a part that does not describe itself.
func UnknownBounds(who string) Bounds {
	why := "unknown: " + who + " does not say; a policy does by a Describe method, and a func by being a policy.Around"
	n, d := Missing[int](why), Missing[time.Duration](why)
	return Bounds{Calls: n, AtOnce: n, Wait: d, Duration: d, HintedWait: d, HintedDuration: d}
}

// setting shows a field, marked where zero was given and def is what that means.
func setting[V comparable](name string, v, def V) Setting {
	var zero V
	if v == zero {
		return Setting{name, fmt.Sprint(def), true}
	}
	return Setting{name, fmt.Sprint(v), false}
}

// custom tells of a func, if there is one, of which there is nothing else to say.
func (d *Description) custom(name string, set bool) {
	if set {
		d.Settings = append(d.Settings, Setting{name, "custom", false})
	}
}

// waiting is inner with a wait before it.
func (b Bounds) waiting(wait Bound[time.Duration]) Bounds {
	b.Wait, b.HintedWait = b.Wait.Plus(wait), b.HintedWait.Plus(wait)
	b.Duration, b.HintedDuration = b.Duration.Plus(wait), b.HintedDuration.Plus(wait)
	return b
}
