package policy

import (
	"math"
	"sync"
	"time"
)

// quantiles estimates quantiles of recent durations, within 2.5 % and some kilobytes, from counts in buckets each of
// which is 5 % wider than the one before: the idea of DDSketch (Masson, Rim and Lee, VLDB 2019,
// https://arxiv.org/abs/1908.10693), with as many buckets as durations from a microsecond to an hour need. Recent are
// the last one to two thousand durations. It is safe for concurrent use.
type quantiles struct {
	mu            sync.Mutex // guards the fields below
	recent, older histogram
}

const (
	bucketGrowth  = 1.05
	shortest      = time.Microsecond
	generationLen = 1000
	fewest        = 20 // durations before there is an estimate
)

type histogram struct {
	counts [452]uint32
	total  int
}

func (q *quantiles) add(d time.Duration) {
	i := 0
	if d > shortest {
		i = int(math.Log(float64(d)/float64(shortest)) / math.Log(bucketGrowth))
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.recent.counts[min(i, len(q.recent.counts)-1)]++
	if q.recent.total++; q.recent.total == generationLen {
		q.older, q.recent = q.recent, histogram{}
	}
}

// at is the duration that a share p of the recent ones do not exceed, and whether there have been enough of them.
func (q *quantiles) at(p float64) (time.Duration, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	total := q.recent.total + q.older.total
	if total < fewest {
		return 0, false
	}
	rank := int(math.Ceil(p * float64(total)))
	for i := range q.recent.counts {
		if rank -= int(q.recent.counts[i] + q.older.counts[i]); rank <= 0 {
			return scale(shortest, math.Pow(bucketGrowth, float64(i)+0.5)), true
		}
	}
	return scale(shortest, math.Pow(bucketGrowth, float64(len(q.recent.counts)))), true
}
