package policy_test

import (
	"math"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/policy"
)

// A plan is the configuration of a Circuit and of its model: the same, said in two ways. Times are in nanoseconds.
type plan struct {
	trip              policy.Trip
	row               bool  // failures count in a row
	window, last      int64 // far longer than any test, where there is none
	minCalls          int64
	num, den          int64 // the ratio
	cooldown          policy.Backoff
	longest           int64 // that the cooldown can be
	probes, successes int
	lease, slow       int64
	unit              int64 // of the grid on which times lie
	operator          bool  // somebody isolates, bypasses and resets it
}

const never = math.MaxInt64 / 32 // nanoseconds: 9 years; ten times as much, added to the time of a test, fits an int64

// shares are ratios as they are written, and what they mean.
var shares = []struct {
	ratio    float64
	num, den int64
}{
	{0.5, 1, 2}, {0.57, 57, 100}, {1, 1, 1}, {0.004, 1, 250}, {0.3, 3, 10}, {0.6, 3, 5}, {0.33333, 33333, 100000},
}

var (
	trips      = rapid.IntRange(0, 3)
	smallCount = rapid.IntRange(1, 5)
	units      = rapid.SampledFrom([]int64{1, int64(time.Second), 1000})
	share      = rapid.SampledFrom(shares)
	fewCalls   = rapid.SampledFrom([]int64{1, 2, 3, 5, 10, 100, 250})
	lengths    = rapid.SampledFrom([]int64{10, 1, 2, 3, 7, 9, 11, 25, 103})
	multiples  = rapid.SampledFrom([]int64{1, 2, 3, 5, 20})
	oneIn2     = rapid.Bool()
)

func drawPlan(t *rapid.T) plan {
	p := plan{unit: units.Draw(t, "unit"), window: never, last: never, num: 1, den: 1, slow: never}
	switch trips.Draw(t, "trip") {
	case 0:
		p.row, p.minCalls = true, int64(smallCount.Draw(t, "failures in a row"))
		p.trip = policy.Consecutive(p.minCalls)
	case 1:
		s := share.Draw(t, "share")
		p.num, p.den, p.minCalls = s.num, s.den, fewCalls.Draw(t, "least calls")
		p.last = max(p.minCalls, fewCalls.Draw(t, "last"))
		p.trip = policy.FailureCount{Ratio: s.ratio, Last: int(p.last), MinCalls: int(p.minCalls)}
	default:
		s := share.Draw(t, "share")
		p.num, p.den, p.minCalls = s.num, s.den, fewCalls.Draw(t, "least calls")
		p.window = p.unit * lengths.Draw(t, "window")
		p.trip = policy.FailureRate{Ratio: s.ratio, Window: time.Duration(p.window), MinCalls: int(p.minCalls)}
	}
	base := p.unit * multiples.Draw(t, "cooldown")
	if p.cooldown, p.longest = policy.Constant(time.Duration(base)), base; oneIn2.Draw(t, "exponential") {
		p.cooldown, p.longest = policy.Exponential(time.Duration(base), time.Duration(5*base)), 5*base
	}
	p.probes, p.successes = smallCount.Draw(t, "probes"), smallCount.Draw(t, "successes")
	p.lease = p.unit * multiples.Draw(t, "lease")
	if oneIn2.Draw(t, "slowness matters") {
		p.slow = p.unit * multiples.Draw(t, "slow")
	}
	p.operator = oneIn2.Draw(t, "operator")
	return p
}

// circuit is the real thing.
func (p plan) circuit(c clock.Clock, onChange func(policy.Change)) *policy.Circuit {
	circuit := &policy.Circuit{
		Trip: p.trip, Cooldown: p.cooldown, Probes: p.probes, Successes: p.successes,
		ProbeLease: time.Duration(p.lease), Clock: c, OnChange: onChange,
	}
	if p.slow < never {
		circuit.Slow = time.Duration(p.slow)
	}
	return circuit
}

// gaps are times to let pass, most of them such that something falls on a limit or just short of it.
func (p plan) gaps() *rapid.Generator[int64] {
	const month = 30 * 24 * int64(time.Hour)
	gaps := []int64{0, 0, 0, 0, p.unit, 0, p.unit, 2 * p.unit, p.lease, p.longest, p.longest - 1, p.lease - 1, 5 * p.unit, month}
	if p.window < never {
		gaps = append(gaps, p.window/10, p.window-1, p.window, p.window-p.window/10, p.window+p.window/10, 3*p.window+1)
		if p.window < month>>24 {
			gaps = append(gaps, p.window<<24) // where a turn that is cut short looks like the one before it
		}
	}
	if p.slow < never {
		gaps = append(gaps, p.slow, p.slow-1)
	}
	return rapid.SampledFrom(gaps)
}
