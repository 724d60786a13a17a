package policy

import (
	"context"
	"errors"

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
}

var errNoCircuit = errors.New("policy: Breaker.Circuit is nil; want a Circuit")

// Execute implements Policy.
func (b *Breaker[T]) Execute(ctx context.Context, next Next[T]) (v T, err error) {
	c := b.Circuit
	if c == nil {
		return v, errNoCircuit
	}
	t, err := c.admit()
	if err != nil {
		b.refused(ctx, next, err)
		return v, err
	}
	settled := false
	defer func() {
		if !settled { // next, or the classifier, panicked or ended the goroutine
			c.settle(t, TransientFailure, ErrPanicked)
		}
	}()
	v, err = next.Do(ctx)
	if err == nil && b.Classify == nil {
		settled = true
		if !t.period.unmoved() {
			c.settle(t, Success, nil)
		}
		return v, nil
	}
	outcome := b.Classify.Apply(ctx, v, err)
	settled = true
	c.settle(t, outcome, err)
	return v, err
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
	d.custom("classify", b.Classify != nil)
	return d
}

func (c *Circuit) coolDowns() Backoff {
	if c.Cooldown == nil {
		return Constant(defaultCooldown)
	}
	return c.Cooldown
}
