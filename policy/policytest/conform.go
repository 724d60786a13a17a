package policytest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/policy"
	"github.com/holdfast-go/holdfast/policy/policytest/internal/watchdog"
)

// Conform checks the rules that every policy must keep, each in a subtest by the rule's name. build makes the policy as
// new, on the given clock; a policy that has a Clock field must be given it. Run it with -race.
//
// The policy must be one that lets a first call through, and lets one through again an hour after whatever happened. A
// rule that has got no answer from it after 10 seconds fails, and says where it waits.
func Conform(t *testing.T, build func(clock.Clock) policy.Policy[int]) {
	t.Helper()
	if build == nil || build(clock.NewVirtual()) == nil {
		t.Fatal("there is no policy: build is nil, or returns nil")
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			if err := r.judge(t, build); err != nil {
				t.Errorf("the rule: %s\n%v", r.rule, err)
			}
		})
	}
}

type builder = func(clock.Clock) policy.Policy[int]

// A rule is what Conform checks.
type rule struct {
	name, rule string
	check      func(*testing.T, builder) error
}

// judge runs check on a goroutine of its own, so that a policy that hangs does not hang the test. A panic is an error: one
// that the policy has made, or the clock's about processes that wait for ever.
func (r rule) judge(t *testing.T, build builder) (err error) {
	done := make(chan struct{})
	var judged error
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				judged = fmt.Errorf("a panic: %v", p)
			}
		}()
		judged = r.check(t, build)
	}()
	if err := watchdog.Wait(done); err != nil {
		return err
	}
	return judged
}

var rules = []rule{
	{"value", "a success comes back as it is", keepsTheValue},
	{"error", "the func's error comes back, for errors.Is and errors.As, and its value too, unless the policy answers in its place", keepsTheError},
	{"panic", "a panic goes on unchanged, and leaves nothing behind", survives("panic")},
	{"goexit", "a func that ends its goroutine ends it, and leaves nothing behind", survives("exit")},
	{"failures", "failures leave nothing behind: an hour later, what works works", survives("fail")},
	{"context", "the func's context has the caller's values, and ends when the caller's does", passesTheContext},
	{"cancel", "the caller gets an answer as soon as its context ends, whatever the policy waits for", heedsTheContext},
	{"ended", "a caller whose context has ended is told so, or what the func returned", knowsAnEndedContext},
	{"once", "a call marked by policy.Once is made once", callsOnce},
	{"blame", "what callers do does not count against the dependency: they cancel, or come with an ended context", blames},
	{"return", "no call of the func begins after the policy has returned", stopsCalling},
	{"clock", "the policy waits on the clock it was given and on no other", waitsOnItsClock},
	{"concurrent", "the policy is safe for concurrent use", survivesACrowd},
	{"description", "what the policy says of itself, by Describe, is so", keepsItsDescription},
}

var errScripted = errors.New("as scripted")

func works(context.Context) (int, error) { return 7, nil }

// said is an error in words.
func said(err error) string {
	if err == nil {
		return "nil"
	}
	return err.Error()
}

func keepsTheValue(t *testing.T, build builder) error {
	v := clock.NewVirtual()
	n, err := policy.Through(works, build(v)).Do(t.Context())
	if n != 7 || err != nil {
		return fmt.Errorf("the func returned 7, nil; the policy returned %d, %s", n, said(err))
	}
	return nothingLeft(v)
}

func keepsTheError(t *testing.T, build builder) error {
	for _, failed := range []error{errScripted, policy.Permanent(errScripted), &CallError{1}} {
		v := clock.NewVirtual()
		p := build(v)
		n, err := policy.Through(func(context.Context) (int, error) { return 3, failed }, p).Do(t.Context())
		if answers(p) && err == nil {
			continue
		}
		if n != 3 || !errors.Is(err, failed) {
			return fmt.Errorf("the func returned 3, %q; the policy returned %d, %s", failed.Error(), n, said(err))
		}
		if err := nothingLeft(v); err != nil {
			return err
		}
	}
	return nil
}

func answers(p policy.Policy[int]) bool {
	d, ok := p.(policy.Describer)
	return ok && d.Describe().Answers
}

