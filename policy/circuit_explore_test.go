//go:build explore

package policy

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/clock"
)

// A stepClock stands still but for advance, which is an operation like any other.
type stepClock struct {
	clock.Clock
	now atomicInt64
}

func (c *stepClock) Nanos() int64 { return c.now.Load() }

// An act is a circuit on the stage, and what can be done to it. Each func is a call, and says how it came out.
type act struct {
	*Circuit
	*explorer
	time   *stepClock
	heard  []Change
	told   int // changes that OnChange is being told
	under  int // calls under way
	most   int // of them at once
	limit  int // on that; 0 means none
	counts int // calls in the end; 0 means that it depends
}

var errExplored = errors.New("failed")

func newAct(e *explorer, c *Circuit) *act {
	a := &act{Circuit: c, explorer: e, time: new(stepClock)}
	c.Clock, c.OnChange, c.Cooldown = a.time, a.hear, Constant(100)
	return a
}

func (a *act) hear(change Change) {
	if a.told++; a.told > 1 {
		a.never("told two changes at a time")
	}
	if last := len(a.heard) - 1; last >= 0 && (a.heard[last].To != change.From || a.heard[last].Generation >= change.Generation) {
		a.never("told in disorder")
	}
	a.heard = append(a.heard, change)
	a.between()
	a.told--
}

func (a *act) call(err error) func() string {
	return func() string {
		fn := func(context.Context) (int, error) {
			a.under++
			a.most = max(a.most, a.under)
			a.between()
			a.under--
			return 0, err
		}
		_, err := Through(fn, &Breaker[int]{Circuit: a.Circuit}).Do(context.Background())
		if errors.Is(err, ErrOpen) {
			return "refused"
		}
		return fmt.Sprint(err)
	}
}

func (a *act) good() func() string { return a.call(nil) }
func (a *act) bad() func() string  { return a.call(errExplored) }

func (a *act) done(p *Permit, o Outcome) func() string {
	return func() string { p.Done(o); return "" }
}

func (a *act) look() string {
	s := a.Snapshot()
	s.Until = time.Time{} // which an opening gets a moment after it has begun
	return fmt.Sprint(s)
}

func (a *act) reset() string { a.Reset(); return "" }

func (a *act) advance(d int64) func() string {
	return func() string { a.time.now.Add(d); return "" }
}

// end is what has become of the circuit.
func (a *act) end() string {
	var told []State
	for _, c := range a.heard {
		told = append(told, c.To)
	}
	s := a.Snapshot()
	if a.limit > 0 && a.most > a.limit {
		a.never("more probes than there may be")
	}
	if a.counts > 0 && a.counts != s.Calls {
		a.never(fmt.Sprintf("%d calls counted", s.Calls))
	}
	return fmt.Sprintf("%+v, heard of %v", s, told)
}

// opened is that the circuit has opened, and its cooldown is over.
func (a *act) opened() *act {
	for a.State() != Open {
		_ = a.Do(context.Background(), func(context.Context) error { return errExplored })
	}
	a.time.now.Add(100)
	return a
}

func (a *act) permit() *Permit {
	p, err := a.Acquire()
	if err != nil {
		panic(err)
	}
	return &p
}

type calls = []func() string

func on(a *act, goroutines ...calls) scene { return scene{goroutines: goroutines, end: a.end} }

// rate is a window of ten buckets of 10 each.
func rate(minCalls int) FailureRate {
	return FailureRate{Ratio: 0.5, Window: 100, MinCalls: minCalls}
}

