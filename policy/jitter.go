package policy

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// FullJitter waits a random time between 0 and what b says, so that clients that failed together do not come back
// together.
//
// Source: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015,
// https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
func FullJitter(b Backoff) Backoff { return spread{b, "full jitter", 0, 1} }

// EqualJitter waits half of what b says and a random part of the other half. Source: as for FullJitter.
func EqualJitter(b Backoff) Backoff { return spread{b, "equal jitter", 0.5, 1} }

// Jitter waits what b says, give or take a random part of up to ratio of it, and never above b's own maximum. ratio
// is in [0, 1]. A Constant has no maximum, so that it is spread both ways.
func Jitter(b Backoff, ratio float64) Backoff {
	return spread{b, "jitter ±" + percent(ratio), 1 - ratio, 1 + ratio}
}

// spread scales another backoff by a random factor between low and high.
type spread struct {
	Backoff
	name      string
	low, high float64
}

func (j spread) Delay(s Step) time.Duration {
	d := max(0, j.Backoff.Delay(s))
	return min(j.cap(), s.uniform(scale(d, j.low), scale(d, j.high)))
}

func (j spread) cap() time.Duration {
	if own, ok := j.Backoff.(bounded); ok {
		return own.cap()
	}
	return math.MaxInt64
}

func (j spread) most(retry int) (time.Duration, bool) {
	own, ok := j.Backoff.(bounded)
	if !ok {
		return 0, false
	}
	d, known := own.most(retry)
	high := j.high
	if compounds(j.Backoff) {
		high = math.Pow(high, float64(max(1, retry)))
	}
	return min(j.cap(), scale(d, high)), known
}

// compounds reports whether what b says grows with what was said last: then a spread around it grows with itself.
func compounds(b Backoff) bool {
	switch b := b.(type) {
	case decorrelated:
		return true
	case spread:
		return compounds(b.Backoff)
	default:
		return false
	}
}

func (j spread) least(retry int) time.Duration {
	own, ok := j.Backoff.(bounded)
	if !ok {
		return 0
	}
	return min(j.cap(), scale(own.least(retry), j.low))
}

func (j spread) validate() error {
	if isNil(j.Backoff) {
		return errors.New(j.name + " has nothing to spread; want a Backoff")
	}
	if !(j.low >= 0 && j.low <= 1) { // NaN is neither
		return fmt.Errorf("Jitter ratio is %.6g; want 0 to 1", 1-j.low)
	}
	return validateBackoff(j.Backoff)
}

func (j spread) String() string { return describeBackoff(j.Backoff) + ", " + j.name }

// Decorrelated waits a random time between base and three times the wait before, at most max. It spreads best of
// all, but clumps at max. base is 0 or more and max at least base. Source: as for FullJitter.
func Decorrelated(base, max time.Duration) Backoff { return decorrelated{growth{base, max}} }

type decorrelated struct{ growth }

func (d decorrelated) Delay(s Step) time.Duration {
	previous := max(d.base, s.Previous)
	return min(d.max, s.uniform(d.base, scale(previous, 3)))
}

func (d decorrelated) most(retry int) (time.Duration, bool) {
	return min(d.max, scale(d.base, math.Pow(3, float64(max(1, retry))))), true
}

func (d decorrelated) least(int) time.Duration { return d.base }
func (d decorrelated) validate() error         { return d.validateAs("Decorrelated") }
func (d decorrelated) String() string          { return d.text("decorrelated jitter") }

// SmoothJitter spreads retries evenly over time, without the peaks of other jitters: the median of the n-th wait is
// about 0.9·base, then doubles. It waits at most max; the total of the first n waits is at most
// base·2ⁿ·tanh(2√n)/1.4. base is 0 or more and max at least base.
//
// Source: "decorrelated jitter V2", Polly.Contrib.WaitAndRetry,
// https://github.com/Polly-Contrib/Polly.Contrib.WaitAndRetry
func SmoothJitter(base, max time.Duration) Backoff { return smooth{growth{base, max}} }

type smooth struct{ growth }

// medianFactor makes the median of the first wait about base.
const medianFactor = 1.4

// Delay is the distance from where the waits so far have led on the curve to a random point of the next stretch. A
// wait cut off at max leaves the curve behind, and then the waits go on from the stretch's own start.
func (j smooth) Delay(s Step) time.Duration {
	if j.base <= 0 {
		return 0
	}
	n := float64(max(1, s.Retry) - 1)
	from := max(float64(s.Total)/float64(j.base), curve(n-1)/medianFactor)
	to := curve(n+s.rand()) / medianFactor
	if math.IsInf(to, 1) {
		return j.max
	}
	return min(j.max, max(0, scale(j.base, to-from)))
}

// curve is where n whole waits lead, in units of base·1.4; fractions of a wait lie between.
func curve(n float64) float64 {
	if n <= 0 {
		return 0
	}
	return math.Exp2(n) * math.Tanh(2*math.Sqrt(n))
}

// most is reached from the least that the waits before can have led to: the start of the stretch before.
func (j smooth) most(retry int) (time.Duration, bool) {
	n := float64(max(1, retry))
	to := curve(n)
	if math.IsInf(to, 1) {
		return j.max, true
	}
	return min(j.max, scale(j.base, (to-curve(n-2))/medianFactor)), true
}

// total is less than the sum of the longest waits: a long one leaves less of the curve for the next. Some first
// waits follow the curve to its end, and each of the others lasts at most max.
func (j smooth) total(n int) time.Duration {
	least := mulDuration(j.max, n)
	for i := 1; i <= min(n, 64); i++ {
		onCurve := scale(j.base, curve(float64(i))/medianFactor)
		least = min(least, addDurations(onCurve, mulDuration(j.max, n-i)))
	}
	return least
}

func (j smooth) least(int) time.Duration { return 0 }
func (j smooth) validate() error         { return j.validateAs("SmoothJitter") }
func (j smooth) String() string          { return j.text("smooth jitter") }
