package policy

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/holdfast-go/holdfast/clock"
)

// A Switch turns Chaos on and off while it runs. The zero value is off. It may be shared by any number of policies,
// and is safe for concurrent use.
type Switch struct{ on atomic.Bool }

// Set turns the switch on or off.
func (s *Switch) Set(on bool) { s.on.Store(on) }

// On reports whether the switch is on.
func (s *Switch) On() bool { return s.on.Load() }

// A Fault is what Chaos does to a call: wait, and then panic, fail, or let it through.
type Fault struct {
	Latency time.Duration // how long the call is held up; 0 or less means not at all
	Err     error         // what the call fails with, without running; nil means that it runs
	Panic   any           // what the call panics with; nil means that it does not
}

// Chaos hurts a share of the calls on purpose, so that a drill shows what the policies around it are worth. It belongs
// innermost, around the func. It does nothing until its Switch is on.
//
// Each Chaos has one kind of fault: use several for several. It is safe for concurrent use, and costs one atomic load
// while it is off.
type Chaos[T any] struct {
	Name   string  // for events and Explain
	Switch *Switch // required
	Rate   float64 // the share of calls that are hurt, in [0, 1]; for Fault and Result
	Fault  Fault   // how

	// Result, if set, answers the calls that are hurt, after Fault.Latency, instead of Fault.Err.
	Result func(ctx context.Context) (T, error)

	// Script, if set, decides about each call by its number, from 1 on, instead of Rate and Fault: by a list, or by a
	// schedule in time.
	Script func(call int) Fault

	Clock clock.Clock    // nil means clock.System
	Rand  func() float64 // in [0, 1), safe for concurrent use, seeded to repeat a drill; nil means math/rand/v2

	calls atomic.Int64 // seen while on
}

// Execute implements Policy.
func (c *Chaos[T]) Execute(ctx context.Context, next Next[T]) (T, error) {
	if c.Switch == nil || !c.Switch.On() {
		return next.Do(ctx)
	}
	return c.hurt(ctx, next)
}

func (c *Chaos[T]) hurt(ctx context.Context, next Next[T]) (v T, err error) {
	fault, result := c.Fault, c.Result
	call := c.calls.Add(1)
	switch {
	case c.Script != nil:
		fault, result = c.Script(int(call)), nil
	case drawn(c.Rand) >= c.Rate:
		return next.Do(ctx)
	}
	if fault.Latency > 0 {
		if err := clock.OrSystem(c.Clock).Sleep(ctx, fault.Latency); err != nil {
			return v, err
		}
	}
	switch {
	case fault.Panic != nil:
		panic(fault.Panic)
	case result != nil:
		return result(ctx)
	case fault.Err != nil:
		return v, fault.Err
	}
	return next.Do(ctx)
}

// Validate names every field that is wrong.
func (c *Chaos[T]) Validate() error {
	p := problems{owner: "Chaos"}
	if c.Switch == nil {
		p.add(".Switch is nil; want a Switch, which is off until it is Set")
	}
	if !(c.Rate >= 0 && c.Rate <= 1) { // NaN is neither
		p.add(".Rate is %v; want 0 to 1", c.Rate)
	}
	notNegative(&p, "Fault.Latency", c.Fault.Latency)
	p.clock(c.Clock)
	return p.join()
}

// Describe implements Describer.
func (c *Chaos[T]) Describe() Description {
	d := Description{
		Kind: "chaos", Name: c.Name, Clock: clock.OrSystem(c.Clock), Faults: true,
		Settings: []Setting{{"rate", percent(c.Rate), c.Rate == 0}},
		Bounds: func(inner Bounds) Bounds {
			if c.Script != nil {
				return inner.waiting(Missing[time.Duration]("unknown: what the chaos script does"))
			}
			inner = inner.waiting(Most(c.Fault.Latency))
			if c.Result != nil {
				inner.Besides = besides(inner.Besides, "Chaos.Result")
			}
			return inner
		},
	}
	if c.Script != nil {
		d.Settings = nil // it decides alone
		d.custom("script", true)
		return d
	}
	if c.Fault.Latency > 0 {
		d.Settings = append(d.Settings, Setting{"latency", c.Fault.Latency.String(), false})
	}
	d.custom("panic", c.Fault.Panic != nil)
	d.custom("result", c.Result != nil)
	d.custom("error", c.Fault.Err != nil)
	return d
}
