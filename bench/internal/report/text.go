package report

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Text is everything that was measured, for a terminal.
func (r Results) Text() string {
	columns := r.columns()
	name := 0
	var widest noted
	widths := make([]int, len(columns))
	for i, c := range columns {
		widths[i] = utf8.RuneCountInString(c)
	}
	for _, row := range r.Rows {
		for _, c := range row.Cells {
			name = max(name, utf8.RuneCountInString(c.Peer+widest.marks(c.Notes)))
			for i, v := range r.values(c) {
				widths[i] = max(widths[i], utf8.RuneCountInString(v))
			}
		}
	}
	var b strings.Builder
	line := func(label string, values []string) {
		fmt.Fprintf(&b, "  %-*s", name, label)
		for i, v := range values {
			fmt.Fprintf(&b, "  %*s", widths[i], v)
		}
		b.WriteString("\n")
	}
	b.WriteString(r.header() + "\n" + legend + "\n\n")
	line("", columns)
	var notes noted
	for _, row := range r.Rows {
		b.WriteString(row.Workload + "\n")
		for _, c := range row.Cells {
			line(c.Peer+notes.marks(c.Notes), r.values(c))
		}
	}
	if len(notes) > 0 {
		b.WriteString("\n" + strings.Join(notes.list(), "\n") + "\n")
	}
	return b.String()
}
