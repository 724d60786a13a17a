package report

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-go/holdfast/bench/internal/load"
)

// The markers that a README's table stands between.
const (
	Start = "<!-- bench:start -->"
	End   = "<!-- bench:end -->"
)

// readmeRows are the workloads that a README shows; the others are in Markdown.
var readmeRows = []string{
	load.Retry, load.Breaker, load.BreakerCount, load.BreakerTime, load.Timeout, load.TimeoutDone, load.Three, load.ThreeRequest, load.Four, load.Refusal, load.Failing, load.CaptureThree,
}

// shown are names of workloads that say less in a README than beside the others.
var shown = map[string]string{
	load.Timeout: "timeout, func never asks for Done", load.Four: "the three ∘ timeout, likewise",
}

const readmeLegend = "Bold is the quickest library, (n×) by Holdfast's time, hand-written the same for one purpose, composing with nothing."

// Replace is readme with the table between its markers.
func (r Results) Replace(readme string) (string, error) {
	before, rest, ok := strings.Cut(readme, Start)
	_, after, found := strings.Cut(rest, End)
	if !ok || !found {
		return "", errors.New("no place for the table: the file needs a line " + Start + " and, below it, " + End)
	}
	return before + Start + "\n" + r.Table() + End + after, nil
}

// Table is a row for each of the most telling workloads and a column for each library: nanoseconds and allocations of
// a call. What is quickest, but for the limit, is bold.
func (r Results) Table() string {
	var b strings.Builder
	b.WriteString("| ns · allocations, from one goroutine |")
	for _, p := range r.Peers {
		b.WriteString(" " + p.Name + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("--:|", len(r.Peers)) + "\n")
	var notes noted
	for _, name := range readmeRows {
		row := r.Row(name)
		if len(row.Cells) == 0 {
			continue
		}
		best := row.best(r.Peers[1].Name)
		fmt.Fprintf(&b, "| %s |", cmp.Or(shown[name], name))
		for _, p := range r.Peers {
			c, ok := row.Cell(p.Name)
			if !ok {
				b.WriteString(" |")
				continue
			}
			text := fmt.Sprintf("%s · %d", strings.TrimSuffix(nanos(c.Alone().Nanos), " ns"), c.Allocs)
			if c.Peer == best {
				text = "**" + text + "**"
			}
			if ratio := c.Alone().Ratio; p.Name != r.Peers[0].Name && ratio >= 1.5 {
				text += " (" + times(ratio) + ")"
			}
			b.WriteString(" " + text + notes.marks(c.Notes) + " |")
		}
		b.WriteString("\n")
	}
	b.WriteString("\n" + strings.Join(append([]string{readmeLegend, r.header() + r.scales()}, notes.list()...), " ") + "\n")
	return b.String()
}

// scales says what calls lose when they come from many goroutines.
func (r Results) scales() string {
	var losses []string
	from := 0
	for _, name := range []string{load.Three, load.Bulkhead} {
		c, ok := r.Row(name).Cell(r.Peers[0].Name)
		if !ok || len(c.Times) < 2 {
			continue
		}
		last := c.Times[len(c.Times)-1]
		from = last.Goroutines
		losses = append(losses, fmt.Sprintf("%s %s%s", name, last.least(), times(last.Loss)))
	}
	if from == 0 {
		return ""
	}
	return fmt.Sprintf(" What a call takes from %d goroutines, by what it takes from one: %s.", from, strings.Join(losses, ", "))
}

// best is the quickest library of the row.
func (r Row) best(limit string) string {
	cells := slices.DeleteFunc(slices.Clone(r.Cells), func(c Cell) bool { return c.Peer == limit })
	if len(cells) == 0 {
		return ""
	}
	return slices.MinFunc(cells, func(a, b Cell) int { return cmp.Compare(a.Alone().Nanos, b.Alone().Nanos) }).Peer
}
