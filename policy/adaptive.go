package policy

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/holdfast-go/holdfast/clock"
)

// An Adaptive lets calls through a Limit, which learns from how they end. A refusal is a *Rejection for ErrFull; the
// func is not called then. A panic or runtime.Goexit inside gives the place back, and tells nothing.
//
// It is safe for concurrent use and allocates nothing. Put it where a Bulkhead would be: outside of Retry, or every
// attempt asks anew; around a Timeout, so that a dependency that does not answer counts as one that drops calls.
type Adaptive[T any] struct {
	Name  string // for events and Explain; empty means the Limit's
	Limit *Limit // required; may be shared with other pipelines and result types

	// Priority is that of a call, by what its context tells: 0 is the highest, 9 the lowest. Nil means 0 for all.
	Priority func(ctx context.Context) int

	// Classify says what a result tells: a TransientFailure that the dependency had too much to do, Ignored nothing,
	// the others how long it takes. Nil means that timeouts, and failures with a hint of when to come back, are
	// drops; that other failures tell nothing, as they may be quick for having done nothing; and that successes tell.
	Classify Classifier[T]

	means Meaning[T]
}

var errNoLimit = errors.New("policy: Adaptive.Limit is nil; want a Limit")

// Execute implements Policy.
func (a *Adaptive[T]) Execute(ctx context.Context, next Next[T]) (v T, err error) {
	l := a.Limit
	if l == nil {
		return v, errNoLimit
	}
	if ctx.Err() != nil {
		return v, context.Cause(ctx)
	}
	priority := 0
	if a.Priority != nil {
		priority = a.Priority(ctx)
	}
	begun, err := l.admit(priority)
	if err != nil {
		next.Emit(ctx, Event{Kind: Rejected, Policy: "adaptive", Name: a.name(), Outcome: Ignored, Err: err})
		return v, err
	}
	outcome := Ignored // stays so if next panics or ends the goroutine
	defer func() { l.finish(begun, outcome) }()
	v, err = next.Do(ctx)
	if err == nil && a.Classify == nil && a.means.Classify == nil {
		outcome = Success
		return v, nil
	}
	outcome = a.judge(ctx, v, err)
	return v, err
}

// judge is tells, and discards v if that panics.
func (a *Adaptive[T]) judge(ctx context.Context, v T, err error) Outcome {
	told := false
	defer lose(a.means.Discard, &v, &told)
	outcome := a.tells(ctx, v, err)
	told = true
	return outcome
}

// tells is what a result tells a Limit.
func (a *Adaptive[T]) tells(ctx context.Context, v T, err error) Outcome {
	if a.Classify != nil {
		return a.Classify.Apply(ctx, v, err)
	}
	switch o := a.means.Classify.Apply(ctx, v, err); {
	case o == Success:
		return Success
	case o == TransientFailure && (errors.Is(err, ErrTimeout) || errors.Is(err, context.DeadlineExceeded) || a.hinted(v, err)):
		return TransientFailure
	default:
		return Ignored
	}
}

// hinted reports whether the dependency said when to come back.
func (a *Adaptive[T]) hinted(v T, err error) bool {
	if a.means.Hint != nil {
		return a.means.Hint(v, err) > 0
	}
	return HintOf(err) > 0
}

// Interpret implements Interpreter.
func (a *Adaptive[T]) Interpret(m Meaning[T]) Policy[T] {
	meant := *a
	meant.means = meant.means.Or(m)
	return &meant
}

// Refusal implements Refuser: whether there is room later is not known.
func (a *Adaptive[T]) Refusal(time.Duration) error { return nil }

func (a *Adaptive[T]) name() string {
	if a.Name == "" && a.Limit != nil {
		return a.Limit.Name
	}
	return a.Name
}

// Validate names every field that is wrong, the Limit's included.
func (a *Adaptive[T]) Validate() error {
	p := problems{owner: "Adaptive"}
	if a.Limit == nil {
		p.add(".Limit is nil; want a Limit")
		return p.join()
	}
	return a.Limit.Validate()
}

// Describe implements Describer.
func (a *Adaptive[T]) Describe() Description {
	a.Limit.mu.Lock()
	l := a.Limit.settings()
	a.Limit.mu.Unlock()
	d := Description{
		Kind: "adaptive", Name: a.name(), Clock: clock.OrSystem(a.Limit.Clock), Core: a.Limit,
		Bounds: func(inner Bounds) Bounds { return inner },
		Settings: []Setting{
			{"limit", strconv.Itoa(l.least()) + " to " + strconv.Itoa(l.most()), l.Min == 0 && l.Max == 0},
			{"from", strconv.Itoa(l.initial()), l.Initial == 0},
			{"by", l.algorithm().String(), l.Algorithm == nil},
		},
	}
	d.custom("priority", a.Priority != nil)
	d.custom("classify", a.Classify != nil)
	return d
}
