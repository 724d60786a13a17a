package report

import (
	"fmt"
	"strconv"
	"strings"
)

// Markdown is everything that was measured, a table for each workload.
func (r Results) Markdown() string {
	var b strings.Builder
	b.WriteString("# What a call costs\n\n")
	b.WriteString(r.header() + "\n\n")
	b.WriteString("Times are of one call on the processor it runs on: what scales without loss takes as long from many\n" +
		"goroutines as from one. ± is the middle half of the rounds. × is the time by ours, from one goroutine.\n\n" +
		"![chart](chart.svg)\n")
	goroutines := r.Goroutines()
	var notes noted
	for _, row := range r.Rows {
		fmt.Fprintf(&b, "\n### %s\n\n%s.\n\n", row.Workload, upper(row.Means))
		b.WriteString("| |")
		for i, g := range goroutines {
			b.WriteString(" " + column(g) + " |")
			if i == 0 {
				b.WriteString(" ± | × | allocs | bytes |")
			}
		}
		b.WriteString("\n|---|" + strings.Repeat("--:|", len(goroutines)+4) + "\n")
		for _, c := range row.Cells {
			fmt.Fprintf(&b, "| %s%s |", c.Peer, notes.mark(c.Note))
			for i, g := range goroutines {
				t, ok := c.From(g)
				if !ok {
					b.WriteString(" |")
				} else {
					fmt.Fprintf(&b, " %s |", nanos(t.Nanos))
				}
				if i == 0 {
					fmt.Fprintf(&b, " %s | %s | %d | %d |", percent(t.Spread), times(t.Ratio), c.Allocs, c.Bytes)
				}
			}
			b.WriteString("\n")
		}
	}
	if len(notes) > 0 {
		b.WriteString("\n" + notes.text())
	}
	return b.String()
}

func column(goroutines int) string {
	if goroutines == 1 {
		return "1 goroutine"
	}
	return strconv.Itoa(goroutines)
}

func (n noted) text() string {
	var b strings.Builder
	for i, note := range n {
		fmt.Fprintf(&b, "%s %s.  \n", marks[i%len(marks)], upper(note))
	}
	return b.String()
}

func upper(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
