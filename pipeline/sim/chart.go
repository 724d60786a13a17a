package sim

import (
	"cmp"
	"math"
	"slices"
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
	Strips        []band   // of states, in the plot
	Ends          []ending // the lines' names, where they end
}

type tick struct {
	At    float64
	Label string
}

type band struct {
	X, Width    float64
	Name, Label string // Label is as much of Name as there is room for
	Class       string
}

type line struct {
	Name, Class string
	Path        string
}

type ending struct {
	Name, Class string
	Y           float64
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
	marginNames             = 210
)

// A sketch is what a chart is made from.
type sketch struct {
	title         string
	width, height float64
	named         bool // the lines are named where they end
	length        time.Duration
	phases        []Phase
	top           float64 // of the vertical axis, if that is more than the highest value
	series        []series
}

func (s sketch) chart() chart {
	c := chart{
		Title: s.title, Width: s.width, Height: s.height,
		Left: marginLeft, Right: s.width - marginRight, Top: marginTop, Bottom: s.height - marginBottom,
	}
	if s.named {
		c.Right -= marginNames
	}
	if len(s.series) == 0 {
		c.Top = 4 // there are no bands to be named
	}
	unit, name := timeUnit(s.length)
	span := max(1, float64(s.length))
	x := func(d time.Duration) float64 { return c.Left + float64((c.Right-c.Left)*(float64(d)/span)) }
	for _, v := range ticks(span/float64(unit), int(s.width/90)) {
		c.XTicks = append(c.XTicks, tick{x(time.Duration(v * float64(unit))), short(v)})
	}
	c.XLabel = "time, " + name

	top := max(1e-9, s.top, highest(s.series)) * 1.05
	y := func(v float64) float64 { return c.Bottom - float64((c.Bottom-c.Top)*(v/top)) }
	for _, v := range ticks(top, max(2, int(s.height/35))) {
		c.YTicks = append(c.YTicks, tick{y(v), short(v)})
	}
	for _, p := range s.phases {
		from, to := min(p.From, s.length), min(p.To, s.length)
		if to > from {
			c.Bands = append(c.Bands, band{X: x(from), Width: x(to) - x(from), Name: p.String()})
		}
	}
	label(c.Bands, c.Right)
	for _, l := range s.series {
		c.Lines = append(c.Lines, line{l.name, l.class, path(l, x, y)})
		if n := len(l.values); s.named && n > 0 {
			c.Ends = append(c.Ends, ending{l.name, l.class, y(l.values[n-1])})
		}
	}
	spread(c.Ends, c.Bottom)
	return c
}

// highest is the highest value of all.
func highest(all []series) float64 {
	top := 0.0
	for _, s := range all {
		for _, v := range s.values {
			if v > top { // NaN is not
				top = v
			}
		}
	}
	return top
}

// label gives each band as much of its name as fits before the next one's.
func label(bands []band, right float64) {
	const letter = 6.5 // wide, more or less
	slices.SortStableFunc(bands, func(a, b band) int { return cmp.Compare(a.X, b.X) })
	for i := range bands {
		next := right
		if i+1 < len(bands) {
			next = bands[i+1].X
		}
		name := []rune(bands[i].Name)
		switch room := int((next - bands[i].X) / letter); {
		case room >= len(name):
			bands[i].Label = bands[i].Name
		case room > 2:
			bands[i].Label = string(name[:room-1]) + "…"
		}
	}
}

// spread moves names up where they would cover each other.
func spread(ends []ending, bottom float64) {
	const apart = 16
	slices.SortStableFunc(ends, func(a, b ending) int { return cmp.Compare(b.Y, a.Y) })
	for i := range ends {
		ends[i].Y = min(ends[i].Y, bottom-float64(apart*i))
		if i > 0 {
			ends[i].Y = min(ends[i].Y, ends[i-1].Y-apart)
		}
	}
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

// NamesLeft is where the names of the lines begin, right of where these end.
func (c chart) NamesLeft() float64 { return c.Right + 8 }
