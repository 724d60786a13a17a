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
// A Classifier sees the result alone. Policies know the caller's context as well, and apply both: see
// [Classifier.Apply].
type Classifier[T any] func(v T, err error) Outcome

// Classify is what a nil Classifier means. The first that applies:
//
//   - no error is a Success
//   - an error marked by [Permanent] is a PermanentFailure
//   - a call whose context ended while it waited in a policy's own queue is Ignored: it reached nothing
//   - [ErrTimeout] is a TransientFailure
//   - a [*Rejection] is Ignored: the dependency was not asked
//   - context.Canceled is Ignored: the caller went away
//   - everything else is a TransientFailure, context.DeadlineExceeded included
//
// An error that joins others is a refusal if one of them is, unless it also has the failure of an attempt before.
func Classify[T any](_ T, err error) Outcome {
	switch {
	case err == nil:
		return Success
	case isPermanent(err):
		return PermanentFailure
	case endedWaiting(err):
		return Ignored
	case errors.Is(err, ErrTimeout):
		return TransientFailure
	case notAsked(err), errors.Is(err, context.Canceled):
		return Ignored
	default:
		return TransientFailure
	}
}

// Apply returns the outcome of a result for a policy that was executed with ctx: what c says, or Classify if c is nil,
// corrected by what ctx knows. Policies that judge a dependency should call it.
//
// The rule is that an outcome is the dependency's only if it was asked and answered, or had its time:
//
//   - Once ctx has been canceled, every failure is Ignored, whatever its text and whatever the cause.
//   - A call whose context ended while it waited in a policy's own queue is Ignored: it reached nothing.
//   - A context.Canceled while ctx is alive is the dependency's. c is given the error without the match for
//     context.Canceled, so that it decides as about any other error.
//   - A deadline of ctx that passes while the dependency works is a failure like any other.
//
// An Outcome that is none of the four is Ignored.
func (c Classifier[T]) Apply(ctx context.Context, v T, err error) Outcome {
	if err == nil && c == nil {
		return Success
	}
	if err != nil && canceled(ctx) {
		return Ignored
	}
	o := c.says(ctx, v, err)
	if o < Success && canceled(ctx) {
		return Ignored // the value is a failure that came as the caller left
	}
	return o
}

// says is Apply for policies that decide about the call and not about the dependency: once ctx has been canceled only
// the errors that say so are Ignored.
func (c Classifier[T]) says(ctx context.Context, v T, err error) Outcome {
	switch {
	case err == nil:
	case endedWaiting(err), leftBy(ctx, err):
		return Ignored
	case errors.Is(err, context.Canceled) && ctx.Err() == nil && !isRejection(err):
		err = foreignError{err}
	}
	if c == nil {
		return Classify(v, err)
	}
	return c(v, err).known()
}

// leftBy reports whether err says that the caller canceled ctx.
func leftBy(ctx context.Context, err error) bool {
	return canceled(ctx) && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx)))
}

// known returns o, or Ignored if o is none of the four.
func (o Outcome) known() Outcome {
	if o > Success {
		return Ignored
	}
	return o
}

// canceled reports whether ctx was canceled, rather than ended by a deadline.
func canceled(ctx context.Context) bool {
	err := ctx.Err()
	return err != nil && err != context.DeadlineExceeded
}

// A foreignError is an error that matches whatever the error inside matches, except context.Canceled.
type foreignError struct{ error }

func (e foreignError) Is(target error) bool {
	return target != context.Canceled && errors.Is(e.error, target)
}

func (e foreignError) As(target any) bool { return errors.As(e.error, target) }

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

// Unsent marks err as the error of a call that never reached the dependency, such as a refused connection. The call may
// be made again even under [Once]. The mark does not say who is to blame: Classify decides as if it were not there. The
// text stays as it was, and errors.Is and errors.As see through the mark. Unsent(nil) is nil.
func Unsent(err error) error {
	if err == nil {
		return nil
	}
	return &unsentError{err}
}

type unsentError struct{ err error }

func (e *unsentError) Error() string { return e.err.Error() }
func (e *unsentError) Unwrap() error { return e.err }

// isUnsent reports whether the call that ended with err reached nothing: it is marked so, or was refused on the way.
func isUnsent(err error) bool {
	_, ok := errors.AsType[*unsentError](err)
	return ok || notAsked(err)
}

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
