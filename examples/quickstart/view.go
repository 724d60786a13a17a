package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/policy"
)

// A view shows a run while it goes on, and its summary in the end.
type view interface {
	interval() time.Duration // between updates
	update(h history)
	end(s summary)
}

// newView is a timeline on a terminal, lines elsewhere, and nothing but the end for -json.
func newView(out io.Writer, o options) view {
	switch {
	case o.json:
		return asJSON{out}
	case isTerminal(out) && os.Getenv("TERM") != "dumb":
		return &timeline{out: out, colours: os.Getenv("NO_COLOR") == "", rate: o.rate, total: o.total}
	default:
		return &lines{out: out, rate: o.rate, total: o.total}
	}
}

// isTerminal reports whether out is a terminal, or another device that does not mind being taken for one.
func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// introduction says what is about to be seen.
func introduction(url string, rate int, total time.Duration) string {
	return fmt.Sprintf(" %d calls a second for %v, each through\n caller → fallback → retry → circuit breaker → timeout → %s\n", rate, brief(total), url)
}

// lines are written one after another, each with what happened since the one before.
type lines struct {
	out     io.Writer
	rate    int
	total   time.Duration
	before  tally // what has been told
	changes int   // of these, how many
	begun   bool
}

func (l *lines) interval() time.Duration {
	return min(max(l.total/10, 100*time.Millisecond), 5*time.Second)
}

// line writes one in columns.
func (l *lines) line(b *strings.Builder, fields ...any) {
	line := fmt.Sprintf("%7v  %-8v %-10v %6v %10v %10v %9v %8v %8v %9v  %v", fields...)
	b.WriteString(strings.TrimRight(line, " ") + "\n")
}

func (l *lines) update(h history) {
	var b strings.Builder
	if !l.begun {
		l.begun = true
		b.WriteString(introduction(h.URL, l.rate, l.total) + "\n")
		server := ""
		if len(h.Phases) > 1 {
			server = "server"
		}
		l.line(&b, "time", server, "circuit", "calls", "successes", "fallbacks", "failures", "retries", "refused", "requests", "")
	}
	for _, line := range news(h.Changes[l.changes:]) {
		b.WriteString(line + "\n")
	}
	l.changes = len(h.Changes)
	sum := h.total()
	if d := sum.minus(l.before); d != (tally{Slowest: d.Slowest}) { // something has happened
		trouble := ""
		if d.Requests > d.Successes {
			trouble = h.Trouble
		}
		phase := ""
		if names := h.phases(); len(names) > 0 {
			phase = names[len(names)-1]
		}
		l.line(&b, since(h.Now), phase, h.circuit(), d.Calls, d.Successes, d.Fallbacks, d.Failures, d.Retries, d.Refused, d.Requests, trouble)
	}
	l.before = sum
	_, _ = io.WriteString(l.out, b.String())
}

func (l *lines) end(s summary) {
	l.update(s.history)
	_, _ = fmt.Fprintf(l.out, "\n%s", s)
}

// news has a line for every change of the circuit, and a single one for a probe and what it led to.
func news(changes []change) []string {
	var lines []string
	for i := 0; i < len(changes); i++ {
		first := changes[i]
		text := fmt.Sprintf("%7s  circuit: %v → %v", since(first.At), first.From, first.To)
		last := first
		if first.To == policy.HalfOpen && i+1 < len(changes) {
			i++
			last = changes[i]
			text += fmt.Sprintf(" → %v", last.To)
		}
		if last.Cause != "" {
			text += ", after: " + last.Cause
		}
		lines = append(lines, text)
	}
	return lines
}

// since is a time within a run.
func since(d time.Duration) string { return fmt.Sprintf("%.2fs", d.Seconds()) }

// brief is a duration without a zero that says nothing: "10s", "2.5s", "1m0s" is "1m".
func brief(d time.Duration) string {
	text := d.Round(time.Millisecond).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
