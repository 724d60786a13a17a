package report

import (
	"fmt"
	"math"
	"slices"
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

// marks are the notes' numbers.
func (n *noted) marks(notes []string) string {
	var all []string
	for _, note := range notes {
		i := slices.Index(*n, note)
		if i < 0 {
			i = len(*n)
			*n = append(*n, note)
		}
		all = append(all, superscript(i+1))
	}
	return strings.Join(all, "˒")
}

// list is the notes as sentences, with their numbers.
func (n noted) list() []string {
	all := make([]string, len(n))
	for i, note := range n {
		all[i] = superscript(i+1) + " " + upper(note) + "."
	}
	return all
}

func superscript(n int) string {
	digits := []rune("⁰¹²³⁴⁵⁶⁷⁸⁹")
	var b strings.Builder
	for _, d := range strconv.Itoa(n) {
		b.WriteRune(digits[d-'0'])
	}
	return b.String()
}

func upper(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

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
