// Package pipeline composes policies into pipelines.
//
//	getUser := pipeline.Wrap(
//		&policy.Fallback[User]{Func: policy.Static(guest)},
//		&policy.Retry[User]{},
//		&policy.Breaker[User]{Circuit: users},
//		&policy.Timeout[User]{Limit: 300 * time.Millisecond},
//	)
//	user, err := getUser.Do(ctx, fetch)
//
// The first policy is the outermost: it sees a call first and its result last. What [Wrap] is given is checked once,
// when the pipeline is built; [Check] does the same without panicking. [Pipeline.Explain] says what a pipeline will do
// at worst, and what in it is likely a mistake.
//
// A [Pipeline] runs any func ([Pipeline.Do]), decorates one ([Pipeline.Bind], [Decorate]), and is itself a policy.
package pipeline
