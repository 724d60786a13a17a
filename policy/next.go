package policy

import (
	"context"
	"errors"
	"time"
)

// Next is the rest of a pipeline, seen from one of its policies: the policies inside it, then the func. It is a
// small value, safe to copy and to use from several goroutines, and valid until the policy's Execute returns.
type Next[T any] struct {
	link *link[T]
	fn   Func[T]
}

// A link is one policy of a pipeline and the way inwards. Links are built once and never change, so that calls share
// them and building none costs nothing.
type link[T any] struct {
	policy Policy[T]
	next   *link[T]
	scope  *Scope // of the policy outside this one: the one that holds the cursor to this link
}

// errNoFunc is permanent: another attempt finds no func either, and the dependency is not to blame.
var errNoFunc = Permanent(errors.New("policy: no func to call: the func given to a pipeline is nil"))

// Do runs the rest of the pipeline.
func (n Next[T]) Do(ctx context.Context) (T, error) {
	if n.link != nil {
		return n.link.policy.Execute(ctx, Next[T]{n.link.next, n.fn})
	}
	if n.fn == nil {
		var zero T
		return zero, errNoFunc
	}
	return n.fn(ctx)
}

// Emit tells the pipeline's observers of e, on this goroutine. It fills in e.Pipeline, and e.Attempt where that is 0.
// It does nothing where nobody observes.
func (n Next[T]) Emit(ctx context.Context, e Event) {
	if n.link != nil && n.link.scope != nil {
		n.link.scope.Emit(ctx, e)
	}
}

// Observed reports whether Emit has anybody to tell: a policy that would have to measure something for an event can
// leave it out otherwise.
func (n Next[T]) Observed() bool {
	return n.link != nil && n.link.scope != nil && len(n.link.scope.Observers) > 0
}

// Refusal returns the *Rejection with which a policy inside is going to refuse a call made after a wait, or nil if none
// is known to. It looks inwards as far as the policies say that they refuse and pass on, and nothing else.
func (n Next[T]) Refusal(wait time.Duration) error {
	for l := n.link; l != nil; l = l.next {
		r, ok := l.policy.(Refuser)
		if !ok {
			return nil
		}
		if err := r.Refusal(wait); err != nil {
			return err
		}
	}
	return nil
}

// A Refuser is a Policy that either refuses a call or hands it on, with what comes back. A [Retry] outside asks it before
// it waits, so that it does not wait for nothing.
type Refuser interface {
	// Refusal returns the error, a *Rejection, with which a call that comes after wait will be refused for certain, or
	// nil. It takes nothing and changes nothing.
	Refusal(wait time.Duration) error
}

// With is n with fn at its end.
func (n Next[T]) With(fn Func[T]) Next[T] { return Next[T]{n.link, fn} }

// Through is fn inside policies, the first of them outermost. It checks nothing and nobody observes it: it is for
// tests of a policy and for pipelines other than this module's. Most callers want pipeline.Wrap.
func Through[T any](fn Func[T], policies ...Policy[T]) Next[T] {
	layers := make([]Layer[T], len(policies))
	for i, p := range policies {
		layers[i].Policy = p
	}
	return Connect(layers...).With(fn)
}

// A Layer is a policy in its place in a pipeline.
type Layer[T any] struct {
	Policy Policy[T]
	Scope  *Scope // who hears what Policy emits; nil for nobody
}

// Connect builds the way through layers, outermost first, for whoever writes a pipeline of their own: give it a func
// by [Next.With]. A policy is heard only if there is a layer inside it, so an observed pipeline ends in one that
// emits [Attempted].
func Connect[T any](layers ...Layer[T]) Next[T] {
	var head *link[T]
	for i := len(layers) - 1; i >= 0; i-- {
		l := &link[T]{policy: layers[i].Policy, next: head}
		if i > 0 {
			l.scope = layers[i-1].Scope
		}
		head = l
	}
	return Next[T]{link: head}
}
