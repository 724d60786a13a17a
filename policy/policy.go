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

// A PolicyFunc is a func as a Policy.
type PolicyFunc[T any] func(ctx context.Context, next Next[T]) (T, error)

// Execute calls f.
func (f PolicyFunc[T]) Execute(ctx context.Context, next Next[T]) (T, error) { return f(ctx, next) }

// A Validator says what is wrong with its own configuration. A pipeline asks at build.
type Validator interface {
	// Validate names every field that is wrong and the range it should be in, joined, or returns nil.
	Validate() error
}
