//go:build explore

package policy

import (
	"fmt"
	"iter"
	"slices"
	"testing"
)

// An explorer runs goroutines one at a time, in every order of their operations on what they share, up to a number of
// switches. Go's atomics are sequentially consistent, so that orders are all that code can differ by that shares only
// through them and mutexes. Each order is a fresh run, which differs from the one before at the last place where it can.
//
// The bound is that of Madanlal Musuvathi and Shaz Qadeer, "Iterative Context Bounding for Systematic Testing of
// Multithreaded Programs", 2007: orders grow exponentially with the operations, but only polynomially where switches are
// few, and few are enough for nearly every bug.
type explorer struct {
	switches int  // how often at most a goroutine is stopped that could go on
	coarse   bool // calls are made one at a time: a goroutine is stopped only in between, however often

	path    []choice
	depth   int // of the run, in path
	running *routine
	broken  []string // what must not be in any order, and was
}

// A choice is which of several goroutines went on.
type choice struct {
	options []int
	taken   int
}

// A routine is a goroutine that is stopped before its next operation, unless it is the one that runs.
type routine struct {
	yield  func(*mutex) bool
	resume func() (*mutex, bool)
	stop   func()
	wants  *mutex      // what its next operation locks
	until  func() bool // what it waits for; nil for nothing
	ended  bool
}

func (r *routine) able() bool {
	return !r.ended && (r.wants == nil || !r.wants.held) && (r.until == nil || r.until())
}

// abandon ends a goroutine that cannot go on.
func (r *routine) abandon() {
	defer func() { _ = recover() }()
	r.stop()
}

// pause lets the explorer choose who goes on.
func (e *explorer) pause(m *mutex) {
	if e.running != nil && !e.running.yield(m) {
		panic("the run is over")
	}
}

// wait stops the goroutine until something is so.
func (e *explorer) wait(until func() bool) {
	r := e.running
	r.until = until
	e.pause(nil)
	r.until = nil
}

// between is a place to stop at between two calls of one goroutine.
func (e *explorer) between() { e.pause(nil) }

// run runs all bodies to their ends, and reports false if they wait for each other.
func (e *explorer) run(bodies []func()) bool {
	if !e.coarse {
		step = e.pause
		defer func() { step = func(*mutex) {} }()
	}
	all := make([]*routine, len(bodies))
	for i, body := range bodies {
		r := new(routine)
		all[i] = r
		r.resume, r.stop = iter.Pull(func(yield func(*mutex) bool) {
			r.yield = yield
			body()
		})
		defer r.abandon()
		e.goOn(r)
	}
	last, switches := -1, 0
	for {
		var able []int
		for i, r := range all {
			if r.able() {
				able = append(able, i)
			}
		}
		if len(able) == 0 {
			return !slices.ContainsFunc(all, func(r *routine) bool { return !r.ended })
		}
		before := slices.Index(able, last)
		if before >= 0 && switches == e.switches && !e.coarse {
			able = []int{last}
		}
		next := e.choose(able)
		if before >= 0 && next != last {
			switches++
		}
		e.goOn(all[next])
		last = next
	}
}

// goOn has r do its next operation, and go on until the one after it.
func (e *explorer) goOn(r *routine) {
	e.running = r
	wants, more := r.resume()
	e.running, r.wants, r.ended = nil, wants, !more
}

func (e *explorer) choose(options []int) int {
	if e.depth == len(e.path) {
		e.path = append(e.path, choice{options: options})
	}
	c := e.path[e.depth]
	e.depth++
	return c.options[c.taken]
}

// another prepares for the next order, or reports that there is none.
func (e *explorer) another() bool {
	e.depth = 0
	for len(e.path) > 0 {
		last := &e.path[len(e.path)-1]
		if last.taken++; last.taken < len(last.options) {
			return true
		}
		e.path = e.path[:len(e.path)-1]
	}
	return false
}

// never says that something has happened which must not.
func (e *explorer) never(what string) {
	e.broken = append(e.broken, fmt.Sprintf("%s, by the order %v", what, e))
}

func (e *explorer) String() string {
	order := make([]int, len(e.path))
	for i, c := range e.path {
		order[i] = c.options[c.taken]
	}
	return fmt.Sprint(order)
}

// A scene is goroutines that share something. Each of a goroutine's calls says how it came out, and end what has
// become of it all.
type scene struct {
	goroutines [][]func() string
	end        func() string
	switches   int // that are tried; 0 means 2, or 3 where there are but two goroutines
}

const deadlock = "they wait for each other"

// everyOutcome are those of all orders, each with one order that leads to it, and the number of orders.
func everyOutcome(e *explorer, build func(e *explorer) scene) (seen map[string]string, orders int) {
	seen = map[string]string{}
	for more := true; more; more = e.another() {
		s := build(e)
		told := make([][]string, len(s.goroutines))
		bodies := make([]func(), len(s.goroutines))
		for i, calls := range s.goroutines {
			bodies[i] = func() {
				for _, call := range calls {
					e.between()
					told[i] = append(told[i], call())
				}
			}
		}
		outcome := deadlock
		if e.run(bodies) {
			outcome = fmt.Sprint(told, " ", s.end())
		}
		orders++
		if _, ok := seen[outcome]; !ok {
			seen[outcome] = e.String()
		}
	}
	return seen, orders
}

// unexplained are the outcomes that no order of whole calls leads to, and what must never happen.
func unexplained(t *testing.T, build func(e *explorer) scene) (found []string) {
	t.Helper()
	switches := 2
	if s := build(new(explorer)); s.switches > 0 {
		switches = s.switches
	} else if len(s.goroutines) == 2 {
		switches = 3 // there are few enough orders
	}
	calls, operations := &explorer{coarse: true}, &explorer{switches: switches}
	expected, few := everyOutcome(calls, build)
	actual, many := everyOutcome(operations, build)
	for outcome, order := range actual {
		if _, ok := expected[outcome]; !ok || outcome == deadlock {
			found = append(found, outcome+", by the order "+order)
		}
	}
	t.Logf("%d outcomes of %d orders of calls; %d of %d orders of operations", len(expected), few, len(actual), many)
	return slices.Concat(calls.broken, operations.broken, found)
}

// Of what is shared by a plain load and store, the explorer finds the additions that are lost, and the deadlock of two
// who lock in different order.
func TestExploreFindsPlantedBugs(t *testing.T) {
	for name, build := range map[string]func() (one, other func(), end func() string){
		"a lost addition": func() (one, other func(), end func() string) {
			var n atomicInt64
			add := func() { n.Store(n.Load() + 1) }
			return add, add, func() string { return fmt.Sprint(n.Load()) }
		},
		"a deadlock": func() (one, other func(), end func() string) {
			var a, b mutex
			both := func(first, second *mutex) func() {
				return func() {
					first.Lock()
					defer first.Unlock()
					second.Lock()
					defer second.Unlock()
				}
			}
			return both(&a, &b), both(&b, &a), func() string { return "" }
		},
	} {
		t.Run(name, func(t *testing.T) {
			found := unexplained(t, func(*explorer) scene {
				one, other, end := build()
				call := func(f func()) []func() string { return []func() string{func() string { f(); return "" }} }
				return scene{goroutines: [][]func() string{call(one), call(other)}, end: end}
			})
			if len(found) != 1 {
				t.Fatalf("found %q", found)
			}
			t.Log(found[0])
		})
	}
}
