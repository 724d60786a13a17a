package policy_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/policy"
)

// together runs f in so many goroutines, which start at once.
func together(n int, f func(worker int)) {
	var all sync.WaitGroup
	start := make(chan struct{})
	for worker := range n {
		all.Go(func() {
			<-start
			f(worker)
		})
	}
	close(start)
	all.Wait()
}

// Without the lock, no call that worked is lost or counted twice: neither while the clock stands still nor while the
// window rolls, and not while others count with the lock or look.
func TestNoCallIsLostFromManyGoroutines(t *testing.T) {
	const workers, calls = 8, 4000
	for name, trip := range map[string]policy.Trip{
		"a rate": policy.FailureRate{Ratio: 1, Window: 10 * time.Second, MinCalls: 1e9}, "a count": policy.FailureCount{Ratio: 1, Last: 1e6},
	} {
		for rolling, step := range map[string]time.Duration{"standing": 0, "rolling": 2 * time.Millisecond} {
			t.Run(name+", "+rolling, func(t *testing.T) {
				c, v := onVirtual(&policy.Circuit{Trip: trip})
				next := policy.Through(func(context.Context) (int, error) { return 1, nil }, &policy.Breaker[int]{Circuit: c})
				failing := policy.Through(func(context.Context) (int, error) { return 1, errBackend }, &policy.Breaker[int]{Circuit: c})
				together(workers, func(worker int) {
					seen := 0
					for i := range calls {
						if i%16 == worker {
							_, _ = failing.Do(t.Context())
						} else {
							_, _ = next.Do(t.Context())
						}
						if i%64 == 0 {
							s := c.Snapshot()
							if s.Calls < seen || s.Calls < s.Failures {
								t.Errorf("%+v, after %d calls had been seen", s, seen)
							}
							seen = s.Calls
						}
						if worker == 0 {
							v.Advance(step)
						}
					}
				})
				s := c.Snapshot()
				require.Equal(t, []int{workers * calls, workers * calls / 16}, []int{s.Calls, s.Failures})
			})
		}
	}
}

// However many try, there are never more probes than there may be, and every slot comes back.
func TestNeverMoreProbesThanThereMayBe(t *testing.T) {
	const workers, tries, probes = 8, 4000, 3
	c, _ := cooledDown(t, &policy.Circuit{Probes: probes, Successes: 1e9})
	var under, admitted atomic.Int64
	together(workers, func(worker int) {
		for i := range tries {
			permit, err := c.Acquire()
			if err != nil {
				continue
			}
			admitted.Add(1)
			if n := under.Add(1); n > probes {
				t.Errorf("%d probes at once", n)
			}
			under.Add(-1)
			permit.Done([]policy.Outcome{policy.Success, policy.PermanentFailure, policy.Ignored}[(i+worker)%3])
		}
	})
	require.NotZero(t, admitted.Load())
	require.Zero(t, c.Snapshot().InFlight)
	for range probes {
		begin(t, c)
	}
	requireFull(t, c, probes)
}

// stress has many goroutines do everything at once, and returns the changes that were told.
func stress(t *testing.T, c *policy.Circuit, advance func(), operator func(r *rand.Rand)) []policy.Change {
	t.Helper()
	var telling atomic.Bool
	var heard []policy.Change
	c.OnChange = func(change policy.Change) {
		if telling.Swap(true) {
			t.Error("told two changes at a time")
		}
		heard = append(heard, change) // the race detector, too, knows that it is one at a time
		c.State()
		telling.Store(false)
	}
	together(8, func(worker int) {
		r := rand.New(rand.NewPCG(uint64(worker), 1))
		var kept []*policy.Permit
		for range 1500 {
			switch r.IntN(8) {
			case 0, 1:
				_ = c.Do(t.Context(), func(context.Context) error { return nil })
			case 2:
				_ = c.Do(t.Context(), func(context.Context) error { return errBackend })
			case 3:
				func() {
					defer func() { _ = recover() }()
					_ = c.Do(t.Context(), func(context.Context) error { panic("boom") })
				}()
			case 4:
				if permit, err := c.Acquire(); err == nil {
					kept = append(kept, &permit)
				}
			case 5:
				if len(kept) > 0 {
					i := r.IntN(len(kept))
					kept[i].Done(policy.Outcome(r.IntN(4)))
					kept[i].Done(policy.Success)
				}
			case 6:
				advance()
				c.Snapshot()
			default:
				operator(r)
			}
		}
		for _, permit := range kept {
			permit.Done(policy.Ignored)
		}
	})
	return heard
}

