package proptest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
	"github.com/holdfast-go/holdfast/policy/policytest"
	"github.com/holdfast-go/holdfast/policy/policytest/internal/watchdog"
)

// An Env is what the pipeline under test lives on: its policies and circuits must have this Clock, and should draw from
// Rand where they draw at all.
type Env struct {
	Clock *clock.Virtual
	Rand  func() float64
}

// A Run is what a pipeline made of a Case.
type Run struct {
	Case    Case
	Answers []Answer      // one for each request of the case, in order
	Calls   []Call        // of the dependency, in the order in which they began
	Probes  []Answer      // after the case, where a property asks for them
	Bounds  policy.Bounds // what Explain says

	start  int64 // on the clock
	broken error // why the run did not come to its end
	hangs  bool  // it still goes on, and nothing of it may be read
	left   error
	lines  []string
}

// An Answer is what became of a request.
type Answer struct {
	Begin, End time.Duration // since the start
	Err        error
	Panic      any  // what it panicked with
	Calls      int  // of the dependency
	FellBack   bool // a Fallback answered, or tried to
}

func (a Answer) said() string {
	switch p, elsewhere := a.Panic.(*policy.Panic); {
	case elsewhere: // without the stack of the goroutine where it was
		return fmt.Sprintf("a panic: %v", p.Value)
	case a.Panic != nil:
		return fmt.Sprintf("a panic: %v", a.Panic)
	case a.Err != nil:
		return fmt.Sprintf("the error %q", a.Err)
	case a.FellBack:
		return "a fallback"
	default:
		return "a success"
	}
}

// A Call is one call of the dependency. Its times are since the start of the run.
type Call struct {
	policytest.Visit
	Request   int  // whose it is, from 1
	WhileOpen bool // a circuit of the pipeline was open or isolated when it began
	InTime    bool // it returned while its context had not ended
}

// last is the last call of a request, nil if it made none.
func (r *Run) last(request int) *Call {
	for i := len(r.Calls) - 1; i >= 0; i-- {
		if r.Calls[i].Request == request {
			return &r.Calls[i]
		}
	}
	return nil
}

// worked reports whether a call of a request has succeeded.
func (r *Run) worked(request int) bool {
	return slices.ContainsFunc(r.Calls, func(c Call) bool { return c.Request == request && c.Ended && c.Err == nil })
}

// What ends the contexts of requests.
var (
	errImpatient = errors.New("the caller's patience is at an end")
	errLeft      = errors.New("the caller went away")
)

// A runner is a Run under way.
type runner[T any] struct {
	Run
	clock    *clock.Virtual
	pipeline pipeline.Pipeline[T]
	script   policytest.Script[T]
	shut     map[*policy.Circuit]bool // circuits that let nothing through
	begun    []Call                   // but for the Visit
	asking   int                      // requests that have no answer yet
	timers   int                      // that were pending after the last answer
	muted    bool                     // what happens is not told
}

type requestKey struct{}

// run puts what build builds through c, and goes on for probe.
func run[T any](c Case, build func(Env) pipeline.Pipeline[T], probe time.Duration) (r *Run) {
	census(func(others func() int) { r = play(c, build, probe, others) })
	return r
}

// play is run, with what counts the goroutines that came of it.
func play[T any](c Case, build func(Env) pipeline.Pipeline[T], probe time.Duration, others func() int) *Run {
	v := clock.NewVirtual()
	v.EndAlone()
	if c.Seed != 0 { // what happens at one instant happens in any order
		v.Shuffle(c.Seed)
	}
	r := &runner[T]{Run: Run{Case: c, start: v.Nanos()}, clock: v, shut: map[*policy.Circuit]bool{}}
	random := rand.New(rand.NewPCG(c.Seed, 1))
	p := build(Env{v, random.Float64})
	if on := p.Clock(); on != nil && on != clock.Clock(v) {
		r.broken = errors.New("the pipeline is not on Env.Clock")
		return &r.Run
	}
	r.Bounds = p.Explain().Bounds
	r.script = policytest.Script[T]{Schedule: c.Schedule, Clock: v, Rand: rand.New(rand.NewPCG(c.Seed, 2)).Float64}
	r.pipeline = p.Observe(policy.ObserverFunc(r.observe))
	for _, circuit := range p.Circuits() {
		if now := circuit.Snapshot(); now.Generation > 1 || now.Calls+now.InFlight > 0 {
			r.broken = fmt.Errorf("build must make everything anew: circuit %q has been in use before", circuit.Name)
			return &r.Run
		}
		r.watch(circuit)
	}
	r.Answers = make([]Answer, len(c.Requests))
	r.asking = len(c.Requests)
	for i, request := range c.Requests {
		v.Go(func() { r.request(i+1, request, &r.Answers[i]) })
	}
	r.drive()
	if r.broken == nil && probe > 0 {
		r.probe(probe)
	}
	if r.hangs {
		return &Run{Case: c, broken: r.broken, hangs: true}
	}
	r.collect()
	if r.broken == nil {
		r.left = r.leftovers(p.Circuits(), others)
	}
	return &r.Run
}

func (r *runner[T]) now() time.Duration { return clock.Since(r.start, r.clock.Nanos()) }

func (r *runner[T]) say(request int, format string, args ...any) {
	if r.muted {
		return
	}
	who := "          "
	if request > 0 {
		who = fmt.Sprintf("request %-2d", request)
	}
	line := fmt.Sprintf("%-10v %s  %s", r.now().Round(time.Microsecond), who, fmt.Sprintf(format, args...))
	r.lines = append(r.lines, strings.TrimRight(line, " "))
}

