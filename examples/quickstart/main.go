// Quickstart sends real HTTP calls through a pipeline, and through an outage, and draws what happens.
//
//	go -C examples run ./quickstart
//
// The pipeline is in pipeline.go, the server that fails in server.go, the load and what is counted in load.go, and the
// drawing in timeline.go; view.go and summary.go are what there is without a terminal, and in the end.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program the hard way
	os.Exit(start(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// start is the program: what it returns is the exit status.
func start(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		_, _ = fmt.Fprint(stdout, usage)
		return 0
	case err != nil:
		_, _ = fmt.Fprintf(stderr, "quickstart: %v (-h explains the flags)\n", err)
		return exitUsage
	}
	show := newView(stdout, o)
	var s summary
	if o.url != "" {
		t := timings{attempt: o.timeout, backoff: o.timeout / 10, window: 5 * time.Second, cooldown: 2 * time.Second}
		s = run(ctx, o, t, nil, func(ctx context.Context) { wait(ctx, o.total) }, show)
	} else {
		server, err := listen(5 * o.timeout)
		if err != nil {
			_, _ = fmt.Fprintf(stderr, "quickstart: cannot start a server on loopback: %v\n", err)
			return exitFailed
		}
		defer server.Close()
		o.url = server.url
		t := timings{attempt: o.timeout, backoff: o.timeout / 2, window: o.total / 10, cooldown: o.total / 10}
		s = run(ctx, o, t, server, func(ctx context.Context) { server.play(ctx, o.total) }, show)
	}
	show.end(s)
	return s.verdict(stderr)
}

// run sends calls to o.url, through a pipeline of these timings, until the story has been told or ctx ends. s is the
// server at o.url, if it is one of this program's.
func run(ctx context.Context, o options, t timings, s *server, story func(context.Context), show view) summary {
	target, _ := url.Parse(o.url) // it has been checked
	r := newRecord(target.Redacted(), o.total, 1, func() int { return 0 })
	if s != nil {
		r = newRecord(o.url, o.total, len(outage), func() int { return int(s.phase.Load()) })
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, o.rate // all that are busy at once may be used again
	c := &client{url: o.url, http: &http.Client{Transport: transport}}
	p := newPipeline(t, c, r)
	fetch := p.Bind(c.fetch)

	until, end := context.WithCancel(ctx)
	go func() {
		defer end()
		story(until)
	}()
	done := make(chan struct{})
	go func() {
		defer close(done)
		drive(until, o.rate, func() { r.call(ctx, fetch) })
	}()
	watch(show, r, done)
	plan := p.Explain().Offered(float64(o.rate)) // which says so if the circuit cannot open at this rate
	return summary{history: r.history(), plan: plan, interrupted: ctx.Err() != nil}
}

// watch shows the record until the run is done.
func watch(show view, r *record, done <-chan struct{}) {
	ticker := time.NewTicker(show.interval())
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			show.update(r.history())
		case <-done:
			show.update(r.history())
			return
		}
	}
}
