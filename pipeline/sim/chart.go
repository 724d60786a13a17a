package sim

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// chart is what a template draws as one SVG picture: lines over time, with what happened meanwhile as bands behind
// them. Everything is in the picture's own units, a fifth of a millimetre or so on a screen.
type chart struct {
	Title         string
	Width, Height float64
	Left, Right   float64 // edges of the plot within the picture
	Top, Bottom   float64
	XTicks        []tick
	YTicks        []tick
	XLabel        string
	Bands         []band
	Lines         []line
	Strips        []band // of states, below the plot
}

type tick struct {
	At    float64
	Label string
}

type band struct {
	X, Width float64
	Label    string
	Class    string
}

type line struct {
	Name, Class string
	Path        string
}

// series are values over time, of one name; NaN where there is none.
type series struct {
	name, class string
	times       []time.Duration
	values      []float64
}

const (
	marginLeft, marginRight = 46, 14
	marginTop, marginBottom = 18, 34
)

func newChart(title string, width, height float64, length time.Duration, phases []Phase, all ...series) chart {
	c := chart{
		Title: title, Width: width, Height: height,
		Left: marginLeft, Right: width - marginRight, Top: marginTop, Bottom: height - marginBottom,
	}
	unit, name := timeUnit(length)
	span := max(1, float64(length))
	x := func(d time.Duration) float64 { return c.Left + float64((c.Right-c.Left)*(float64(d)/span)) }
	for _, v := range ticks(span/float64(unit), int(width/90)) {
		c.XTicks = append(c.XTicks, tick{x(time.Duration(v * float64(unit))), short(v)})
	}
	c.XLabel = "time, " + name

	top := 0.0
	for _, s := range all {
		for _, v := range s.values {
			if v > top { // NaN is not
				top = v
			}
		}
	}
	top = max(top*1.05, 1e-9)
	y := func(v float64) float64 { return c.Bottom - float64((c.Bottom-c.Top)*(v/top)) }
	for _, v := range ticks(top, max(2, int(height/45))) {
		c.YTicks = append(c.YTicks, tick{y(v), short(v)})
	}
	for _, p := range phases {
		from, to := min(p.From, length), min(p.To, length)
		if to > from {
			c.Bands = append(c.Bands, band{X: x(from), Width: x(to) - x(from), Label: p.Name})
		}
	}
	for _, s := range all {
		c.Lines = append(c.Lines, line{s.name, s.class, path(s, x, y)})
	}
	return c
}

// path is the line in SVG's notation, interrupted where there are no values.
func path(s series, x func(time.Duration) float64, y func(float64) float64) string {
	var b strings.Builder
	pen := "M"
	for i, v := range s.values {
		if math.IsNaN(v) {
			pen = "M"
			continue
		}
		b.WriteString(pen + coordinate(x(s.times[i])) + " " + coordinate(y(v)))
		if pen == "M" && (i+1 == len(s.values) || math.IsNaN(s.values[i+1])) {
			b.WriteString("h1") // a point on its own
		}
		pen = "L"
	}
	return b.String()
}

func coordinate(f float64) string { return strconv.FormatFloat(f, 'f', 1, 64) }

// short is a number as an axis shows it.
func short(f float64) string {
	switch {
	case f >= 10_000_000:
		return strconv.FormatFloat(f/1_000_000, 'g', 4, 64) + " M"
	case f >= 10_000:
		return strconv.FormatFloat(f/1_000, 'g', 4, 64) + " k"
	default:
		return strconv.FormatFloat(f, 'g', 4, 64)
	}
}

// ticks are round numbers from 0 up to top, about n of them.
func ticks(top float64, n int) []float64 {
	rough := top / float64(max(1, n))
	size := 1.0
	for ; size*10 <= rough; size *= 10 {
	}
	for ; size > rough; size /= 10 {
	}
	for _, m := range []float64{1, 2, 5, 10} {
		if size*m >= rough {
			size *= m
			break
		}
	}
	var all []float64
	for i := 0; float64(float64(i)*size) <= top; i++ {
		all = append(all, float64(i)*size)
	}
	return all
}

// timeUnit is what to count a length of time in.
func timeUnit(length time.Duration) (unit time.Duration, name string) {
	switch {
	case length <= 2*time.Second:
		return time.Millisecond, "ms"
	case length <= 20*time.Minute:
		return time.Second, "s"
	case length <= 10*time.Hour:
		return time.Minute, "min"
	default:
		return time.Hour, "h"
	}
}

// PlotHeight and LabelRight are for the template.
func (c chart) PlotHeight() float64 { return c.Bottom - c.Top }

// LabelRight is where the labels of the vertical axis end.
func (c chart) LabelRight() float64 { return c.Left - 6 }