// drive runs all processes to their ends, each time a goroutine ends anew.
func (r *runner[T]) drive() {
	for over := false; !over; {
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer func() {
				if p := recover(); p != nil {
					r.broken, over = fmt.Errorf("the run did not come to its end: %v", p), true
				}
			}()
			r.clock.Run()
			over = true
		}()
		if err := watchdog.Wait(done); err != nil {
			r.hangs, r.broken = true, errors.New("the run hangs: "+err.Error())
			return
		}
	}
}

// request is a process that uses the pipeline.
func (r *runner[T]) request(number int, request Request, a *Answer) {
	ctx := context.WithValue(context.Background(), requestKey{}, number)
	if err := r.clock.Sleep(ctx, request.At); err != nil {
		return
	}
	a.Begin = r.now()
	r.say(number, "begins%s", request.limits())
	if request.Patience > 0 {
		limited, cancel := clock.WithTimeout(ctx, r.clock, request.Patience, errImpatient)
		defer cancel()
		ctx = limited
	}
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	if request.Leaves > 0 {
		timer := r.clock.AfterFunc(request.Leaves, func() { leave(errLeft) })
		defer timer.Stop()
	}
	defer func() {
		a.Panic = recover()
		a.End = r.now()
		r.say(number, "got %s", a.said())
		if r.asking--; r.asking == 0 {
			r.clock.AfterFunc(1, func() { r.timers = r.clock.Pending() })
		}
	}()
	a.Err = policy.ErrPanicked // stays so if the goroutine ends
	_, a.Err = r.pipeline.Do(ctx, r.call)
}

func (r Request) limits() string {
	var text string
	if r.Patience > 0 && r.Patience < patience {
		text += fmt.Sprintf(", has patience for %v", r.Patience)
	}
	if r.Leaves > 0 {
		text += fmt.Sprintf(", leaves after %v", r.Leaves)
	}
	return text
}

// call is what the pipeline protects.
func (r *runner[T]) call(ctx context.Context) (T, error) {
	request, _ := ctx.Value(requestKey{}).(int)
	open := false
	for _, shut := range r.shut {
		open = open || shut
	}
	r.begun = append(r.begun, Call{Request: request, WhileOpen: open, Visit: policytest.Visit{Begin: r.now()}})
	number := len(r.begun)
	r.say(request, "calls: call %d", number)
	v, err := r.script.Call(ctx)
	r.begun[number-1].InTime = ctx.Err() == nil
	return v, err
}

// watch hears of a circuit's changes, beside the hook that it has.
func (r *runner[T]) watch(circuit *policy.Circuit) {
	told := circuit.OnChange
	circuit.OnChange = func(c policy.Change) {
		r.shut[circuit] = c.To == policy.Open || c.To == policy.Isolated
		r.say(0, "%s", policytest.Heard{Change: &c})
		if told != nil {
			told(c)
		}
	}
}

func (r *runner[T]) observe(ctx context.Context, e policy.Event) {
	number, _ := ctx.Value(requestKey{}).(int)
	if a := r.answer(number); a != nil && e.Kind == policy.FellBack {
		a.FellBack = true
	}
	if e.Elapsed = 0; e.Kind != policy.Finished { // the timeline has its own times
		r.say(number, "%s", policytest.Heard{Event: e})
	}
}

// answer is that of a request of the case, or of a probe.
func (r *runner[T]) answer(number int) *Answer {
	switch requests := len(r.Answers); {
	case number < 1:
		return nil
	case number <= requests:
		return &r.Answers[number-1]
	case number-requests <= len(r.Probes):
		return &r.Probes[number-requests-1]
	default:
		return nil
	}
}

// probes is how many requests come after a case.
const probes = 20

// probe sends requests for d to a dependency that works.
func (r *runner[T]) probe(d time.Duration) {
	r.script.Heal()
	r.say(0, "the dependency is well from here on")
	r.Probes = make([]Answer, probes)
	start := r.clock.Nanos()
	r.clock.Go(func() {
		for i := range r.Probes {
			r.muted = i < probes-1
			due := time.Duration(float64(d) / probes * float64(i+1))
			_ = r.clock.Sleep(context.Background(), due-clock.Since(start, r.clock.Nanos()))
			r.request(len(r.Answers)+i+1, Request{Patience: patience}, &r.Probes[i])
		}
	})
	r.drive()
}

// collect gathers the calls, and counts them for their requests.
func (r *runner[T]) collect() {
	for i, visit := range r.script.Visits() {
		c := r.begun[i]
		visit.End += c.Begin - visit.Begin
		visit.Begin = c.Begin
		c.Visit = visit
		r.Calls = append(r.Calls, c)
		if a := r.answer(c.Request); a != nil {
			a.Calls++
		}
	}
}

// leftovers says what a run has left behind. Goroutines that are ending need a moment.
func (r *runner[T]) leftovers(circuits []*policy.Circuit, others func() int) error {
	for _, c := range circuits {
		if n := c.Snapshot().InFlight; n > 0 {
			return fmt.Errorf("circuit %q believes that %d calls are in flight", c.Name, n)
		}
	}
	if r.timers > 0 {
		return fmt.Errorf("timers left after the last answer: %d", r.timers)
	}
	left := others()
	for try := 0; left > 0 && try < 1200; try++ {
		if runtime.Gosched(); try >= 1000 { // the machine is busy, or something is left
			_ = clock.System.Sleep(context.Background(), time.Millisecond)
		}
		left = others()
	}
	if left > 0 {
		return fmt.Errorf("goroutines left behind: %d", left)
	}
	return nil
}
