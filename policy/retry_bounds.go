package policy

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfast-go/holdfast/clock"
)

// Describe implements Describer.
func (r *Retry[T]) Describe() Description {
	d := Description{
		Kind: "retry", Name: r.Name, Clock: clock.OrSystem(r.Clock), Bounds: r.bounds,
		Settings: []Setting{
			attemptsSetting(r.Attempts),
			{"backoff", describeBackoff(r.backoff()), r.Backoff == nil},
		},
		Repeats: &Repeats{
			Attempts: r.attempts(), MaxElapsed: r.MaxElapsed,
			LeastWait: func(n int) time.Duration { return leastTotal(r.backoff(), n) },
			Transient: func(err error) bool {
				var zero T
				return r.Classify.Apply(context.Background(), zero, err) == TransientFailure
			},
		},
	}
	if r.MaxElapsed > 0 {
		d.Settings = append(d.Settings, setting("max elapsed", r.MaxElapsed, 0))
	}
	d.Settings = append(d.Settings, setting("max hint", r.MaxHint, defaultMaxHint))
	if b := r.Budget; b != nil {
		d.Settings = append(d.Settings, b.describe())
	}
	d.custom("hint", r.Hint != nil && !r.meant.hint)
	d.custom("classify", r.Classify != nil && !r.meant.classify)
	return d
}

// manyAttempts stands for no limit but the context's, or MaxElapsed.
const manyAttempts = 10_000

func attemptsSetting(n int) Setting {
	if n >= manyAttempts {
		return Setting{"attempts", "until the context ends", false}
	}
	return setting("attempts", n, defaultAttempts)
}

func (r *Retry[T]) bounds(inner Bounds) Bounds {
	n := r.attempts()
	waits, hinted := r.waits(n - 1)
	b := inner
	b.Calls = inner.Calls.Times(n)
	b.Wait = inner.Wait.Times(n).Plus(waits)
	b.HintedWait = inner.HintedWait.Times(n).Plus(hinted)
	b.Duration = inner.Duration.Times(n).Plus(waits)
	b.HintedDuration = inner.HintedDuration.Times(n).Plus(hinted)
	if inner.Detaches && n > 1 {
		b.AtOnce = inner.AtOnce.Times(n) // an abandoned call may still be running when the next one starts
	}
	if r.MaxElapsed > 0 {
		limit := Most(r.MaxElapsed)
		b.Wait = b.Wait.Min(limit.Plus(inner.Wait))
		b.HintedWait = b.HintedWait.Min(limit.Plus(inner.HintedWait))
		b.Duration = b.Duration.Min(limit.Plus(inner.Duration))
		b.HintedDuration = b.HintedDuration.Min(limit.Plus(inner.HintedDuration))
	}
	return b
}

// waits is the most that n waits add up to, by the backoff alone and with the longest hints.
func (r *Retry[T]) waits(n int) (plain, hinted Bound[time.Duration]) {
	total, known := mostTotal(r.backoff(), n, 0)
	if !known {
		b := Missing[time.Duration](fmt.Sprintf("unknown: how long %T waits", r.backoff()))
		return b, b
	}
	longest, _ := mostTotal(r.backoff(), n, r.maxHint())
	return Most(total), Most(longest)
}
