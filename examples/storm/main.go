// Storm shows how a service collapses under a short surge of load and what brings it back: nothing, with plain retries;
// a budget for them, a limit on calls in flight, or a circuit breaker, with. It simulates each policy ten times and writes
// a page with charts.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/holdfast-go/holdfast/pipeline/sim"
)

func main() {
	out := flag.String("o", filepath.Join(os.TempDir(), "storm.html"), "the page to write")
	seeds := flag.Int("seeds", 10, "how many runs of each policy")
	flag.Parse()
	if *seeds < 1 {
		fmt.Fprintf(os.Stderr, "storm: -seeds is %d; want 1 or more\n", *seeds)
		os.Exit(2)
	}
	if err := run(*out, *seeds, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "storm:", err)
		os.Exit(1)
	}
}

func run(out string, seeds int, log io.Writer) error {
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	page := sim.Page{
		Title: "Ten seconds of double load: retries keep the service down for good, unless something limits them",
		Lead: `Users send 40 requests a second, and 80 between seconds 20 and 30. The slower the server, the more calls it has in flight, and the more it has, the slower it is: 1 s, and 10 ms for each. Clients give up after 3 s.
With three attempts per request, the retries alone are load enough to keep every call slower than that: the surge is long over, and still nothing works. Waiting at random between attempts does not change how many there are. A budget allows one retry for ten requests, a limit of 100 calls in flight refuses what would make the server slow, and a breaker stops everything for some seconds: with each of them the server catches up.`,
		Table: sim.Table{
			Caption: fmt.Sprintf("What %d runs each came to", seeds),
			Columns: []string{"policy", "recovered", "median recovery, from the middle of the surge", "goodput from 60 s to 120 s, a second", "calls per request"},
		},
	}
	for i, row := range rows {
		fmt.Fprintf(log, "%d of %d: %-42s ", i+1, len(rows), row.name)
		begun := time.Now()
		reports := sim.Repeat(seeds, func(seed uint64) sim.Setup { return setup(row, seed) })
		fmt.Fprintf(log, "recovered in %2d of %d runs (%.1f s)\n", reports.Recovered(), seeds, time.Since(begun).Seconds())
		page.Reports = append(page.Reports, reports[0])
		page.Table.Rows = append(page.Table.Rows, summary(row, reports))
	}
	if err := page.WriteHTML(f); err != nil {
		return err
	}
	fmt.Fprintln(log, "see", out)
	return f.Close()
}

func summary(row row, reports sim.Reports) []string {
	recovery := "–"
	if reports.Recovered() > 0 {
		recovery = fmt.Sprintf("%g s", (reports.MedianRecovery() - middle).Seconds())
	}
	goodput := reports.Mean(func(r sim.Report) float64 { return r.Goodput(time.Minute, 2*time.Minute) })
	return []string{
		row.name, fmt.Sprintf("%d of %d", reports.Recovered(), len(reports)), recovery,
		fmt.Sprintf("%.1f", goodput), fmt.Sprintf("%.2f", reports.Mean(sim.Report.CallsPerRequest)),
	}
}
