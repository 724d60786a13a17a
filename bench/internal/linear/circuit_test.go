package linear_test

import (
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/holdfast-go/holdfast/policy"
)

// rules are a circuit's settings as its model has them; times are in units.
type rules struct {
	trip              policy.Trip
	row               bool
	minCalls, last    int
	num, den          int
	window            int
	probes, successes int
	slow, lease       int
}

const (
	never    = 1 << 30
	cooldown = 3
)

// allRules has each way in which a circuit counts and watches: by an atomic, by words beside the lock, by the lock alone.
func allRules() []rules {
	row := rules{trip: policy.Consecutive(2), row: true, minCalls: 2, last: never, num: 1, den: 1, window: never, probes: 1, successes: 1, slow: never, lease: 4}
	rate := row
	rate.trip = policy.FailureRate{Ratio: 0.5, Window: 10 * unit, MinCalls: 3}
	rate.row, rate.minCalls, rate.den, rate.window, rate.probes, rate.successes = false, 3, 2, 10, 2, 2
	count := rate
	count.trip = policy.FailureCount{Ratio: 0.5, Last: 4, MinCalls: 3}
	count.last, count.window = 4, never
	slow := rate
	slow.slow = 2
	return []rules{row, rate, count, slow}
}

func (r rules) circuit() *policy.Circuit {
	c := &policy.Circuit{
		Trip: r.trip, Cooldown: policy.Constant(cooldown * unit), Probes: r.probes, Successes: r.successes,
		ProbeLease: time.Duration(r.lease) * unit,
	}
	if r.slow < never {
		c.Slow = time.Duration(r.slow) * unit
	}
	return c
}

// What can be done to a circuit.
type (
	acquire struct{ now, id int } // → error or nil
	done    struct {              // → nil
		now, id, by int
		outcome     policy.Outcome
	}
	// claim is the first half of each Done, done the second: two at once on one permit agree first on whose counts, and
	// the other may return before it has.
	claim    struct{ id, by int } // → nil
	look     struct{ now int }    // → snapshot
	glance   struct{ now int }    // → policy.State
	override struct {             // → nil
		now int
		to  policy.State
	}
)

type snapshot struct {
	state                     policy.State
	generation                uint64
	calls, failures, inFlight int
}

// A circuit is the model of a policy.Circuit: all that happened in this generation, looked at anew each time.
type circuit struct {
	rules
	state      policy.State
	generation uint64
	used       bool
	start      int // of the generation
	until      int
	under      []flight // calls of this generation, oldest first
	log        []result
	claims     []claim // the first of each permit
}

type flight struct{ id, at int }

type result struct {
	at     int
	failed bool
}

func (c circuit) equal(o circuit) bool {
	return c.state == o.state && c.generation == o.generation && c.used == o.used && c.start == o.start && c.until == o.until &&
		slices.Equal(c.under, o.under) && slices.Equal(c.log, o.log) && slices.Equal(c.claims, o.claims)
}

func (c circuit) next(in, out any) (circuit, bool) {
	switch in := in.(type) {
	case acquire:
		c = c.pass(in.now).begin(in.now)
		if c.state == policy.Open && in.now >= c.until {
			c = c.enter(policy.HalfOpen, in.now)
		}
		switch {
		case c.state == policy.Isolated:
			return c, out == policy.ErrIsolated
		case c.state == policy.Open, c.state == policy.HalfOpen && len(c.under) >= c.probes:
			return c, out == policy.ErrOpen
		}
		c.under = with(c.under, flight{in.id, in.now})
		return c, out == nil
	case claim:
		if !slices.ContainsFunc(c.claims, func(first claim) bool { return first.id == in.id }) {
			c.claims = with(c.claims, in)
		}
		return c, true
	case done:
		first := slices.IndexFunc(c.claims, func(first claim) bool { return first.id == in.id })
		if first < 0 || c.claims[first].by != in.by {
			return c, first >= 0
		}
		c = c.pass(in.now)
		if i := slices.IndexFunc(c.under, func(f flight) bool { return f.id == in.id }); i >= 0 {
			c.under = without(c.under, i)
			if in.outcome != policy.Ignored {
				c = c.count(in.now, in.now, in.outcome == policy.TransientFailure)
			}
		}
		return c, true
	case override:
		c = c.pass(in.now).begin(in.now)
		if c.state != in.to || in.to == policy.Closed {
			c = c.enter(in.to, in.now)
		}
		return c, true
	case look:
		c = c.pass(in.now)
		return c, out == c.snapshot(in.now)
	case glance:
		c = c.pass(in.now)
		return c, out == c.state
	}
	return c, false
}

