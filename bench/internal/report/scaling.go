package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/holdfast-go/holdfast/bench/internal/load"
)

const plotHeight = 190

// scaling draws what a call costs from more and more goroutines, for the two workloads that tell it best.
func (c *canvas) scaling(r Results, y int) int {
	goroutines := r.Goroutines()
	if len(goroutines) < 2 {
		return y
	}
	half := (width - 2*margin - gap) / 2
	left := c.lines(r, goroutines, margin, y, half, load.Three, "From many goroutines: the three")
	right := c.lines(r, goroutines, margin+half+gap, y, half, load.BreakerTime, "From many goroutines: breaker, time window")
	return max(left, right)
}

// lines plots times by goroutines on a logarithmic scale: flat is without loss.
func (c *canvas) lines(r Results, goroutines []int, x, y, w int, workload, title string) int {
	row := r.Row(workload)
	if len(row.Cells) == 0 {
		return y
	}
	c.text("head", x, y, "start", title)
	y += 17
	c.text("small", x, y, "start", "time of a call on its processor, logarithmic; flat is without loss")
	y += 14
	least, most := math.Inf(1), 0.0
	for _, cell := range row.Cells {
		for _, t := range cell.Times {
			least, most = min(least, t.Nanos), max(most, t.Nanos)
		}
	}
	low, high := math.Floor(math.Log10(least)), math.Ceil(math.Log10(most))
	const axis, names = 52, 150
	plot := w - axis - names
	at := func(nanos float64) int {
		return y + int(plotHeight*(high-math.Log10(nanos))/(high-low))
	}
	for decade := low; decade <= high; decade++ {
		c.tick(x+axis, at(math.Pow(10, decade)), plot, math.Pow(10, decade))
	}
	step := plot / (len(goroutines) - 1)
	for i, g := range goroutines {
		c.text("small", x+axis+i*step, y+plotHeight+18, "middle", strconv.Itoa(g))
	}
	var taken []int
	for _, cell := range row.Cells {
		line, text := "line", ""
		switch cell.Peer {
		case r.Peers[0].Name:
			line, text = "line mine", "ours"
		case r.Peers[1].Name:
			line, text = "line limit", "small"
		}
		var points []string
		last := 0
		for i, g := range goroutines {
			if t, ok := cell.From(g); ok {
				last = at(t.Nanos)
				points = append(points, fmt.Sprintf("%d,%d", x+axis+i*step, last))
			}
		}
		fmt.Fprintf(c, `<polyline class="%s" points="%s"/>`+"\n", line, strings.Join(points, " "))
		label := apart(last, taken)
		taken = append(taken, label)
		c.text(text, x+axis+plot+8, label+4, "start", cell.Peer)
	}
	return y + plotHeight + gap + 18
}

func (c *canvas) tick(x, y, w int, ns float64) {
	fmt.Fprintf(c, `<line class="axis" x1="%d" y1="%d" x2="%d" y2="%d"/>`+"\n", x, y, x+w, y)
	label := strconv.Itoa(int(ns)) + " ns"
	if ns >= 1000 {
		label = strconv.Itoa(int(ns)/1000) + " µs"
	}
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
