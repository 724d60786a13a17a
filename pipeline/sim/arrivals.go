package sim

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// Arrivals say when requests arrive: [Poisson], [Steady] or [AtOnce].
type Arrivals struct {
	rate   float64 // requests a second
	steady bool
	once   int
}

// maxRate is one arrival each nanosecond.
const maxRate = 1e9

// Poisson arrivals are independent of each other, perSecond on average: what many users who know nothing of each
// other amount to.
func Poisson(perSecond float64) Arrivals { return Arrivals{rate: perSecond} }

// Steady arrivals are evenly spaced, the first after one interval.
func Steady(perSecond float64) Arrivals { return Arrivals{rate: perSecond, steady: true} }

// AtOnce is n requests at the very start and none later.
func AtOnce(n int) Arrivals { return Arrivals{once: n} }

// String is what the report says of them.
func (a Arrivals) String() string {
	switch {
	case a == Arrivals{}:
		return "by users alone"
	case a.once != 0:
		return fmt.Sprintf("%d at once", a.once)
	case a.steady:
		return fmt.Sprintf("%v a second, evenly spaced", a.rate)
	default:
		return fmt.Sprintf("%v a second, Poisson", a.rate)
	}
}

// schedule is when requests arrive, one after the other.
type schedule struct {
	Arrivals
	phases []Phase
	length time.Duration // nothing arrives from then on; 0 means no end
	rand   *rand.Rand
	at     time.Duration // the latest arrival
	part   float64       // of a nanosecond that it was later
	count  int
}

// next is the time of the next arrival, or false if there is none.
func (s *schedule) next() (time.Duration, bool) {
	if s.Arrivals == (Arrivals{}) {
		return 0, false
	}
	if s.once > 0 {
		s.count++
		return 0, s.count <= s.once
	}
	// The time between arrivals is worth one request, or an exponential number of them with mean 1, at whatever rates
	// rule until it has passed.
	worth := 1.0
	if !s.steady {
		worth = unitExponential(s.rand)
	}
	for s.at < s.length {
		rate, until := s.ruling()
		if rate == 0 { // quiet
			s.at, s.part = until, 0
			continue
		}
		left := float64(until-s.at) / float64(time.Second)
		if needed := worth / rate; needed < left {
			exact := float64(needed*float64(time.Second)) + s.part
			whole := math.Floor(exact)
			s.at, s.part = s.at+time.Duration(whole), exact-whole // rounding down each one would make more of them
			s.count++
			return s.at, s.at < s.length
		}
		worth -= float64(rate * left) // the conversion keeps the compiler from fusing the two, which rounds otherwise
		s.at, s.part = until, 0
	}
	return 0, false
}

// ruling is the rate now and until when it holds.
func (s *schedule) ruling() (rate float64, until time.Duration) {
	rate, until = s.rate, s.length
	for _, p := range s.phases {
		if p.Rate == 0 && !p.Quiet {
			continue
		}
		if p.covers(s.at) {
			rate = p.Rate
		}
		for _, edge := range []time.Duration{p.From, p.To} {
			if edge > s.at {
				until = min(until, edge)
			}
		}
	}
	return rate, until
}
