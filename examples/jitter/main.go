// Jitter shows why waits between attempts should be random: clients that contend for one row and all wait equally long
// meet again. It plays the contest of the AWS Architecture Blog's "Exponential Backoff And Jitter" with each backoff
// and writes a page with charts.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/holdfast-go/holdfast/pipeline/sim"
)

func main() {
	out := flag.String("o", filepath.Join(os.TempDir(), "jitter.html"), "the page to write")
	runs := flag.Int("runs", 100, "how many runs of each backoff")
	flag.Parse()
	if *runs < 1 {
		fmt.Fprintf(os.Stderr, "jitter: -runs is %d; want 1 or more\n", *runs)
		os.Exit(2)
	}
	if err := run(*out, *runs, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "jitter:", err)
		os.Exit(1)
	}
}

func run(out string, runs int, log io.Writer) error {
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	page := sim.Page{
		Title: "Random waits end a contest in a tenth of the time that growing waits take, with half of the calls",
		Lead: fmt.Sprintf(`Ten clients, or a hundred, want to write the same row at once. Each reads its version and writes if nobody else has; if somebody has, it waits and tries again. A trip through the network takes about 10 ms.
Without waits the last client is done soonest, at the price of three times the calls. Waits that grow but are the same for all let the clients collide over and over. With full jitter, a random time up to the growing wait, both stay small. Means of %d runs.`, runs),
		Table: sim.Table{
			Caption: "The same in numbers",
			Columns: []string{"backoff", "10 clients: all done after", "calls", "100 clients: all done after", "calls"},
		},
	}
	results := make([][]result, len(rows))
	for i, row := range rows {
		fmt.Fprintf(log, "%d of %d: %-23s", i+1, len(rows), row.name)
		cells := []string{row.name}
		for _, clients := range sizes {
			r := measure(clients, runs, row.backoff)
			results[i] = append(results[i], r)
			fmt.Fprintf(log, "%4d clients: %6.0f ms, %5.0f calls", clients, r.ms, r.calls)
			cells = append(cells, fmt.Sprintf("%.0f ms", r.ms), fmt.Sprintf("%.0f", r.calls))
		}
		fmt.Fprintln(log)
		page.Table.Rows = append(page.Table.Rows, cells)
	}
	for n := len(sizes) - 1; n >= 0; n-- { // the larger contest shows it best
		times := sim.Bars{Title: fmt.Sprintf("Time until %d clients are done: worst if all wait equally long", sizes[n]), Unit: "ms"}
		calls := sim.Bars{Title: fmt.Sprintf("Calls it takes %d clients: fewest if they wait at random", sizes[n]), Unit: "calls"}
		for i, row := range rows {
			times.Bars = append(times.Bars, sim.Bar{Label: row.name, Value: results[i][n].ms})
			calls.Bars = append(calls.Bars, sim.Bar{Label: row.name, Value: results[i][n].calls})
		}
		page.Bars = append(page.Bars, times, calls)
	}
	if err := page.WriteHTML(f); err != nil {
		return err
	}
	fmt.Fprintln(log, "see", out)
	return f.Close()
}
