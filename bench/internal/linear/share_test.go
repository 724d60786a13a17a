package linear_test

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/holdfast-go/holdfast/policy"
)

// What can be done to a budget, a throttle and a limit. Nothing of it waits.
type (
	deposit  struct{}               // → nil
	withdraw struct{}               // → bool
	credit   struct{}               // → float64
	enter    struct{ priority int } // → nil or ErrFull
	finish   struct{}               // → nil
	inFlight struct{}               // → int
	drawn    struct{}               // → nil or ErrThrottled; a call that is let through
	refused  struct{}               // → nil; one that is not counts, too, in a step of its own
	ended    struct{ o policy.Outcome }
)

// A purse is the model of a policy.Budget whose deposits of a half do not expire, of which it holds four.
type purse int

func (p purse) equal(o purse) bool { return p == o }

func (p purse) next(in, out any) (purse, bool) {
	switch in.(type) {
	case deposit:
		return min(4, p+1), true
	case withdraw:
		if p < 2 {
			return p, out == false
		}
		return p - 2, out == true
	case credit:
		return p, out == float64(p)/2
	}
	return p, false
}

// A spender is a policy.Budget, or a broken one.
type spender interface {
	Deposit()
	Withdraw() bool
	Credit() float64
}

func budgetRun(build func() spender) run {
	return func(t *testing.T, seed uint64) (*history, porcupine.Model) {
		return record(t, seed, []int{1, 2}, func(h *history) (func(*worker), func()) {
			b := build()
			look := func() {
				began := h.begin()
				h.add(began, call(credit{}, b.Credit()))
			}
			return func(w *worker) {
				for range 4 {
					switch n := w.IntN(10); {
					case n < 5:
						began := h.begin()
						b.Deposit()
						h.add(began, call(deposit{}, nil))
					case n < 9:
						began := h.begin()
						h.add(began, call(withdraw{}, b.Withdraw()))
					default:
						look()
					}
				}
			}, look
		}), model(purse(0))
	}
}

func TestBudgetIsLinearizable(t *testing.T) {
	requireLinearizable(t, 1000, budgetRun(func() spender { return &policy.Budget{Ratio: 0.5, Cap: 2, TTL: time.Hour} }))
}

// A hasty budget looks whether there is credit, and then takes it.
type hastyBudget struct{ halves atomic.Int64 }

func (b *hastyBudget) Deposit() { b.halves.Store(min(4, b.halves.Load()+1)) }

func (b *hastyBudget) Withdraw() bool {
	n := b.halves.Load()
	if n < 2 {
		return false
	}
	runtime.Gosched()
	b.halves.Store(n - 2)
	return true
}

func (b *hastyBudget) Credit() float64 { return float64(b.halves.Load()) / 2 }

func TestCreditSpentTwiceIsFound(t *testing.T) {
	requireFound(t, 2000, budgetRun(func() spender { return new(hastyBudget) }))
}

// A crowd is the model of a policy.Limit of 4, of which priority 5 gets half.
type crowd int

func (c crowd) equal(o crowd) bool { return c == o }

func (c crowd) next(in, out any) (crowd, bool) {
	switch in := in.(type) {
	case enter:
		if int(c)*10 >= 4*(10-in.priority) {
			return c, out == policy.ErrFull
		}
		return c + 1, out == nil
	case finish:
		return c - 1, true
	case inFlight:
		return c, out == int(c)
	}
	return c, false
}

func limitRun(limit int) run {
	return func(t *testing.T, seed uint64) (*history, porcupine.Model) {
		return record(t, seed, []int{1, 2}, func(h *history) (func(*worker), func()) {
			l := &policy.Limit{Initial: limit, Min: limit, Max: limit}
			look := func() {
				began := h.begin()
				n, _ := l.Load()
				h.add(began, call(inFlight{}, n))
			}
			return func(w *worker) {
				var mine []*policy.Admission
				for range 5 {
					switch n := w.IntN(10); {
					case n < 6:
						priority := 5 * w.IntN(2)
						began := h.begin()
						a, err := l.Acquire(priority)
						h.add(began, call(enter{priority}, reason(err)))
						if err == nil {
							mine = append(mine, &a)
						}
					case n < 9 && len(mine) > 0:
						began := h.begin()
						mine[0].Done(policy.Success)
						mine[0].Done(policy.Success) // counts once
						h.add(began, call(finish{}, nil))
						mine = mine[1:]
					default:
						look()
					}
				}
				for _, a := range mine {
					began := h.begin()
					a.Done(policy.Ignored)
					h.add(began, call(finish{}, nil))
				}
			}, look
		}), model(crowd(0))
	}
}

func TestLimitIsLinearizable(t *testing.T) { requireLinearizable(t, 1000, limitRun(4)) }

func TestAPlaceTooManyIsFound(t *testing.T) { requireFound(t, 2000, limitRun(5)) }

// A tally is the model of a policy.Throttle that refuses as soon as more has failed than worked.
type tally struct{ requests, accepts int }

func (t tally) equal(o tally) bool { return t == o }

func (t tally) next(in, out any) (tally, bool) {
	switch in := in.(type) {
	case drawn:
		if t.requests > t.accepts {
			return t, out == policy.ErrThrottled
		}
		return t, out == nil
	case refused:
		t.requests++
		return t, true
	case ended:
		t.requests++
		if in.o == policy.Success {
			t.accepts++
		}
		return t, true
	}
	return t, false
}

func throttleRun(draw float64) run {
	return func(t *testing.T, seed uint64) (*history, porcupine.Model) {
		return record(t, seed, []int{1, 2}, func(h *history) (func(*worker), func()) {
			th := &policy.Throttle{K: 1, Window: time.Hour, MaxDrop: 0.99, Rand: func() float64 { return draw }}
			ask := func() bool {
				began := h.begin()
				err := th.Acquire()
				if err != nil {
					h.add(began, call(drawn{}, reason(err)), call(refused{}, nil))
					return false
				}
				h.add(began, call(drawn{}, nil))
				return true
			}
			return func(w *worker) {
				for range 3 {
					if ask() {
						o := policy.Success
						if w.IntN(8) == 0 {
							o = policy.TransientFailure
						}
						began := h.begin()
						th.Done(o)
						h.add(began, call(ended{o}, nil))
					}
				}
			}, func() { ask() }
		}), model(tally{})
	}
}

func TestThrottleIsLinearizable(t *testing.T) { requireLinearizable(t, 1000, throttleRun(0)) }

func TestACallThatShouldBeRefusedIsFound(t *testing.T) { requireFound(t, 2000, throttleRun(0.995)) }
