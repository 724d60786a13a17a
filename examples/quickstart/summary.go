package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

// A summary is what a run comes to.
type summary struct {
	history     history
	plan        pipeline.Plan
	interrupted bool
}

// String is a table, what it means, and the pipeline's own account of itself.
func (s summary) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, " %-9s%6s%11s%11s%10s%9s%9s%10s%10s\n", "", "calls", "successes", "fallbacks", "failures", "retries", "refused", "requests", "slowest")
	row := func(name string, t tally) {
		fmt.Fprintf(&b, " %-9s%6d%11d%11d%10d%9d%9d%10d%10v\n",
			name, t.Calls, t.Successes, t.Fallbacks, t.Failures, t.Retries, t.Refused, t.Requests, t.Slowest.Round(time.Millisecond))
	}
	for i, name := range s.history.phases() {
		row(name, s.history.Phases[i])
	}
	row("total", s.history.total())
	fmt.Fprintf(&b, "\n%s\n The pipeline, made in examples/quickstart/pipeline.go, says of itself (Explain):\n\n%v\n", s.meaning(), s.plan)
	return b.String()
}

// meaning is the table in words.
func (s summary) meaning() string {
	var b strings.Builder
	t := s.history.total()
	if s.interrupted {
		fmt.Fprintf(&b, " Interrupted after %s. Calls under way were cut short and are not counted: %d.\n", since(s.history.Now), s.history.CutShort)
	}
	got := fmt.Sprintf("%d got a fresh page, %d a stale one", t.Successes, t.Fallbacks)
	if t.Failures == 0 {
		fmt.Fprintf(&b, " Callers: %s, and not one error. %s.\n", count(t.Calls, "call", "calls"), got)
	} else {
		fmt.Fprintf(&b, " Callers: %s. %s, and %d an error.\n", count(t.Calls, "call", "calls"), got, t.Failures)
	}
	if t.Retries > 0 {
		fmt.Fprintf(&b, " Retry:   %s saved %s.\n", count(t.Retries, "retry", "retries"), count(t.Rescued, "call", "calls"))
	}
	if opened := s.history.opened(); opened > 0 {
		fmt.Fprintf(&b, " Circuit: opened %s, kept %s from a failing server, ended %v.\n",
			count(opened, "time", "times"), count(t.Refused, "request", "requests"), s.history.circuit())
	}
	return b.String()
}

// opened is how often the circuit has.
func (h history) opened() int {
	n := 0
	for _, c := range h.Changes {
		if c.To == policy.Open {
			n++
		}
	}
	return n
}

// verdict is the exit status. It says why if not a single call succeeded.
func (s summary) verdict(stderr io.Writer) int {
	h := s.history
	switch {
	case s.interrupted:
		return exitInterrupted
	case h.total().Successes > 0:
		return 0
	case h.Answered:
		_, _ = fmt.Fprintf(stderr, "quickstart: %s answers, but no call succeeded; the last request: %s\n", h.URL, h.Trouble)
	default:
		_, _ = fmt.Fprintf(stderr, "quickstart: nothing could be reached at %s; the last request: %s\n", h.URL, h.Trouble)
	}
	return exitFailed
}

// asJSON shows nothing but the summary.
type asJSON struct{ out io.Writer }

func (asJSON) interval() time.Duration { return time.Second }

func (asJSON) update(history) {}

func (v asJSON) end(s summary) {
	type phase struct {
		Name string `json:"name"`
		tally
	}
	h := s.history
	var phases []phase
	for i, name := range h.phases() {
		phases = append(phases, phase{name, h.Phases[i]})
	}
	encoder := json.NewEncoder(v.out)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(struct {
		URL         string        `json:"url"`
		Elapsed     time.Duration `json:"elapsed_ns"`
		Interrupted bool          `json:"interrupted"`
		CutShort    int           `json:"cut_short"` // calls that the interruption ended, not counted
		LastFailure string        `json:"last_failure,omitempty"`
		Total       tally         `json:"total"`
		Phases      []phase       `json:"phases,omitempty"`
		Changes     []change      `json:"circuit_changes"`
		Plan        pipeline.Plan `json:"plan"`
	}{h.URL, h.Now, s.interrupted, h.CutShort, h.Trouble, h.total(), phases, append([]change{}, h.Changes...), s.plan})
}

// count is n of something.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
