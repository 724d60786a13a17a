package policy

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-go/holdfast/clock"
)

// A Breaker refuses calls while its Circuit is open, and tells the Circuit how the others ended. A refusal is a
// *Rejection; the func is not called then.
//
// A panic or runtime.Goexit inside counts as failed and goes on unchanged. It is safe for concurrent use, and
// allocates nothing; what it costs besides is the Circuit's doing.
type Breaker[T any] struct {
	Name     string        // for events and Explain; empty means the Circuit's
	Circuit  *Circuit      // required; may be shared with other pipelines and result types
	Classify Classifier[T] // what counts as failed, as worked, or not at all; nil means Classify

	failure func(T) error // of a Meaning: what a failure without an error is called
	discard func(T)       // of a Meaning: frees a value that a panic takes the place of
	meant   meant
}

var errNoCircuit = errors.New("policy: Breaker.Circuit is nil; want a Circuit")

// Execute implements Policy.
func (b *Breaker[T]) Execute(ctx context.Context, next Next[T]) (v T, err error) {
	c := b.Circuit
	if c == nil {
		return v, errNoCircuit
	}
	if ctx.Err() != nil {
		return v, context.Cause(ctx)
	}
	t, err := c.admit()
	if err != nil {
		b.refused(ctx, next, err)
		return v, err
	}
	at := calling
	defer func() {
		if at != over { // something panicked or ended the goroutine
			b.unwind(ctx, t, at, v)
		}
	}()
	v, err = next.Do(ctx)
	if err == nil && b.Classify == nil && t.period.unmoved() {
		at = over
		return v, nil
	}
	at = judging
	outcome, cause := b.Classify.Apply(ctx, v, err), err
	if outcome == TransientFailure {
		cause = failure(b.failure, v, err)
	}
	at = settling
	c.settle(t, outcome, cause)
	at = over
	return v, err
}

// A stage is how far an execution of a Breaker has come.
type stage uint8

const (
	calling  stage = iota // the rest of the pipeline
	judging               // the classifier
	settling              // the circuit, which may call OnChange
	over
)

// unwind settles a call that did not get past a stage, and discards the value that is lost by that.
func (b *Breaker[T]) unwind(ctx context.Context, t ticket, at stage, v T) {
	if at > calling && b.discard != nil {
		defer b.discard(v)
	}
	switch at {
	case calling:
		b.Circuit.settle(t, unwound(ctx), ErrPanicked)
	case judging:
		b.Circuit.settle(t, TransientFailure, ErrPanicked)
	case settling, over:
	}
}

// Interpret implements Interpreter.
func (b *Breaker[T]) Interpret(m Meaning[T]) Policy[T] {
	meant := *b
	if meant.Classify == nil && m.Classify != nil {
		meant.Classify, meant.meant.classify = m.Classify, true
	}
	if meant.failure == nil {
		meant.failure = m.Failure
	}
	if meant.discard == nil {
		meant.discard = m.Discard
	}
	return &meant
}

// Refusal implements Refuser.
func (b *Breaker[T]) Refusal(wait time.Duration) error {
	if b.Circuit == nil {
		return nil
	}
	return b.Circuit.refusal(wait)
}

func (b *Breaker[T]) refused(ctx context.Context, next Next[T], err error) {
	if next.Observed() {
		next.Emit(ctx, Event{Kind: Rejected, Policy: "breaker", Name: b.name(), Outcome: Ignored, Err: err, Delay: HintOf(err)})
	}
}

func (b *Breaker[T]) name() string {
	if b.Name == "" && b.Circuit != nil {
		return b.Circuit.Name
	}
	return b.Name
}

// Validate names every field that is wrong, the Circuit's included.
func (b *Breaker[T]) Validate() error {
	p := problems{owner: "Breaker"}
	if b.Circuit == nil {
		p.add(".Circuit is nil; want a Circuit")
		return p.join()
	}
	return b.Circuit.Validate()
}

// Describe implements Describer.
func (b *Breaker[T]) Describe() Description {
	b.Circuit.mu.Lock()
	c := b.Circuit.settings()
	b.Circuit.mu.Unlock()
	d := Description{
		Kind: "breaker", Name: b.name(), Clock: clock.OrSystem(b.Circuit.Clock), Core: b.Circuit,
		Bounds: func(inner Bounds) Bounds { return inner },
		Settings: []Setting{
			{"opens at", c.trip().String(), c.Trip == nil},
			{"for", describeBackoff(c.coolDowns()), c.Cooldown == nil},
			setting("probes", c.Probes, 1),
			setting("successes", c.Successes, 1),
			setting("probe lease", c.ProbeLease, defaultProbeLease),
		},
	}
	if rate, ok := c.Trip.(FailureRate); ok {
		d.Needs = float64(rate.minCalls()) / rate.Window.Seconds()
	}
	if c.Slow > 0 {
		d.Settings = append(d.Settings, setting("slow", c.Slow, 0))
	}
	if c.RampUp > 0 {
		d.Settings = append(d.Settings, setting("ramp-up", c.RampUp, 0))
	}
	d.custom("classify", b.Classify != nil && !b.meant.classify)
	return d
}

func (c *Circuit) coolDowns() Backoff {
	if c.Cooldown == nil {
		return Constant(defaultCooldown)
	}
	return c.Cooldown
}
