//go:build explore

package policy

import (
	"fmt"
	"testing"
)

// A drain is a throttle on the stage that refuses whatever it may.
type drain struct {
	*Throttle
	time *stepClock
}

func newDrain() *drain {
	d := &drain{&Throttle{K: 1, Window: 100, Rand: func() float64 { return 0 }}, new(stepClock)}
	d.Clock = d.time
	d.DropRate() // the first use
	return d
}

func (d *drain) done(o Outcome) func() string { return func() string { d.Done(o); return "" } }
func (d *drain) ask() string                  { return fmt.Sprint(d.Acquire()) }
func (d *drain) look() string                 { return fmt.Sprint(d.DropRate()) }

func (d *drain) advance(by int64) func() string {
	return func() string { d.time.now.Add(by); return "" }
}

func (d *drain) widen() string {
	return fmt.Sprint(d.Configure(func(t *Throttle) { t.Window = 200 }))
}

func (d *drain) scene(goroutines ...calls) scene {
	return scene{goroutines: goroutines, switches: 3, end: d.look}
}

func TestExploreEveryOrderAtAThrottle(t *testing.T) {
	for name, build := range map[string]func() scene{
		"a failure beside calls": func() scene {
			d := newDrain()
			return d.scene(calls{d.done(TransientFailure)}, calls{d.ask, d.ask}, calls{d.done(Success)})
		},
		"two who ask, and a failure": func() scene {
			d := newDrain()
			return d.scene(calls{d.done(TransientFailure)}, calls{d.ask}, calls{d.ask})
		},
		"successes": func() scene {
			d := newDrain()
			d.done(Success)()
			return d.scene(calls{d.done(Success), d.done(Success)}, calls{d.done(Success)}, calls{d.done(TransientFailure), d.look})
		},
		"a failure that stops to count": func() scene {
			d := newDrain()
			d.done(TransientFailure)()
			d.time.now.Store(99)
			return d.scene(calls{d.advance(1), d.ask}, calls{d.ask}, calls{d.done(TransientFailure)})
		},
		"another window": func() scene {
			d := newDrain()
			d.done(TransientFailure)()
			return d.scene(calls{d.widen, d.ask}, calls{d.done(Success)}, calls{d.done(TransientFailure)})
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, outcome := range unexplained(t, func(*explorer) scene { return build() }) {
				t.Error(outcome)
			}
		})
	}
}
