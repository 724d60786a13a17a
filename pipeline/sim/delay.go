package sim

import (
	"math/bits"
	"math/rand/v2"
	"time"
)

// A Delay draws a time, 0 or more: [Fixed], [Exponential], [Normal], or any func.
type Delay func(r *rand.Rand) time.Duration

// Fixed is always d.
func Fixed(d time.Duration) Delay { return func(*rand.Rand) time.Duration { return d } }

// Exponential is most often short and sometimes long: what is left of a wait that knows no memory.
func Exponential(mean time.Duration) Delay {
	return func(r *rand.Rand) time.Duration {
		whole, fraction := exponential(r)
		part, _ := bits.Mul64(uint64(mean), fraction)
		return time.Duration(whole)*mean + time.Duration(part)
	}
}

// Normal is the magnitude of a normally distributed time: close to mean, and never below 0.
func Normal(mean, deviation time.Duration) Delay {
	return func(r *rand.Rand) time.Duration {
		spread := float64(r.NormFloat64() * float64(deviation)) // rounded here, on every machine alike
		return (mean + time.Duration(spread)).Abs()
	}
}

// unitExponential has mean 1.
func unitExponential(r *rand.Rand) float64 {
	whole, fraction := exponential(r)
	return float64(whole) + float64(fraction)*0x1p-64
}

// exponential draws whole + fraction/2⁶⁴ from the exponential distribution with mean 1, by comparing uniform numbers
// and by nothing else, so that no machine rounds it otherwise than another (J. von Neumann, "Various techniques used
// in connection with random digits", 1951): a run of falling numbers of odd length happens with probability e^(-first).
func exponential(r *rand.Rand) (whole int, fraction uint64) {
	for ; ; whole++ {
		first := r.Uint64()
		falling := 1
		for last := first; ; falling++ {
			next := r.Uint64()
			if next >= last {
				break
			}
			last = next
		}
		if falling%2 == 1 {
			return whole, first
		}
	}
}

// stream is the n-th of the independent sources that a seed gives.
func stream(seed, n uint64) *rand.Rand {
	return rand.New(rand.NewPCG(scramble(seed), scramble(seed^scramble(n))))
}

// scramble is the output of SplitMix64, so that seeds next to each other have nothing in common.
func scramble(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
