package sim

import (
	_ "embed" // the page's template
	"fmt"
	"html/template"
	"io"
	"math"
	"strconv"
	"time"
)

// A Page is a document that explains runs to people: one HTML file with its charts inside, which needs no network.
type Page struct {
	Title   string   // what the runs show, as a sentence
	Lead    string   // what was done, in a few lines
	Bars    []Bars   // charts of single numbers
	Table   Table    // numbers side by side
	Reports []Report // charts over time; several are compared first
}

// Bars is a chart of single numbers.
type Bars struct {
	Title string // what they show, as a sentence
	Unit  string // of the values, as in "calls"
	Bars  []Bar
}

// A Bar is one number in a chart.
type Bar struct {
	Label string
	Value float64
}

// A Table has a row for each thing compared; the first column says what that is.
type Table struct {
	Caption string
	Columns []string
	Rows    [][]string
}

//go:embed page.html.tmpl
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// WriteHTML writes the page.
func (p Page) WriteHTML(w io.Writer) error {
	view := struct {
		Page
		Charts   []barChart
		Overview *chart
		Cards    []card
	}{Page: p}
	for _, b := range p.Bars {
		view.Charts = append(view.Charts, newBarChart(b))
	}
	if len(p.Reports) > 1 {
		view.Overview = overview(p.Reports)
	}
	rates, latencies := 0.0, 0.0 // of the vertical axes, the same in all cards
	for _, r := range p.Reports {
		rates = max(rates, highest(r.traffic()))
		latencies = max(latencies, highest(r.speed()))
	}
	for _, r := range p.Reports {
		c := card{Report: r, Compared: len(p.Reports) > 1}
		c.draw(rates, latencies)
		view.Cards = append(view.Cards, c)
	}
	return pageTemplate.Execute(w, view)
}

// WriteHTML writes a page about r alone.
func (r Report) WriteHTML(w io.Writer) error {
	title := r.Verdict()
	if r.Name != "" {
		title = r.Name + ". " + title
	}
	return Page{Title: title, Lead: r.conditions(), Reports: []Report{r}}.WriteHTML(w)
}

// card is one report.
type card struct {
	Report
	Compared bool // with others on the same page
	Charts   []chart
	Facts    [][2]string
}

const (
	cardWidth    = 560
	wideWidth    = 1140
	chartHeight  = 210
	stripHeight  = 60
	mostInCharts = 100 // points of a line of counts: with more, it shows the chance in single arrivals
)

// draw makes the charts, with vertical axes up to the given values.
func (c *card) draw(rates, latencies float64) {
	r, width := c.Report, float64(cardWidth)
	if !c.Compared {
		width = wideWidth
	}
	c.Charts = append(c.Charts, sketch{
		title: "requests and calls a second", width: width, height: chartHeight,
		length: r.Length, phases: r.Phases, top: rates, series: r.traffic(),
	}.chart())
	if r.Circuits > 0 {
		c.Charts = append(c.Charts, r.strip(width))
	}
	c.Charts = append(c.Charts, sketch{
		title: "latency of the requests that succeeded, seconds", width: width, height: chartHeight * 3 / 4,
		length: r.Length, phases: r.Phases, top: latencies, series: r.speed(),
	}.chart())
	c.Facts = [][2]string{
		{"succeeded", percent(r.SuccessRate())},
		{"calls per request", decimals(r.CallsPerRequest(), 2)},
		{"latency, median and 99 %", seconds(r.Latency.P50) + " and " + seconds(r.Latency.P99)},
	}
}

// Tone is how the card says its verdict.
func (c card) Tone() string {
	switch {
	case !c.Recovery.Expected:
		return "plain"
	case c.Recovery.Recovered:
		return "up"
	default:
		return "down"
	}
}

