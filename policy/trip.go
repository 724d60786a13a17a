package policy

import (
	"fmt"
	"math/big"
	"math/bits"
	"strconv"
	"time"
)

// A Trip says when a Circuit opens: [Consecutive], [FailureRate] or [FailureCount], given as values.
//
// Opening is decided when a failure is counted, never on a success. A Circuit opens at the very failure that reaches
// the threshold; ratios compare exactly, as the fraction they were written as.
type Trip interface {
	fmt.Stringer
	validate() error
	newTally(start int64) tally
}

// A tally is what a Trip counts within one generation of a Circuit. Its methods are called with the circuit's lock
// held, but for quick.
type tally interface {
	// quick counts a call that worked without the lock, or reports false: then it has to be counted with it.
	quick(now int64) bool
	// count counts a call. now never goes backwards.
	count(now int64, failed bool)
	// tripped reports whether the failure that has just been counted opens the circuit.
	tripped() bool
	// counts are the calls and failures that count at now.
	counts(now int64) (calls, failures int)
}

// timed reports whether t needs to know the time of a call that worked.
func timed(t Trip) bool {
	_, ok := t.(FailureRate)
	return ok
}

// Consecutive opens at so many failures in a row, however far apart. It is at least 1.
type Consecutive int

func (n Consecutive) String() string {
	if n == 1 {
		return "1 failure"
	}
	return fmt.Sprintf("%d failures in a row", int(n))
}

func (n Consecutive) validate() error { return atLeast("Consecutive", int(n), 1) }

func (n Consecutive) newTally(int64) tally { return &row{limit: int64(n)} }

// row counts failures since the last call that worked. Only the lock's holder changes it, so that a call that worked
// while there were none has nothing to do.
type row struct {
	failures atomicInt64
	limit    int64
}

func (r *row) quick(int64) bool { return r.failures.Load() == 0 }

func (r *row) count(_ int64, failed bool) {
	if failed {
		r.failures.Add(1)
	} else {
		r.failures.Store(0)
	}
}

func (r *row) tripped() bool { return r.failures.Load() >= r.limit }

func (r *row) counts(int64) (calls, failures int) {
	n := int(r.failures.Load())
	return n, n
}

// FailureRate opens when at least Ratio of the calls within the last Window failed, and there were at least MinCalls.
// The window slides in ten steps: what is younger than nine tenths of it counts, what is older than it does not.
type FailureRate struct {
	Ratio    float64       // in (0, 1]
	Window   time.Duration // positive
	MinCalls int           // 0 means 20
}

const defaultMinCalls = 20

func (f FailureRate) String() string {
	return fmt.Sprintf("%s of at least %d calls within %v", percent(f.Ratio), f.minCalls(), f.Window)
}

func (f FailureRate) minCalls() int {
	if f.MinCalls == 0 {
		return defaultMinCalls
	}
	return f.MinCalls
}

func (f FailureRate) validate() error {
	p := problems{owner: "FailureRate"}
	p.ratio(f.Ratio)
	if f.Window <= 0 {
		p.add(".Window is %v; want more than 0", f.Window)
	}
	notNegative(&p, "MinCalls", f.MinCalls)
	return p.join()
}

func (f FailureRate) newTally(start int64) tally {
	return &window{start: start, length: int64(f.Window), share: shareOf(f.Ratio, f.minCalls())}
}

// FailureCount opens when at least Ratio of the Last calls failed, and there were at least MinCalls.
type FailureCount struct {
	Ratio    float64 // in (0, 1]
	Last     int     // 1 to 1 000 000
	MinCalls int     // at most Last; 0 means Last
}

const mostLast = 1_000_000

func (f FailureCount) String() string {
	return fmt.Sprintf("%s of the last %d calls, once there are %d", percent(f.Ratio), f.Last, f.minCalls())
}

func (f FailureCount) minCalls() int {
	if f.MinCalls == 0 {
		return f.Last
	}
	return f.MinCalls
}

