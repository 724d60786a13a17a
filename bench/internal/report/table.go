package report

import "strconv"

// columns are the headings of the full table, the library's apart.
func (r Results) columns() []string {
	var all []string
	for i, g := range r.Goroutines() {
		all = append(all, goroutines(g))
		if i == 0 {
			all = append(all, "±", "by ours", "allocs", "bytes")
		}
	}
	if len(r.Goroutines()) > 1 {
		all = append(all, "loss")
	}
	return all
}

// values are c's, by columns.
func (r Results) values(c Cell) []string {
	var all []string
	var t Time
	for i, g := range r.Goroutines() {
		t = c.From(g)
		all = append(all, t.least()+nanos(t.Nanos))
		if i == 0 {
			all = append(all, percent(t.Spread), times(t.Ratio),
				strconv.FormatUint(c.Allocs, 10), strconv.FormatUint(c.Bytes, 10))
		}
	}
	if len(r.Goroutines()) > 1 {
		all = append(all, t.least()+times(t.Loss))
	}
	return all
}

func goroutines(n int) string {
	if n == 1 {
		return "1 goroutine"
	}
	return strconv.Itoa(n)
}

// least is a sign for a time that may have been more on an idle machine.
func (t Time) least() string {
	if t.Short {
		return "≥"
	}
	return ""
}

// legend says what the columns are.
const legend = `Times are processor time of one call: contention and garbage collection add to it, other programs and waiting do not.
± is the middle half of the rounds. "by ours" compares with Holdfast. "loss" is the time from the most goroutines by
that from one: what scales without loss has 1.0×. ≥ stands where other programs left too few cores for goroutines to
meet, so that contention shows less than there is.`