// survives checks that a policy is as good as new an hour after many calls that all ended in one way.
func survives(how string) func(*testing.T, builder) error {
	return func(t *testing.T, build builder) error {
		v := clock.NewVirtual()
		p := build(v)
		end := &Script[int]{Schedule: MustParse("1000000h " + how), Clock: v}
		ended := func(ctx context.Context) (int, error) { return end.Call(ctx) }
		for range 300 {
			asked := len(end.Visits())
			returned, panicked := execute(t.Context(), v, policy.Through(ended, p))
			if len(end.Visits()) == asked {
				continue // refused
			}
			if other, ok := panicked.(*policy.Panic); ok {
				panicked = other.Value // brought over from another goroutine
			}
			if _, same := panicked.(*CallError); how == "panic" && !same {
				return fmt.Errorf("the func panicked with a *CallError; the caller saw %v", panicked)
			}
			if how == "exit" && returned {
				return errors.New("the func ended its goroutine; the policy returned")
			}
			if how == "fail" && panicked != nil {
				return fmt.Errorf("the func failed; the policy panicked with %v", panicked)
			}
		}
		for range 5 {
			v.Advance(time.Hour)
			if n, err := policy.Through(works, p).Do(t.Context()); n == 7 && err == nil {
				return nothingLeft(v)
			}
		}
		return errors.New("hours later, it still does not let a call through")
	}
}

// execute runs next in a process of v, which may end in any way.
func execute(ctx context.Context, v *clock.Virtual, next policy.Next[int]) (returned bool, panicked any) {
	v.Go(func() {
		defer func() {
			if !returned {
				panicked = recover()
			}
		}()
		_, _ = next.Do(ctx)
		returned = true
	})
	for !drive(v) { // a process that ends its goroutine ends the driver's as well
	}
	return returned, panicked
}

// drive runs v on a goroutine of its own, and reports whether it came to the end.
func drive(v *clock.Virtual) (over bool) {
	done := make(chan struct{})
	var panicked any
	go func() {
		defer close(done)
		defer func() { panicked = recover() }()
		v.Run()
		over = true
	}()
	<-done
	if panicked != nil {
		panic(panicked) // on the goroutine of the test
	}
	return over
}

type key struct{}

func passesTheContext(t *testing.T, build builder) error {
	v := clock.NewVirtual()
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
	defer cancel()
	var problem error
	_, _ = execute(ctx, v, policy.Through(func(ctx context.Context) (int, error) {
		if ctx.Value(key{}) != "value" {
			problem = errors.New("a value of the caller's context is missing: derive the context that you give to next from the caller's")
		}
		if ctx.Err() != nil {
			problem = errors.New("the func's context has ended before the func began")
		}
		cancel()
		if v.Sleep(ctx, time.Nanosecond) == nil {
			problem = errors.New("the caller's context has ended, and the func's has not: derive the context that you give to next from the caller's, not from context.Background or WithoutCancel")
		}
		return 0, ctx.Err()
	}, build(v)))
	if problem == nil {
		problem = nothingLeft(v)
	}
	return problem
}

func heedsTheContext(t *testing.T, build builder) error {
	for _, how := range []string{"fail", "fail@10ms", "hang", "fail@1ms/hint=1h"} {
		for _, after := range []time.Duration{1, time.Millisecond, 15 * time.Millisecond, time.Second, time.Minute} {
			v := clock.NewVirtual()
			p := build(v)
			s := &Script[int]{Schedule: MustParse("1000*" + how), Clock: v}
			ctx, cancel := context.WithCancelCause(t.Context())
			start, why := v.Nanos(), errors.New("the caller went away")
			timer := v.AfterFunc(after, func() { cancel(why) })
			var err error
			var ended time.Duration
			v.Go(func() {
				_, err = policy.Through(s.Call, p).Do(ctx)
				ended = clock.Since(start, v.Nanos())
			})
			v.Run()
			timer.Stop()
			cancel(nil)
			if ended > after {
				return fmt.Errorf("the caller went away after %v; the policy returned after %v (each call: %s)", after, ended, how)
			}
			if visits := s.Visits(); ended == after && err == nil && !answers(p) {
				return fmt.Errorf("the caller went away after %v; the policy returned no error, after %d calls that failed", after, len(visits))
			}
			if err := nothingLeft(v); err != nil {
				return err
			}
		}
	}
	return nil
}

func knowsAnEndedContext(t *testing.T, build builder) error {
	why := errors.New("the caller went away")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	v := clock.NewVirtual()
	called := false
	n, err := policy.Through(func(context.Context) (int, error) { called = true; return 7, nil }, build(v)).Do(ctx)
	if called && n == 7 && err == nil || errors.Is(err, why) || errors.Is(err, context.Canceled) {
		return nothingLeft(v)
	}
	return fmt.Errorf("the func was called: %t; the policy returned %d, %s", called, n, said(err))
}

