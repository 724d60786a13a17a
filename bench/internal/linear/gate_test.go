package linear_test

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/anishathalye/porcupine"

	"github.com/holdfast-go/holdfast/policy"
)

// What can be done to a gate. An Acquire joins the queue, gets a place and, if it goes without one, leaves: each of
// these is a step of its own, because others can come in between.
type (
	join  struct{ id int } // → nil, ErrFull or gone
	get   struct{ id int } // → nil or gone
	leave struct{ id int } // → gone
	free  struct{ id int } // → nil
	count struct{}         // → load
	size  struct{ limit, queue int }
)

// gone is how an Acquire ended that may have waited and even have been given a place, but returned an error.
type gone struct{}

type load struct{ inFlight, waiting int }

// A gate is the model of a policy.Gate.
type gate struct {
	size
	inside, queued []int // by id; queued first come first
}

func (g gate) equal(o gate) bool {
	return g.size == o.size && slices.Equal(g.inside, o.inside) && slices.Equal(g.queued, o.queued)
}

func (g gate) next(in, out any) (gate, bool) {
	room := len(g.inside) < g.limit
	switch in := in.(type) {
	case join:
		switch {
		case room && len(g.queued) == 0:
			g.inside = with(g.inside, in.id)
		case len(g.queued) >= g.queue:
			return g, out == policy.ErrFull || out == gone{}
		default:
			g.queued = with(g.queued, in.id)
		}
		return g, out != policy.ErrFull
	case get:
		if room && len(g.queued) > 0 && g.queued[0] == in.id {
			g.queued, g.inside = g.queued[1:], with(g.inside, in.id)
		}
		return g, out == gone{} || slices.Contains(g.inside, in.id)
	case leave:
		if i := slices.Index(g.queued, in.id); i >= 0 {
			g.queued = without(g.queued, i)
		} else if i := slices.Index(g.inside, in.id); i >= 0 {
			g.inside = without(g.inside, i)
		}
		return g, true
	case free:
		i := slices.Index(g.inside, in.id)
		if i < 0 {
			return g, false
		}
		g.inside = without(g.inside, i)
		return g, true
	case count:
		return g, out == load{len(g.inside), len(g.queued)}
	case size:
		g.size = in
		return g, true
	}
	return g, false
}

// A door is a policy.Gate, or a broken one.
type door interface {
	Acquire(ctx context.Context) (release func(), err error)
	Load() (inFlight, waiting int)
	Resize(limit, queue int) error
}

type gateDoor struct{ *policy.Gate }

func (d gateDoor) Resize(limit, queue int) error {
	return d.Configure(func(g *policy.Gate) { g.Limit, g.Queue = limit, queue })
}

func (d gateDoor) Acquire(ctx context.Context) (func(), error) {
	slot, err := d.Gate.Acquire(ctx)
	return slot.Release, err
}

// gateRun has goroutines come, go, be cancelled and change the gate's size, which is about that given.
func gateRun(build func() door, about size, first porcupine.Model) run {
	return func(t *testing.T, seed uint64) (*history, porcupine.Model) {
		return record(t, seed, []int{1, 2, 5}, func(h *history) (func(*worker), func()) {
			g := build()
			var mu sync.Mutex
			var cancels []context.CancelFunc
			enter := func(w *worker) {
				ctx, cancel := context.WithCancel(context.Background())
				mu.Lock()
				cancels = append(cancels, cancel)
				mu.Unlock()
				now, began := h.now(), h.begin()
				id := int(began)
				h.waiting.Add(1)
				release, err := g.Acquire(ctx)
				h.waiting.Add(-1)
				switch {
				case err == nil:
					h.add(began, call(join{id}, nil), call(get{id}, nil))
					w.finish = func() {
						w.finish = nil
						began := h.begin()
						release()
						h.add(began, call(free{id}, nil))
					}
				case ctx.Err() == nil && h.now() == now:
					h.add(began, call(join{id}, reason(err)))
				default: // cancelled, or MaxWait was over
					h.add(began, call(join{id}, gone{}), call(get{id}, gone{}), call(leave{id}, gone{}))
				}
			}
			look := func() {
				began := h.begin()
				inFlight, waiting := g.Load()
				h.add(began, call(count{}, load{inFlight, waiting}))
			}
			return func(w *worker) {
				for range 3 {
					switch n := w.IntN(20); {
					case n < 14 && w.finish == nil:
						enter(w)
					case n < 14:
						w.finish()
					case n < 16:
						look()
					case n < 19:
						mu.Lock()
						if len(cancels) > 0 {
							cancels[len(cancels)-1-w.IntN(min(2, len(cancels)))]()
						}
						mu.Unlock()
					default:
						to := size{about.limit + w.IntN(2), max(0, about.queue-w.IntN(3))}
						began := h.begin()
						if err := g.Resize(to.limit, to.queue); err != nil {
							t.Error(err)
						}
						h.add(began, call(to, nil))
					}
				}
			}, look
		}), first
	}
}

var usual = size{1, 2}

func ourGate() door {
	return gateDoor{&policy.Gate{Limit: usual.limit, Queue: usual.queue, MaxWait: 3 * unit}}
}

func TestGateIsLinearizable(t *testing.T) {
	requireLinearizable(t, 1000, gateRun(ourGate, usual, model(gate{size: usual})))
}

// A hasty gate looks whether there is room, and then lets a call in: what happens in between, it does not see.
type hastyGate struct{ limit, inside atomic.Int64 }

func (g *hastyGate) Acquire(context.Context) (func(), error) {
	if g.inside.Load() >= g.limit.Load() {
		return nil, policy.ErrFull
	}
	runtime.Gosched()
	g.inside.Add(1)
	return func() { g.inside.Add(-1) }, nil
}

func (g *hastyGate) Load() (inFlight, waiting int) { return int(g.inside.Load()), 0 }

func (g *hastyGate) Resize(limit, _ int) error {
	g.limit.Store(int64(limit))
	return nil
}

func TestPlacesInExcessAreFound(t *testing.T) {
	build := func() door {
		g := new(hastyGate)
		g.limit.Store(1)
		return g
	}
	requireFound(t, 2000, gateRun(build, size{limit: 1}, model(gate{size: size{limit: 1}})))
}

// A faultyGate is the model with a bug planted in it.
type faultyGate struct {
	gate
	bug func(before, after gate, in any) gate
}

func (f faultyGate) equal(o faultyGate) bool { return f.gate.equal(o.gate) }

func (f faultyGate) next(in, out any) (faultyGate, bool) {
	after, ok := f.gate.next(in, out)
	f.gate = f.bug(f.gate, after, in)
	return f, ok
}

func TestBugsInTheModelOfAGateAreFound(t *testing.T) {
	for name, bug := range map[string]func(before, after gate, in any) gate{
		"who comes last is first": func(before, after gate, in any) gate {
			if n := len(after.queued); n == len(before.queued)+1 {
				after.queued = with(after.queued[n-1:], before.queued...)
			}
			return after
		},
		"the place of who has gone is lost": func(before, after gate, in any) gate {
			if _, ok := in.(leave); ok {
				after.inside = before.inside
			}
			return after
		},
		"who was cancelled stays in the queue": func(before, after gate, in any) gate {
			if _, ok := in.(leave); ok {
				after.queued = before.queued
			}
			return after
		},
		"nobody waits": func(_, after gate, _ any) gate {
			after.queue = 0
			return after
		},
	} {
		t.Run(name, func(t *testing.T) {
			requireFound(t, 2000, gateRun(ourGate, usual, model(faultyGate{gate{size: usual}, bug})))
		})
	}
}
