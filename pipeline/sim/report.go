package sim

import (
	"time"

	"github.com/holdfast-go/holdfast/policy"
)

// A Report is what happened in a run. It encodes to JSON, durations as nanoseconds; String is a page of text and
// WriteHTML one with charts.
type Report struct {
	Name     string        `json:"name"`
	Seed     uint64        `json:"seed"`
	Length   time.Duration `json:"length_ns"`
	Step     time.Duration `json:"step_ns"` // of the timeline; its last step may be shorter
	Clients  int           `json:"clients"`
	Arrivals string        `json:"arrivals"`
	Rate     float64       `json:"rate"`               // of arrivals, requests a second, outside the phases; 0 for AtOnce
	Users    int           `json:"users,omitempty"`    // in a closed loop
	Replicas int           `json:"replicas,omitempty"` // of the server
	Balance  string        `json:"balance,omitempty"`  // how calls are spread over them
	Zones    int           `json:"zones,omitempty"`
	Phases   []Phase       `json:"phases"`
	Circuits int           `json:"circuits"` // in all clients

	Requests   int `json:"requests"`   // that arrived: the sum of the next five
	Succeeded  int `json:"succeeded"`  // got an answer from the server
	FellBack   int `json:"fell_back"`  // got another answer
	Refused    int `json:"refused"`    // by a policy
	Failed     int `json:"failed"`     // otherwise
	Unfinished int `json:"unfinished"` // at the end of the run
	Calls      int `json:"calls"`      // that the policies let through: attempts

	Latency  Quantiles `json:"latency"` // of the requests that succeeded
	Recovery Recovery  `json:"recovery"`
	Timeline []Point   `json:"timeline"`
	Changes  []Change  `json:"changes"` // of the circuits' states, in order
}

// A Point of the timeline is one step: what arrived, was called and ended in it.
type Point struct {
	At       time.Duration `json:"at_ns"` // when the step begins
	Offered  int           `json:"offered"`
	Good     int           `json:"good"`
	FellBack int           `json:"fell_back"`
	Refused  int           `json:"refused"`
	Failed   int           `json:"failed"`
	Calls    int           `json:"calls"`
	InFlight int           `json:"in_flight"` // at the server, when the step ends
	P50      time.Duration `json:"p50_ns"`    // of the latency of what was good; 0 where nothing was
	P99      time.Duration `json:"p99_ns"`
	Open     float64       `json:"open"`      // the share of circuits that are open or isolated, over the step
	HalfOpen float64       `json:"half_open"` // the same for half-open
}

// A Change is a circuit's change of state.
type Change struct {
	At      time.Duration `json:"at_ns"`
	Client  int           `json:"client"` // the first one that has the circuit
	Circuit string        `json:"circuit"`
	From    policy.State  `json:"from"`
	To      policy.State  `json:"to"`
}

// CallsPerRequest is how many calls a request led to, on average: 1 where nothing was retried.
func (r Report) CallsPerRequest() float64 { return ratio(r.Calls, r.Requests) }

// SuccessRate is the share of requests that succeeded, of those that ended.
func (r Report) SuccessRate() float64 { return ratio(r.Succeeded, r.Requests-r.Unfinished) }

// Goodput is the number of requests that succeeded, per second, in the steps that begin in [from, to).
func (r Report) Goodput(from, to time.Duration) float64 {
	good, length := 0, time.Duration(0)
	for i, p := range r.Timeline {
		if from <= p.At && p.At < to {
			good += p.Good
			length += r.stepEnd(i) - p.At
		}
	}
	return perSecond(good, length)
}

// stepEnd is when the i-th step ends.
func (r Report) stepEnd(i int) time.Duration {
	if i+1 < len(r.Timeline) {
		return r.Timeline[i+1].At
	}
	return r.Length
}

func ratio(n, of int) float64 {
	if of == 0 {
		return 0
	}
	return float64(n) / float64(of)
}

func perSecond(n int, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}
