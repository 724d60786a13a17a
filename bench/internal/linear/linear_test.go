// Package linear checks that the cores of package policy are linearizable: whatever several goroutines do to one at
// once, what they are told is what a plain state machine would have told them, had each call happened at some moment
// between its beginning and its end.
//
// The goroutines are real and run at once. Time is a bubble's: it stands still while any of them runs, and moves only
// when all of them sleep or wait, so that each call happens at one time, which is part of its input.
package linear_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
)

const (
	unit    = time.Microsecond // of the time in a bubble
	workers = 3
	rounds  = 4
)

// A history is what one run recorded.
type history struct {
	stamps  atomic.Int64 // orders the beginnings and ends of all calls
	begun   time.Time
	ready   [rounds]atomic.Int64 // goroutines that are in that round
	waiting atomic.Int64         // goroutines in a call that may wait
	mu      sync.Mutex           // guards calls
	calls   []porcupine.Operation
}

// begin is the stamp of a call that begins. Some goroutines then let the others go first: so there is concurrency even
// on a machine that is busy otherwise.
func (h *history) begin() int64 {
	stamp := h.stamps.Add(1)
	if stamp%8 == 0 {
		runtime.Gosched()
	}
	return stamp
}

// now is how long the run has taken, in units.
func (h *history) now() int { return int(time.Since(h.begun) / unit) }

// add records the steps of a call that has taken place since the stamp began.
func (h *history) add(began int64, steps ...porcupine.Operation) {
	ended := h.stamps.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range steps {
		c.Call, c.Return = began, ended
		h.calls = append(h.calls, c)
	}
}

func call(in, out any) porcupine.Operation { return porcupine.Operation{Input: in, Output: out} }

// overlaps reports whether any two calls were under way at once. Steps of one call have its beginning in common.
func (h *history) overlaps() bool {
	var before porcupine.Operation
	for _, c := range h.inOrder() {
		if c.Call != before.Call && c.Call < before.Return {
			return true
		}
		before = c
	}
	return false
}

func (h *history) inOrder() []porcupine.Operation {
	return slices.SortedFunc(slices.Values(h.calls), func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
}

func (h *history) String() string {
	var b strings.Builder
	for _, c := range h.inOrder() {
		fmt.Fprintf(&b, "%3d–%3d  %+v → %+v\n", c.Call, c.Return, c.Input, c.Output)
	}
	return b.String()
}

// A worker is one of the goroutines.
type worker struct {
	*rand.Rand
	finish func() // what it has yet to do at the end, or nil
}

// record runs the work of several goroutines in rounds, which they begin together; some time passes between two. After
// all of it comes last.
func record(t *testing.T, seed uint64, gaps []int, start func(h *history) (work func(*worker), last func())) *history {
	t.Helper()
	h := new(history)
	defer awake()()
	synctest.Test(t, func(*testing.T) {
		h.begun = time.Now()
		times := make([]int, rounds)
		shared := rand.New(rand.NewPCG(seed, 0))
		for i := 1; i < rounds; i++ {
			times[i] = times[i-1] + gaps[shared.IntN(len(gaps))]
		}
		work, last := start(h)
		var all sync.WaitGroup
		for i := range workers {
			all.Go(func() {
				w := &worker{Rand: rand.New(rand.NewPCG(seed, uint64(i)+1))}
				for round, at := range times {
					time.Sleep(time.Until(h.begun.Add(time.Duration(at) * unit)))
					h.gather(round)
					work(w)
				}
				if w.finish != nil {
					w.finish()
				}
			})
		}
		all.Wait()
		last()
	})
	return h
}

// awake keeps all processors from sleeping until stop is called: one that sleeps takes longer to come than a round
// lasts, and all would happen on the other.
func awake() (stop func()) {
	var stopped atomic.Bool
	for range runtime.GOMAXPROCS(0) {
		go func() {
			for !stopped.Load() {
				runtime.Gosched()
			}
		}()
	}
	return func() { stopped.Store(true) }
}

// gather waits for the others to begin the round, too, but for those who are in a call that may wait.
func (h *history) gather(round int) {
	h.ready[round].Add(1)
	for h.ready[round].Load()+h.waiting.Load() < workers {
		runtime.Gosched()
	}
}

// A state is what a sequential model is in. Nothing in it is ever changed in place.
type state[S any] interface {
	equal(S) bool
	// next is the state after a call, or false if the call could not have come out like that.
	next(in, out any) (S, bool)
}

// An uncertain state may be another one after a call, too. What it allows besides may only ever refuse too much.
type uncertain[S any] interface {
	otherwise(in, out any) (S, bool)
}

func model[S state[S]](first S) porcupine.Model {
	m := porcupine.NondeterministicModel{
		Init: func() []any { return []any{first} },
		Step: func(s, in, out any) (all []any) {
			after, ok := s.(S).next(in, out)
			if ok {
				all = append(all, after)
			}
			if u, is := s.(uncertain[S]); ok && is {
				if other, ok := u.otherwise(in, out); ok {
					all = append(all, other)
				}
			}
			return all
		},
		Equal: func(a, b any) bool { return a.(S).equal(b.(S)) },
	}
	return m.ToModel()
}

// without is s without its i-th element.
func without[E any](s []E, i int) []E { return slices.Concat(s[:i], s[i+1:]) }

// with is s with one more element.
func with[E any](s []E, e ...E) []E { return slices.Concat(s, e) }

// A run makes one history, and says what model it has to agree with.
type run func(t *testing.T, seed uint64) (*history, porcupine.Model)

// requireLinearizable looks at so many histories, and at up to twenty times as many until some have seen concurrency: on a
// busy machine few do.
func requireLinearizable(t *testing.T, histories uint64, one run) {
	t.Helper()
	overlapped, enough := 0, int(histories/100)
	for seed := uint64(0); seed < histories || seed < 20*histories && overlapped <= enough; seed++ {
		h, m := one(t, seed)
		if !porcupine.CheckOperations(m, h.calls) {
			t.Fatalf("history %d is not linearizable:\n%v", seed, h)
		}
		if h.overlaps() {
			overlapped++
		}
	}
	t.Logf("calls overlapped in %d histories", overlapped)
	require.Greater(t, overlapped, enough, "too little happens at once for this to mean anything")
}

// requireFound is that a planted bug does not go unseen in so many histories.
func requireFound(t *testing.T, histories uint64, one run) {
	t.Helper()
	for seed := range histories {
		if h, m := one(t, seed); !porcupine.CheckOperations(m, h.calls) {
			t.Logf("found in history %d", seed)
			return
		}
	}
	t.Fatal("not found")
}
