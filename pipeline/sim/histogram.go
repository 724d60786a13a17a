package sim

import (
	"math/bits"
	"time"
)

// Quantiles of a latency: half of the requests took at most P50, and so on. They are within 1 % of what they stand
// for, and 0 where there was no request.
type Quantiles struct {
	P50  time.Duration `json:"p50_ns"`
	P90  time.Duration `json:"p90_ns"`
	P99  time.Duration `json:"p99_ns"`
	P999 time.Duration `json:"p999_ns"`
	Max  time.Duration `json:"max_ns"`
}

const (
	fineBits = 7 // each power of two is divided into 2⁷ bins: none is wider than 1/128 of what is in it
	fine     = 1 << fineBits
)

// histogram counts durations in bins whose width grows with them.
type histogram struct {
	bins  []int
	total int
	max   time.Duration
}

func (h *histogram) add(d time.Duration) {
	i := binOf(d)
	for len(h.bins) <= i {
		h.bins = append(h.bins, 0)
	}
	h.bins[i]++
	h.total++
	h.max = max(h.max, d)
}

func binOf(d time.Duration) int {
	n := uint64(max(0, d))
	if n < fine {
		return int(n)
	}
	shift := bits.Len64(n) - 1 - fineBits
	return shift<<fineBits + int(n>>shift)
}

// topOf is the longest duration in a bin.
func topOf(bin int) time.Duration {
	if bin < 2*fine {
		return time.Duration(bin)
	}
	shift := bin>>fineBits - 1
	return time.Duration((int64(bin&(fine-1)|fine)+1)<<shift - 1)
}

func (h *histogram) quantiles() Quantiles {
	return Quantiles{P50: h.at(500), P90: h.at(900), P99: h.at(990), P999: h.at(999), Max: h.max}
}

func (h *histogram) at(perMille int) time.Duration {
	rank := (int64(h.total)*int64(perMille) + 999) / 1000
	seen := int64(0)
	for i, n := range h.bins {
		if seen += int64(n); seen >= rank && n > 0 {
			return min(topOf(i), h.max)
		}
	}
	return 0
}
