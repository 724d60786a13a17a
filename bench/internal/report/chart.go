package report

import (
	"cmp"
	"fmt"
	"html"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-go/holdfast/bench/internal/load"
)

// The chart's measures, in pixels.
const (
	width     = 960
	margin    = 28
	rowHeight = 24
	barHeight = 15
	gap       = 40 // between panels
	valueArea = 150
)

// panels are the workloads that the chart shows below the first, two abreast.
var panels = []struct{ workload, title string }{
	{load.Retry, "Retry, first attempt succeeds"},
	{load.Breaker, "Circuit breaker, closed"},
	{load.Refusal, "Refused by an open circuit"},
	{load.Failing, "Three retries that fail, no wait"},
	{load.Timeout, "Timeout"},
	{load.Four, "Fallback ∘ retry ∘ breaker ∘ timeout"},
}

const style = `<style>
text { font: 13px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #3c4654 }
.paper { fill: #ffffff } .title { font-size: 24px; font-weight: 700; fill: #10151c } .head { font-size: 15px; font-weight: 600; fill: #10151c }
.small { font-size: 12px; fill: #6b7684 } .name.mine { font-weight: 700; fill: #0b6e4f } .name.limit { fill: #6b7684 } .value { font-variant-numeric: tabular-nums }
.bar { fill: #b9c2cd } .bar.mine { fill: #12a150 } .bar.limit { fill: #e3e7ec }
.line { fill: none; stroke: #b9c2cd; stroke-width: 2.5 } .line.mine { stroke: #12a150; stroke-width: 3.5 } .line.limit { stroke: #b9c2cd; stroke-dasharray: 3 4 }
.axis { stroke: #dde2e8; stroke-width: 1 }
@media (prefers-color-scheme: dark) {
text { fill: #b6c0cc } .paper { fill: #0d1117 } .title, .head { fill: #f0f4f8 } .small { fill: #8b96a3 } .name.mine { fill: #4ade80 } .name.limit { fill: #8b96a3 }
.bar { fill: #4a5563 } .bar.mine { fill: #22c55e } .bar.limit { fill: #2a323c }
.line { stroke: #5a6675 } .line.mine { stroke: #22c55e } .line.limit { stroke: #5a6675 } .axis { stroke: #2a323c }
}
</style>
`

// Chart is the most telling of what was measured as an SVG picture: bars, the shorter the better.
func (r Results) Chart() string {
	var c canvas
	y := margin + 22
	c.text("title", margin, y, "start", "What protecting one call costs")
	y += 24
	c.text("small", margin, y, "start", "Time and heap allocations of one call, of which the func itself takes "+nanos(r.direct())+
		". Shorter is better. × is by Holdfast's.")
	y += gap
	y = c.bars(r, margin, y, width-2*margin, load.Three, "Fallback ∘ retry ∘ circuit breaker, on success")
	half := (width - 2*margin - gap) / 2
	for i := 0; i < len(panels); i += 2 {
		left := c.bars(r, margin, y, half, panels[i].workload, panels[i].title)
		right := c.bars(r, margin+half+gap, y, half, panels[i+1].workload, panels[i+1].title)
		y = max(left, right)
	}
	y = c.scaling(r, y)
	for _, note := range c.notes.list() {
		c.text("small", margin, y, "start", note)
		y += 18
	}
	c.text("small", margin, y+8, "start", r.Machine.String())
	y += margin
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="What protecting one call costs, by library">
%s<rect class="paper" width="%d" height="%d"/>
%s</svg>
`, width, y, width, y, style, width, y, c.String())
}

func (r Results) direct() float64 {
	row := r.Row(load.Direct)
	if len(row.Cells) == 0 {
		return 0
	}
	return row.Cells[0].Alone().Nanos
}

// A canvas is the inside of an SVG picture.
type canvas struct {
	strings.Builder
	notes noted
}

// class is the style of what belongs to a peer.
func (r Results) class(kind, peer string) string {
	switch peer {
	case r.Peers[0].Name:
		return kind + " mine"
	case r.Peers[1].Name:
		return kind + " limit"
	}
	return kind
}

func (c *canvas) text(class string, x, y int, anchor, s string) {
	fmt.Fprintf(c, `<text class="%s" x="%d" y="%d" text-anchor="%s">%s</text>`+"\n", class, x, y, anchor, html.EscapeString(s))
}

// bars draws a row of the table and returns where the next may begin.
func (c *canvas) bars(r Results, x, y, w int, workload, title string) int {
	row := r.Row(workload)
	if len(row.Cells) == 0 {
		return y
	}
	c.text("head", x, y, "start", title)
	y += 12
	longest := 0.0
	for _, cell := range row.Cells {
		longest = max(longest, cell.Alone().Nanos)
	}
	const labels = 150
	space := float64(w - labels - valueArea)
	cells := slices.SortedStableFunc(slices.Values(row.Cells), func(a, b Cell) int {
		return cmp.Compare(a.Alone().Nanos, b.Alone().Nanos)
	})
	for _, cell := range cells {
		text, bar := r.class("name", cell.Peer), r.class("bar", cell.Peer)
		t := cell.Alone()
		length := max(2, int(space*t.Nanos/longest))
		c.text(text, x+labels-10, y+barHeight-2, "end", cell.Peer+c.notes.marks(cell.Notes))
		fmt.Fprintf(c, `<rect class="%s" x="%d" y="%d" width="%d" height="%d" rx="2"/>`+"\n", bar, x+labels, y, length, barHeight)
		value := nanos(t.Nanos) + ", " + allocations(cell.Allocs)
		if t.Ratio >= 1.5 {
			value = nanos(t.Nanos) + " (" + times(t.Ratio) + "), " + allocations(cell.Allocs)
		}
		c.text(text+" value", x+labels+length+8, y+barHeight-2, "start", value)
		y += rowHeight
	}
	return y + gap
}

func allocations(n uint64) string {
	if n == 1 {
		return "1 alloc"
	}
	return strconv.FormatUint(n, 10) + " allocs"
}
