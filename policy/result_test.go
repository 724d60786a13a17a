package policy_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
	"github.com/holdfast-go/holdfast/policy/policytest"
)

// A func that panics in every leg panics once on the caller. The other panics go to the observers, if there are any, and
// none ends the program: net/http's server recovers one panic of a handler, and must not die of the second.
func TestHedgePanicsOnceOnItsCaller(t *testing.T) {
	for name, ends := range map[string]time.Duration{"at the same moment": 2 * time.Second, "later": 4 * time.Second} {
		for _, observed := range []bool{true, false} {
			v := clock.NewVirtual()
			recorder := &policytest.Recorder{Clock: v}
			p := pipeline.Wrap(&policy.Hedge[int]{Name: "h", Delay: time.Second / 2, Max: 3, Clock: v})
			if observed {
				p = p.Observe(recorder)
			}
			legs, caught, start := 0, 0, v.Nanos()
			v.Go(func() {
				defer func() {
					r, ok := recover().(*policy.Panic)
					require.True(t, ok)
					require.Equal(t, "boom", r.Value)
					caught++
				}()
				_, _ = p.Do(t.Context(), func(context.Context) (int, error) {
					end := 2 * time.Second
					if legs++; legs > 1 {
						end = ends
					}
					_ = v.Sleep(context.Background(), end-time.Duration(v.Nanos()-start)) // deaf to its context
					panic("boom")
				})
			})
			v.Run()
			require.Equal(t, 3, legs, name)
			require.Equal(t, 1, caught, name)
			if observed {
				late := recorder.Events(policy.Panicked)
				require.Len(t, late, 2, name)
				for _, e := range late {
					require.Equal(t, "hedge", e.Policy)
					require.Equal(t, "h", e.Name)
					var p *policy.Panic
					require.ErrorAs(t, e.Err, &p)
					require.Contains(t, string(p.Stack), "TestHedgePanicsOnceOnItsCaller")
				}
			}
		}
	}
}

// A call that panics when its caller has long had an answer goes to the observers.
func TestLatePanicsGoToTheObservers(t *testing.T) {
	deaf := func(v *clock.Virtual, d time.Duration) policy.Func[int] {
		return func(context.Context) (int, error) {
			_ = v.Sleep(context.Background(), d)
			panic("boom")
		}
	}
	for name, build := range map[string]func(v *clock.Virtual) policy.Policy[int]{
		"dedupe": func(v *clock.Virtual) policy.Policy[int] {
			return &policy.Dedupe[int]{Key: func(context.Context) string { return "k" }, Clock: v}
		},
		"timeout": func(v *clock.Virtual) policy.Policy[int] {
			return &policy.Timeout[int]{Limit: time.Hour, Detach: true, Clock: v}
		},
		"hedge": func(v *clock.Virtual) policy.Policy[int] { return &policy.Hedge[int]{Delay: time.Hour, Clock: v} },
	} {
		t.Run(name, func(t *testing.T) {
			v := clock.NewVirtual()
			recorder := &policytest.Recorder{Clock: v}
			p := pipeline.Wrap(build(v)).Observe(recorder)
			v.Go(func() {
				ctx, cancel := clock.WithTimeout(t.Context(), v, time.Second, nil)
				defer cancel()
				_, err := p.Do(ctx, deaf(v, time.Minute))
				require.ErrorIs(t, err, context.DeadlineExceeded)
			})
			v.Run()
			late := recorder.Events(policy.Panicked)
			require.Len(t, late, 1)
			require.Equal(t, name, late[0].Policy)
			require.Equal(t, policy.TransientFailure, late[0].Outcome)
		})
	}
}

