package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// nanos is a time with three figures.
func nanos(ns float64) string {
	switch {
	case math.IsNaN(ns):
		return "–"
	case ns < 99.95:
		return fmt.Sprintf("%.1f ns", ns)
	case ns < 9_995:
		return strconv.Itoa(int(math.Round(ns))) + " ns"
	default:
		return fmt.Sprintf("%.1f µs", ns/1000)
	}
}

// times is a ratio to ours.
func times(ratio float64) string {
	switch {
	case ratio == 0 || math.IsNaN(ratio):
		return "–"
	case ratio < 9.95:
		return fmt.Sprintf("%.1f×", ratio)
	default:
		return fmt.Sprintf("%.0f×", ratio)
	}
}

func percent(share float64) string { return fmt.Sprintf("±%.0f %%", 100*share) }

// noted numbers notes as they come up.
type noted []string

func (n *noted) mark(note string) string {
	if note == "" {
		return ""
	}
	for i, known := range *n {
		if known == note {
			return marks[i%len(marks)]
		}
	}
	*n = append(*n, note)
	return marks[(len(*n)-1)%len(marks)]
}

var marks = strings.Split("¹ ² ³ ⁴ ⁵ ⁶ ⁷ ⁸ ⁹", " ")

// header says what the numbers are and where they come from.
func (r Results) header() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v. Medians of %d interleaved rounds.", r.Machine, r.Rounds)
	for i, m := range r.Modules {
		if i > 0 {
			b.WriteString(",")
		}
		path := strings.TrimPrefix(m.Path, "github.com/")
		fmt.Fprintf(&b, " %s %s", path, m.Version)
	}
	if len(r.Modules) > 0 {
		b.WriteString(".")
	}
	return b.String()
}
