package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/pipeline/pipehttp"
	"github.com/holdfast-go/holdfast/policy"
)

// newPipeline is what this program is about. Policies stand outermost first: a call passes them from top to bottom, and
// its result from bottom to top.
func newPipeline(t timings, c *client, r *record) pipeline.Pipeline[page] {
	circuit := &policy.Circuit{
		Name:     "server",
		Trip:     policy.FailureRate{Ratio: 0.5, Window: t.window, MinCalls: 10}, // open once half of them fail,
		Cooldown: policy.Constant(t.cooldown),                                    // and let a call probe after this
		OnChange: r.changed,
	}
	return pipeline.Wrap(
		// Outermost, so that it answers whatever goes wrong inside: a page of a moment ago is better than none.
		&policy.Fallback[page]{Name: "stale page", Func: c.stale},
		// Next, so that the fallback is asked only once trying again has not helped either. The waits are random, so that
		// calls that failed together do not come back together.
		&policy.Retry[page]{Attempts: 3, Backoff: policy.FullJitter(policy.Exponential(t.backoff, 4*t.backoff)), MaxHint: t.cooldown},
		// Inside the retry, so that it counts every attempt, and a retry never reaches a server that is down: what an
		// open circuit refuses is not tried again, and goes to the fallback at once.
		&policy.Breaker[page]{Circuit: circuit},
		// Innermost, so that it bounds each attempt, and a slow one counts as failed with retry and circuit.
		&policy.Timeout[page]{Limit: t.attempt},
	).Named("pages").Observe(r)
}

// timings suit a pipeline to a server.
type timings struct {
	attempt  time.Duration // how long one request may take
	backoff  time.Duration // how long the first wait before a retry is at most
	window   time.Duration // what the circuit looks back on
	cooldown time.Duration // how long it stays open
}

// A page is what the pipeline's calls return.
type page struct {
	body    []byte
	attempt int  // which one brought it
	stale   bool // it is an earlier call's
}

// A client fetches one page, and remembers it.
type client struct {
	url  string
	http *http.Client
	last atomic.Pointer[page]
}

// fetch makes one request: the func that the pipeline runs. It knows nothing of policies; what its errors mean to them
// it says by marking them.
func (c *client) fetch(ctx context.Context) (page, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, nil)
	if err != nil {
		return page{}, policy.Permanent(err)
	}
	response, err := c.http.Do(request)
	if err != nil {
		if reason, ok := errors.AsType[*url.Error](err); ok {
			err = reason.Err // without the method and URL, which are always the same here
		}
		return page{}, err
	}
	defer pipehttp.Discard(response)
	switch pipehttp.Classify(response, nil) {
	case policy.Success:
	case policy.PermanentFailure: // 404 and the like: asking again is no use
		return page{}, policy.Permanent(statusError(response.Status))
	default: // 503 and the like: ask again, but not before the server wants it
		return page{}, policy.RetryAfter(statusError(response.Status), pipehttp.Hint(response, nil))
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return page{}, err
	}
	p := page{body: body, attempt: policy.Attempt(ctx)}
	c.last.Store(&p)
	return p, nil
}

// stale answers with the page that was fetched last, if there is one.
func (c *client) stale(_ context.Context, _ page, err error) (page, error) {
	last := c.last.Load()
	if last == nil {
		return page{}, err
	}
	return page{body: last.body, stale: true}, nil
}

// A statusError is an answer that is no page: "503 Service Unavailable".
type statusError string

func (e statusError) Error() string { return string(e) }
