package policy

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-go/holdfast/clock"
)

// A Retry calls again after a TransientFailure, until it gets something else, has made Attempts calls, or would run
// past MaxElapsed or the context's deadline. Its zero value makes up to 3 calls with SmoothJitter(100ms, 20s)
// between them.
//
// What the last attempt returned comes back as it is, value and error, with two exceptions. If the context ends between
// attempts, its cause is joined to the error. If a policy inside refuses a later attempt, the failure before it and the
// refusal come back joined. An attempt that an open circuit would refuse is not waited for: see [Refuser].
//
// No attempt starts once the context is done; a success that arrives counts even so. A wait that would end at or after
// the context's deadline is not begun. [Attempt] numbers the attempts.
//
// It is safe for concurrent use. On success of the first attempt it allocates nothing and reads no clock; every
// further attempt allocates its context.
type Retry[T any] struct {
	Name     string // for events and Explain
	Attempts int    // most calls, the first included; 0 means 3

	Backoff    Backoff       // how long to wait; nil means SmoothJitter(100ms, 20s)
	MaxElapsed time.Duration // no attempt starts later than this after the first; 0 means no limit but the context's

	Classify Classifier[T] // what to try again: TransientFailure; nil means Classify

	// Hint is the dependency's wish to be left alone, a lower bound on the wait; 0 or less means none. A nil Hint
	// asks the error, by HintOf.
	Hint    func(v T, err error) time.Duration
	MaxHint time.Duration // a longer hint ends retrying; 0 means 1 minute

	// Discard is told of the value of every attempt that is not returned: close it here. It is called right before
	// the next attempt, and where a panic loses the value. If the context ends while it runs, no value is returned.
	Discard func(T)

	// Budget limits retries to a share of the first attempts, over all who use it. An empty one ends retrying; nil means
	// that there is no limit.
	Budget *Budget

	Clock clock.Clock    // nil means clock.System
	Rand  func() float64 // in [0, 1), safe for concurrent use; nil means math/rand/v2

	failure func(T) error // of a Meaning: what a failure without an error is called
	meant   meant
}

const (
	defaultAttempts = 3
	defaultMaxHint  = time.Minute
)

// defaultBackoff is boxed once, so that using it allocates nothing.
var defaultBackoff = SmoothJitter(100*time.Millisecond, 20*time.Second)

// Execute implements Policy.
func (r *Retry[T]) Execute(ctx context.Context, next Next[T]) (T, error) {
	if ctx.Err() != nil {
		var zero T
		return zero, context.Cause(ctx)
	}
	var start int64
	if r.MaxElapsed > 0 {
		start = clock.OrSystem(r.Clock).Nanos()
	}
	first := ctx
	if inAttempt(ctx) { // of another Retry outside: this one counts anew
		first = &attempt{ctx, 1}
	}
	v, err := next.Do(first)
	if r.Budget != nil && (err == nil || !notAsked(err)) {
		r.Budget.Deposit() // not for a call that was refused: it would pay for attempts that ask
	}
	if err == nil && r.Classify == nil {
		return v, nil
	}
	return r.judge(ctx, next, start, v, err)
}

// judge decides what follows the first attempt, and makes the others.
func (r *Retry[T]) judge(ctx context.Context, next Next[T], start int64, v T, err error) (T, error) {
	held := true  // v is neither returned nor discarded
	paid := false // for an attempt that has yet to begin
	defer func() {
		if paid {
			r.Budget.refund()
		}
		if held {
			r.discard(v) // the user's code panicked
		}
	}()
	step := Step{Retry: 1, Rand: r.Rand}
	var last failed[T]
	for n := 1; ; n++ {
		if o := r.outcome(ctx, v, err); o != TransientFailure {
			if o == Ignored && n > 1 && notAsked(err) {
				v, err = r.refused(ctx, next, n, last, v, err)
			}
			held = false
			return v, err
		}
		failure := failure(r.failure, v, err)
		delay, wait, stop := r.wait(ctx, next, n, start, step, v, err)
		if stop.reason == NoReason {
			paid = r.Budget != nil
			step = step.next(delay)
			stop.reason = r.sleep(ctx, next, n, wait, failure)
		}
		if stop.reason != NoReason {
			err = r.giveUp(ctx, next, n, err, failure, stop)
			held = false
			return v, err
		}
		last = failed[T]{err: failure}
		if r.Discard == nil {
			last.v = v
		}
		held = false
		r.discard(v)
		if r.Discard != nil && ctx.Err() != nil { // closing a value may take its time
			var zero T
			return zero, r.giveUp(ctx, next, n, err, failure, stopped{reason: ContextEnded})
		}
		paid = false
		v, err = repeat(ctx, next, n+1)
		held = true
	}
}

// outcome returns whether to try again, by TransientFailure. A Retry inside that ended because its next attempt would have
// been refused is not asked again, unless the user's own classifier wants it.
func (r *Retry[T]) outcome(ctx context.Context, v T, err error) Outcome {
	if r.Classify == nil || r.meant.classify {
		if _, ok := errors.AsType[*refusedLater](err); ok {
			return Ignored
		}
	}
	return r.Classify.says(ctx, v, err)
}

// A failed is the result of an attempt that another one has followed.
type failed[T any] struct {
	v   T // zero if it was discarded
	err error
}

// A stopped says why there is no next attempt.
type stopped struct {
	reason  Reason
	refusal error // AttemptRefused: what the attempt would be refused with
}