// Scenario 26: under contention changes are told in their order, strictly alternating, each once.
func TestUnderContentionEveryChangeIsToldInOrder(t *testing.T) {
	for name, trip := range map[string]policy.Trip{
		"a row": policy.Consecutive(3), "a count": policy.FailureCount{Ratio: 0.5, Last: 10, MinCalls: 3},
		"a rate": policy.FailureRate{Ratio: 0.5, Window: 1000, MinCalls: 3},
	} {
		for slowness, slow := range map[string]time.Duration{"": 0, ", slow": 500} {
			t.Run(name+slowness, func(t *testing.T) {
				c, v := onVirtual(&policy.Circuit{Trip: trip, Cooldown: policy.Constant(20), Probes: 2, Successes: 2, ProbeLease: 100, Slow: slow})
				var driving sync.Mutex // a Virtual clock is driven by one goroutine at a time
				heard := stress(t, c, func() {
					driving.Lock()
					defer driving.Unlock()
					v.Advance(30)
				}, func(*rand.Rand) { c.State() })
				requirePath(t, c, heard)
				for i, change := range heard {
					require.EqualValues(t, i+2, change.Generation)
				}
				require.EqualValues(t, len(heard)+1, c.Snapshot().Generation)
				require.Greater(t, len(heard), 10)
			})
		}
	}
}

// An operator who intervenes all the while breaks no invariant either.
func TestUnderContentionOverridesKeepTheChangesInOrder(t *testing.T) {
	c, v := onVirtual(&policy.Circuit{Trip: policy.Consecutive(2), Cooldown: policy.Constant(0), Slow: time.Hour})
	var resets atomic.Int64
	heard := stress(t, c, func() { v.Nanos() }, func(r *rand.Rand) {
		switch r.IntN(6) {
		case 0:
			c.Isolate()
		case 1:
			c.Bypass()
		default:
			resets.Add(1)
			c.Reset()
		}
	})
	requirePath(t, c, heard)
	untold := int(c.Snapshot().Generation) - 1 - len(heard) // Resets of a closed circuit
	require.GreaterOrEqual(t, untold, 0)
	require.LessOrEqual(t, untold, int(resets.Load()))
	generation := uint64(1)
	for _, change := range heard {
		if change.From != policy.Closed {
			require.Equal(t, generation+1, change.Generation)
		}
		require.Greater(t, change.Generation, generation)
		generation = change.Generation
	}
}

// requirePath is that the changes lead from closed to what c is now, by ways there are, and that nothing is in flight.
func requirePath(t *testing.T, c *policy.Circuit, changes []policy.Change) {
	t.Helper()
	state := policy.Closed
	for i, change := range changes {
		require.Equal(t, state, change.From, "change %d", i)
		require.NotEqual(t, state, change.To, "change %d", i)
		switch change.To {
		case policy.Open:
			require.Contains(t, []policy.State{policy.Closed, policy.HalfOpen}, state, "change %d", i)
		case policy.HalfOpen:
			require.Equal(t, policy.Open, state, "change %d", i)
		default:
		}
		state = change.To
	}
	s := c.Snapshot()
	require.Equal(t, state, s.State)
	require.Zero(t, s.InFlight)
}
