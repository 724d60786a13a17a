package policy

import (
	"context"
	"time"

	"github.com/holdfast-go/holdfast/clock"
)

// A Hedge calls a second time when the first call takes long, and returns whichever succeeds first: the few calls that
// are slow for no reason of their own cost less than the wait for them. The func must be safe to run twice at once;
// using a Hedge is the declaration that it is. A call marked by Once is not hedged.
//
// The next leg starts Delay after the one before, or at once when a leg ends in a TransientFailure, up to Max legs. The
// first Success wins, and so does a PermanentFailure. After a leg whose result is Ignored, because it was refused, no
// other starts, but those that run may still win. If all legs fail their errors are joined.
//
// The losers' contexts are canceled, and the winner's ends with the call, too, unless a [Meaning] of the pipeline holds it
// until what the winner returned, such as a response's body, is done with.
//
// A leg that panics panics on the caller, as a *Panic. If the call has returned by then, or has panicked with another
// leg's, the pipeline's observers get a Panicked event instead. Without observers a leg that panics after the call has
// returned ends the program, as with any goroutine.
//
// It is safe for concurrent use. Every leg runs on a goroutine of its own.
type Hedge[T any] struct {
	Name string // for events and Explain

	// Delay is how long a leg may take before the next one starts. With a Quantile it serves until 20 calls have been
	// seen. Required, and more than 0.
	Delay time.Duration

	// Quantile has the delay follow the latencies of recent calls: 0.95 hedges the slowest twentieth. In (0, 1); 0
	// means that Delay always serves.
	Quantile float64

	Max      int           // most legs, the first included; 0 means 2
	Budget   *Budget       // limits extra legs to a share of first ones; nil means no limit
	Classify Classifier[T] // what a leg's result means; nil means Classify
	Discard  func(T)       // told of the value of every leg that is not returned, on the goroutine that has it
	Clock    clock.Clock   // nil means clock.System

	latencies quantiles
}

const defaultLegs = 2

// Execute implements Policy.
func (h *Hedge[T]) Execute(ctx context.Context, next Next[T]) (T, error) {
	return h.execute(ctx, next, Meaning[T]{})
}

// Interpret implements Interpreter.
func (h *Hedge[T]) Interpret(m Meaning[T]) Policy[T] { return meantHedge[T]{h, m} }

// Refusal implements Refuser.
func (h *Hedge[T]) Refusal(time.Duration) error { return nil }

// A meantHedge is a Hedge in a pipeline whose results have a meaning of their own.
type meantHedge[T any] struct {
	*Hedge[T]
	means Meaning[T]
}

func (h meantHedge[T]) Execute(ctx context.Context, next Next[T]) (T, error) {
	return h.execute(ctx, next, h.means)
}

func (h meantHedge[T]) Interpret(m Meaning[T]) Policy[T] {
	return meantHedge[T]{h.Hedge, h.means.Or(m)}
}

func (h meantHedge[T]) Describe() Description {
	d := h.Hedge.Describe()
	d.EndsContext = d.EndsContext && h.means.Hold == nil
	return d
}

// execute goes by m for what the hedge leaves nil.
func (h *Hedge[T]) execute(ctx context.Context, next Next[T], m Meaning[T]) (T, error) {
	if ctx.Err() != nil {
		var zero T
		return zero, context.Cause(ctx)
	}
	if isOnce(ctx) {
		return next.Do(ctx)
	}
	if h.Classify != nil {
		m.Classify = h.Classify
	}
	if h.Discard != nil {
		m.Discard = h.Discard
	}
	r := &race[T]{hedge: h, means: m, ctx: ctx, next: next, clock: clock.OrSystem(h.Clock), delay: h.Delay}
	if h.Quantile > 0 {
		if d, ok := h.latencies.at(h.Quantile); ok {
			r.delay = d
		}
	}
	return r.run()
}

func (h *Hedge[T]) legs() int {
	if h.Max <= 0 {
		return defaultLegs
	}
	return h.Max
}

// Validate names every field that is out of range.
func (h *Hedge[T]) Validate() error {
	p := problems{owner: "Hedge"}
	if h.Delay <= 0 {
		p.add(".Delay is %v; want more than 0", h.Delay)
	}
	if !(h.Quantile >= 0 && h.Quantile < 1) { // NaN is neither
		p.add(".Quantile is %v; want 0 or more and less than 1", h.Quantile)
	}
	notNegative(&p, "Max", h.Max)
	p.clock(h.Clock)
	p.budget(h.Budget, h.Clock)
	return p.join()
}

// Describe implements Describer.
func (h *Hedge[T]) Describe() Description {
	d := Description{
		Kind: "hedge", Name: h.Name, Clock: clock.OrSystem(h.Clock), EndsContext: !isPlain[T](),
		Settings: []Setting{setting("delay", h.Delay, 0), setting("max", h.Max, defaultLegs)},
		Bounds: func(inner Bounds) Bounds {
			n := h.legs()
			inner.Calls, inner.AtOnce = inner.Calls.Times(n), inner.AtOnce.Times(n)
			inner.Detaches = true // a loser may go on for a while
			if h.Quantile > 0 && n > 1 {
				late := Missing[time.Duration]("unknown: the hedge's delay follows the latencies")
				inner.Duration, inner.HintedDuration = inner.Duration.Plus(late), inner.HintedDuration.Plus(late)
				return inner
			}
			late := Most(mulDuration(h.Delay, n-1))
			inner.Duration, inner.HintedDuration = inner.Duration.Plus(late), inner.HintedDuration.Plus(late)
			return inner
		},
	}
	if h.Quantile == 0 && h.legs() > 1 {
		d.Delay = h.Delay
	}
	if h.Quantile > 0 {
		d.Settings = append(d.Settings, setting("quantile", h.Quantile, 0))
	}
	if h.Budget != nil {
		d.Settings = append(d.Settings, h.Budget.describe())
	}
	d.custom("classify", h.Classify != nil)
	return d
}
