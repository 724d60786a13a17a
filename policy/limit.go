package policy

import (
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-go/holdfast/clock"
)

// A Limit finds out how many calls at once a dependency can take, from how long they take and which of them it drops,
// and refuses the rest with ErrFull. It is a [Gate] for when nobody knows its Limit, or when that changes.
//
// Calls have a priority: 0 is the highest, and each further one, up to 9, is refused a tenth of the limit earlier, so
// that what matters least is shed first.
//
// The zero value works: a Gradient that begins at 20. One Limit may serve any number of pipelines and result types
// through [Adaptive], and any other code through Acquire. It is safe for concurrent use, needs no goroutine, and
// allocates nothing; a call takes its lock twice and reads the clock twice. It must not be copied, and its fields
// only be changed by Configure, after first use.
//
// It learns in rounds of about as many calls as may be in flight, all of which began after the round before, so that
// each change is judged by what it did. Every thirty rounds, or when the limit has halved, it spends two rounds at
// half of the limit, or less, where nothing queues, to see how long calls take then; AIMD has no need of that. A limit
// that is not made use of does not grow.
type Limit struct {
	Name      string
	Algorithm Algorithm   // how the limit follows what calls tell; nil means Gradient{}
	Initial   int         // what it begins with, up to a million; 0 means 20, or the nearest that Min and Max allow
	Min       int         // up to a million; 0 means 1
	Max       int         // up to a million; 0 means 1000, or Min if that is more
	Clock     clock.Clock // nil means clock.System

	verdict  verdict
	mu       sync.Mutex // guards the fields below
	limit    float64    // 0 before first use
	inFlight int
	refusal  *Rejection
	round    round
	unloaded float64 // nanoseconds that calls take where nothing queues; 0 for not known
	probe    int     // rounds left of a look at that
	depth    int     // how often the limit is halved for it
	latest   float64 // nanoseconds that calls took in the last round without a drop
	since    int     // rounds since the last probe
	at       float64 // the limit then
}

// A round is what the calls told that began in it.
type round struct {
	begun int64   // when
	calls int     // that count
	sum   float64 // of their nanoseconds
	peak  int     // calls in flight, at most
	drop  bool    // the dependency dropped one
}

const (
	defaultInitial  = 20
	defaultMaxLimit = 1000
	leastCalls      = 20 // in a round
	mostCalls       = 200
	probeRounds     = 2 // the first drains what is queued
	probeEvery      = 30
	firstProbe      = 5   // rounds after the beginning, which may have been busy already
	stillQueued     = 0.6 // of the latency, for half the calls in flight: nearly all of it is waiting
	priorities      = 10
	largestLimit    = 1_000_000
)

// An Admission is a call that a Limit has let through. It must not be copied.
type Admission struct {
	limit *Limit
	begun int64
	done  atomic.Bool
}

// Acquire lets a call of a priority through, 0 for the highest. Whoever gets an Admission must say how the call ended.
// The error is a *Rejection for ErrFull, or that of Validate.
func (l *Limit) Acquire(priority int) (Admission, error) {
	begun, err := l.admit(priority)
	if err != nil {
		return Admission{}, err
	}
	return Admission{limit: l, begun: begun}, nil
}

// Done says how the call ended. A Success and a PermanentFailure tell by how long they took; a TransientFailure means
// that the dependency had too much to do: a timeout, a refusal. Ignored tells nothing. Only the first call counts, from
// whichever goroutine; on the zero Admission it does nothing.
func (a *Admission) Done(o Outcome) {
	if a.limit != nil && !a.done.Swap(true) {
		a.limit.finish(a.begun, o)
	}
}

// Load is the calls in flight, and how many may be now.
func (l *Limit) Load() (inFlight, limit int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begin()
	return l.inFlight, l.allowed()
}

// Idle reports whether nobody is in flight. What the limit has learned is lost with it all the same.
func (l *Limit) Idle() bool {
	inFlight, _ := l.Load()
	return inFlight == 0
}

// allowed is how many calls may be in flight, which is a part of the limit during a probe.
func (l *Limit) allowed() int { return max(l.least(), int(l.limit)>>l.depth) }

func (l *Limit) admit(priority int) (begun int64, err error) {
	if err := l.verdict.by(l.Validate); err != nil {
		return 0, err
	}
	begun = clock.OrSystem(l.Clock).Nanos()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begin()
	tenths := priorities - min(max(priority, 0), priorities-1)
	if l.inFlight*priorities >= l.allowed()*tenths {
		if l.refusal == nil {
			l.refusal = &Rejection{Policy: "adaptive", Name: l.Name, Reason: ErrFull}
		}
		return 0, l.refusal
	}
	l.inFlight++
	l.round.peak = max(l.round.peak, l.inFlight)
	return begun, nil
}

