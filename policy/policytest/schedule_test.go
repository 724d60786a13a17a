package policytest_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
	"github.com/holdfast-go/holdfast/policy/policytest"
)

func TestScheduleTexts(t *testing.T) {
	for text, want := range map[string]policytest.Schedule{
		"":                           policytest.Calls(nil),
		"2*ok 3*fail@100ms hang":     policytest.Calls{{}, {}, {Act: policytest.Fail, Latency: 100 * time.Millisecond}, {Act: policytest.Fail, Latency: 100 * time.Millisecond}, {Act: policytest.Fail, Latency: 100 * time.Millisecond}, {Act: policytest.Hang}},
		"fail@1s/hint=2s/deaf panic": policytest.Calls{{Act: policytest.Fail, Latency: time.Second, Hint: 2 * time.Second, Deaf: true}, {Act: policytest.Panic}},
		"permanent cancel exit":      policytest.Calls{{Act: policytest.Permanent}, {Act: policytest.Cancel}, {Act: policytest.Exit}},
		"10s ok; 5s 80% fail@200ms; 3s capacity 50": policytest.Phases{
			{For: 10 * time.Second},
			{For: 5 * time.Second, Share: 0.8, Step: policytest.Step{Act: policytest.Fail, Latency: 200 * time.Millisecond}},
			{For: 3 * time.Second, Capacity: 50},
		},
		"1m0s 12.5% hang capacity 2": policytest.Phases{{For: time.Minute, Share: 0.125, Step: policytest.Step{Act: policytest.Hang}, Capacity: 2}},
	} {
		got, err := policytest.Parse(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Equal(t, text, got.String())
	}
	for text, want := range map[string]policytest.Schedule{
		"  ok   ok ":       policytest.Calls{{}, {}},
		"1s;2s 100% fail":  policytest.Phases{{For: time.Second}, {For: 2 * time.Second, Step: policytest.Step{Act: policytest.Fail}}},
		"1s ok capacity 3": policytest.Phases{{For: time.Second, Capacity: 3}},
	} {
		got, err := policytest.Parse(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for text, says := range map[string]string{
		"fial": "want one of ok, fail", "0*ok": "from 1 to", "x*ok": "from 1 to", "1000001*ok": "from 1 to", "600000*ok 600000*ok": "more than",
		"fail@": "after the @", "fail@-1s": "above 0", "fail/hint=x": "after hint=", "ok/hint=1s": "where the call fails", "ok/loud": "want deaf",
		"1s;": "empty", "1s 0% fail": "share", "1s 101% fail": "share", "1s NaN% fail": "share", "1s capacity": "after capacity", "1s capacity 0": "after capacity",
		"1s fail fail": "too much", "0s ok": "above 0", "1s ok; fail": "want a duration", "2000000h; 2000000h": "longer than",
	} {
		_, err := policytest.Parse(text)
		require.ErrorContains(t, err, says, text)
		require.ErrorContains(t, err, "policytest: schedule")
		require.Panics(t, func() { policytest.MustParse(text) })
	}
	require.Equal(t, `policytest.MustParse("2*fail@900ms hang")`, policytest.MustParse("2*fail@900ms hang").(policytest.Calls).GoString())
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"3*ok 5*fail@100ms hang", "10s ok; 5s 80% fail@200ms; 3s capacity 50", "fail/hint=2s/deaf", "1s 33.3% panic capacity 7"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "*") && len(text) > 40 {
			return // a schedule of a million calls says nothing that a short one does not
		}
		s, err := policytest.Parse(text)
		if err != nil {
			return
		}
		again, err := policytest.Parse(s.String())
		require.NoError(t, err, "%q, printed as %q", text, s)
		require.Equal(t, s, again)
		require.Equal(t, s.String(), again.String())
	})
}

// A share prints as a person would write it, and comes back as it was, to the last bit.
func TestSharesParseBack(t *testing.T) {
	for share, text := range map[float64]string{
		0.07: "7%", 0.29: "29%", 0.145: "14.5%", 0.001: "0.1%", 1.0 / 3: "33.33333333333333%", 1e-7: "0.00001%",
	} {
		require.Contains(t, policytest.Phase{For: 1, Share: share}.String(), " "+text+" ")
	}
	rapid.Check(t, func(t *rapid.T) {
		p := policytest.Phases{{For: 1, Share: rapid.Float64Range(0, 1).Draw(t, "share")}}
		if p[0].Share == 1 {
			p[0].Share = 0 // which means 1
		}
		require.Equal(t, p, policytest.MustParse(p.String()))
	})
}

