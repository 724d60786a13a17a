package policy

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// An Algorithm says how a [Limit] follows what its calls tell: [AIMD], [Vegas] or [Gradient].
type Algorithm interface {
	String() string

	// next is the limit after a round in which calls took latency, and would take unloaded where nothing queues, both
	// in nanoseconds.
	next(limit, latency, unloaded float64, drop bool) float64
	compares() bool // whether it goes by what calls take where nothing queues
	validate() error
}

// validateAlgorithm names what is wrong with an algorithm. A struct that embeds a nil Algorithm is one, and panics.
func validateAlgorithm(a Algorithm) (err error) {
	defer func() {
		if recover() != nil {
			err = fmt.Errorf("a %T has no Algorithm in it; want an AIMD, a Vegas or a Gradient", a)
		}
	}()
	return a.validate()
}

func decimal(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

// dropped is what a drop leaves of a limit, where an algorithm has nothing of its own to say.
const dropped = 0.9

// AIMD adds one to the limit in every round without a drop, and multiplies it by Backoff after one. It knows nothing of
// latencies, so that it needs a dependency that refuses, or a Timeout around the call.
//
// Source: Dah-Ming Chiu and Raj Jain, "Analysis of the Increase and Decrease Algorithms for Congestion Avoidance in
// Computer Networks", 1989.
type AIMD struct {
	Backoff float64 // what a drop leaves of the limit, in (0, 1); 0 means 0.9
}

func (a AIMD) backoff() float64 {
	if a.Backoff == 0 {
		return dropped
	}
	return a.Backoff
}

// String is what Explain shows.
func (a AIMD) String() string { return "AIMD, backoff " + decimal(a.backoff()) }

func (a AIMD) next(limit, _, _ float64, drop bool) float64 {
	if drop {
		return limit * a.backoff()
	}
	return limit + 1
}

func (AIMD) compares() bool { return false }

func (a AIMD) validate() error {
	p := problems{owner: "AIMD"}
	if a.Backoff != 0 && !(a.Backoff > 0 && a.Backoff < 1) { // NaN is neither
		p.add(".Backoff is %v; want more than 0 and less than 1, or 0 for %v", a.Backoff, dropped)
	}
	return p.join()
}

// Vegas keeps so many calls queued at the dependency as it takes to know that it is busy: by the latencies it estimates
// how many are, and lets in more below Alpha, fewer above Beta. A drop leaves nine tenths.
//
// Source: Lawrence Brakmo and Larry Peterson, "TCP Vegas: End to End Congestion Avoidance on a Global Internet", 1995.
type Vegas struct {
	Alpha int // calls that may queue at least, 1 or more; 0 means 3
	Beta  int // and at most, more than Alpha; 0 means twice Alpha
}

func (v Vegas) bounds() (alpha, beta float64) {
	alpha, beta = float64(v.Alpha), float64(v.Beta)
	if v.Alpha == 0 {
		alpha = 3
	}
	if v.Beta == 0 {
		beta = 2 * alpha
	}
	return alpha, beta
}

// String is what Explain shows.
func (v Vegas) String() string {
	alpha, beta := v.bounds()
	return "Vegas, " + decimal(alpha) + " to " + decimal(beta) + " queued"
}

func (v Vegas) next(limit, latency, unloaded float64, drop bool) float64 {
	if drop {
		return limit * dropped
	}
	alpha, beta := v.bounds()
	step := math.Log2(max(2, limit)) // more than one: a limit of hundreds has far to go
	switch queued := limit * (1 - unloaded/max(unloaded, latency)); {
	case queued < alpha:
		return limit + step
	case queued > beta:
		return limit - step
	default:
		return limit
	}
}

func (Vegas) compares() bool { return true }

func (v Vegas) validate() error {
	p := problems{owner: "Vegas"}
	notNegative(&p, "Alpha", v.Alpha)
	notNegative(&p, "Beta", v.Beta)
	if alpha, beta := v.bounds(); v.Beta > 0 && v.Alpha >= 0 && beta <= alpha {
		p.add(".Beta is %d; want more than Alpha, which is %v", v.Beta, alpha)
	}
	return p.join()
}

// Gradient multiplies the limit by how much longer calls take than where nothing queues, as far as that is more than
// Tolerance; while it is not, there is room for a queue, and it adds the square root of the limit. A drop leaves nine
// tenths.
//
// After Netflix's concurrency-limits (Gradient2Limit, https://github.com/Netflix/concurrency-limits), which adds room for
// the queue to a limit that it has just lowered, too, and lets what it compares with drift along.
type Gradient struct {
	Tolerance float64 // of the latency, by that where nothing queues, 1 or more; 0 means 1.5
}

const defaultTolerance = 1.5

func (g Gradient) tolerance() float64 {
	if g.Tolerance == 0 {
		return defaultTolerance
	}
	return g.Tolerance
}

// String is what Explain shows.
func (g Gradient) String() string { return "gradient, tolerance " + decimal(g.tolerance()) }

func (g Gradient) next(limit, latency, unloaded float64, drop bool) float64 {
	if drop {
		return limit * dropped
	}
	gradient := g.tolerance() * unloaded / max(unloaded, latency, float64(time.Nanosecond))
	if gradient >= 1 {
		return limit + math.Sqrt(limit)
	}
	return limit * max(0.5, gradient)
}

func (Gradient) compares() bool { return true }

func (g Gradient) validate() error {
	p := problems{owner: "Gradient"}
	if g.Tolerance != 0 && !(g.Tolerance >= 1 && g.Tolerance <= 100) { // NaN is neither
		p.add(".Tolerance is %v; want 1 to 100, or 0 for %v", g.Tolerance, defaultTolerance)
	}
	return p.join()
}