func (c circuit) begin(now int) circuit {
	if !c.used {
		c.used, c.start = true, now
	}
	return c
}

// pass settles what has been under way for too long.
func (c circuit) pass(now int) circuit {
	for _, f := range c.under {
		i := slices.Index(c.under, f)
		lease := f.at + c.lease
		if c.state != policy.HalfOpen {
			lease = never
		}
		if slow := f.at + c.slow; i >= 0 && now >= min(slow, lease) {
			c.under = without(c.under, i)
			if slow <= lease {
				c = c.count(now, slow, true)
			}
		}
	}
	return c
}

func (c circuit) count(now, at int, failed bool) circuit {
	c.log = with(c.log, result{at, failed})
	calls, failures := c.counts(at)
	switch {
	case failed && c.state == policy.HalfOpen,
		failed && c.state == policy.Closed && calls >= c.minCalls && failures*c.den >= calls*c.num:
		return c.enter(policy.Open, now)
	case c.state == policy.HalfOpen && len(c.log) == c.successes:
		return c.enter(policy.Closed, now)
	}
	return c
}

func (c circuit) counts(now int) (calls, failures int) {
	bucket := func(at int) int { return (at - c.start) * 10 / c.window }
	for _, r := range slices.Backward(c.log) {
		if c.row && !r.failed || calls == c.last || bucket(now)-bucket(r.at) >= 10 {
			break
		}
		if calls++; r.failed {
			failures++
		}
	}
	return calls, failures
}

func (c circuit) enter(to policy.State, now int) circuit {
	c.state, c.generation, c.start, c.until, c.under, c.log = to, c.generation+1, now, now+cooldown, nil, nil
	return c
}

func (c circuit) snapshot(now int) snapshot {
	s := snapshot{state: c.state, generation: c.generation}
	switch c.state {
	case policy.Closed, policy.Bypassed:
		s.calls, s.failures = c.counts(now)
	default:
	}
	if c.state == policy.HalfOpen || c.slow < never {
		s.inFlight = len(c.under)
	}
	return s
}

// A breaker is a policy.Circuit, or a broken one.
type breaker interface {
	Acquire() (policy.Permit, error)
	Snapshot() policy.Snapshot
	State() policy.State
	Isolate()
	Bypass()
	Reset()
}

// circuitRun has goroutines do everything to a circuit, and settle each other's permits, some twice.
func circuitRun(build func(rules) breaker, first func(rules) porcupine.Model) run {
	return func(t *testing.T, seed uint64) (*history, porcupine.Model) {
		all := allRules()
		settings := all[seed%uint64(len(all))]
		return record(t, seed, []int{1, 1, 3, 4, 9}, func(h *history) (func(*worker), func()) {
			c := build(settings)
			var mu sync.Mutex
			type admitted struct {
				permit *policy.Permit
				id     int
			}
			var permits []admitted
			snap := func() {
				now, began := h.now(), h.begin()
				s := c.Snapshot()
				h.add(began, call(look{now}, snapshot{s.State, s.Generation, s.Calls, s.Failures, s.InFlight}))
			}
			return func(w *worker) {
				for range 3 {
					now, began := h.now(), h.begin()
					switch n := w.IntN(20); {
					case n < 8:
						permit, err := c.Acquire()
						h.add(began, call(acquire{now, int(began)}, reason(err)))
						if err == nil {
							mu.Lock()
							permits = append(permits, admitted{&permit, int(began)})
							mu.Unlock()
						}
					case n < 15:
						mu.Lock()
						if len(permits) == 0 {
							mu.Unlock()
							continue
						}
						p := permits[len(permits)-1-w.IntN(min(3, len(permits)))]
						mu.Unlock()
						outcome := []policy.Outcome{policy.TransientFailure, policy.TransientFailure, policy.Success, policy.Success, policy.Ignored}[w.IntN(5)]
						began = h.begin()
						p.permit.Done(outcome)
						by := int(began)
						h.add(began, call(claim{p.id, by}, nil), call(done{now, p.id, by, outcome}, nil))
					case n < 17:
						snap()
					case n < 19:
						s := c.State()
						h.add(began, call(glance{now}, s))
					default:
						to := []policy.State{policy.Isolated, policy.Bypassed, policy.Closed}[w.IntN(3)]
						map[policy.State]func(){policy.Isolated: c.Isolate, policy.Bypassed: c.Bypass, policy.Closed: c.Reset}[to]()
						h.add(began, call(override{now, to}, nil))
					}
				}
			}, snap
		}), first(settings)
	}
}