func stopsCalling(t *testing.T, build builder) error {
	for _, text := range []string{"", "ok@1h", "fail@1h ok", "3*fail@10ms ok@1m", "100*fail@1s", "hang 100*ok@10s"} {
		v := clock.NewVirtual()
		s := &Script[int]{Schedule: MustParse(text), Clock: v}
		calls := -1
		ctx, cancel := clock.WithTimeout(t.Context(), v, 24*time.Hour, nil)
		v.Go(func() {
			defer cancel()
			_, _ = policy.Through(s.Call, build(v)).Do(ctx)
			calls = len(s.Visits())
		})
		v.Run()
		if after := len(s.Visits()); after != calls {
			return fmt.Errorf("the policy returned after %d calls; then came %d more", calls, after-calls)
		}
	}
	return nil
}

// waitsOnItsClock runs a policy on a Virtual clock in a bubble, whose own time must stand still.
func waitsOnItsClock(t *testing.T, build builder) (err error) {
	synctest.Test(t, func(t *testing.T) {
		v := clock.NewVirtual()
		s := &Script[int]{Schedule: MustParse("1000*fail@10ms"), Clock: v}
		start := clock.System.Nanos()
		ctx, cancel := clock.WithTimeout(t.Context(), v, time.Hour, nil)
		defer cancel()
		v.Go(func() { _, _ = policy.Through(s.Call, build(v)).Do(ctx) })
		v.Run()
		if passed := clock.Since(start, clock.System.Nanos()); passed > 0 {
			err = fmt.Errorf("%v passed on the system's clock", passed)
		}
	})
	return err
}

// survivesACrowd runs a policy from many goroutines in a bubble, which also waits for every goroutine to end.
func survivesACrowd(t *testing.T, build builder) error {
	var wrong atomic.Pointer[error]
	synctest.Test(t, func(t *testing.T) {
		p := build(clock.System)
		var all sync.WaitGroup
		for caller := range 8 {
			all.Go(func() {
				random := rand.New(rand.NewPCG(uint64(caller), 0))
				for call := range 50 {
					want := caller*1000 + call
					failed := random.IntN(4) == 0
					n, err := policy.Through(func(context.Context) (int, error) {
						runtime.Gosched()
						if failed {
							return want, errScripted
						}
						return want, nil
					}, p).Do(t.Context())
					if err == nil && n != want && !answers(p) {
						mixed := fmt.Errorf("a caller got %d, and its func had returned %d", n, want)
						wrong.Store(&mixed)
					}
				}
			})
		}
		all.Wait()
	})
	if mixed := wrong.Load(); mixed != nil {
		return *mixed
	}
	return nil
}

func keepsItsDescription(t *testing.T, build builder) error {
	d, ok := build(clock.NewVirtual()).(policy.Describer)
	if !ok {
		return nil // and pipeline.Explain says so
	}
	described := d.Describe()
	if described.Kind == "" {
		return errors.New("its Kind is empty")
	}
	if described.Bounds == nil {
		return nil
	}
	v := clock.NewVirtual()
	s := &Script[int]{Schedule: MustParse("100000*fail"), Clock: v}
	p := build(v)
	most := p.(policy.Describer).Describe().Bounds(policy.BareBounds())
	start := v.Nanos()
	_, _ = execute(t.Context(), v, policy.Through(s.Call, p))
	if calls := len(s.Visits()); most.Calls.Known() && calls > most.Calls.Most {
		return fmt.Errorf("it called %d times, and says at most %d", calls, most.Calls.Most)
	}
	if peak := s.Peak(); most.AtOnce.Known() && peak > most.AtOnce.Most {
		return fmt.Errorf("it called %d at once, and says at most %d", peak, most.AtOnce.Most)
	}
	if took := clock.Since(start, v.Nanos()); most.Wait.Known() && took > most.Wait.Most && most.Calls.Known() {
		return fmt.Errorf("it waited %v, and says at most %v", took, most.Wait.Most)
	}
	return nil
}

// nothingLeft reports timers that nobody needs any more. Package context tells of some cancellations on a goroutine,
// which may be stopping one just now.
func nothingLeft(v *clock.Virtual) error {
	v.Advance(0)
	for range 10_000 {
		if v.Pending() == 0 {
			return nil
		}
		runtime.Gosched()
	}
	return fmt.Errorf("timers left: %d", v.Pending())
}
