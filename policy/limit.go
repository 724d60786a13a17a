package policy

import (
	"sync"
	"sync/atomic"

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
// The limit is adjusted once per round. A round ends after about one limit's worth of calls that started within it, so
// each adjustment is judged by its own effect. A dropped call counts whenever it started, except that calls which started
// before the limit was last lowered for a drop do not lower it again: one burst of timeouts is one event. After a drop the
// limit does not grow for as long as the dropped call took, because the effect of lowering it does not show earlier.
//
// When calls take longer than they should, and when the limit has halved, two rounds run at half of the limit, or less, to
// measure the baseline latency: what calls take when nothing queues. That is at most every thirty rounds, and more rarely as
// long as it finds nothing new; AIMD has no need of it. A limit that is not made use of does not grow.
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
	lowered  int64 // when the limit was last lowered for a drop
	holds    int64 // until when it does not grow
	baseline baseline
}

// A round is what the calls that began in it have shown.
type round struct {
	begun int64   // when
	calls int     // that count
	sum   float64 // of their nanoseconds
	peak  int     // calls in flight, at most
	drop  bool    // the dependency dropped a call
}

// latency is the mean of the round's calls in nanoseconds, or 0 if none counts. A coarse clock may measure 0.
func (r *round) latency() float64 {
	if r.calls == 0 {
		return 0
	}
	return max(1, r.sum/float64(r.calls))
}

const (
	defaultInitial  = 20
	defaultMaxLimit = 1000
	leastCalls      = 20 // in a round
	mostCalls       = 200
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
	now := clock.OrSystem(l.Clock).Nanos()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begin(now)
	return l.inFlight, l.allowed()
}

// Idle reports whether nobody is in flight. What the limit has learned is lost with it all the same.
func (l *Limit) Idle() bool {
	inFlight, _ := l.Load()
	return inFlight == 0
}

// allowed is how many calls may be in flight, which is a part of the limit while the baseline is measured.
func (l *Limit) allowed() int { return max(l.least(), int(l.limit)>>l.baseline.depth) }

func (l *Limit) admit(priority int) (begun int64, err error) {
	if err := l.verdict.by(l.Validate); err != nil {
		return 0, err
	}
	begun = clock.OrSystem(l.Clock).Nanos()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begin(begun)
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
	r := &l.round
	switch o.known() {
	case Ignored:
		return
	case TransientFailure:
		if begun < l.lowered {
			return // the limit has been lowered since: this tells nothing of the one of now
		}
		r.drop = true
		l.lowered, l.holds = now, clock.After(now, clock.Since(begun, now))
	default:
		if begun < r.begun {
			return
		}
		r.calls++
		r.sum += float64(clock.Since(begun, now))
	}
	if r.drop || float64(r.calls) >= min(mostCalls, max(leastCalls, l.limit)) {
		l.learn(now)
		l.round = round{begun: now, peak: l.inFlight}
	}
}

// learn draws the conclusions from a round.
func (l *Limit) learn(now int64) {
	latency, used := l.round.latency(), float64(l.round.peak) > l.limit/2
	if !l.round.drop {
		if measuring := l.baseline.learn(latency, l.limit, used, l.allowed() > l.least()); measuring {
			return
		}
	}
	next := l.algorithm().next(l.limit, latency, l.baseline.latency, l.round.drop)
	if next < l.limit || used && now >= l.holds {
		l.limit = min(float64(l.most()), max(float64(l.least()), next))
	}
	if l.algorithm().compares() {
		l.baseline.schedule(latency, l.limit)
	}
}

// begin is called with the lock held.
func (l *Limit) begin(now int64) {
	if l.limit == 0 {
		l.limit = float64(l.initial())
		l.round.begun, l.lowered, l.holds = now, now, now
		l.baseline.begin(l.limit)
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
				l.baseline.at = min(l.baseline.at, l.limit)
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
		p.field("Algorithm", validateAlgorithm(l.Algorithm))
	}
	p.clock(l.Clock)
	return p.join()
}