func (l *Limit) finish(begun int64, o Outcome) {
	now := clock.OrSystem(l.Clock).Nanos()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inFlight--
	if o = o.known(); o == Ignored || begun < l.round.begun {
		return
	}
	r := &l.round
	if o == TransientFailure {
		r.drop = true
	} else {
		r.calls++
		r.sum += float64(clock.Since(begun, now))
	}
	if r.drop || float64(r.calls) >= min(mostCalls, max(leastCalls, l.limit)) {
		l.learn()
		l.round = round{begun: now, peak: l.inFlight}
	}
}

// learn draws the conclusions from a round.
func (l *Limit) learn() {
	latency := 0.0
	if l.round.calls > 0 {
		latency = max(1, l.round.sum/float64(l.round.calls)) // by a clock too coarse for it, they take no time
	}
	used := float64(l.round.peak) > l.limit/2
	switch {
	case l.round.drop: // a look that was under way begins anew
	case l.probe > 0:
		if l.probe--; l.probe > 0 {
			return
		}
		if before := l.latest; latency < stillQueued*before && l.allowed() > l.least() {
			l.latest, l.probe = latency, probeRounds
			l.depth++
			return
		}
		l.unloaded, l.since, l.at, l.depth = latency, 0, l.limit, 0
		return
	case !used || l.unloaded == 0:
		l.unloaded, l.since, l.at = latency, 0, l.limit
	case latency < l.unloaded:
		l.unloaded = latency
	}
	next := l.algorithm().next(l.limit, latency, l.unloaded, l.round.drop)
	if next < l.limit || used {
		l.limit = min(float64(l.most()), max(float64(l.least()), next))
	}
	if !l.round.drop {
		l.latest = latency
	}
	if l.since++; l.algorithm().compares() && (l.since >= probeEvery || l.limit < l.at/2) {
		l.probe, l.depth = probeRounds, 1
	}
}

// begin is called with the lock held.
func (l *Limit) begin() {
	if l.limit == 0 {
		l.limit = float64(l.initial())
		l.at, l.since = l.limit, probeEvery-firstProbe
	}
}

func (l *Limit) algorithm() Algorithm {
	if l.Algorithm == nil {
		return Gradient{}
	}
	return l.Algorithm
}

func (l *Limit) least() int { return max(1, l.Min) }

func (l *Limit) most() int {
	if l.Max == 0 {
		return max(defaultMaxLimit, l.Min)
	}
	return l.Max
}

func (l *Limit) initial() int {
	initial := l.Initial
	if initial == 0 {
		initial = defaultInitial
	}
	return min(l.most(), max(l.least(), initial))
}

// Configure changes Algorithm, Min and Max while the limit is in use: change edits a copy of them, which is taken over
// if it is valid. What was learned stays, as far as Min and Max allow, and so do calls in flight. Where two configure at
// once the last has its way.
func (l *Limit) Configure(change func(*Limit)) error {
	if err := l.verdict.by(l.Validate); err != nil {
		return err
	}
	settings := func() *Limit {
		s := l.settings()
		if l.limit > 0 {
			s.Initial = 0 // it has begun, and need not fit any more
		}
		return s
	}
	return reconfigure(&l.mu, change, settings,
		func(n *Limit) error {
			return fixed("Limit", map[string]bool{"Name": n.Name != "", "Clock": n.Clock != nil})
		},
		func(n *Limit) {
			begun := l.limit > 0
			if begun && n.Initial == 0 {
				n.Initial = min(n.most(), max(n.least(), l.initial()))
			}
			l.Algorithm, l.Initial, l.Min, l.Max = n.Algorithm, n.Initial, n.Min, n.Max
			if begun {
				l.limit = min(float64(l.most()), max(float64(l.least()), l.limit))
				l.at = min(l.at, l.limit)
			}
		})
}

// settings is called with the lock held.
func (l *Limit) settings() *Limit {
	return &Limit{Algorithm: l.Algorithm, Initial: l.Initial, Min: l.Min, Max: l.Max}
}

// Validate names every field that is out of range.
func (l *Limit) Validate() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := problems{owner: "Limit"}
	p.size("Initial", l.Initial)
	p.size("Min", l.Min)
	p.size("Max", l.Max)
	if l.Max > 0 && l.Max < l.Min {
		p.add(".Max is %d; want Min, which is %d, or more", l.Max, l.Min)
	}
	if l.Max >= 0 && l.Initial > 0 && (l.Initial < l.Min || l.Initial > l.most()) {
		p.add(".Initial is %d; want %d to %d", l.Initial, l.least(), l.most())
	}
	if isNil(l.Algorithm) {
		if l.Algorithm != nil {
			p.add(".Algorithm is a nil %T; want an AIMD, a Vegas or a Gradient", l.Algorithm)
		}
	} else {
		p.field("Algorithm", l.Algorithm.validate())
	}
	p.clock(l.Clock)
	return p.join()
}

// An Algorithm says how a [Limit] follows what its calls tell: [AIMD], [Vegas] or [Gradient].
type Algorithm interface {
	String() string

	// next is the limit after a round in which calls took latency, and would take unloaded where nothing queues, both
	// in nanoseconds.
	next(limit, latency, unloaded float64, drop bool) float64
	compares() bool // whether it goes by what calls take where nothing queues
	validate() error
}

