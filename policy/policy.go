package policy

import "context"

// A Func is the work that policies protect: one call to something unreliable.
type Func[T any] func(ctx context.Context) (T, error)

// A Policy decides whether, when and how often the rest of a pipeline runs.
//
// Execute may call next.Do any number of times, including none, but not after it has returned. It must return
// promptly once ctx is done, and hand on what next.Do returned unless replacing it is its purpose. Execute may be
// called from many goroutines at once.
//
// A policy may also implement [Validator] and [Describer], by which a pipeline refuses a misconfigured one at build
// and explains a good one.
type Policy[T any] interface {
	Execute(ctx context.Context, next Next[T]) (T, error)
}

// A PolicyFunc is a func as a Policy. It may call next any number of times, so that Explain knows nothing of the bounds of a
// pipeline with one in it, and pipehttp.Handler refuses such a pipeline. For a func that calls next once use [Around].
type PolicyFunc[T any] func(ctx context.Context, next Next[T]) (T, error)

// Execute calls f.
func (f PolicyFunc[T]) Execute(ctx context.Context, next Next[T]) (T, error) { return f(ctx, next) }

// An Around is a func as a Policy that calls next at most once, and otherwise takes no time: it logs, measures, or adds to
// the context. Unlike a [PolicyFunc] it leaves the bounds that Explain knows as they are.
type Around[T any] func(ctx context.Context, next Next[T]) (T, error)

// Execute calls f.
func (f Around[T]) Execute(ctx context.Context, next Next[T]) (T, error) { return f(ctx, next) }

// Describe implements Describer.
func (f Around[T]) Describe() Description {
	return Description{Kind: "around", Bounds: func(inner Bounds) Bounds { return inner }}
}

// A Validator says what is wrong with its own configuration. A pipeline asks at build.
type Validator interface {
	// Validate names every field that is wrong and the range it should be in, joined, or returns nil.
	Validate() error
}
