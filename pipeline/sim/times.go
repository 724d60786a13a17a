package sim

import "time"

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
