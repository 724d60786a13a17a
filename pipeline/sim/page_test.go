package sim_test

import (
	"bytes"
	"encoding/xml"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/pipeline/sim"
)

func page(t *testing.T, p sim.Page) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, p.WriteHTML(&b))
	return b.String()
}

// pictures are the SVG elements of a page, each of which must be XML.
func pictures(t *testing.T, html string) []string {
	t.Helper()
	all := regexp.MustCompile(`(?s)<svg viewBox="0 0 \d+ \d+" role="img".*?</svg>`).FindAllString(html, -1)
	for _, svg := range all {
		for d := xml.NewDecoder(strings.NewReader(svg)); ; {
			_, err := d.Token()
			if err == io.EOF {
				break
			}
			require.NoError(t, err, svg)
		}
	}
	return all
}

func TestAPageNeedsNothingButItself(t *testing.T) {
	html := page(t, sim.Page{Title: "It works", Reports: sim.Repeat(2, everything), Bars: []sim.Bars{{Title: "b", Bars: []sim.Bar{{"x", 1}}}}})
	for _, outside := range []string{"http:", "https:", "src=", "href=", "<script", "@import", "url("} {
		require.NotContains(t, html, outside)
	}
	require.Contains(t, html, "<title>It works</title>")
}

func TestAPageHasAChartForEverything(t *testing.T) {
	html := page(t, sim.Page{
		Reports: sim.Repeat(2, everything),
		Bars:    []sim.Bars{{Title: "b", Unit: "calls", Bars: []sim.Bar{{"few", 1}, {"many", 20.4}}}},
		Table:   sim.Table{Caption: "numbers", Columns: []string{"name", "value"}, Rows: [][]string{{"a", "1 %"}}},
	})
	all := pictures(t, html)
	require.Len(t, all, 1+1+2*3) // goodput of both, the bars, and three of each report
	for _, want := range []string{"surge", "outage", "time, s", "latency × 2.5", "20 calls", "<td>1 %</td>", "half-open: probing"} {
		require.Contains(t, html, want)
	}
	require.NotContains(t, html, "NaN")
	require.NotContains(t, html, "Inf")
}

func TestNamesAreText(t *testing.T) {
	s := everything(1)
	s.Name, s.Phases[0].Name = `<b>"A" & B</b>`, "</svg>"
	var b bytes.Buffer
	require.NoError(t, sim.Run(s).WriteHTML(&b))
	require.NotContains(t, b.String(), "<b>\"A\"")
	require.Len(t, pictures(t, b.String()), 3)
}

func TestAReportOfNothingHasAPage(t *testing.T) {
	r := sim.Run(sim.Setup{Length: time.Millisecond, Arrivals: sim.Poisson(1e-9)})
	require.Zero(t, r.Requests)
	html := rendered(t, r)
	require.Len(t, pictures(t, html), 2)
	require.NotContains(t, html, "NaN")
	require.Contains(t, html, "0.0 % of the requests succeeded, with 0.00 calls each")
}
