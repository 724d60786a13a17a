package policy

import (
	"cmp"
	"context"
	"time"
)

// A Meaning says what the results of a protocol mean, for all policies of a pipeline at once: see pipeline.Pipeline.Means.
// Policies whose own Classify, Hint or Discard is set go by that. Every field may be nil.
type Meaning[T any] struct {
	Name     string                             // of the protocol, for Explain: "http"
	Classify Classifier[T]                      // what a result means; nil means Classify
	Hint     func(v T, err error) time.Duration // the dependency's wish to be left alone; nil means HintOf(err)
	Discard  func(T)                            // frees a value that nobody will see

	// Failure returns the error that stands for v if Classify calls v a failure although it came without an error, such
	// as "503 Service Unavailable". Events, a Circuit's Cause, and what Retry returns when a later attempt is refused
	// have it. Nil means that such a failure has no error.
	Failure func(v T) error

	// Hold returns v, so wrapped that release is called when it is done with: when a response's body has been closed,
	// or all rows were read. Until then the contexts of Timeout, Hedge and Dedupe that v came from do not end with the
	// call. A Timeout's limit still ends its own, as http.Client.Timeout bounds the reading of a body, too. Nil means that
	// the contexts end with the call.
	//
	// Hold is given every value that these policies return, also the zero one. It calls release itself, before it
	// returns, if v needs no context. release may be called several times, from any goroutine.
	Hold func(v T, release func()) T
}

// An Interpreter is a Policy that goes by what results mean.
type Interpreter[T any] interface {
	Policy[T]

	// Interpret returns the policy with m in place of what it leaves nil. It shares its state with the policy that it
	// was made from.
	Interpret(m Meaning[T]) Policy[T]
}

// Or returns m with other's fields in place of those that m leaves nil.
func (m Meaning[T]) Or(other Meaning[T]) Meaning[T] {
	m.Name = cmp.Or(m.Name, other.Name)
	if m.Classify == nil {
		m.Classify = other.Classify
	}
	if m.Hint == nil {
		m.Hint = other.Hint
	}
	if m.Discard == nil {
		m.Discard = other.Discard
	}
	if m.Failure == nil {
		m.Failure = other.Failure
	}
	if m.Hold == nil {
		m.Hold = other.Hold
	}
	return m
}

// ErrorOf returns err, or the error that stands for the failure v if there is none.
func (m Meaning[T]) ErrorOf(v T, err error) error { return failure(m.Failure, v, err) }

// A meant says which fields of a policy a Meaning has filled in. Explain shows those as if they were nil.
type meant struct{ classify, hint bool }

// failure returns the error that stands for a failed result, which may be nil.
func failure[T any](describe func(T) error, v T, err error) error {
	if err == nil && describe != nil {
		return describe(v)
	}
	return err
}

// lose discards v, which a panic or runtime.Goexit is about to take the place of, unless *kept. It is to be deferred.
func lose[T any](discard func(T), v *T, kept *bool) {
	if !*kept && discard != nil {
		discard(*v)
	}
}

// emitHolding emits e for a policy that holds v. If an observer panics, v is discarded.
func (n Next[T]) emitHolding(ctx context.Context, e Event, v T, discard func(T)) {
	emitted := false
	defer lose(discard, &v, &emitted)
	n.Emit(ctx, e)
	emitted = true
}

// hold returns v with release to be called when it is done with, or calls release now.
func hold[T any](by func(T, func()) T, v T, release func()) T {
	if by == nil {
		release()
		return v
	}
	return by(v, release)
}
