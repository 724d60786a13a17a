package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-go/holdfast/bench/internal/load"
)

const plotHeight = 150

// scaling draws what is lost when calls come from more and more goroutines, for the two workloads that tell it best.
func (c *canvas) scaling(r Results, y int) int {
	all := r.Goroutines()
	if len(all) < 2 {
		return y
	}
	half := (width - 2*margin - gap) / 2
	left := c.lines(r, all, margin, y, half, load.Three, "Many goroutines: the three")
	right := c.lines(r, all, margin+half+gap, y, half, load.BreakerTime, "Many goroutines: breaker, time window")
	return max(left, right)
}

// lines plots losses by goroutines: flat is without loss.
func (c *canvas) lines(r Results, all []int, x, y, w int, workload, title string) int {
	row := r.Row(workload)
	if len(row.Cells) == 0 {
		return y
	}
	c.text("head", x, y, "start", title)
	y += 17
	below := "processor time of a call, by that from one; 1× is without loss"
	for _, cell := range row.Cells {
		for _, t := range cell.Times {
			if t.Short {
				below = "at least: other programs had some of the cores; 1× is without loss"
			}
		}
	}
	c.text("small", x, y, "start", below)
	y += 14
	most := 2.0
	for _, cell := range row.Cells {
		for _, t := range cell.Times {
			most = max(most, math.Ceil(t.Loss))
		}
	}
	const axis, names = 34, 150
	plot := w - axis - names
	at := func(loss float64) int { return y + int(plotHeight*(1-loss/most)) }
	for loss := 0.0; loss <= most; loss += math.Ceil(most / 5) {
		c.tick(x+axis, at(loss), plot, strconv.Itoa(int(loss))+"×")
	}
	step := plot / (len(all) - 1)
	for i, g := range all {
		c.text("small", x+axis+i*step, y+plotHeight+18, "middle", strconv.Itoa(g))
	}
	ends := make(map[string]int)
	for _, cell := range slices.Backward(row.Cells) { // ours is drawn last, on top
		var points []string
		for i, g := range all {
			if t := cell.From(g); t.Loss > 0 {
				ends[cell.Peer] = at(t.Loss)
				points = append(points, fmt.Sprintf("%d,%d", x+axis+i*step, at(t.Loss)))
			}
		}
		fmt.Fprintf(c, `<polyline class="%s" points="%s"/>`+"\n", r.class("line", cell.Peer), strings.Join(points, " "))
	}
	var taken []int
	for _, cell := range row.Cells {
		label := apart(ends[cell.Peer], taken)
		taken = append(taken, label)
		c.text(r.class("name", cell.Peer), x+axis+plot+8, label+4, "start", cell.Peer)
	}
	return y + plotHeight + gap + 18
}

func (c *canvas) tick(x, y, w int, label string) {
	fmt.Fprintf(c, `<line class="axis" x1="%d" y1="%d" x2="%d" y2="%d"/>`+"\n", x, y, x+w, y)
	c.text("small", x-8, y+4, "end", label)
}

// apart is y, or the nearest place where a label does not touch the others.
func apart(y int, taken []int) int {
	const line = 16
	for distance := 0; ; distance++ {
		for _, candidate := range []int{y + distance, y - distance} {
			free := true
			for _, t := range taken {
				free = free && (candidate-t >= line || t-candidate >= line)
			}
			if free {
				return candidate
			}
		}
	}
}