// Phases that last longer than a duration can say are those that it can reach.
func TestPhasesWithoutEnd(t *testing.T) {
	p := policytest.Phases{{For: math.MaxInt64}, {For: math.MaxInt64, Step: policytest.Step{Act: policytest.Fail}}}
	require.Equal(t, time.Duration(math.MaxInt64), p.Length())
	require.Equal(t, policytest.OK, p.At(policytest.Call{Since: math.MaxInt64 - 1}).Act)
	require.Equal(t, policytest.Fail, p.At(policytest.Call{Since: math.MaxInt64}).Act)
}

// A Script does what its schedule says, and remembers what it did.
func TestScriptPlays(t *testing.T) {
	v := clock.NewVirtual()
	s := &policytest.Script[int]{
		Schedule: policytest.MustParse("ok@1s fail/hint=2s permanent cancel panic ok"), Clock: v,
		Value: func(call int) int { return call * 10 },
	}
	n, err := s.Call(t.Context())
	require.Equal(t, 10, n)
	require.NoError(t, err)
	n, err = s.Call(t.Context())
	require.Equal(t, 20, n)
	hinting, ok := errors.AsType[interface {
		error
		RetryAfter() time.Duration
	}](err)
	require.True(t, ok)
	require.Equal(t, 2*time.Second, hinting.RetryAfter())
	_, err = s.Call(t.Context())
	require.Equal(t, policy.PermanentFailure, policy.Classify(0, err))
	_, err = s.Call(t.Context())
	require.ErrorIs(t, err, context.Canceled)
	require.PanicsWithError(t, "call 5 failed, as scheduled", func() { _, _ = s.Call(t.Context()) })
	visits := s.Visits()
	require.Len(t, visits, 5)
	require.Equal(t, time.Second, visits[0].End)
	require.ErrorIs(t, visits[4].Err, policy.ErrPanicked)
	require.True(t, visits[4].Ended)
	require.Zero(t, s.Live())

	// What hangs hangs until the context ends, and what is deaf even then.
	for text, want := range map[string]time.Duration{"hang": time.Second, "ok@1m": time.Second, "ok@1m/deaf": time.Minute} {
		v := clock.NewVirtual()
		s := &policytest.Script[int]{Schedule: policytest.MustParse(text), Clock: v}
		ctx, cancel := clock.WithTimeout(t.Context(), v, time.Second, nil)
		start := v.Nanos()
		_, err := s.Call(ctx)
		require.Equal(t, want, time.Duration(v.Nanos()-start), text)
		require.Equal(t, want == time.Second, err != nil, text)
		cancel()
	}
}

// Phases go by the time, the luck, and how many calls are in flight.
func TestScriptPlaysPhases(t *testing.T) {
	v := clock.NewVirtual()
	luck := 0.79
	s := &policytest.Script[int]{
		Schedule: policytest.MustParse("10s ok; 5s 80% fail@1s; 10s ok@1s capacity 2"), Clock: v,
		Rand: func() float64 { return luck },
	}
	call := func() error { _, err := s.Call(t.Context()); return err }
	require.NoError(t, call())
	v.Advance(10 * time.Second)
	require.Error(t, call())
	luck = 0.8
	require.NoError(t, call())
	v.Advance(3 * time.Second)
	failed := 0
	for range 3 {
		v.Go(func() {
			if call() != nil {
				failed++
			}
		})
	}
	v.Run()
	require.Equal(t, 1, failed)
	require.Equal(t, 3, s.Peak())
	v.Advance(10 * time.Second)
	luck = 0
	require.NoError(t, call(), "after the last phase")
	s.Schedule = policytest.MustParse("1h fail")
	s.Heal()
	require.NoError(t, call())
}

