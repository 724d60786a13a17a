package sim

import (
	"math"
	"time"

	"github.com/holdfast-go/holdfast/clock"
)

// later is d + by, or the longest duration that there is: a server may never answer.
func later(d, by time.Duration) time.Duration { return time.Duration(clock.After(int64(d), by)) }

// scaled is d·by, or the longest duration that there is. by is not below 0.
func scaled(d time.Duration, by float64) time.Duration {
	product := float64(float64(d) * by) // rounded here, and not as part of another product, on every machine
	if product >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(product)
}

// times is a heap of them: the earliest is the first. Package container/heap would allocate for each.
type times []time.Duration

func (t *times) add(d time.Duration) {
	h := append(*t, d)
	*t = h
	i := len(h) - 1
	for i > 0 {
		up := (i - 1) / 2
		if h[up] <= d {
			break
		}
		h[i] = h[up]
		i = up
	}
	h[i] = d
}

// drop takes the earliest away.
func (t *times) drop() {
	last := len(*t) - 1
	h, d := (*t)[:last], (*t)[last]
	*t = h
	if last == 0 {
		return
	}
	i := 0
	for {
		down := 2*i + 1
		if down >= last {
			break
		}
		if down+1 < last && h[down+1] < h[down] {
			down++
		}
		if h[down] >= d {
			break
		}
		h[i] = h[down]
		i = down
	}
	h[i] = d
}
