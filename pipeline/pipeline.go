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
	head      policy.Next[T]
}

// Wrap is a pipeline of policies, outermost first. It panics with what Check would return.
func Wrap[T any](policies ...policy.Policy[T]) Pipeline[T] {
	if err := Check(policies...); err != nil {
		panic(err)
	}
	return build("", nil, flatten(policies))
}

func build[T any](name string, observers []policy.Observer, policies []policy.Policy[T]) Pipeline[T] {
	b := &built[T]{name: name, observers: observers, policies: policies}
	scope := &policy.Scope{Pipeline: name, Clock: clockOf(policies), Observers: observers}
	layers := arrange(policies, scope)
	if len(observers) > 0 {
		layers = slices.Insert(layers, 0, policy.Layer[T]{Policy: span[T]{policy.Finished, scope}, Scope: scope})
		layers = append(layers, policy.Layer[T]{Policy: span[T]{policy.Attempted, scope}})
	}
	b.head = policy.Connect(layers...)
	return Pipeline[T]{b}
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

// arrange puts every policy, those of inner pipelines included, in its place under its scope: an inner pipeline's
// events go to its own observers and to those of the pipeline around it.
func arrange[T any](policies []policy.Policy[T], scope *policy.Scope) []policy.Layer[T] {
	var layers []policy.Layer[T]
	for _, p := range policies {
		inner, ok := asPipeline(p)
		if !ok {
			layers = append(layers, policy.Layer[T]{Policy: p, Scope: scope})
			continue
		}
		own := &policy.Scope{Pipeline: inner.name, Clock: scope.Clock, Observers: inner.observers}
		if own.Pipeline == "" {
			own.Pipeline = scope.Pipeline
		}
		all := &policy.Scope{Pipeline: own.Pipeline, Clock: scope.Clock, Observers: slices.Concat(inner.observers, scope.Observers)}
		within := arrange(inner.policies, all)
		if len(all.Observers) > 0 {
			within = slices.Insert(within, 0, policy.Layer[T]{Policy: span[T]{policy.Finished, all}, Scope: all})
			within = append(within, policy.Layer[T]{Policy: span[T]{policy.Attempted, own}, Scope: scope})
		}
		layers = append(layers, within...)
	}
	return layers
}

// A span tells of what passes through it once that is over, however it ends.
type span[T any] struct {
	kind  policy.Kind
	scope *policy.Scope
}

// Execute implements policy.Policy.
func (s span[T]) Execute(ctx context.Context, next policy.Next[T]) (v T, err error) {
	start := s.scope.Nanos()
	e := policy.Event{Kind: s.kind, Err: policy.ErrPanicked} // stays so if next panics or ends the goroutine
	defer func() {
		e.Elapsed = clock.Since(start, s.scope.Nanos())
		s.scope.Emit(ctx, e)
	}()
	v, err = next.Do(ctx)
	e.Outcome, e.Err = policy.Classifier[T](nil).Apply(ctx, v, err), err
	return v, err
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
	return build(name, b.observers, b.policies)
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
	return build(b.name, slices.Concat(b.observers, observers), b.policies)
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