func decimal(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

// dropped is what a drop leaves of a limit, where an algorithm has nothing of its own to say.
const dropped = 0.9

// AIMD adds one to the limit in every round without a drop, and multiplies it by Backoff after one. It knows nothing of
// latencies, so that it needs a dependency that refuses, or a Timeout around the call.
//
// Source: Dah-Ming Chiu and Raj Jain, "Analysis of the Increase and Decrease Algorithms for Congestion Avoidance in
// Computer Networks", 1989.
type AIMD struct {
	Backoff float64 // what a drop leaves of the limit, in (0, 1); 0 means 0.9
}

func (a AIMD) backoff() float64 {
	if a.Backoff == 0 {
		return dropped
	}
	return a.Backoff
}

// String is what Explain shows.
func (a AIMD) String() string { return "AIMD, backoff " + decimal(a.backoff()) }

func (a AIMD) next(limit, _, _ float64, drop bool) float64 {
	if drop {
		return limit * a.backoff()
	}
	return limit + 1
}

func (AIMD) compares() bool { return false }

func (a AIMD) validate() error {
	p := problems{owner: "AIMD"}
	if a.Backoff != 0 && !(a.Backoff > 0 && a.Backoff < 1) { // NaN is neither
		p.add(".Backoff is %v; want more than 0 and less than 1, or 0 for %v", a.Backoff, dropped)
	}
	return p.join()
}

// Vegas keeps so many calls queued at the dependency as it takes to know that it is busy: by the latencies it estimates
// how many are, and lets in more below Alpha, fewer above Beta. A drop leaves nine tenths.
//
// Source: Lawrence Brakmo and Larry Peterson, "TCP Vegas: End to End Congestion Avoidance on a Global Internet", 1995.
type Vegas struct {
	Alpha int // calls that may queue at least, 1 or more; 0 means 3
	Beta  int // and at most, more than Alpha; 0 means twice Alpha
}

func (v Vegas) bounds() (alpha, beta float64) {
	alpha, beta = float64(v.Alpha), float64(v.Beta)
	if v.Alpha == 0 {
		alpha = 3
	}
	if v.Beta == 0 {
		beta = 2 * alpha
	}
	return alpha, beta
}

// String is what Explain shows.
func (v Vegas) String() string {
	alpha, beta := v.bounds()
	return "Vegas, " + decimal(alpha) + " to " + decimal(beta) + " queued"
}

func (v Vegas) next(limit, latency, unloaded float64, drop bool) float64 {
	if drop {
		return limit * dropped
	}
	alpha, beta := v.bounds()
	step := math.Log2(max(2, limit)) // more than one: a limit of hundreds has far to go
	switch queued := limit * (1 - unloaded/max(unloaded, latency)); {
	case queued < alpha:
		return limit + step
	case queued > beta:
		return limit - step
	default:
		return limit
	}
}

func (Vegas) compares() bool { return true }

func (v Vegas) validate() error {
	p := problems{owner: "Vegas"}
	notNegative(&p, "Alpha", v.Alpha)
	notNegative(&p, "Beta", v.Beta)
	if alpha, beta := v.bounds(); v.Beta > 0 && v.Alpha >= 0 && beta <= alpha {
		p.add(".Beta is %d; want more than Alpha, which is %v", v.Beta, alpha)
	}
	return p.join()
}

// Gradient multiplies the limit by how much longer calls take than where nothing queues, as far as that is more than
// Tolerance; while it is not, there is room for a queue, and it adds the square root of the limit. A drop leaves nine
// tenths.
//
// After Netflix's concurrency-limits (Gradient2Limit, https://github.com/Netflix/concurrency-limits), which adds room for
// the queue to a limit that it has just lowered, too, and lets what it compares with drift along.
type Gradient struct {
	Tolerance float64 // of the latency, by that where nothing queues, 1 or more; 0 means 1.5
}

const defaultTolerance = 1.5

func (g Gradient) tolerance() float64 {
	if g.Tolerance == 0 {
		return defaultTolerance
	}
	return g.Tolerance
}

// String is what Explain shows.
func (g Gradient) String() string { return "gradient, tolerance " + decimal(g.tolerance()) }

func (g Gradient) next(limit, latency, unloaded float64, drop bool) float64 {
	if drop {
		return limit * dropped
	}
	gradient := g.tolerance() * unloaded / max(unloaded, latency, float64(time.Nanosecond))
	if gradient >= 1 {
		return limit + math.Sqrt(limit)
	}
	return limit * max(0.5, gradient)
}

func (Gradient) compares() bool { return true }

func (g Gradient) validate() error {
	p := problems{owner: "Gradient"}
	if g.Tolerance != 0 && !(g.Tolerance >= 1 && g.Tolerance <= 100) { // NaN is neither
		p.add(".Tolerance is %v; want 1 to 100, or 0 for %v", g.Tolerance, defaultTolerance)
	}
	return p.join()
}
