package main

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/policy"
)

// story is a history that was thought up: a run of 4 seconds after 3.9 of them.
func story(until time.Duration) history {
	h := history{URL: "http://server", Now: until, Phases: make([]tally, len(outage)), Answered: true}
	for i := range int(until/(100*time.Millisecond)) + 1 {
		m := moment{phase: i / 10, tally: tally{Calls: 2, Successes: 2, Requests: 2}}
		switch {
		case i >= 10 && i < 20:
			m.tally = tally{Calls: 2, Successes: 2, Rescued: 1, Retries: 2, Requests: 4, Slowest: 250 * time.Millisecond}
			h.Trouble = "timeout after 100ms"
		case i >= 20 && i < 23:
			m.tally = tally{Calls: 1, Fallbacks: 1, Retries: 1, Requests: 1}
			h.Trouble = "503 Service Unavailable"
		case i >= 23 && i < 33:
			m.tally = tally{Calls: 2, Fallbacks: 2, Refused: 2}
			m.circuit = policy.Open
			if i == 28 {
				m.circuit = policy.HalfOpen
			}
		case i == 33:
			m.circuit = policy.HalfOpen
		}
		h.Moments = append(h.Moments, m)
		h.Phases[m.phase] = h.Phases[m.phase].add(m.tally)
	}
	for _, c := range []change{
		{2310 * time.Millisecond, policy.Closed, policy.Open, "503 Service Unavailable"},
		{2820 * time.Millisecond, policy.Open, policy.HalfOpen, ""},
		{2821 * time.Millisecond, policy.HalfOpen, policy.Open, "503 Service Unavailable"},
		{3330 * time.Millisecond, policy.Open, policy.HalfOpen, ""},
		{3331 * time.Millisecond, policy.HalfOpen, policy.Closed, ""},
	} {
		if c.At <= until {
			h.Changes = append(h.Changes, c)
		}
	}
	return h
}

const wantTimeline = `
 20 calls a second for 4s, each through
 caller → fallback → retry → circuit breaker → timeout → http://server

           0s        1s        2s        3s        4s  total
 server    healthy───slow──────failing───healthy───
 requests  ▄▄▄▄▄▄▄▄▄▄██████████▂▂▂··········▄▄▄▄▄▄▄       77  reach the server

 calls     ▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▂▂▂▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄       77  by the program
 successes ▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄·············▄▄▄▄▄▄▄       54  a fresh page
 fallbacks ····················▂▂▂▄▄▄▄▄▄▄▄▄▄·······       23  a stale page
 failures  ········································        0  an error

 retries   ··········▄▄▄▄▄▄▄▄▄▄▂▂▂·················       23  asked again
 refused   ·······················▄▄▄▄▄▄▄▄▄▄·······       20  by the circuit
 circuit   ━━━━━━━━━━━━━━━━━━━━━━━╳╳╳╳╳◐╳╳╳╳◐━━━━━━  ━ closed ╳ open ◐ half-open

 height: ▄ 20 a second, the steady load   █ twice that or more   · none
 last failed request: 503 Service Unavailable
  2.31s  circuit: closed → open, after: 503 Service Unavailable
  2.82s  circuit: open → half-open → open, after: 503 Service Unavailable
  3.33s  circuit: open → half-open → closed

`

func TestTheTimelineOfAStory(t *testing.T) {
	view := &timeline{rate: 20, total: 4 * time.Second}
	picture := view.picture(story(3999 * time.Millisecond))
	require.Equal(t, wantTimeline, "\n"+picture)
	for line := range strings.Lines(picture) {
		require.LessOrEqual(t, len([]rune(strings.TrimSuffix(line, "\n"))), 80, "it fits on a terminal: %q", line)
	}
	require.Less(t, strings.Count(picture, "\n"), 24, "also in height")
	coloured := &timeline{rate: 20, total: 4 * time.Second, colours: true}
	require.Equal(t, picture, regexp.MustCompile("\x1b\\[[0-9]+m").ReplaceAllString(coloured.picture(story(3999*time.Millisecond)), ""))
}