// refused returns the result of an execution whose attempt n was refused: the failure before it, and the refusal.
func (r *Retry[T]) refused(ctx context.Context, next Next[T], n int, last failed[T], v T, refusal error) (T, error) {
	r.emitGaveUp(ctx, next, n-1, last.err, AttemptRefused)
	if r.Discard == nil {
		v = last.v
	}
	if last.err == nil {
		return v, refusal
	}
	return v, &refusedLater{last.err, refusal}
}

// wait returns what the backoff says, what to wait in the end, or why there is no next attempt.
func (r *Retry[T]) wait(ctx context.Context, next Next[T], n int, start int64, step Step, v T, err error) (delay, wait time.Duration, stop stopped) {
	switch {
	case n >= r.attempts():
		return 0, 0, stopped{reason: AttemptsSpent}
	case isOnce(ctx) && !isUnsent(err):
		return 0, 0, stopped{reason: NotRepeatable}
	case ctx.Err() != nil:
		return 0, 0, stopped{reason: ContextEnded}
	}
	delay = max(0, r.backoff().Delay(step))
	hint := r.hint(v, err)
	if hint > r.maxHint() {
		return 0, 0, stopped{reason: HintTooLong}
	}
	wait = max(delay, hint)
	c := clock.OrSystem(r.Clock)
	if r.MaxElapsed > 0 && addDurations(clock.Since(start, c.Nanos()), wait) > r.MaxElapsed {
		return 0, 0, stopped{reason: ElapsedSpent}
	}
	if left, ok := clock.Remaining(ctx, c); ok && wait >= left {
		return 0, 0, stopped{reason: DeadlineNear}
	}
	if refusal := r.foreseen(ctx, next, wait); refusal != nil {
		return 0, 0, stopped{AttemptRefused, refusal}
	}
	if r.Budget != nil && !r.Budget.Withdraw() {
		return 0, 0, stopped{reason: BudgetSpent}
	}
	return delay, wait, stopped{}
}

// foreseen returns what an attempt after the wait is going to be refused with, unless that is a reason to try again.
func (r *Retry[T]) foreseen(ctx context.Context, next Next[T], wait time.Duration) error {
	var zero T
	refusal := next.Refusal(wait)
	if refusal != nil && r.Classify.says(ctx, zero, refusal) == TransientFailure {
		return nil
	}
	return refusal
}

// sleep waits, and reports ContextEnded if there is to be no next attempt after all.
func (r *Retry[T]) sleep(ctx context.Context, next Next[T], n int, wait time.Duration, err error) Reason {
	next.Emit(ctx, Event{Kind: Retrying, Policy: "retry", Name: r.Name, Attempt: n, Err: err, Delay: wait})
	if wait > 0 && clock.OrSystem(r.Clock).Sleep(ctx, wait) != nil || ctx.Err() != nil {
		return ContextEnded
	}
	return NoReason
}

// giveUp emits GaveUp, and returns the error to return with the last attempt's value. A value that came without an error
// is returned without one, unless the context has ended.
func (r *Retry[T]) giveUp(ctx context.Context, next Next[T], n int, err, failure error, stop stopped) error {
	r.emitGaveUp(ctx, next, n, failure, stop.reason)
	switch {
	case stop.reason == ContextEnded:
		return joined(context.Cause(ctx), err)
	case stop.reason == AttemptRefused && err != nil:
		return &refusedLater{err, stop.refusal}
	default:
		return err
	}
}

func (r *Retry[T]) emitGaveUp(ctx context.Context, next Next[T], n int, err error, reason Reason) {
	next.Emit(ctx, Event{Kind: GaveUp, Policy: "retry", Name: r.Name, Attempt: n, Outcome: TransientFailure, Err: err, Reason: reason})
}

// Interpret implements Interpreter.
func (r *Retry[T]) Interpret(m Meaning[T]) Policy[T] {
	meant := *r
	if meant.Classify == nil && m.Classify != nil {
		meant.Classify, meant.meant.classify = m.Classify, true
	}
	if meant.Hint == nil && m.Hint != nil {
		meant.Hint, meant.meant.hint = m.Hint, true
	}
	if meant.Discard == nil {
		meant.Discard = m.Discard
	}
	if meant.failure == nil {
		meant.failure = m.Failure
	}
	return &meant
}

// Refusal implements Refuser: the first attempt is refused as any call is, and no other follows.
func (r *Retry[T]) Refusal(time.Duration) error { return nil }

func (r *Retry[T]) discard(v T) {
	if r.Discard != nil {
		r.Discard(v)
	}
}

func (r *Retry[T]) hint(v T, err error) time.Duration {
	if r.Hint != nil {
		return r.Hint(v, err)
	}
	return HintOf(err)
}

func (r *Retry[T]) attempts() int {
	if r.Attempts <= 0 {
		return defaultAttempts
	}
	return r.Attempts
}

func (r *Retry[T]) backoff() Backoff {
	if r.Backoff == nil {
		return defaultBackoff
	}
	return r.Backoff
}

func (r *Retry[T]) maxHint() time.Duration {
	if r.MaxHint <= 0 {
		return defaultMaxHint
	}
	return r.MaxHint
}

// Validate names every field that is out of range.
func (r *Retry[T]) Validate() error {
	p := problems{owner: "Retry"}
	notNegative(&p, "Attempts", r.Attempts)
	if r.Backoff != nil {
		p.field("Backoff", validateBackoff(r.Backoff))
	}
	notNegative(&p, "MaxElapsed", r.MaxElapsed)
	notNegative(&p, "MaxHint", r.MaxHint)
	p.clock(r.Clock)
	p.budget(r.Budget, r.Clock)
	return p.join()
}