// Hold keeps the context that a value came from until it is done with, and no longer, in every policy that makes one.
func TestHoldKeepsContextsUntilTheValueIsDoneWith(t *testing.T) {
	type body struct {
		ctx   context.Context
		close func()
	}
	hold := func(b *body, release func()) *body {
		if b == nil {
			release()
			return nil
		}
		inner := b.close
		return &body{b.ctx, func() {
			if inner != nil {
				inner()
			}
			release()
		}}
	}
	for name, build := range map[string]func(v *clock.Virtual) []policy.Policy[*body]{
		"timeout": func(v *clock.Virtual) []policy.Policy[*body] {
			return []policy.Policy[*body]{&policy.Timeout[*body]{Limit: time.Hour, Clock: v}}
		},
		"detached": func(v *clock.Virtual) []policy.Policy[*body] {
			return []policy.Policy[*body]{&policy.Timeout[*body]{Limit: time.Hour, Detach: true, Clock: v}}
		},
		"hedge": func(v *clock.Virtual) []policy.Policy[*body] {
			return []policy.Policy[*body]{&policy.Hedge[*body]{Delay: time.Second, Clock: v}}
		},
		"dedupe": func(v *clock.Virtual) []policy.Policy[*body] {
			return []policy.Policy[*body]{&policy.Dedupe[*body]{Key: func(context.Context) string { return "k" }, Clock: v}}
		},
		"all": func(v *clock.Virtual) []policy.Policy[*body] {
			return []policy.Policy[*body]{
				&policy.Dedupe[*body]{Key: func(context.Context) string { return "k" }, Clock: v}, &policy.Timeout[*body]{Limit: time.Hour, Clock: v},
				&policy.Retry[*body]{Clock: v}, &policy.Hedge[*body]{Delay: time.Minute, Clock: v}, &policy.Timeout[*body]{Limit: time.Hour, Clock: v},
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, held := range []bool{true, false} {
				v := clock.NewVirtual()
				p := pipeline.Wrap(build(v)...)
				if held {
					p = p.Means(policy.Meaning[*body]{Hold: hold})
				}
				v.Go(func() {
					b, err := p.Do(t.Context(), func(ctx context.Context) (*body, error) { return &body{ctx: ctx}, nil })
					require.NoError(t, err)
					if held {
						require.NoError(t, b.ctx.Err())
						b.close()
					}
					require.Error(t, b.ctx.Err())

					_, err = p.Do(t.Context(), func(context.Context) (*body, error) { return nil, errDown })
					require.ErrorIs(t, err, errDown)
				})
				v.Run()
				require.Zero(t, v.Pending())
			}
		})
	}
}

// A Hold that panics keeps no context, and the value that is lost is discarded.
func TestHoldThatPanicsKeepsNoContext(t *testing.T) {
	v := clock.NewVirtual()
	var discarded []context.Context
	p := pipeline.Wrap(&policy.Hedge[context.Context]{Delay: time.Second, Clock: v}).Means(policy.Meaning[context.Context]{
		Hold:    func(context.Context, func()) context.Context { panic("boom") },
		Discard: func(ctx context.Context) { discarded = append(discarded, ctx) },
	})
	v.Go(func() {
		require.PanicsWithValue(t, "boom", func() {
			_, _ = p.Do(t.Context(), func(ctx context.Context) (context.Context, error) { return ctx, nil })
		})
	})
	v.Run()
	require.Len(t, discarded, 1)
	require.Error(t, discarded[0].Err())
}

// A caller under Once makes a call of its own: the shared one may be an attempt that is made again.
func TestDedupeDoesNotShareCallsUnderOnce(t *testing.T) {
	v := clock.NewVirtual()
	p := pipeline.Wrap[int](
		&policy.Dedupe[int]{Key: func(context.Context) string { return "k" }, Clock: v},
		&policy.Retry[int]{Attempts: 3, Backoff: policy.Constant(time.Second), Clock: v},
	)
	calls := map[string]int{}
	for _, c := range []struct {
		whose string
		ctx   context.Context
	}{{"the first", t.Context()}, {"the second", t.Context()}, {"under Once", policy.Once(t.Context())}} {
		v.Go(func() {
			_, err := p.Do(c.ctx, func(context.Context) (int, error) {
				calls[c.whose]++
				_ = v.Sleep(context.Background(), time.Millisecond)
				return 0, errDown
			})
			require.ErrorIs(t, err, errDown)
		})
	}
	v.Run()
	require.Equal(t, map[string]int{"the first": 3, "under Once": 1}, calls)
}

// A shared call whose callers have all left hands its value to Discard.
func TestDedupeDiscardsWhatNobodyWaitsFor(t *testing.T) {
	v := clock.NewVirtual()
	var discarded []int
	p := pipeline.Wrap(&policy.Dedupe[int]{Key: func(context.Context) string { return "k" }, Clock: v}).
		Means(policy.Meaning[int]{Discard: func(n int) { discarded = append(discarded, n) }})
	v.Go(func() {
		ctx, cancel := clock.WithTimeout(t.Context(), v, time.Second, nil)
		defer cancel()
		_, err := p.Do(ctx, func(context.Context) (int, error) {
			_ = v.Sleep(context.Background(), time.Minute)
			return 7, nil
		})
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
	v.Run()
	require.Equal(t, []int{7}, discarded)
}
