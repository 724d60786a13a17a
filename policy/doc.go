// Package policy holds the policies of Holdfast, the type they share, and the state they keep.
//
// A [Policy] decides whether, when and how often a [Func] runs. Every policy is a struct whose exported fields are
// its configuration; the zero value of a field is a documented default. Package pipeline composes them.
//
//   - [Retry] calls again after a transient failure, waiting by a [Backoff].
//   - [Breaker] refuses calls while a [Circuit] is open, because the dependency has been failing.
//   - [Timeout] bounds how long a call may take.
//   - [Fallback] answers in place of a call that failed, and [Stale] with the last good answer.
//   - [Bulkhead] lets so many calls through a [Gate] at once, [Adaptive] as many as its [Limit] finds to be right, and
//     [RateLimit] so many per second through a [Bucket].
//   - [Shed] refuses a growing share of the calls while a dependency fails them, by its [Throttle].
//   - [Hedge] calls a second time when the first call takes long, and [Dedupe] once for all who ask the same.
//   - [Chaos] hurts calls on purpose.
//
// What a result means is the business of a [Classifier], by default [Classify]: an [Outcome] says whether the call
// succeeded, failed in a way that may pass, failed for good, or proves nothing. A func marks its own errors with
// [Permanent] and [RetryAfter], and its caller marks a call that must not be repeated with [Once].
//
// A [Budget] limits the extra calls of retries and hedges to a share of the first ones, and a [Keyed] keeps a core for
// each host, tenant or user.
//
// State has no type parameter: one [Circuit] protects a dependency whatever its calls return, and works without any
// pipeline, as a block ([Circuit.Do]) or in two steps ([Circuit.Acquire], [Permit.Done]).
//
// Policies hold no goroutine and no timer between calls. All of them may be used from many goroutines at once, and
// must not be changed after first use; what a core, such as a [Circuit] or a [Gate], goes by is changed by its Configure.
package policy