// reason is why a core refused, as a value that can be compared.
func reason(err error) any {
	var refusal *policy.Rejection
	if errors.As(err, &refusal) {
		return refusal.Reason
	}
	return err
}

func ours(r rules) breaker { return r.circuit() }

func right(r rules) porcupine.Model { return model(circuit{rules: r, generation: 1}) }

func TestCircuitIsLinearizable(t *testing.T) {
	requireLinearizable(t, 1000, circuitRun(ours, right))
}

// A hasty circuit looks whether there is room for a probe, and then sends it: what happens in between, it does not see.
type hasty struct {
	*policy.Circuit
	probes int
}

func (c hasty) Acquire() (policy.Permit, error) {
	if s := c.Snapshot(); s.State == policy.HalfOpen && s.InFlight >= c.probes {
		return policy.Permit{}, policy.ErrOpen
	}
	runtime.Gosched()
	return c.Circuit.Acquire()
}

func TestProbesInExcessAreFound(t *testing.T) {
	requireFound(t, 2000, circuitRun(func(r rules) breaker {
		c := r.circuit()
		c.Probes = 1000
		return hasty{c, r.probes}
	}, right))
}

// A faulty circuit is the model with a bug planted in it: what tells the two apart one way round does so the other way
// round.
type faulty struct {
	circuit
	bug func(before, after circuit, in any) circuit
}

func (f faulty) equal(o faulty) bool { return f.circuit.equal(o.circuit) }

func (f faulty) next(in, out any) (faulty, bool) {
	after, ok := f.circuit.next(in, out)
	f.circuit = f.bug(f.circuit, after, in)
	return f, ok
}

func TestBugsInTheModelOfACircuitAreFound(t *testing.T) {
	for name, bug := range map[string]func(before, after circuit, in any) circuit{
		"a call that worked is lost": func(before, after circuit, in any) circuit {
			if d, ok := in.(done); ok && d.outcome == policy.Success {
				after.log = after.log[:min(len(after.log), len(before.log))]
			}
			return after
		},
		"a call counts twice": func(before, after circuit, in any) circuit {
			if d, ok := in.(done); ok && after.generation == before.generation && len(after.under) < len(before.under) && d.outcome != policy.Ignored {
				return after.count(d.now, d.now, d.outcome == policy.TransientFailure)
			}
			return after
		},
		"a trip is lost": func(before, after circuit, in any) circuit {
			if _, ok := in.(done); ok && before.state == policy.Closed && after.state == policy.Open {
				return before
			}
			return after
		},
		"a stale result counts": func(before, after circuit, in any) circuit {
			if d, ok := in.(done); ok && len(after.under) == len(before.under) && d.outcome == policy.TransientFailure {
				return after.count(d.now, d.now, true)
			}
			return after
		},
		"a probe's slot is lost": func(before, after circuit, in any) circuit {
			if d, ok := in.(done); ok && d.outcome == policy.Ignored && after.state == policy.HalfOpen {
				after.under = before.under
			}
			return after
		},
	} {
		t.Run(name, func(t *testing.T) {
			requireFound(t, 2000, circuitRun(ours, func(r rules) porcupine.Model {
				return model(faulty{circuit{rules: r, generation: 1}, bug})
			}))
		})
	}
}
