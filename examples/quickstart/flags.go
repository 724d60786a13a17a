package main

import (
	"flag"
	"fmt"
	"io"
	"net/url"
	"time"
)

const (
	exitFailed      = 1   // not a single call succeeded
	exitUsage       = 2   // the flags are wrong
	exitInterrupted = 130 // Ctrl-C

	maxRate  = 1000
	minTotal = 100 * time.Millisecond
	maxTotal = time.Hour
)

const usage = `Quickstart sends HTTP calls through a pipeline — fallback, retry, circuit breaker, timeout — to a server
that is healthy, slow, failing, and healthy again, and draws what happens.

Usage: go -C examples run ./quickstart [flags]

  -url URL       send the calls to this server instead; its own outages are the show
  -rate N        calls a second, 1 to 1000 (default 20)
  -for D         how long, 100ms to 1h; the outage is stretched over it (default 10s)
  -timeout D     how long an attempt may take (default 100ms; with -url 2s)
  -json          print nothing but the summary, as JSON

Exit status: 0 if some call succeeded, 1 if none did, 2 if a flag is wrong, 130 after Ctrl-C.
("go run" prints that status and exits with 1 itself.) NO_COLOR and TERM=dumb are respected.
`

// options are what the flags say.
type options struct {
	url     string
	rate    int
	total   time.Duration
	timeout time.Duration
	json    bool
}

// parse reads the flags, and says what is wrong with them.
func parse(args []string) (o options, err error) {
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.url, "url", "", "")
	flags.IntVar(&o.rate, "rate", 20, "")
	flags.DurationVar(&o.total, "for", 10*time.Second, "")
	flags.DurationVar(&o.timeout, "timeout", 0, "")
	flags.BoolVar(&o.json, "json", false, "")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("%q is not a flag", flags.Arg(0))
	case o.rate < 1 || o.rate > maxRate:
		return o, fmt.Errorf("-rate is %d; want 1 to %d calls a second", o.rate, maxRate)
	case o.total < minTotal || o.total > maxTotal:
		return o, fmt.Errorf("-for is %v; want %v to %v", o.total, minTotal, maxTotal)
	case o.total < time.Second/time.Duration(o.rate):
		return o, fmt.Errorf("-for %v is over before the first call; at -rate %d make it %v or more", o.total, o.rate, time.Second/time.Duration(o.rate))
	case given["timeout"] && (o.timeout < time.Millisecond || o.timeout > time.Minute):
		return o, fmt.Errorf("-timeout is %v; want %v to %v", o.timeout, time.Millisecond, time.Minute)
	case given["url"]:
		err = checkURL(o.url)
	}
	if !given["timeout"] {
		o.timeout = 100 * time.Millisecond
		if given["url"] {
			o.timeout = 2 * time.Second
		}
	}
	return o, err
}

func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return fmt.Errorf("-url: %w", err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return fmt.Errorf("-url is %q; want something like https://example.com/path", text)
	}
	return nil
}