var scenes = map[string]func(e *explorer) scene{
	"the first use": func(e *explorer) scene {
		a := newAct(e, &Circuit{Trip: Consecutive(1)})
		return on(a, calls{a.bad()}, calls{a.good()}, calls{a.look})
	},
	"a row": func(e *explorer) scene {
		a := newAct(e, &Circuit{Trip: Consecutive(2)})
		return on(a, calls{a.bad()}, calls{a.bad()}, calls{a.good(), a.look})
	},
	"a rate that trips": func(e *explorer) scene {
		a := newAct(e, &Circuit{Trip: rate(3)})
		a.good()()
		return on(a, calls{a.bad()}, calls{a.good(), a.bad()}, calls{a.look})
	},
	"a rate's bucket": func(e *explorer) scene {
		a := newAct(e, &Circuit{Trip: rate(100)})
		a.good()()
		a.counts = 4
		return on(a, calls{a.good()}, calls{a.good(), a.look}, calls{a.bad()})
	},
	"a rate's next bucket": func(e *explorer) scene {
		a := newAct(e, &Circuit{Trip: rate(100)})
		a.good()()
		s := on(a, calls{a.bad()}, calls{a.advance(10), a.good()})
		s.end = func() string {
			a.time.now.Store(100) // what was before the next bucket does not count any more
			return a.end()
		}
		return s
	},
	"a rate's bucket that is used again": func(e *explorer) scene {
		a := newAct(e, &Circuit{Trip: rate(100)})
		a.good()()
		return on(a, calls{a.good(), a.good()}, calls{a.advance(100), a.bad()})
	},
	"probes": func(e *explorer) scene {
		a := newAct(e, &Circuit{Trip: Consecutive(1), Successes: 100}).opened()
		a.limit = 1
		return on(a, calls{a.good()}, calls{a.good()}, calls{a.good()})
	},
	"two probes that close": func(e *explorer) scene {
		a := newAct(e, &Circuit{Trip: Consecutive(1), Probes: 2, Successes: 2}).opened()
		return on(a, calls{a.good(), a.look}, calls{a.good()}, calls{a.bad()})
	},
	"a probe beside a stale result": func(e *explorer) scene {
		a := newAct(e, &Circuit{Trip: Consecutive(1)})
		p := a.permit()
		a.opened()
		return on(a, calls{a.good()}, calls{a.done(p, TransientFailure)}, calls{a.look})
	},
	"one permit settled twice": func(e *explorer) scene {
		a := newAct(e, &Circuit{Trip: rate(100)})
		p := a.permit()
		a.counts = 1
		return on(a, calls{a.done(p, TransientFailure)}, calls{a.done(p, Success)})
	},
	"an opening beside a reset": func(e *explorer) scene {
		a := newAct(e, &Circuit{Trip: Consecutive(1)})
		return on(a, calls{a.bad()}, calls{a.reset, a.look})
	},
	"a slow call": func(e *explorer) scene {
		a := newAct(e, &Circuit{Trip: Consecutive(1), Slow: 10})
		p := a.permit()
		a.time.now.Store(9)
		return on(a, calls{a.advance(1), a.look}, calls{a.done(p, Success)}, calls{a.good()})
	},
}

func TestExploreEveryOrderComesOutAsCallsOneAtATimeDo(t *testing.T) {
	for name, build := range scenes {
		t.Run(name, func(t *testing.T) {
			for _, outcome := range unexplained(t, build) {
				t.Error(outcome)
			}
		})
	}
}

// A lossy window counts by a load and a store.
type lossy struct{ *window }

func (w lossy) quick(int64) bool {
	word := &w.calls[0]
	word.Store(word.Load() + 1)
	return true
}

// A careless row forgets its failures without the lock.
type careless struct{ *row }

func (r careless) quick(int64) bool {
	r.failures.Store(0)
	return true
}

// A hasty circuit looks for room for a probe before it sends one: calls of many more are admitted.
func (a *act) hasty(f func() string) func() string {
	return func() string {
		if s := a.Snapshot(); s.State == HalfOpen && s.InFlight > 0 {
			return "refused"
		}
		return f()
	}
}

// counting has the circuit count by another tally.
func (a *act) counting(planted func(tally) tally) *act {
	_ = a.begin()
	p := *a.now.Load()
	p.tally, p.row = planted(p.tally), nil
	a.now.Store(&p)
	return a
}

func TestExploreFindsBugsPlantedInACircuit(t *testing.T) {
	for name, build := range map[string]func(e *explorer) scene{
		"a call that is not counted": func(e *explorer) scene {
			a := newAct(e, &Circuit{Trip: rate(100)}).counting(func(t tally) tally { return lossy{t.(*window)} })
			a.bad()()
			return on(a, calls{a.good()}, calls{a.good()})
		},
		"a trip that is lost": func(e *explorer) scene {
			a := newAct(e, &Circuit{Trip: Consecutive(2)}).counting(func(t tally) tally { return careless{t.(*row)} })
			return on(a, calls{a.bad(), a.bad()}, calls{a.good()})
		},
		"probes in excess": func(e *explorer) scene {
			a := newAct(e, &Circuit{Trip: Consecutive(1), Probes: 100, Successes: 100}).opened()
			a.limit = 1
			return on(a, calls{a.hasty(a.good())}, calls{a.hasty(a.good())})
		},
	} {
		t.Run(name, func(t *testing.T) {
			found := unexplained(t, build)
			if len(found) == 0 {
				t.Fatal("not found")
			}
			t.Log(found[0])
		})
	}
}
