package policy

import (
	"math"
	"math/bits"

	"github.com/holdfast-go/holdfast/clock"
)

// steps is how many buckets a time window has.
const steps = 10

// A window counts the calls of a sliding time window. Time since start is cut into turns of one length each, a turn
// into ten buckets, and bucket j of turn q lives in slot j. A slot knows the turn it is of, so that a stale one is
// recognised whatever the gap since.
//
// Calls that worked are counted without the circuit's lock, because they are nearly all: the lock cost 5 times as
// much from several goroutines at once. What makes that exact: a slot's word holds part of its turn beside the count,
// so that an addition can only hit the turn it is meant for; everything else is changed by the lock's holder alone;
// and a sum is taken from the newest bucket to the oldest, so that it never holds a call but misses one before it.
type window struct {
	start  int64 // on the clock
	length int64
	share  share

	end     atomicInt64  // when the current bucket ends, since start; written after current
	current atomicUint64 // the current bucket's turn, cut to turnBits, and its slot
	calls   [steps]atomicUint64

	// The circuit's lock guards the fields below.
	latest   int64 // the latest time seen, since start
	turns    [steps]int64
	failures [steps]int
}

// A word of window.calls: turnBits of the turn, then the count.
const (
	countBits = 40
	turnBits  = 64 - countBits
	slotBits  = 4
)

func cut(turn int64) uint64 { return uint64(turn) & (1<<turnBits - 1) }

// bucket is where the time t since start belongs.
func (w *window) bucket(t int64) (turn int64, slot int) {
	high, low := bits.Mul64(uint64(t%w.length), steps)
	j, _ := bits.Div64(high, low, uint64(w.length))
	return t / w.length, int(j)
}

// bucketEnd is when the given bucket is over, since start.
func (w *window) bucketEnd(turn int64, slot int) int64 {
	high, low := bits.Mul64(uint64(slot+1), uint64(w.length))
	length, rest := bits.Div64(high, low, steps)
	if rest > 0 {
		length++
	}
	if end := turn*w.length + int64(length); end > 0 {
		return end
	}
	return math.MaxInt64
}

func (w *window) quick(now int64) bool {
	// end is read before current and written after it: a time before end is then in current's bucket, or in one
	// that current has replaced since, and counting it in the later one is as if this call had come a moment later.
	end := w.end.Load()
	current := w.current.Load()
	if int64(clock.Since(w.start, now)) >= end {
		return false
	}
	word := &w.calls[current&(1<<slotBits-1)]
	for {
		old := word.Load()
		if old>>countBits != current>>slotBits {
			return false
		}
		if word.CompareAndSwap(old, old+1) {
			return true
		}
	}
}

func (w *window) count(now int64, failed bool) {
	if failed {
		w.add(now, 1)
	} else {
		w.add(now, 0)
	}
}

// add counts a call, and so many failures with it.
func (w *window) add(now int64, failures int) {
	w.latest = max(w.latest, int64(clock.Since(w.start, now)))
	turn, slot := w.bucket(w.latest)
	if w.turns[slot] != turn {
		w.turns[slot], w.failures[slot] = turn, 0
		w.calls[slot].Store(cut(turn) << countBits)
	}
	w.current.Store(cut(turn)<<slotBits | uint64(slot))
	w.end.Store(w.bucketEnd(turn, slot))
	w.calls[slot].Add(1)
	w.failures[slot] += failures
}

// retire returns what counts at now, and has quick count nothing more: a call that is about to be counted without the lock
// finds its bucket gone, and takes the lock.
func (w *window) retire(now int64) (calls, failures int) {
	turn, slot := w.bucket(max(w.latest, int64(clock.Since(w.start, now))))
	for range steps {
		another := (cut(w.turns[slot]) ^ 1) << countBits // a turn that the slot was not of
		word := w.calls[slot].Swap(another)
		if w.turns[slot] == turn {
			calls += int(word & (1<<countBits - 1))
			failures += w.failures[slot]
		}
		if slot--; slot < 0 {
			slot, turn = steps-1, turn-1
		}
	}
	return calls, failures
}

// carry counts calls of another window, as if they had been now.
func (w *window) carry(now int64, calls, failures int) {
	if calls == 0 {
		return
	}
	w.add(now, failures)
	_, slot := w.bucket(w.latest)
	w.calls[slot].Add(uint64(calls - 1))
}

func (w *window) tripped() bool {
	return w.share.reached(w.sum(w.latest))
}

func (w *window) counts(now int64) (calls, failures int) {
	return w.sum(max(w.latest, int64(clock.Since(w.start, now))))
}

// sum adds up the ten buckets that end with the one t is in, the newest first.
func (w *window) sum(t int64) (calls, failures int) {
	turn, slot := w.bucket(t)
	for range steps {
		if w.turns[slot] == turn {
			calls += int(w.calls[slot].Load() & (1<<countBits - 1))
			failures += w.failures[slot]
		}
		if slot--; slot < 0 {
			slot, turn = steps-1, turn-1
		}
	}
	return calls, failures
}
