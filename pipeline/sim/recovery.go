package sim

import "time"

// A Recovery is how the goodput came back after the phases: the time to recover.
type Recovery struct {
	// Expected is whether there was anything to recover from: phases, and arrivals at a rate.
	Expected  bool          `json:"expected"`
	Recovered bool          `json:"recovered"`
	At        time.Duration `json:"at_ns"`    // when it was back, since the start of the run
	After     time.Duration `json:"after_ns"` // the same since the end of the last phase, and 0 if it was back before
}

// over is how long a goodput has to be good to count.
const recoveryWindow = 10 * time.Second

// recoveryOf finds the first time, from the middle of the first phase, from which ten seconds' goodput is at least goal
// times the rate of arrivals, and after which it is never again below half of that.
func recoveryOf(r Report, goal float64) Recovery {
	if len(r.Phases) == 0 || r.Rate == 0 {
		return Recovery{}
	}
	begin, end := r.Phases[0].From+(r.Phases[0].To-r.Phases[0].From)/2, time.Duration(0)
	for _, p := range r.Phases {
		end = max(end, p.To)
	}
	recovery := Recovery{Expected: true}
	for _, p := range r.Timeline {
		if p.At < begin || p.At+recoveryWindow > r.Length {
			continue
		}
		switch goodput := r.Goodput(p.At, p.At+recoveryWindow); {
		case goodput < goal*r.Rate/2:
			recovery.Recovered = false
		case goodput >= goal*r.Rate && !recovery.Recovered:
			recovery.Recovered, recovery.At, recovery.After = true, p.At, max(0, p.At-end)
		}
	}
	if !recovery.Recovered {
		recovery.At, recovery.After = 0, 0
	}
	return recovery
}