func (f FailureCount) validate() error {
	p := problems{owner: "FailureCount"}
	p.ratio(f.Ratio)
	if f.Last < 1 || f.Last > mostLast {
		p.add(".Last is %d; want 1 to %d", f.Last, mostLast)
	}
	notNegative(&p, "MinCalls", f.MinCalls)
	if f.MinCalls > f.Last {
		p.add(".MinCalls is %d; want at most Last, %d", f.MinCalls, f.Last)
	}
	return p.join()
}

func (f FailureCount) newTally(int64) tally {
	return &ring{last: make([]bool, f.Last), share: shareOf(f.Ratio, f.minCalls())}
}

// ring remembers whether each of the last calls failed.
type ring struct {
	last            []bool
	next            int
	calls, failures int
	share           share
}

func (r *ring) quick(int64) bool { return false }

func (r *ring) count(_ int64, failed bool) {
	if r.calls == len(r.last) {
		if r.last[r.next] {
			r.failures--
		}
	} else {
		r.calls++
	}
	if failed {
		r.failures++
	}
	r.last[r.next] = failed
	r.next = (r.next + 1) % len(r.last)
}

func (r *ring) tripped() bool { return r.share.reached(r.calls, r.failures) }

func (r *ring) counts(int64) (calls, failures int) { return r.calls, r.failures }

// A share is a ratio as an exact fraction, and the number of calls from which on it counts.
type share struct {
	minCalls int
	num, den uint64
}

// shareOf takes ratio for the simplest fraction that rounds to it, which is the one that was meant: 0.57 is 57/100 and
// 5.0/6 is 5/6, though no float64 is either. It is one of the convergents of ratio's continued fraction. Fractions that do
// not fit into 64 bits are rounded up.
func shareOf(ratio float64, minCalls int) share {
	exact, _ := new(big.Rat).SetString(strconv.FormatFloat(ratio, 'e', -1, 64))
	for _, simple := range convergents(exact) {
		if f, _ := simple.Float64(); f == ratio {
			exact = simple
			break
		}
	}
	if !exact.Denom().IsUint64() {
		const tenTo19 = 10_000_000_000_000_000_000
		den := new(big.Int).SetUint64(tenTo19)
		num := new(big.Int).Mul(exact.Num(), den)
		num.Add(num, exact.Denom()).Sub(num, big.NewInt(1)).Quo(num, exact.Denom())
		exact = new(big.Rat).SetFrac(num, den)
	}
	return share{minCalls, exact.Num().Uint64(), exact.Denom().Uint64()}
}

// convergents returns those of a fraction's continued fraction, the simplest first and the fraction itself last.
func convergents(x *big.Rat) (all []*big.Rat) {
	num, den := new(big.Int).Set(x.Num()), new(big.Int).Set(x.Denom())
	p, q := big.NewInt(1), big.NewInt(0)   // of the last one
	p0, q0 := big.NewInt(0), big.NewInt(1) // of the one before
	for den.Sign() > 0 {
		whole, rest := new(big.Int).QuoRem(num, den, new(big.Int))
		num, den = den, rest
		p, p0 = p0.Add(p0, new(big.Int).Mul(whole, p)), p
		q, q0 = q0.Add(q0, new(big.Int).Mul(whole, q)), q
		all = append(all, new(big.Rat).SetFrac(p, q))
	}
	return all
}

// reached reports whether failures/calls ≥ num/den, by whole numbers.
func (s share) reached(calls, failures int) bool {
	if calls < s.minCalls {
		return false
	}
	high, low := bits.Mul64(uint64(failures), s.den)
	wantHigh, wantLow := bits.Mul64(uint64(calls), s.num)
	return high > wantHigh || high == wantHigh && low >= wantLow
}

func percent(ratio float64) string { return strconv.FormatFloat(ratio*100, 'g', 6, 64) + "%" }

func (p *problems) ratio(r float64) {
	if !(r > 0 && r <= 1) { // NaN is neither
		p.add(".Ratio is %v; want more than 0 and at most 1", r)
	}
}
