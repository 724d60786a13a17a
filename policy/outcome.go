package policy

import (
	"context"
	"errors"
	"time"
)

// An Outcome is what a result says about the dependency. Its zero value is a failure, so that a result nobody
// classified never counts as a success.
type Outcome uint8

// What a result can mean.
const (
	TransientFailure Outcome = iota // it failed, and may succeed if called again
	PermanentFailure                // it failed and will fail again, but it answered: a bad request, an unknown key
	Ignored                         // it proves nothing: the call was refused on the way, or the caller went away
	Success                         // it succeeded
)

var outcomes = [...]string{"transient failure", "permanent failure", "ignored", "success"}

// String is the outcome in lower case.
func (o Outcome) String() string { return nameOf(outcomes[:], o) }

// MarshalText encodes the outcome by its name.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// A Classifier says what a result means. It is called on the goroutine of the call and must be safe for concurrent
// use. It is given every result, those without an error too: what the value says counts as much.
//
// A policy whose Classify is nil does as [Classify] says, and knows its own context besides: a context.Canceled
// that arrives while that context is alive was not the caller's doing, and counts as a TransientFailure.
type Classifier[T any] func(v T, err error) Outcome

// Classify is what a nil Classifier means. The first that applies:
//
//   - no error is a Success
//   - an error marked by [Permanent] is a PermanentFailure
//   - [ErrTimeout] is a TransientFailure
//   - a [*Rejection] is Ignored: the dependency was not asked
//   - context.Canceled is Ignored: the caller went away
//   - everything else is a TransientFailure, context.DeadlineExceeded included
func Classify[T any](_ T, err error) Outcome {
	switch {
	case err == nil:
		return Success
	case isPermanent(err):
		return PermanentFailure
	case errors.Is(err, ErrTimeout):
		return TransientFailure
	case isRejection(err), errors.Is(err, context.Canceled):
		return Ignored
	default:
		return TransientFailure
	}
}

// Apply is what c says; or what Classify says, where c is nil, together with what ctx knows, which is the context that
// the policy was executed with. Policies with a Classify field of their own should go by it.
func (c Classifier[T]) Apply(ctx context.Context, v T, err error) Outcome {
	if c != nil {
		return c(v, err)
	}
	o := Classify(v, err)
	switch o {
	case Ignored:
		if ctx.Err() == nil && !isRejection(err) {
			return TransientFailure // cancelled, but not by the caller
		}
	case TransientFailure:
		if cancelled(ctx, err) && !errors.Is(err, ErrTimeout) {
			return Ignored // the caller went away, and the func says so by the context's cause
		}
	}
	return o
}

// cancelled reports whether err tells that ctx was cancelled, rather than ended by a deadline.
func cancelled(ctx context.Context, err error) bool {
	return ctx.Err() == context.Canceled && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx)))
}

// TransientOnly is a Classifier by which the errors that match one of targets, by errors.Is, are transient. What
// Classify ignores is ignored; every other error, and one marked by Permanent, is permanent.
func TransientOnly[T any](targets ...error) Classifier[T] {
	return func(v T, err error) Outcome {
		o := Classify(v, err)
		switch {
		case o == Success || isPermanent(err):
			return o
		case isAny(err, targets):
			return TransientFailure
		case o == Ignored:
			return Ignored
		default:
			return PermanentFailure
		}
	}
}

// PermanentOn is a Classifier by which the errors that match one of targets, by errors.Is, are permanent. The rest
// are as Classify says.
func PermanentOn[T any](targets ...error) Classifier[T] {
	return func(v T, err error) Outcome {
		if err != nil && isAny(err, targets) {
			return PermanentFailure
		}
		return Classify(v, err)
	}
}

func isAny(err error, targets []error) bool {
	for _, target := range targets {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

// Permanent marks err as a failure that calling again will not mend. The text stays as it was, and errors.Is and
// errors.As see through the mark, also where it is wrapped further. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

func isPermanent(err error) bool {
	_, ok := errors.AsType[*permanentError](err)
	return ok
}

// RetryAfter marks err with the dependency's wish to be left alone for d: the least wait before the next attempt.
// The text stays as it was, and errors.Is and errors.As see through the mark. RetryAfter(nil, d) is nil.
func RetryAfter(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &retryAfterError{err, d}
}

type retryAfterError struct {
	err   error
	delay time.Duration
}

func (e *retryAfterError) Error() string             { return e.err.Error() }
func (e *retryAfterError) Unwrap() error             { return e.err }
func (e *retryAfterError) RetryAfter() time.Duration { return e.delay }

// HintOf is the wait that err asks for: that of the first error in its tree with a RetryAfter() time.Duration
// method, or 0. [RetryAfter] makes such an error and a [*Rejection] is one.
func HintOf(err error) time.Duration {
	hint, ok := errors.AsType[interface {
		error
		RetryAfter() time.Duration
	}](err)
	if !ok {
		return 0
	}
	return hint.RetryAfter()
}