// overview compares the goodput of several reports.
func overview(reports []Report) *chart {
	first := reports[0]
	all := []series{first.rates("offered", "offered", func(p Point) int { return p.Offered })}
	length := time.Duration(0)
	for i, r := range reports {
		all = append(all, r.rates(r.Name, "l"+strconv.Itoa(i%6), func(p Point) int { return p.Good }))
		length = max(length, r.Length)
	}
	c := sketch{
		title: "goodput: requests that succeeded, a second", width: wideWidth, height: chartHeight * 3 / 2, named: true,
		length: length, phases: first.Phases, series: all,
	}.chart()
	return &c
}

// traffic is what a report's first chart shows.
func (r Report) traffic() []series {
	return []series{
		r.rates("calls made (attempts)", "calls", func(p Point) int { return p.Calls }),
		r.rates("requests offered", "offered", func(p Point) int { return p.Offered }),
		r.rates("succeeded (goodput)", "good", func(p Point) int { return p.Good }),
	}
}

// speed is what its last chart shows.
func (r Report) speed() []series {
	return []series{
		r.latencies("99 % within", "p99", func(p Point) time.Duration { return p.P99 }),
		r.latencies("half within", "p50", func(p Point) time.Duration { return p.P50 }),
	}
}

// rates are counts a second, of so many steps at a time that chance does not show too much.
func (r Report) rates(name, class string, of func(Point) int) series {
	s := series{name: name, class: class}
	group := (len(r.Timeline) + mostInCharts - 1) / mostInCharts
	for i := 0; i < len(r.Timeline); i += group {
		last := min(i+group, len(r.Timeline)) - 1
		count := 0
		for _, p := range r.Timeline[i : last+1] {
			count += of(p)
		}
		begin, end := r.Timeline[i].At, r.stepEnd(last)
		s.times = append(s.times, begin+(end-begin)/2)
		s.values = append(s.values, perSecond(count, end-begin))
	}
	return s
}

func (r Report) latencies(name, class string, of func(Point) time.Duration) series {
	s := series{name: name, class: class}
	for i, p := range r.Timeline {
		v := math.NaN()
		if p.Good > 0 {
			v = of(p).Seconds()
		}
		s.times = append(s.times, p.At+(r.stepEnd(i)-p.At)/2)
		s.values = append(s.values, v)
	}
	return s
}

// strip shows the states of the circuits.
func (r Report) strip(width float64) chart {
	title := "state of the circuit"
	if r.Circuits > 1 {
		title = fmt.Sprintf("state of most of the %d circuits", r.Circuits)
	}
	c := sketch{title: title, width: width, height: stripHeight, length: r.Length}.chart()
	c.YTicks = nil
	scale := (c.Right - c.Left) / max(1, float64(r.Length))
	for i, p := range r.Timeline {
		class := "closed"
		if p.HalfOpen >= 0.5 || p.HalfOpen > 0 && p.HalfOpen >= p.Open {
			class = "half"
		} else if p.Open+p.HalfOpen >= 0.5 {
			class = "open"
		}
		from, to := c.Left+float64(scale*float64(p.At)), c.Left+float64(scale*float64(r.stepEnd(i)))
		if n := len(c.Strips); n > 0 && c.Strips[n-1].Class == class {
			c.Strips[n-1].Width = to - c.Strips[n-1].X
			continue
		}
		c.Strips = append(c.Strips, band{X: from, Width: to - from, Class: class})
	}
	return c
}

// barChart is Bars as one SVG picture.
type barChart struct {
	Title  string
	Height float64
	Rows   []barRow
}

type barRow struct {
	Label, Value   string
	Y, Width, Text float64
}

func newBarChart(b Bars) barChart {
	const label, space, row = 170, 290, 26
	top := 1e-9
	for _, bar := range b.Bars {
		top = max(top, bar.Value)
	}
	c := barChart{Title: b.Title, Height: float64(row*len(b.Bars) + 6)}
	for i, bar := range b.Bars {
		width := max(1, float64(space*(bar.Value/top)))
		c.Rows = append(c.Rows, barRow{bar.Label, decimals(bar.Value, 0) + " " + b.Unit, float64(i * row), width, label + width + 6})
	}
	return c
}
