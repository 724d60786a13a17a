package policy

import (
	"context"
	"reflect"
	"runtime"
	"strings"
)

// A Fallback answers in place of a call that failed.
//
// With a nil Classify it answers both kinds of failure and every refusal (a *Rejection), but not the caller's own
// cancellation. With a Classify it answers what that calls a TransientFailure or PermanentFailure, and nothing else.
// If Func fails with another error, both are joined, the call's first. A panic is not a result, and passes.
//
// It runs Func on the caller's goroutine and context, which is alive even if a Timeout inside has expired, but may
// itself have reached its deadline. It is safe for concurrent use, and on success it allocates nothing.
type Fallback[T any] struct {
	Name string // for events and Explain

	// Func is given what the call returned, and its answer is returned instead. Required. If v holds something to
	// close, such as a response, closing it is Func's job.
	Func func(ctx context.Context, v T, err error) (T, error)

	Classify Classifier[T] // what to answer; nil means both kinds of failure and rejections

	means Meaning[T] // of results, if Classify is nil
}

// Static is a Fallback.Func that answers v. It is not inlined, so that isStatic knows it by its name.
//
//go:noinline
func Static[T any](v T) func(context.Context, T, error) (T, error) {
	return func(context.Context, T, error) (T, error) { return v, nil }
}

// isStatic reports whether f was made by Static, which cannot fail.
func isStatic[T any](f func(context.Context, T, error) (T, error)) bool {
	made := runtime.FuncForPC(reflect.ValueOf(f).Pointer())
	return made != nil && strings.Contains(made.Name(), "/policy.Static[")
}

// Execute implements Policy.
func (f *Fallback[T]) Execute(ctx context.Context, next Next[T]) (T, error) {
	v, err := next.Do(ctx)
	if err == nil && f.Classify == nil && f.means.Classify == nil {
		return v, nil
	}
	return f.answer(ctx, next, v, err)
}

func (f *Fallback[T]) answer(ctx context.Context, next Next[T], v T, err error) (T, error) {
	o, answered := answers(ctx, f.Classify, f.means.Classify, v, err)
	if f.Func == nil || !answered {
		return v, err
	}
	next.emitHolding(ctx, Event{Kind: FellBack, Policy: "fallback", Name: f.Name, Outcome: o, Err: f.means.ErrorOf(v, err)}, v, f.means.Discard)
	answer, failure := f.Func(ctx, v, err)
	if failure == nil {
		return answer, nil
	}
	return answer, joined(err, failure)
}

// Interpret implements Interpreter.
func (f *Fallback[T]) Interpret(m Meaning[T]) Policy[T] {
	meant := *f
	meant.means = meant.means.Or(m)
	return &meant
}

// answers returns the outcome of a result, and reports whether a policy that answers failures in the caller's place
// answers this one. With a Classify of its own the policy answers what that calls a failure. By default it goes by means
// and answers refusals as well. It never answers an error that says that the caller left.
func answers[T any](ctx context.Context, own, means Classifier[T], v T, err error) (o Outcome, ok bool) {
	if own != nil {
		o = own.says(ctx, v, err)
		return o, o == TransientFailure || o == PermanentFailure
	}
	o = means.says(ctx, v, err)
	return o, o == TransientFailure || o == PermanentFailure || o == Ignored && notAsked(err) && !leftBy(ctx, err)
}

// Validate names every field that is wrong.
func (f *Fallback[T]) Validate() error {
	p := problems{owner: "Fallback"}
	if f.Func == nil {
		p.add(".Func is nil; want a func, such as Static(v)")
	}
	return p.join()
}

// Describe implements Describer.
func (f *Fallback[T]) Describe() Description {
	d := Description{Kind: "fallback", Name: f.Name, Answers: true}
	d.Settings = []Setting{{"answers", "failures and rejections", true}}
	if f.Classify != nil {
		d.Settings = []Setting{{"answers", "failures by a custom classifier", false}}
	}
	d.Sure = f.Classify == nil && isStatic(f.Func)
	d.Bounds = func(inner Bounds) Bounds {
		inner.Besides = besides(inner.Besides, "Fallback.Func")
		return inner
	}
	return d
}