// Every drawing goes over the one before, whatever has happened in between, and the last leaves the terminal as it was.
func TestTheTimelineIsDrawnInPlace(t *testing.T) {
	var out bytes.Buffer
	view := &timeline{out: &out, rate: 20, total: 4 * time.Second}
	height := strings.Count(view.picture(story(0)), "\n")
	for _, now := range []time.Duration{0, 1500 * time.Millisecond, 3999 * time.Millisecond} {
		out.Reset()
		drawn := view.drawn
		view.update(story(now))
		require.Equal(t, height, view.drawn)
		require.Equal(t, height, strings.Count(out.String(), "\n"))
		require.Equal(t, drawn > 0, strings.Contains(out.String(), "\x1b[22A"))
	}
	require.NotRegexp(t, "\x1b\\[[0-9]+m", out.String(), "there are no colours")
	out.Reset()
	view.end(summary{history: story(3999 * time.Millisecond)})
	require.Contains(t, out.String(), wrapLines+cursor+"\n")
}

// A moment that is not over is not shown: it would look like a drop.
func TestTheTimelineShowsWholeMoments(t *testing.T) {
	var out bytes.Buffer
	view := &timeline{out: &out, rate: 20, total: 4 * time.Second}
	view.update(story(399 * time.Millisecond))
	require.Contains(t, out.String(), " server    hea ")
}

const wantLines = `
 20 calls a second for 4s, each through
 caller → fallback → retry → circuit breaker → timeout → http://server

   time  server   circuit     calls  successes  fallbacks  failures  retries  refused  requests
  1.00s  healthy  closed         20         20          0         0        0        0        20
  2.00s  slow     closed         20         20          0         0       20        0        40  timeout after 100ms
  2.31s  circuit: closed → open, after: 503 Service Unavailable
  2.82s  circuit: open → half-open
  2.82s  failing  half-open      15          0         15         0        3       12         3  503 Service Unavailable
  2.82s  circuit: half-open → open, after: 503 Service Unavailable
  3.33s  circuit: open → half-open
  3.33s  healthy  half-open      10          2          8         0        0        8         2
  3.33s  circuit: half-open → closed
  4.00s  healthy  closed         12         12          0         0        0        0        12
`

func TestTheLinesOfAStory(t *testing.T) {
	var out bytes.Buffer
	view := &lines{out: &out, rate: 20, total: 4 * time.Second}
	for _, now := range []int{999, 1999, 2820, 3330, 3999, 3999} {
		view.update(story(time.Duration(now) * time.Millisecond))
	}
	require.Equal(t, wantLines, "\n"+out.String())
	require.NotContains(t, out.String(), "\x1b")
}

const wantSummary = `
           calls  successes  fallbacks  failures  retries  refused  requests   slowest
 healthy      20         20          0         0        0        0        20        0s
 slow         20         20          0         0       20        0        40     250ms
 failing      17          0         17         0        3       14         3        0s
 healthy      20         14          6         0        0        6        14        0s
 total        77         54         23         0       23       20        77     250ms

 Callers: 77 calls, and not one error. 54 got a fresh page, 23 a stale one.
 Retry:   23 retries saved 10 calls.
 Circuit: opened 2 times, kept 20 requests from a failing server, ended closed.

`

func TestTheSummaryOfAStory(t *testing.T) {
	s := summary{history: story(3999 * time.Millisecond)}
	text, _, found := strings.Cut(s.String(), " The pipeline, made in")
	require.True(t, found)
	require.Equal(t, wantSummary, "\n"+text)
}

func TestTheViewSuitsTheOutput(t *testing.T) {
	require.IsType(t, &lines{}, newView(new(bytes.Buffer), options{}))
	require.IsType(t, asJSON{}, newView(new(bytes.Buffer), options{json: true}))
	file, err := os.Create(t.TempDir() + "/out")
	require.NoError(t, err)
	defer file.Close()
	require.IsType(t, &lines{}, newView(file, options{}))
	terminal, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0) // a character device, as a terminal is
	require.NoError(t, err)
	defer terminal.Close()
	for _, test := range []struct {
		name, term, noColour string
		want                 any
	}{
		{"a terminal", "xterm", "", &timeline{out: terminal, colours: true}},
		{"without colours", "xterm", "1", &timeline{out: terminal}},
		{"that can do nothing", "dumb", "", &lines{out: terminal}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("TERM", test.term)
			t.Setenv("NO_COLOR", test.noColour)
			require.Equal(t, test.want, newView(terminal, options{}))
		})
	}
}

func TestBriefDurations(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0s": 0, "2.5s": 2500 * time.Millisecond, "10s": 10 * time.Second, "1m": time.Minute, "1h": time.Hour, "1m30s": 90 * time.Second, "25ms": 25 * time.Millisecond,
	} {
		require.Equal(t, want, brief(d))
	}
}
