package sim

import (
	"slices"
	"time"

	"github.com/holdfast-go/holdfast/policy"
)

// record is what happens in a run, as it happens.
type record struct {
	world     *world
	step      time.Duration
	closed    bool // the run is over: what ends now does not count
	latencies histogram
	sums      Report

	now       Point           // the step under way
	durations []time.Duration // latencies of what succeeded in it
	circuits  map[*policy.Circuit]bool
	counted   time.Duration // until when the states of the circuits are in now
	states    [policy.Bypassed + 1]int
	underWay  int
	latest    time.Duration // when the last request ended
}

func newRecord(w *world) *record {
	return &record{world: w, step: w.setup.step(), circuits: map[*policy.Circuit]bool{}}
}

// tick ends a step and starts the next one, until the run is over.
func (r *record) tick() {
	at, _ := r.catchUp()
	s := r.world.setup
	if at > 0 && s.Progress != nil {
		s.Progress(Progress{At: at, Length: s.Length, Requests: r.sums.Requests})
	}
	switch {
	case s.Length > 0 && at >= s.Length:
		r.world.over = true
		r.close()
	case s.Length > 0:
		r.world.clock.AfterFunc(min(r.step, s.Length-at), r.tick)
	case at == 0 || r.underWay > 0:
		r.world.clock.AfterFunc(r.step, r.tick)
	}
}

// catchUp ends the steps that are over. It is the time since the start of the run, and whether what happens now still
// counts.
func (r *record) catchUp() (at time.Duration, counts bool) {
	at = r.world.now()
	length := r.world.setup.Length
	if r.closed || length > 0 && at >= length {
		return at, false
	}
	for at >= r.now.At+r.step {
		r.endStep(r.now.At + r.step)
	}
	return at, true
}

func (r *record) endStep(end time.Duration) {
	r.countStates(end)
	p := &r.now
	p.InFlight = r.world.fleet.inFlight(end)
	slices.Sort(r.durations)
	p.P50, p.P99 = quantile(r.durations, 50), quantile(r.durations, 99)
	if n := len(r.circuits); n > 0 && end > p.At {
		whole := float64(n) * float64(end-p.At)
		p.Open /= whole
		p.HalfOpen /= whole
	}
	r.sums.Timeline = append(r.sums.Timeline, r.now)
	r.durations = r.durations[:0]
	r.now = Point{At: end}
}

// quantile is the value at the given percentage of sorted ones, the nearest above.
func quantile(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, (len(sorted)*percent+99)/100-1)]
}

func (r *record) arrived() (at time.Duration) {
	at, counts := r.catchUp()
	if counts {
		r.now.Offered++
		r.sums.Requests++
		r.underWay++
	}
	return at
}

func (r *record) called() {
	if _, counts := r.catchUp(); counts {
		r.now.Calls++
		r.sums.Calls++
	}
}

func (r *record) ended(begun time.Duration, o outcome) {
	at, counts := r.catchUp()
	if !counts {
		return
	}
	r.underWay--
	r.latest = at
	switch o {
	case succeeded:
		r.now.Good++
		r.sums.Succeeded++
		r.durations = append(r.durations, at-begun)
		r.latencies.add(at - begun)
	case fellBack:
		r.now.FellBack++
		r.sums.FellBack++
	case refused:
		r.now.Refused++
		r.sums.Refused++
	case failed:
		r.now.Failed++
		r.sums.Failed++
	}
}

// watch has every change of c's state recorded, from here on.
func (r *record) watch(client int, c *policy.Circuit) {
	if r.circuits[c] {
		return
	}
	r.circuits[c] = true
	r.states[c.State()]++
	told := c.OnChange
	c.OnChange = func(change policy.Change) {
		if at, counts := r.catchUp(); counts {
			r.countStates(at)
			r.states[change.From]--
			r.states[change.To]++
			r.sums.Changes = append(r.sums.Changes, Change{at, client, change.Circuit, change.From, change.To})
		}
		if told != nil {
			told(change)
		}
	}
}

// countStates adds up how long the circuits have been in their states within the step.
func (r *record) countStates(at time.Duration) {
	passed := float64(at - r.counted)
	r.counted = at
	r.now.Open += float64(passed * float64(r.states[policy.Open]+r.states[policy.Isolated]))
	r.now.HalfOpen += float64(passed * float64(r.states[policy.HalfOpen]))
}

// close ends the run.
func (r *record) close() {
	end := r.world.setup.Length
	if end == 0 {
		end = r.latest
	}
	for end > r.now.At {
		r.endStep(min(end, r.now.At+r.step))
	}
	r.closed = true
	r.sums.Unfinished = r.underWay
	r.sums.Length = end
}

func (r *record) report() Report {
	s := r.world.setup
	report := r.sums
	report.Name, report.Seed, report.Step = s.Name, s.Seed, r.step
	report.Clients, report.Arrivals, report.Rate = len(r.world.clients), s.Arrivals.String(), s.Arrivals.rate
	report.Phases, report.Circuits = s.Phases, len(r.circuits)
	report.Users, report.Replicas, report.Zones = s.Users, len(s.Replicas), s.Zones
	if len(s.Replicas) > 0 {
		report.Balance = s.Balance.String()
	}
	report.Latency = r.latencies.quantiles()
	report.Recovery = recoveryOf(report, s.goal())
	return report
}
