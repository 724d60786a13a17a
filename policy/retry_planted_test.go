package policy_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/policy"
)

// cases is how many drawn cases a planted bug may survive.
const cases = 2_000

// A plainRetry is a Retry in its simplest form, with a place for every bug that is planted below.
type plainRetry struct {
	retryCase
	r *run

	tooMany, noCheckFirst, retriesPermanent, dropsSuccess, swallowsPanic, hotLoop bool
	waitsPastDeadline, waitsAfterLast, forgetsCause, forgetsLast, ignoresHint     bool
	keepsValues, discardsAll, ignoresOnce, ignoresElapsed, retriesOK              bool
}

func (p *plainRetry) Execute(ctx context.Context, next policy.Next[int]) (v int, err error) {
	if p.swallowsPanic {
		defer func() { _ = recover() }()
	}
	if ctx.Err() != nil && !p.noCheckFirst {
		return 0, context.Cause(ctx)
	}
	most, rand := p.most(), seeded(p.seed)
	if p.tooMany {
		most++
	}
	step := policy.Step{Rand: rand}
	for n := 1; ; n++ {
		v, err = next.Do(ctx)
		o := policy.Classifier[int](nil).Apply(ctx, v, err)
		if p.retriesPermanent && o == policy.PermanentFailure || p.retriesOK && o == policy.Success {
			o = policy.TransientFailure
		}
		if p.dropsSuccess && ctx.Err() != nil && err == nil {
			return 0, context.Cause(ctx)
		}
		step.Retry = n
		delay := p.waits.backoff().Delay(step)
		step.Previous, step.Total = delay, step.Total+delay
		hint := policy.HintOf(err)
		if p.ignoresHint {
			hint = 0
		}
		wait := max(delay, hint)
		if p.hotLoop {
			wait = 0
		}
		if n == most && p.waitsAfterLast {
			_ = p.r.clk.Sleep(ctx, wait)
		}
		left, limited := clock.Remaining(ctx, p.r.clk)
		late := p.elapsed > 0 && p.r.now()+wait > p.elapsed && !p.ignoresElapsed
		once := p.caller.once && !p.ignoresOnce
		if o != policy.TransientFailure || n >= most || once || hint > p.longestHint() || late {
			break
		}
		if limited && wait >= left && !p.waitsPastDeadline && ctx.Err() == nil {
			break
		}
		if p.r.clk.Sleep(ctx, wait) != nil {
			return v, p.cancelled(context.Cause(ctx), err)
		}
		if !p.keepsValues {
			p.r.discard(v)
		}
	}
	if p.discardsAll {
		p.r.discard(v)
	}
	return v, err
}

// Describe puts the pipeline on the run's clock.
func (p *plainRetry) Describe() policy.Description {
	return policy.Description{Kind: "plain retry", Clock: p.r.clk}
}

func (p *plainRetry) cancelled(cause, err error) error {
	switch {
	case p.forgetsCause:
		return err
	case p.forgetsLast:
		return cause
	default:
		return errors.Join(cause, err)
	}
}

// The properties of Retry find each of these bugs, and nothing in the same code without them.
func TestPlantedRetryBugsAreFound(t *testing.T) {
	bugs := map[string]func(*plainRetry){
		"makes one call too many":             func(p *plainRetry) { p.tooMany = true },
		"calls though the context has ended":  func(p *plainRetry) { p.noCheckFirst = true },
		"calls again after a permanent error": func(p *plainRetry) { p.retriesPermanent = true },
		"calls again after a success":         func(p *plainRetry) { p.retriesOK = true },
		"discards a late success":             func(p *plainRetry) { p.dropsSuccess = true },
		"swallows panics":                     func(p *plainRetry) { p.swallowsPanic = true },
		"does not wait":                       func(p *plainRetry) { p.hotLoop = true },
		"waits past the deadline":             func(p *plainRetry) { p.waitsPastDeadline = true },
		"waits after the last call":           func(p *plainRetry) { p.waitsAfterLast = true },
		"forgets why the context ended":       func(p *plainRetry) { p.forgetsCause = true },
		"forgets the last error":              func(p *plainRetry) { p.forgetsLast = true },
		"ignores hints":                       func(p *plainRetry) { p.ignoresHint = true },
		"ignores Once":                        func(p *plainRetry) { p.ignoresOnce = true },
		"ignores MaxElapsed":                  func(p *plainRetry) { p.ignoresElapsed = true },
		"never discards":                      func(p *plainRetry) { p.keepsValues = true },
		"discards what it returns":            func(p *plainRetry) { p.discardsAll = true },
	}
	with := func(plant func(*plainRetry)) maker[retryCase] {
		return func(c retryCase, r *run) policy.Policy[int] {
			p := &plainRetry{retryCase: c, r: r}
			plant(p)
			return p
		}
	}
	judge := func(plant func(*plainRetry)) func(retryCase) findings {
		judge := judgeRetry(with(plant))
		return func(c retryCase) findings { return without(judge(c), "did not say so", "says it is attempt") }
	}
	require.False(t, finds(cases, drawRetry, judge(func(*plainRetry) {})), "the plain Retry itself is sound")
	for name, plant := range bugs {
		require.True(t, finds(cases, drawRetry, judge(plant)), "a Retry that %s", name)
	}
}

// without is f but for the promises that a policy under test does not make: to number attempts, to tell of events.
func without(f findings, promises ...string) (rest findings) {
	for _, found := range f {
		if !slices.ContainsFunc(promises, func(p string) bool { return strings.Contains(found, p) }) {
			rest = append(rest, found)
		}
	}
	return rest
}
