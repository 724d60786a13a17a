package policy

// A baseline is the latency of calls when nothing queues, which a [Limit] compares what they take with.
//
// It is measured by letting half as many calls through for two rounds, the first of which drains what is queued. If they
// then take so much less time that nearly all of it must have been waiting, half as many again are let through. Calls are
// refused for it, so it is measured only if there is something to find out, and more rarely as long as nothing is found.
type baseline struct {
	latency float64 // in nanoseconds; 0 for not known
	known   bool    // it has been measured
	at      float64 // the limit then
	rounds  int     // since then
	every   int     // how many rounds there are between two measurements at least
	left    int     // rounds left of the measurement under way
	depth   int     // how often the limit is halved for it
	latest  float64 // the latency of the last round without a drop
}

const (
	measureRounds = 2
	measureEvery  = 30
	measureRarely = 16 * measureEvery
	firstMeasure  = 5   // rounds after the beginning, which may have been busy already
	stillQueued   = 0.6 // of the latency, for half the calls in flight: nearly all of it is waiting
	isLonger      = 1.1 // times the baseline: there may be something to find out
)

func (b *baseline) begin(limit float64) {
	b.at, b.rounds, b.every = limit, measureEvery-firstMeasure, measureEvery
}

// learn draws the conclusions from a round without a drop, and reports whether it was part of a measurement. used says
// that the limit was made use of, and lower that fewer calls could be let through.
func (b *baseline) learn(latency, limit float64, used, lower bool) (measuring bool) {
	switch {
	case b.left > 0:
		if b.left--; b.left > 0 {
			return true
		}
		if latency < stillQueued*b.latest && lower {
			b.latest, b.left = latency, measureRounds
			b.depth++
			return true
		}
		b.measured(latency, limit)
		return true
	case !used || b.latency == 0: // nothing queues
		b.latency, b.rounds, b.at = latency, 0, limit
	case latency < b.latency:
		b.latency = latency
	}
	b.latest = latency
	return false
}

// measured takes over what a measurement has found.
func (b *baseline) measured(latency, limit float64) {
	if b.known && latency < isLonger*b.latency && b.latency < isLonger*latency {
		b.every = min(2*b.every, measureRarely)
	} else {
		b.every = measureEvery
	}
	b.known = true
	b.latency, b.rounds, b.at, b.depth = latency, 0, limit, 0
}

// schedule begins a measurement if it is time for one.
func (b *baseline) schedule(latency, limit float64) {
	b.rounds++
	due := b.rounds >= b.every && (!b.known || latency > isLonger*b.latency)
	if due || limit < b.at/2 {
		b.left, b.depth = measureRounds, 1
	}
}
