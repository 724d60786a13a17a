package policy_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

// An act is how a call of the scripted dependency ends.
type act uint8

const (
	works         act = iota
	fails             // may pass
	failsForGood      // marked Permanent
	saysCancelled     // a context.Canceled that nobody here asked for
	panics
)

// A step is one call of the scripted dependency.
type step struct {
	does  act
	takes time.Duration
	deaf  bool          // it does not heed its context
	hint  time.Duration // with a failure: wishes to be left alone for so long
}

func (s step) GoString() string {
	names := [...]string{"works", "fails", "failsForGood", "saysCancelled", "panics"}
	return fmt.Sprintf("{does: %s, takes: %d, deaf: %t, hint: %d}", names[s.does], s.takes, s.deaf, s.hint)
}

// A script is what the dependency does, call by call; after its end everything works at once.
type script []step

func (s script) at(k int) step {
	if k < len(s) {
		return s[k]
	}
	return step{}
}

// A failure is the error of one call.
type failure struct{ call int }

func (f *failure) Error() string { return fmt.Sprintf("call %d failed", f.call) }

// A caller is who executes the pipeline: for how long, and whether it goes away.
type caller struct {
	deadline time.Duration // after the start; 0 for none
	cancel   time.Duration // after the start; 0 for never, negative for before
	once     bool
}

var (
	errHungUp  = errors.New("the caller hung up")
	errTooLate = errors.New("the caller's deadline")
)

// ends is when the caller's context ends, after the start, and whether it does.
func (c caller) ends() (time.Duration, bool) {
	switch {
	case c.cancel < 0:
		return 0, true
	case c.cancel > 0 && (c.deadline == 0 || c.cancel <= c.deadline):
		return c.cancel, true
	default:
		return c.deadline, c.deadline > 0
	}
}

// cause is that of the caller's context once it has ended.
func (c caller) cause() error {
	if at, _ := c.ends(); c.cancel < 0 || c.cancel > 0 && c.cancel == at {
		return errHungUp
	}
	return errTooLate
}

// context is the caller's context on clk. Calling done frees what it holds.
func (c caller) context(clk clock.Clock) (ctx context.Context, done func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	done = func() { cancel(nil) }
	switch {
	case c.cancel < 0:
		cancel(errHungUp)
	case c.cancel > 0:
		timer := clk.AfterFunc(c.cancel, func() { cancel(errHungUp) })
		done = func() { timer.Stop(); cancel(nil) }
	}
	if c.deadline > 0 {
		limited, stop := clock.WithTimeout(ctx, clk, c.deadline, errTooLate)
		outer := done
		ctx, done = limited, func() { stop(); outer() }
	}
	if c.once {
		ctx = policy.Once(ctx)
	}
	return ctx, done
}

// A visit is one call of the dependency, in time since the start of the run.
type visit struct {
	begins, ends time.Duration
	attempt      int
	ctx          context.Context
	dead         error // what the context's Err was when the call began
	deadline     time.Duration
	limited      bool // the context has a deadline
	v            int
	err          error
}

// A heard is an event, and when it was told.
type heard struct {
	policy.Event
	at time.Duration
}

// A run is one execution of a pipeline, as its dependency, its observers and its caller saw it.
type run struct {
	clk    clock.Clock
	start  int64
	script script

	mu        sync.Mutex // guards the slices: a detached call may still be writing
	calls     []visit
	events    []heard
	discarded []int
	answered  []error // what each fallback was given

	ended    time.Duration
	v        int
	err      error
	panicked any
	pending  int // timers left on a Virtual clock, but for the caller's own
}

// newRun is a run that starts now.
func newRun(clk clock.Clock, s script) *run { return &run{clk: clk, start: clk.Nanos(), script: s} }

func (r *run) now() time.Duration { return time.Duration(r.clk.Nanos() - r.start) }

// do executes the pipeline for a caller.
func (r *run) do(c caller, p pipeline.Pipeline[int]) *run {
	ctx, done := c.context(r.clk)
	func() {
		defer func() {
			r.panicked = recover()
			r.ended = r.now()
		}()
		r.v, r.err = p.Do(ctx, r.dependency)
	}()
	r.countTimers(c)
	done()
	return r
}

// countTimers counts the timers that the execution has left on a Virtual clock, beside the caller's own. Package
// context tells of a cancellation on a goroutine, which may be stopping some just now.
func (r *run) countTimers(c caller) {
	v, ok := r.clk.(*clock.Virtual)
	if !ok {
		return
	}
	own := 0
	if c.cancel >= r.ended && c.cancel > 0 {
		own++
	}
	if c.deadline > 0 {
		own++
	}
	for range 10_000 {
		if r.pending = max(0, v.Pending()-own); r.pending == 0 {
			return
		}
		runtime.Gosched()
	}
}

// dependency is the func that the pipeline protects.
func (r *run) dependency(ctx context.Context) (v int, err error) {
	k := r.begin(ctx)
	defer func() { r.end(k, v, err) }()
	s := r.script.at(k)
	if s.deaf {
		_ = r.clk.Sleep(context.Background(), s.takes)
	} else if s.takes > 0 && r.clk.Sleep(ctx, s.takes) != nil {
		return -k - 1, ctx.Err()
	}
	switch s.does {
	case works:
		return k + 1, nil
	case panics:
		panic(&failure{k + 1})
	case failsForGood:
		err = policy.Permanent(&failure{k + 1})
	case saysCancelled:
		err = fmt.Errorf("%w: %w", &failure{k + 1}, context.Canceled)
	case fails:
		err = &failure{k + 1}
	}
	if s.hint != 0 {
		err = policy.RetryAfter(err, s.hint)
	}
	return -k - 1, err
}

func (r *run) begin(ctx context.Context) int {
	c := visit{begins: r.now(), attempt: policy.Attempt(ctx), ctx: ctx, dead: ctx.Err()}
	if at, ok := ctx.Deadline(); ok {
		c.limited, c.deadline = true, at.Sub(clock.Time(r.clk, r.start))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, c)
	return len(r.calls) - 1
}

func (r *run) end(k, v int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls[k].ends, r.calls[k].v, r.calls[k].err = r.now(), v, err
}

// Observe makes a run the observer of its pipeline.
func (r *run) Observe(_ context.Context, e policy.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, heard{e, r.now()})
}

func (r *run) discard(v int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.discarded = append(r.discarded, v)
}

// last is the last call; the run must have one.
func (r *run) last() visit { return r.calls[len(r.calls)-1] }

// of is the events of one kind.
func (r *run) of(kind policy.Kind) []heard {
	return slices.DeleteFunc(slices.Clone(r.events), func(h heard) bool { return h.Kind != kind })
}

// trace is all that must be the same when the same thing happens again, and no pointers.
func (r *run) trace() string {
	var text strings.Builder
	fmt.Fprintln(&text, "ended", r.ended, r.v, r.err, r.panicked, r.discarded, r.answered, r.pending)
	for _, c := range r.calls {
		fmt.Fprintln(&text, "call", c.begins, c.ends, c.attempt, c.dead, c.deadline, c.limited, c.v, c.err)
	}
	for _, e := range r.events {
		fmt.Fprintln(&text, e.at, e.Kind, e.Policy, e.Name, e.Attempt, e.Outcome, e.Err, e.Reason, e.Delay, e.Elapsed)
	}
	return text.String()
}

// findings are the ways in which a run breaks what is promised.
type findings []string

func (f *findings) require(kept bool, promise string, args ...any) {
	if !kept {
		*f = append(*f, fmt.Sprintf(promise, args...))
	}
}
