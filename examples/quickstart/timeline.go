package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/policy"
)

// A timeline is drawn in place, again and again: a column for every moment, a row for everything that is counted.
type timeline struct {
	out     io.Writer
	colours bool
	rate    int
	total   time.Duration
	drawn   int // lines, which the next drawing goes over
}

// Control sequences of terminals: ECMA-48, and DEC's private modes.
const (
	up        = "\x1b[%dA"
	clearRest = "\x1b[K"   // of the line
	clearDown = "\x1b[J"   // of the screen
	cutLines  = "\x1b[?7l" // at the right edge, instead of wrapping them
	wrapLines = "\x1b[?7h"
	noCursor  = "\x1b[?25l"
	cursor    = "\x1b[?25h"
)

func (t *timeline) interval() time.Duration { return min(t.total/columns, time.Second) }

func (t *timeline) update(h history) {
	h.Moments = h.Moments[:min(len(h.Moments), int(h.Now*columns/t.total))] // one that is not over would look like a drop
	t.draw(t.picture(h))
}

func (t *timeline) end(s summary) {
	t.draw(strings.TrimRight(t.picture(s.history), "\n") + "\n")
	_, _ = fmt.Fprintf(t.out, "%s%s\n%s", wrapLines, cursor, s)
}

// draw writes over what was drawn before.
func (t *timeline) draw(picture string) {
	var b strings.Builder
	b.WriteString(noCursor + cutLines)
	if t.drawn > 0 {
		fmt.Fprintf(&b, up, t.drawn)
	}
	t.drawn = strings.Count(picture, "\n")
	b.WriteString("\r" + strings.ReplaceAll(picture, "\n", clearRest+"\n") + clearDown)
	_, _ = io.WriteString(t.out, b.String())
}

// picture is the timeline, always as many lines.
func (t *timeline) picture(h history) string {
	var b strings.Builder
	b.WriteString(introduction(h.URL, t.rate, t.total) + "\n")
	fmt.Fprintf(&b, " %s\n", t.paint(dim, fmt.Sprintf("%10s%s%-4s%5s", "", t.axis(), brief(t.total), "total")))
	row := func(name, cells, rest string) { fmt.Fprintf(&b, " %-9s %s%s\n", name, cells, rest) }
	count := func(name, colour, note string, of func(tally) int) {
		row(name, t.bars(h.Moments, colour, of), fmt.Sprintf("%9d  ", of(h.total()))+t.paint(dim, note))
	}
	if len(h.Phases) > 1 {
		row("server", t.phases(h.Moments), "")
	}
	count("requests", cyan, "reach the server", func(y tally) int { return y.Requests })
	b.WriteString("\n")
	count("calls", plain, "by the program", func(y tally) int { return y.Calls })
	count("successes", green, "a fresh page", func(y tally) int { return y.Successes })
	count("fallbacks", yellow, "a stale page", func(y tally) int { return y.Fallbacks })
	count("failures", red, "an error", func(y tally) int { return y.Failures })
	b.WriteString("\n")
	count("retries", yellow, "asked again", func(y tally) int { return y.Retries })
	count("refused", red, "by the circuit", func(y tally) int { return y.Refused })
	row("circuit", t.circuit(h.Moments), "  "+t.legend())
	fmt.Fprintf(&b, "\n %s\n", t.paint(dim, fmt.Sprintf("height: ▄ %d a second, the steady load   █ twice that or more   · none", t.rate)))
	b.WriteString(t.events(h))
	return b.String()
}

// axis has a time at every quarter.
func (t *timeline) axis() string {
	var b strings.Builder
	for quarter := range 4 {
		fmt.Fprintf(&b, "%-*s", columns/4, brief(t.total*time.Duration(quarter)/4))
	}
	return b.String()
}

// A cell is one moment in one row.
type cell struct {
	colour string
	text   string
}

// cells puts a row's cells together, as wide as those of a whole run.
func (t *timeline) cells(cells []cell) string {
	var b, run strings.Builder // run is of one colour
	for i, c := range cells {
		run.WriteString(c.text)
		if i+1 == len(cells) || cells[i+1].colour != c.colour {
			b.WriteString(t.paint(c.colour, run.String()))
			run.Reset()
		}
	}
	return b.String() + strings.Repeat(" ", max(0, columns-len(cells)))
}

// bars are as high as what is counted.
func (t *timeline) bars(moments []moment, colour string, of func(tally) int) string {
	heights := []rune("▁▂▃▄▅▆▇█")
	half := max(1, float64(t.rate)*t.total.Seconds()/columns)
	var row []cell
	for _, m := range moments {
		n := of(m.tally)
		if n == 0 {
			row = append(row, cell{dim, "·"})
			continue
		}
		height := int(float64(n)/half*4 + 0.5)
		row = append(row, cell{colour, string(heights[min(max(height, 1), len(heights))-1])})
	}
	return t.cells(row)
}

// phases has the name of each at its beginning.
func (t *timeline) phases(moments []moment) string {
	colours := map[string]string{"healthy": green, "slow": yellow, "failing": red}
	var row []cell
	age := 0
	for i, m := range moments {
		if age++; i == 0 || m.phase != moments[i-1].phase {
			age = 0
		}
		name, text := outage[m.phase].name, "─"
		if age < len(name) {
			text = name[age : age+1]
		}
		row = append(row, cell{colours[name], text})
	}
	return t.cells(row)
}

var circuitCells = map[policy.State]cell{
	policy.Closed:   {green, "━"},
	policy.Open:     {red, "╳"},
	policy.HalfOpen: {yellow, "◐"},
}

func (t *timeline) circuit(moments []moment) string {
	var row []cell
	for _, m := range moments {
		row = append(row, circuitCells[m.circuit])
	}
	return t.cells(row)
}

// legend explains the circuit's cells.
func (t *timeline) legend() string {
	var states []string
	for _, s := range []policy.State{policy.Closed, policy.Open, policy.HalfOpen} {
		states = append(states, t.paint(circuitCells[s].colour, circuitCells[s].text)+" "+t.paint(dim, s.String()))
	}
	return strings.Join(states, " ")
}

// mostNews is how many of the circuit's changes fit on a screen.
const mostNews = 4

// events are the circuit's last, and the last request that failed.
func (t *timeline) events(h history) string {
	var b strings.Builder
	if h.Trouble != "" {
		b.WriteString(" last failed request: " + h.Trouble)
	}
	b.WriteString("\n")
	lines := news(h.Changes)
	for i := range mostNews {
		if n := max(0, len(lines)-mostNews) + i; n < len(lines) {
			b.WriteString(lines[n])
		}
		b.WriteString("\n")
	}
	return b.String()
}

// Colours, as the terminal's own palette has them.
const (
	plain  = ""
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

func (t *timeline) paint(colour, text string) string {
	if !t.colours || colour == plain {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}
