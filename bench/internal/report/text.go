package report

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// Text is everything that was measured, for a terminal.
func (r Results) Text() string {
	var b strings.Builder
	b.WriteString(r.header() + "\n\n")
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	goroutines := r.Goroutines()
	fmt.Fprint(w, "\t")
	for i, g := range goroutines {
		fmt.Fprintf(w, "%s\t", column(g))
		if i == 0 {
			fmt.Fprint(w, "±\tby ours\tallocs\tbytes\t")
		}
	}
	fmt.Fprintln(w)
	var notes noted
	for _, row := range r.Rows {
		fmt.Fprintf(w, "%s\t\n", row.Workload)
		for _, c := range row.Cells {
			fmt.Fprintf(w, "%s\t", c.Peer+notes.mark(c.Note))
			for i, g := range goroutines {
				t, ok := c.From(g)
				if !ok {
					fmt.Fprint(w, "\t")
				} else {
					fmt.Fprintf(w, "%s\t", nanos(t.Nanos))
				}
				if i == 0 {
					fmt.Fprintf(w, "%s\t%s\t%d\t%d\t", percent(t.Spread), times(t.Ratio), c.Allocs, c.Bytes)
				}
			}
			fmt.Fprintln(w)
		}
	}
	_ = w.Flush()
	if len(notes) > 0 {
		b.WriteString("\n" + notes.text())
	}
	return b.String()
}
