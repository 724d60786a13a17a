package pipeline

import (
	"context"
	"errors"
	"slices"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/policy"
)

// A Pipeline runs funcs through policies. It is an immutable value, made by Wrap, to be copied and shared freely
// between goroutines; the zero value runs a func as it is. Running through it allocates nothing of its own.
type Pipeline[T any] struct {
	*built[T] // nil in the zero value
}

// built is a pipeline ready to run.
type built[T any] struct {
	name      string
	observers []policy.Observer
	policies  []policy.Policy[T] // outermost first; a Pipeline among them was Named or Observed
	means     policy.Meaning[T]  // of results
	head      policy.Next[T]
}

// Wrap is a pipeline of policies, outermost first. It panics with what Check would return.
func Wrap[T any](policies ...policy.Policy[T]) Pipeline[T] {
	if err := Check(policies...); err != nil {
		panic(err)
	}
	return build(built[T]{policies: flatten(policies), means: meaningOf(policies)})
}

// build makes b ready to run.
func build[T any](b built[T]) Pipeline[T] {
	scope := &policy.Scope{Pipeline: b.name, Clock: clockOf(b.policies), Observers: b.observers}
	layers := arrange(b.policies, scope, b.means)
	if len(b.observers) > 0 {
		layers = slices.Insert(layers, 0, policy.Layer[T]{Policy: span[T]{policy.Finished, scope, b.means}, Scope: scope})
		layers = append(layers, policy.Layer[T]{Policy: span[T]{policy.Attempted, scope, b.means}})
	}
	b.head = policy.Connect(layers...)
	return Pipeline[T]{&b}
}

// flatten replaces pipelines by their policies, but for those that were Named or Observed.
func flatten[T any](policies []policy.Policy[T]) []policy.Policy[T] {
	var flat []policy.Policy[T]
	for _, p := range policies {
		inner, ok := asPipeline(p)
		switch {
		case !ok:
			flat = append(flat, p)
		case inner.built == nil:
		case inner.name == "" && len(inner.observers) == 0:
			flat = append(flat, inner.policies...)
		default:
			flat = append(flat, inner)
		}
	}
	return flat
}

func asPipeline[T any](p policy.Policy[T]) (Pipeline[T], bool) {
	switch p := p.(type) {
	case Pipeline[T]:
		return p, true
	case *Pipeline[T]:
		return *p, true
	default:
		return Pipeline[T]{}, false
	}
}

// Do runs fn through the pipeline.
func (p Pipeline[T]) Do(ctx context.Context, fn policy.Func[T]) (T, error) {
	return p.start().With(fn).Do(ctx)
}

// Execute runs the rest of another pipeline through this one: a Pipeline is a policy.
func (p Pipeline[T]) Execute(ctx context.Context, next policy.Next[T]) (T, error) {
	return p.start().With(next.Do).Do(ctx)
}

func (p Pipeline[T]) start() policy.Next[T] {
	if p.built == nil {
		return policy.Next[T]{}
	}
	return p.head
}

// Bind is fn behind the pipeline: call it in fn's place. It panics if fn is nil.
func (p Pipeline[T]) Bind(fn policy.Func[T]) policy.Func[T] {
	if fn == nil {
		panic(errors.New("pipeline: Bind of a nil func"))
	}
	return func(ctx context.Context) (T, error) { return p.Do(ctx, fn) }
}

// Named is the pipeline under a name, which observers and Explain show. Inside another pipeline it stays a pipeline
// of its own.
func (p Pipeline[T]) Named(name string) Pipeline[T] {
	b := p.parts()
	b.name = name
	return build(b)
}

// Observe is the pipeline with more observers. Inside another pipeline it stays a pipeline of its own, whose
// observers hear of what it does, and the other's hear of everything. It panics if an observer is nil.
func (p Pipeline[T]) Observe(observers ...policy.Observer) Pipeline[T] {
	for _, o := range observers {
		if isNil(o) {
			panic(errors.New("pipeline: Observe of a nil Observer"))
		}
	}
	b := p.parts()
	b.observers = slices.Concat(b.observers, observers)
	return build(b)
}

// Means returns the pipeline with m in place of each Classify, Hint and Discard that its policies leave nil, those of
// inner pipelines included. Events go by m, too. What an earlier Means has set stays. Policies of other packages take part
// if they are a [policy.Interpreter]. A call costs what it would cost with the fields set by hand.
func (p Pipeline[T]) Means(m policy.Meaning[T]) Pipeline[T] {
	b := p.parts()
	b.policies = slices.Clone(b.policies)
	for i, own := range b.policies {
		if inner, ok := asPipeline(own); ok {
			b.policies[i] = inner.Means(m)
		} else if interpreter, ok := own.(policy.Interpreter[T]); ok {
			b.policies[i] = interpreter.Interpret(m)
		}
	}
	b.means = b.means.Or(m)
	return build(b)
}

func (p Pipeline[T]) parts() built[T] {
	if p.built == nil {
		return built[T]{}
	}
	return *p.built
}

// Circuits are the circuits that the pipeline's breakers share, outermost first.
func (p Pipeline[T]) Circuits() []*policy.Circuit {
	var circuits []*policy.Circuit
	for _, d := range describeAll(p.parts().policies) {
		if c, ok := d.Core.(*policy.Circuit); ok {
			circuits = append(circuits, c)
		}
	}
	return circuits
}

// Clock is the one clock that the pipeline's policies share; nil where none of them says that it needs one.
func (p Pipeline[T]) Clock() clock.Clock { return clockOf(p.parts().policies) }

// Decorate is fn, a func with an argument, behind p: call it in fn's place. It panics if fn is nil.
func Decorate[A, T any](p Pipeline[T], fn func(context.Context, A) (T, error)) func(context.Context, A) (T, error) {
	if fn == nil {
		panic(errors.New("pipeline: Decorate of a nil func"))
	}
	return func(ctx context.Context, a A) (T, error) {
		return p.Do(ctx, func(ctx context.Context) (T, error) { return fn(ctx, a) })
	}
}

// Run runs a func that returns nothing but an error.
func Run(ctx context.Context, p Pipeline[struct{}], fn func(context.Context) error) error {
	if fn == nil {
		_, err := p.Do(ctx, nil)
		return err
	}
	_, err := p.Do(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, fn(ctx) })
	return err
}
