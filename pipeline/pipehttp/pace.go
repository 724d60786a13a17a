package pipehttp

import (
	"sync/atomic"
	"time"
)

const (
	firstPatience = 100 * time.Millisecond // to wait for a host that has never answered
	leastPatience = time.Millisecond       // below it, a deadline is about the caller's own processor
)

// A pace is how long a host takes to answer. A caller's deadline says something of the host only if the answer was
// overdue by then; otherwise callers in a hurry would open its circuit for those who have time. An answer is overdue
// after what TCP waits before it sends again (RFC 6298): the smoothed latency and four times its deviation.
//
// Updates that happen at once may be lost.
type pace struct {
	latency   atomic.Int64 // smoothed, in nanoseconds; 0 until there was an answer
	deviation atomic.Int64
}

// answered takes up the latency of a response.
func (p *pace) answered(took time.Duration) {
	now, latency, deviation := int64(took), p.latency.Load(), p.deviation.Load()
	if latency == 0 {
		p.deviation.Store(now / 2)
		p.latency.Store(max(1, now))
		return
	}
	p.deviation.Store(deviation + (max(now-latency, latency-now)-deviation)/4)
	p.latency.Store(max(1, latency+(now-latency)/8))
}

// overdue reports whether a host that has not answered within d has had its time.
func (p *pace) overdue(d time.Duration) bool {
	patience := time.Duration(p.latency.Load() + 4*p.deviation.Load())
	if patience == 0 {
		patience = firstPatience
	}
	return d >= max(leastPatience, patience)
}
