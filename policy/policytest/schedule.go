package policytest

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/clock"
)

// A Schedule says how a dependency behaves. It is data: it can be printed, pasted into a test, and played any number of
// times. There are two kinds, [Calls] and [Phases].
type Schedule interface {
	// At is how a call goes.
	At(Call) Step

	// String is the text that Parse reads.
	String() string

	sealed()
}

// A Call is what a Schedule may go by.
type Call struct {
	Number int           // of the call, from 1
	Since  time.Duration // since the first call
	Live   int           // calls in flight, this one included
	Luck   float64       // drawn for this call, in [0, 1)
}

// An Act is how a call ends.
type Act uint8

// How a call ends.
const (
	OK        Act = iota // with a value
	Fail                 // with an error that may pass
	Permanent            // with an error marked by policy.Permanent
	Cancel               // with a context.Canceled of the dependency's own
	Panic                // with a panic
	Exit                 // by ending its goroutine: runtime.Goexit
	Hang                 // not before its context does
)

var acts = [...]string{"ok", "fail", "permanent", "cancel", "panic", "exit", "hang"}

// String is the act as schedules write it.
func (a Act) String() string {
	if int(a) < len(acts) {
		return acts[a]
	}
	return fmt.Sprintf("Act(%d)", a)
}

// A Step is how one call goes. The zero Step answers at once.
//
// Its text is the act, the latency after an @, and what else is to be said after slashes: "fail@100ms/hint=2s/deaf".
type Step struct {
	Act     Act
	Latency time.Duration // how long the call takes, if its context lasts that long
	Hint    time.Duration // with Fail: after how long to come back, as policy.RetryAfter says it; 0 for no hint
	Deaf    bool          // it does not heed its context
}

// String is the text of the step.
func (s Step) String() string {
	var text strings.Builder
	text.WriteString(s.Act.String())
	if s.Latency != 0 {
		text.WriteString("@" + s.Latency.String())
	}
	if s.Hint != 0 {
		text.WriteString("/hint=" + s.Hint.String())
	}
	if s.Deaf {
		text.WriteString("/deaf")
	}
	return text.String()
}

// Calls is a schedule call by call. Calls after the last are OK.
type Calls []Step

// At is the step of the call's number.
func (c Calls) At(call Call) Step {
	if call.Number < 1 || call.Number > len(c) {
		return Step{}
	}
	return c[call.Number-1]
}

// String is the text of the schedule: steps with spaces between, the same one n times over as n*step.
func (c Calls) String() string {
	var text []string
	for i := 0; i < len(c); {
		n := 1
		for i+n < len(c) && c[i+n] == c[i] {
			n++
		}
		if n == 1 {
			text = append(text, c[i].String())
		} else {
			text = append(text, strconv.Itoa(n)+"*"+c[i].String())
		}
		i += n
	}
	return strings.Join(text, " ")
}

// GoString is the schedule as a Go expression.
func (c Calls) GoString() string { return goString(c) }

func (Calls) sealed() {}

// Phases is a schedule phase by phase, from the first call on. Calls after the last phase are OK.
type Phases []Phase

// A Phase is a time in which a dependency behaves in one way.
//
// Its text is the duration, the share, the step and the capacity: "5s 80% fail@200ms capacity 50". What is left out is
// 100%, ok, and no limit.
type Phase struct {
	For      time.Duration // more than 0
	Share    float64       // of calls that end as Step says, in (0, 1]; 0 means 1. The others are OK, after the same latency
	Step     Step
	Capacity int // calls in flight beyond this many Fail at once; 0 for no limit
}

// At is how a call goes in the phase it falls into.
func (p Phases) At(call Call) Step {
	for _, phase := range p {
		if call.Since < phase.For {
			return phase.at(call)
		}
		call.Since -= phase.For
	}
	return Step{}
}

func (p Phase) at(call Call) Step {
	switch {
	case p.Capacity > 0 && call.Live > p.Capacity:
		return Step{Act: Fail}
	case p.Share > 0 && call.Luck >= p.Share:
		return Step{Latency: p.Step.Latency, Deaf: p.Step.Deaf}
	default:
		return p.Step
	}
}

// Length is how long the phases last together.
func (p Phases) Length() time.Duration {
	var length time.Duration
	for _, phase := range p {
		length = time.Duration(clock.After(int64(length), phase.For))
	}
	return length
}

// String is the text of the schedule: phases with semicolons between.
func (p Phases) String() string {
	text := make([]string, len(p))
	for i, phase := range p {
		text[i] = phase.String()
	}
	return strings.Join(text, "; ")
}

// String is the text of the phase.
func (p Phase) String() string {
	text := p.For.String()
	if p.Share > 0 && p.Share < 1 {
		text += " " + percent(p.Share)
	}
	if p.Step != (Step{}) || p.Capacity == 0 {
		text += " " + p.Step.String()
	}
	if p.Capacity > 0 {
		text += " capacity " + strconv.Itoa(p.Capacity)
	}
	return text
}

// percent is a share between 0 and 1 as a percentage. The digits are the share's own with the point two places on,
// because a product by 100 would be rounded, and might be that of another share.
func percent(share float64) string {
	digits := strings.TrimPrefix(strconv.FormatFloat(share, 'f', -1, 64), "0.") + "00"
	whole, rest := strings.TrimLeft(digits[:2], "0"), strings.TrimRight(digits[2:], "0")
	if whole == "" {
		whole = "0"
	}
	if rest != "" {
		rest = "." + rest
	}
	return whole + rest + "%"
}

// GoString is the schedule as a Go expression.
func (p Phases) GoString() string { return goString(p) }

func (Phases) sealed() {}

func goString(s Schedule) string { return "policytest.MustParse(" + strconv.Quote(s.String()) + ")" }