// What a Recording took down, a Script plays again.
func TestRecordingReplays(t *testing.T) {
	schedule := policytest.MustParse("2*ok@5ms fail@1s fail@20ms/hint=1m0s permanent cancel panic hang ok@30ms")
	v := clock.NewVirtual()
	s := &policytest.Script[int]{Schedule: schedule, Clock: v}
	r := &policytest.Recording[int]{Clock: v}
	p := pipeline.Wrap(&policy.Timeout[int]{Limit: 2 * time.Second, Clock: v}, r)
	for range 9 {
		func() {
			defer func() { _ = recover() }()
			_, _ = p.Do(t.Context(), s.Call)
		}()
	}
	require.Equal(t, schedule.String(), r.Schedule().String())

	last := &policytest.Recording[int]{Clock: v, Last: 2, Grain: time.Second}
	for _, text := range []string{"ok", "ok@1400ms", "fail@1600ms"} {
		s := &policytest.Script[int]{Schedule: policytest.MustParse(text), Clock: v}
		_, _ = pipeline.Wrap(last).Do(t.Context(), s.Call)
	}
	require.Equal(t, "ok@1s fail@2s", last.Schedule().String())
}

func TestRecorder(t *testing.T) {
	v := clock.NewVirtual()
	r := &policytest.Recorder{Clock: v}
	circuit := &policy.Circuit{Name: "db", Trip: policy.Consecutive(2), Clock: v, OnChange: r.Changed}
	p := pipeline.Wrap(&policy.Retry[int]{Attempts: 3, Backoff: policy.Constant(time.Second), Clock: v}, &policy.Breaker[int]{Circuit: circuit}).Observe(r)
	s := &policytest.Script[int]{Schedule: policytest.MustParse("9*fail@10ms"), Clock: v}
	_, _ = p.Do(t.Context(), s.Call)
	require.Len(t, r.Events(policy.Attempted), 2)
	require.Len(t, r.Changes(), 1)
	require.Equal(t, `0s         attempted (attempt 1, 10ms) — call 1 failed, as scheduled
0s         retry calls again in 1s — call 1 failed, as scheduled
1.01s      attempted (attempt 2, 10ms) — call 2 failed, as scheduled
1.01s      circuit db closed → open — call 2 failed, as scheduled
1.01s      retry gave up (attempt refused) — call 2 failed, as scheduled
1.01s      finished after 1.02s — call 2 failed, as scheduled
breaker db: circuit is open
`, r.String())
	r.Reset()
	require.Empty(t, r.All())
}

// A schedule is also a drill.
func TestFaultsDriveChaos(t *testing.T) {
	v := clock.NewVirtual()
	down := errors.New("a drill")
	on := new(policy.Switch)
	on.Set(true)
	chaos := &policy.Chaos[int]{Switch: on, Clock: v, Script: policytest.Faults(policytest.MustParse("10s ok; 5s fail@1s; 1s hang; 1s panic; 1s permanent; 1s cancel; 1s fail/hint=3s"), down, v, nil)}
	p := pipeline.Wrap(chaos)
	call := func() (took time.Duration, err error) {
		start := v.Nanos()
		ctx, cancel := clock.WithTimeout(t.Context(), v, time.Minute, nil)
		defer cancel()
		_, err = p.Do(ctx, func(context.Context) (int, error) { return 1, nil })
		return time.Duration(v.Nanos() - start), err
	}
	_, err := call()
	require.NoError(t, err)
	v.Advance(14 * time.Second)
	took, err := call()
	require.Equal(t, time.Second, took)
	require.ErrorIs(t, err, down)
	took, err = call()
	require.Equal(t, time.Minute, took)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// A Rand may ask the Script, and one that panics leaves nothing behind.
func TestScriptDrawsWithoutItsLock(t *testing.T) {
	s := &policytest.Script[int]{Schedule: policytest.MustParse("5s 50% fail"), Clock: clock.NewVirtual()}
	s.Rand = func() float64 { return float64(s.Live()) }
	_, err := s.Call(t.Context())
	require.Error(t, err)
	s.Rand = func() float64 { panic("boom") }
	require.PanicsWithValue(t, "boom", func() { _, _ = s.Call(t.Context()) })
	require.Zero(t, s.Live())
	require.Len(t, s.Visits(), 1)
}
