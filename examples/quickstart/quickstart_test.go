package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/policy"
)

// No goroutine outlives the tests: calls have ended, connections and servers are closed.
func TestMain(m *testing.M) {
	before := runtime.NumGoroutine()
	code := m.Run()
	http.DefaultClient.CloseIdleConnections()
	for range 400 {
		if runtime.NumGoroutine() <= before {
			os.Exit(code)
		}
		time.Sleep(5 * time.Millisecond) // connections take a moment to wind down
	}
	fmt.Fprintln(os.Stderr, "goroutines are left:")
	_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
	os.Exit(1)
}

// An audience is a view that a story can wait by, so that what is seen makes it go on, and not the time that passed.
type audience struct{ histories chan history }

func (audience) interval() time.Duration { return time.Millisecond }
func (audience) end(summary)             {}

func (a audience) update(h history) {
	select {
	case a.histories <- h:
	default: // nobody is waiting
	}
}

func (a audience) await(ctx context.Context, seen func(history) bool) {
	for {
		select {
		case h := <-a.histories:
			if seen(h) {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

var quick = timings{attempt: 100 * time.Millisecond, backoff: 5 * time.Millisecond, window: 200 * time.Millisecond, cooldown: 30 * time.Millisecond}

// The whole story, each phase as long as it takes to see what it is there to show.
func TestAPipelineCarriesItsCallsThroughAnOutage(t *testing.T) {
	server, err := listen(5 * quick.attempt)
	require.NoError(t, err)
	defer server.Close()
	a := audience{make(chan history)}
	phases := []func(h history) bool{
		func(h history) bool { return h.total().Successes >= 5 },
		func(h history) bool { return h.Phases[1].Retries >= 3 && h.total().Rescued > 0 },
		func(h history) bool {
			return h.circuit() == policy.Open && h.Phases[2].Refused >= 3 && h.Phases[2].Fallbacks >= 3
		},
		func(h history) bool { return h.circuit() == policy.Closed && h.Phases[3].Successes > 0 },
	}
	require.Len(t, phases, len(outage))
	s := run(t.Context(), options{url: server.url, rate: 200, total: time.Second}, quick, server, func(ctx context.Context) {
		for i, seen := range phases {
			server.phase.Store(int32(i))
			a.await(ctx, seen)
		}
	}, a)

	require.False(t, s.interrupted)
	requireConsistent(t, s.history)
	sum := s.history.total()
	require.Zero(t, sum.Failures, "there was always a page to fall back on")
	require.Equal(t, sum.Calls+sum.Retries, sum.Requests+sum.Refused, "every attempt is sent or refused")
	require.Positive(t, s.history.opened())
	closed := 0
	for _, c := range s.history.Changes {
		if c.From == policy.HalfOpen && c.To == policy.Closed {
			closed++
		}
	}
	require.Positive(t, closed, "a probe closed it: %v", news(s.history.Changes))

	text := s.String()
	require.Contains(t, text, fmt.Sprintf("%d calls, and not one error.", sum.Calls))
	require.Contains(t, text, "Circuit: opened ")
	require.Contains(t, text, "pipeline pages\n└─ fallback stale page", "it explains itself")
	var stderr bytes.Buffer
	require.Zero(t, s.verdict(&stderr))
	require.Empty(t, stderr.String())
}

// requireConsistent checks what holds of every history: the sums, and that the circuit's changes lead from one to the
// next.
func requireConsistent(t *testing.T, h history) {
	t.Helper()
	var moments tally
	for _, m := range h.Moments {
		require.Equal(t, m.Calls, m.Successes+m.Fallbacks+m.Failures)
		moments = moments.add(m.tally)
	}
	for _, p := range h.Phases {
		require.Equal(t, p.Calls, p.Successes+p.Fallbacks+p.Failures)
		require.LessOrEqual(t, p.Rescued, p.Successes)
	}
	require.Equal(t, h.total(), moments, "by phase and by moment alike")
	state := policy.Closed
	for _, c := range h.Changes {
		require.Equal(t, state, c.From)
		state = c.To
	}
	require.Equal(t, state, h.circuit())
}

// Ctrl-C ends a run at once: calls under way too, however long they would take.
func TestAnInterruptionEndsEverythingAtOnce(t *testing.T) {
	server, err := listen(time.Hour)
	require.NoError(t, err)
	defer server.Close()
	ctx, interrupt := context.WithCancel(t.Context())
	a := audience{make(chan history)}
	patient := timings{attempt: time.Hour, backoff: time.Hour, window: time.Hour, cooldown: time.Hour}
	s := run(ctx, options{url: server.url, rate: 100, total: time.Second}, patient, server, func(ctx context.Context) {
		server.phase.Store(1) // every third request hangs for an hour
		a.await(ctx, func(h history) bool { return h.total().Successes >= 5 })
		interrupt()
	}, a)
	require.True(t, s.interrupted)
	require.GreaterOrEqual(t, s.history.total().Successes, 5)
	require.Zero(t, s.history.total().Failures+s.history.total().Fallbacks, "what was cut short is not counted")
	require.Positive(t, s.history.CutShort)
	requireConsistent(t, s.history)
	require.Contains(t, s.String(), " Interrupted after ")
	require.Contains(t, s.String(), fmt.Sprintf("cut short and are not counted: %d.\n", s.history.CutShort))
	require.Equal(t, exitInterrupted, s.verdict(io.Discard))
}

func TestAnInterruptionBeforeTheFirstCall(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	var stdout, stderr bytes.Buffer
	require.Equal(t, exitInterrupted, start(ctx, nil, &stdout, &stderr))
	require.Contains(t, stdout.String(), "Interrupted after 0.0")
	require.Empty(t, stderr.String())
}

// A server that is down is what pipelines are for: the run goes on, and its end says what was wrong.
func TestAServerThatIsDown(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	url := "http://user:secret@" + listener.Addr().String()
	require.NoError(t, listener.Close())
	var stdout, stderr bytes.Buffer
	require.Equal(t, exitFailed, start(t.Context(), []string{"-url", url, "-rate", "50", "-for", "500ms"}, &stdout, &stderr))
	require.Contains(t, stderr.String(), "nothing could be reached at http://user:xxxxx@127.0.0.1:")
	require.Contains(t, stderr.String(), "refused")
	require.Regexp(t, `Callers: \d+ calls\. 0 got a fresh page, 0 a stale one, and \d+ an error\.`, stdout.String())
	require.NotContains(t, stdout.String(), "healthy", "there are no phases")
	require.NotContains(t, stdout.String(), "secret")
}

// A server that answers, but with nothing of use, is another matter than one that is down.
func TestAServerWithoutThePage(t *testing.T) {
	server, err := listen(0)
	require.NoError(t, err)
	defer server.Close()
	server.http.Handler = http.NotFoundHandler()
	var stdout, stderr bytes.Buffer
	require.Equal(t, exitFailed, start(t.Context(), []string{"-url", server.url, "-for", "500ms", "-json"}, &stdout, &stderr))
	require.Equal(t, "quickstart: "+server.url+" answers, but no call succeeded; the last request: 404 Not Found\n", stderr.String())
	require.Contains(t, stdout.String(), `"retries": 0,`, "it is not asked again for what it does not have")
}

func TestTheSummaryAsJSON(t *testing.T) {
	var stdout, stderr bytes.Buffer
	require.Zero(t, start(t.Context(), []string{"-json", "-for", "500ms", "-rate", "100"}, &stdout, &stderr), stderr.String())
	var s struct {
		Total  tally
		Phases []struct {
			Name string
			tally
		}
		Changes []map[string]any `json:"circuit_changes"`
		Plan    struct{ Name string }
	}
	decoder := json.NewDecoder(&stdout)
	require.NoError(t, decoder.Decode(&s))
	require.False(t, decoder.More(), "nothing else is printed")
	require.Positive(t, s.Total.Successes)
	require.Equal(t, s.Total.Calls, s.Total.Successes+s.Total.Fallbacks+s.Total.Failures)
	require.Len(t, s.Phases, len(outage))
	require.Equal(t, "failing", s.Phases[2].Name)
	require.Equal(t, "pages", s.Plan.Name)
}

func TestWrongFlagsAreExplained(t *testing.T) {
	for want, args := range map[string][]string{
		`-rate is 0; want 1 to 1000 calls a second`:                               {"-rate", "0"},
		`-for is 1ms; want 100ms to 1h0m0s`:                                       {"-for", "1ms"},
		`-for 400ms is over before the first call; at -rate 1 make it 1s or more`: {"-for", "400ms", "-rate", "1"},
		`invalid value "5" for flag -for`:                                         {"-for", "5"},
		`-timeout is 0s; want 1ms to 1m0s`:                                        {"-timeout", "0"},
		`"https://example.com" is not a flag`:                                     {"https://example.com"},
		`flag provided but not defined: -ulr`:                                     {"-ulr", "https://example.com"},
		`-url is ""; want something like https://example.com/path`:                {"-url", ""},
		`-url is "localhost:80"; want something like https://example.com`:         {"-url", "localhost:80"},
		`-url is "http:///x"; want something like https://example.com`:            {"-url", "http:///x"},
		`-url: parse "http://[::1": missing ']' in host`:                          {"-url", "http://[::1"},
	} {
		var stdout, stderr bytes.Buffer
		require.Equal(t, exitUsage, start(t.Context(), args, &stdout, &stderr))
		require.Contains(t, stderr.String(), "quickstart: "+want)
		require.Contains(t, stderr.String(), "(-h explains the flags)\n")
		require.Empty(t, stdout.String())
	}
	var stdout, stderr bytes.Buffer
	require.Zero(t, start(t.Context(), []string{"-h"}, &stdout, &stderr))
	require.Equal(t, usage, stdout.String())
	require.Empty(t, stderr.String())
}

// The load is as many calls as were asked for, at even distances, even where calls take long.
func TestTheLoadIsSteady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		until, end := context.WithTimeout(t.Context(), 10*time.Second)
		defer end()
		start := time.Now()
		var started []time.Duration
		calls := make(chan time.Duration, 1000)
		drive(until, 20, func() {
			calls <- time.Since(start)
			time.Sleep(time.Minute)
		})
		require.Equal(t, 9975*time.Millisecond+time.Minute, time.Since(start), "calls under way are waited for")
		close(calls)
		for at := range calls {
			started = append(started, at)
		}
		require.Len(t, started, 200)
		for i, at := range started {
			require.Equal(t, 25*time.Millisecond+time.Duration(i)*50*time.Millisecond, at)
		}
	})
}

// A probe takes no time to speak of; the moment that has one shows it all the same, and the next what it led to.
func TestAMomentShowsItsProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecord("", columns*time.Second, 1, func() int { return 0 })
		time.Sleep(time.Second)
		r.changed(policy.Change{From: policy.Closed, To: policy.Open, Cause: statusError("503")})
		time.Sleep(2 * time.Second)
		r.changed(policy.Change{From: policy.Open, To: policy.HalfOpen})
		r.changed(policy.Change{From: policy.HalfOpen, To: policy.Closed})
		time.Sleep(time.Second)
		h := r.history()
		var shown []policy.State
		for _, m := range h.Moments {
			shown = append(shown, m.circuit)
		}
		require.Equal(t, []policy.State{policy.Closed, policy.Open, policy.Open, policy.HalfOpen, policy.Closed}, shown)
		require.Equal(t, change{time.Second, policy.Closed, policy.Open, "503"}, h.Changes[0])
	})
}
