//go:build explore

package policy

import (
	"context"
	"fmt"
	"testing"

	"github.com/holdfast-go/holdfast/clock"
)

// A door is a gate on the stage, and what can be done at it.
type door struct {
	*Gate
	*explorer
	inside int
	most   int    // that may be
	drop   func() // gives a place back
	silent bool   // how a pass comes out is not told: where a context ends meanwhile it may be either
}

// Wait implements clock.Scheduler for the explorer.
func (d *door) Wait(ctx context.Context, l *clock.Latch) error {
	d.wait(func() bool { return l.IsOpen() || ctx.Err() != nil })
	if l.IsOpen() {
		return nil
	}
	return context.Cause(ctx)
}

// A doorClock is the scheduler that a gate waits by.
type doorClock struct {
	clock.Clock
	*door
}

func (doorClock) Go(func()) {}

func newDoor(e *explorer, g *Gate) *door {
	d := &door{Gate: g, explorer: e, most: g.Limit}
	d.drop = d.release
	g.Clock = &doorClock{clock.System, d}
	if slot, err := g.Acquire(context.Background()); err == nil {
		slot.Release()
	}
	return d
}

func (d *door) pass(ctx context.Context) func() string {
	return func() string {
		if d.enter(ctx) != nil {
			return d.told("refused")
		}
		if d.inside++; d.inside > d.most {
			d.never("more inside than may be")
		}
		d.between()
		d.inside--
		d.drop()
		return d.told("passed")
	}
}

func (d *door) told(how string) string {
	if d.silent {
		return ""
	}
	return how
}

func (d *door) look() string { return fmt.Sprint(d.Load()) }

func (d *door) widen(limit int) func() string {
	return func() string {
		d.most = limit
		return fmt.Sprint(d.Configure(func(g *Gate) { g.Limit = limit }))
	}
}

func through(d *door, goroutines ...calls) scene {
	return scene{switches: 3, goroutines: goroutines, end: func() string {
		inside, waiting := d.Load()
		if inside != 0 || waiting != 0 || d.state.Load() != 0 {
			d.never(fmt.Sprintf("%d inside and %d waiting are left", inside, waiting))
		}
		return ""
	}}
}

var doors = map[string]func(e *explorer) scene{
	"no queue": func(e *explorer) scene {
		d := newDoor(e, &Gate{Limit: 1})
		return through(d, calls{d.pass(context.Background())}, calls{d.pass(context.Background())}, calls{d.look})
	},
	"a queue": func(e *explorer) scene {
		d := newDoor(e, &Gate{Limit: 1, Queue: 1})
		return through(d, calls{d.pass(context.Background())}, calls{d.pass(context.Background())}, calls{d.pass(context.Background())})
	},
	"a long queue": func(e *explorer) scene {
		d := newDoor(e, &Gate{Limit: 1, Queue: 2})
		return through(d, calls{d.pass(context.Background()), d.pass(context.Background())}, calls{d.pass(context.Background())}, calls{d.look})
	},
	"two places": func(e *explorer) scene {
		d := newDoor(e, &Gate{Limit: 2, Queue: 1})
		return through(d, calls{d.pass(context.Background())}, calls{d.pass(context.Background())}, calls{d.pass(context.Background())})
	},
	"one who waits leaves": func(e *explorer) scene {
		d := newDoor(e, &Gate{Limit: 1, Queue: 1})
		ctx, cancel := context.WithCancel(context.Background())
		leave := func() string { cancel(); return "" }
		return through(d, calls{d.pass(context.Background())}, calls{d.pass(ctx)}, calls{leave})
	},
	"one who waits leaves, and another comes": func(e *explorer) scene {
		d := newDoor(e, &Gate{Limit: 1, Queue: 1})
		d.silent = true
		ctx, cancel := context.WithCancel(context.Background())
		leave := func() string { cancel(); return "" }
		return through(d, calls{d.pass(context.Background())}, calls{d.pass(ctx)}, calls{leave, d.pass(context.Background())})
	},
	"a gate that gets wider": func(e *explorer) scene {
		d := newDoor(e, &Gate{Limit: 1, Queue: 2})
		return through(d, calls{d.pass(context.Background())}, calls{d.pass(context.Background())}, calls{d.widen(2)})
	},
}

func TestExploreEveryOrderAtAGate(t *testing.T) {
	for name, build := range doors {
		t.Run(name, func(t *testing.T) {
			for _, outcome := range unexplained(t, build) {
				t.Error(outcome)
			}
		})
	}
}

func TestExploreFindsBugsPlantedInAGate(t *testing.T) {
	for name, planted := range map[string]func(d *door) func(){
		"a place that is given back past those who wait": func(d *door) func() {
			return func() { d.state.Add(-aCall) }
		},
		"a place that is given back by a load and a store": func(d *door) func() {
			return func() {
				if s := d.state.Load(); s&queued == 0 {
					d.state.Store(s - aCall)
					return
				}
				d.release()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			found := unexplained(t, func(e *explorer) scene {
				d := newDoor(e, &Gate{Limit: 1, Queue: 1})
				d.drop = planted(d)
				return through(d, calls{d.pass(context.Background())}, calls{d.pass(context.Background())})
			})
			if len(found) == 0 {
				t.Fatal("not found")
			}
			t.Log(found[0])
		})
	}
}
