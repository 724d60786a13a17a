package report

import (
	"fmt"
	"strings"
)

// Markdown is everything that was measured, a table for each workload.
func (r Results) Markdown() string {
	var b strings.Builder
	b.WriteString("# What a call costs\n\n" + r.header() + "\n\n" + legend + "\n\n![chart](chart.svg)\n")
	columns := r.columns()
	var notes noted
	for _, row := range r.Rows {
		fmt.Fprintf(&b, "\n### %s\n\n%s.\n\n", upper(row.Workload), upper(row.Means))
		b.WriteString("| | " + strings.Join(columns, " | ") + " |\n|---|" + strings.Repeat("--:|", len(columns)) + "\n")
		for _, c := range row.Cells {
			fmt.Fprintf(&b, "| %s%s | %s |\n", c.Peer, notes.marks(c.Notes), strings.Join(r.values(c), " | "))
		}
	}
	if len(notes) > 0 {
		b.WriteString("\n" + strings.Join(notes.list(), "  \n") + "\n")
	}
	return b.String()
}
