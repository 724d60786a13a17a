package proptest

import (
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/policy/policytest"
)

// A Case is all that a pipeline is put through: what it depends on, and who asks. It is data, and printed by %#v it is a
// Go expression.
type Case struct {
	Schedule policytest.Schedule // of the dependency; nil means that it always works
	Requests []Request
	Seed     uint64 // of everything random in the run
}

// A Request is one use of the pipeline.
type Request struct {
	At       time.Duration // when it begins, since the start
	Patience time.Duration // its context's deadline, since it began; 0 for none
	Leaves   time.Duration // when its context is cancelled, since it began; 0 for never
}

// Every is n requests, one each d, the first at once. None of them has a deadline.
func Every(d time.Duration, n int) []Request {
	requests := make([]Request, max(0, n))
	for i := range requests {
		requests[i].At = time.Duration(i) * d
	}
	return requests
}

// GoString is the case as a Go expression.
func (c Case) GoString() string {
	var text strings.Builder
	text.WriteString("proptest.Case{\n")
	if c.Schedule != nil {
		fmt.Fprintf(&text, "\tSchedule: %#v,\n", c.Schedule)
	}
	text.WriteString("\tRequests: []proptest.Request{\n")
	for _, r := range c.Requests {
		fmt.Fprintf(&text, "\t\t%s,\n", r.fields())
	}
	text.WriteString("\t},\n")
	if c.Seed != 0 {
		fmt.Fprintf(&text, "\tSeed: %d,\n", c.Seed)
	}
	text.WriteString("}")
	return text.String()
}

func (r Request) fields() string {
	var fields []string
	for _, f := range []struct {
		name string
		d    time.Duration
	}{{"At", r.At}, {"Patience", r.Patience}, {"Leaves", r.Leaves}} {
		if f.d != 0 {
			fields = append(fields, f.name+": "+goDuration(f.d))
		}
	}
	return "{" + strings.Join(fields, ", ") + "}"
}

// goDuration is d as a Go expression.
func goDuration(d time.Duration) string {
	for _, unit := range []struct {
		name string
		d    time.Duration
	}{{"time.Hour", time.Hour}, {"time.Minute", time.Minute}, {"time.Second", time.Second}, {"time.Millisecond", time.Millisecond}, {"time.Microsecond", time.Microsecond}} {
		switch {
		case d == unit.d:
			return unit.name
		case d%unit.d == 0 && d != 0:
			return fmt.Sprintf("%d*%s", d/unit.d, unit.name)
		}
	}
	return fmt.Sprintf("%d", d)
}
