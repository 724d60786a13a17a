// Bench measures what a call through a Holdfast pipeline costs, next to the libraries people would use instead and to
// plain Go. Every library does the same work, checked on every call, in rounds that take turns, so that one run
// compares fairly on whatever machine it is on.
//
//	go -C bench run .          # measures, and writes tables and a chart into bench/out
//	go -C bench run . -guard   # fails if this checkout has become slower or allocates more
//	go -C bench run . -h       # everything else
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/bench/internal/guard"
	"github.com/holdfast-go/holdfast/bench/internal/load"
	"github.com/holdfast-go/holdfast/bench/internal/measure"
	"github.com/holdfast-go/holdfast/bench/internal/peers"
	"github.com/holdfast-go/holdfast/bench/internal/report"
)

type options struct {
	guard      bool
	out        string
	readme     string
	run        string
	goroutines string
	rounds     int
	budget     time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// command is main, without a process.
func command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&o.guard, "guard", false, "measure only what is guarded, and fail if it allocates more or a ratio is worse than it may be")
	flags.StringVar(&o.out, "out", "out", "write results.md, results.json and chart.svg into this `folder`; empty for none")
	flags.StringVar(&o.readme, "readme", "", "also put a table between the markers "+report.Start+" and "+report.End+" of this `file`")
	flags.StringVar(&o.run, "run", "", "measure only the workloads whose names match this `regexp`")
	flags.StringVar(&o.goroutines, "goroutines", "1,2,8,64", "how many goroutines to call from, a `list`")
	flags.IntVar(&o.rounds, "rounds", 7, "in how many rounds")
	flags.DurationVar(&o.budget, "for", 75*time.Second, "how long to measure in all, about")
	flags.Usage = func() {
		_, _ = fmt.Fprint(stderr, "go run . measures what a call through a pipeline costs, next to other libraries.\n\n")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unknown arguments %q", flags.Args())
	}
	if o.guard {
		return guard.Watch(ctx, stdout, guard.Rounds, guard.Pins, guard.Bounds, peers.Ours, peers.Cases(nil, 1, 8))
	}
	return compare(ctx, o, stdout, stderr)
}

func compare(ctx context.Context, o options, stdout, stderr io.Writer) error {
	pattern, err := regexp.Compile(o.run)
	if err != nil {
		return err
	}
	goroutines, err := numbers(o.goroutines)
	if err != nil {
		return err
	}
	cases := peers.Cases(pattern, goroutines...)
	if len(cases) == 0 {
		return fmt.Errorf("no workload matches %q", o.run)
	}
	if o.rounds < 1 {
		return fmt.Errorf("-rounds is %d; want 1 or more", o.rounds)
	}
	show, done := progress(stderr)
	plan := measure.Plan{Rounds: o.rounds, Most: o.budget * 5 / 4, Slice: measure.Slice(o.budget, len(cases), o.rounds), Progress: show}
	series, err := plan.Run(ctx, cases)
	done()
	if err != nil {
		return err
	}
	results := report.Collect(series, load.All(), peers.All())
	results.Machine, results.Modules = report.ThisMachine(), report.Versions(results.Peers)
	_, _ = fmt.Fprint(stdout, results.Text())
	return write(o, results, stdout)
}

func numbers(list string) ([]int, error) {
	var all []int
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 1 {
			return nil, fmt.Errorf("-goroutines is %q; want numbers of 1 or more, with commas between", list)
		}
		all = append(all, n)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}
