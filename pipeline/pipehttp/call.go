package pipehttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
)

// A call is one RoundTrip, and its attempts.
type call struct {
	base    http.RoundTripper
	request *http.Request
	host    *host
	once    bool // the request must not be sent twice

	mu       sync.Mutex       // guards the fields below: attempts may overlap
	sent     bool             // the request's own body has been handed on
	own      *source          // the request's own body, if it is watched
	spent    bool             // an attempt has sent the request, or may have
	marks    []mark           // of errors
	returned []*http.Response // by attempts, and not discarded yet
	over     bool             // RoundTrip has returned
}

var (
	errNothing = errors.New("pipehttp: the base transport returned neither a response nor an error")
	errSent    = errors.New("pipehttp: the request must not be sent again: its method is not idempotent, or its body cannot be rewound")
	errLate    = errors.New("pipehttp: the response came after the request had been answered")
)

// attempt makes one round trip.
func (c *call) attempt(ctx context.Context) (*http.Response, error) {
	if c.host.alone {
		c.discardBut(nil) // those of earlier attempts, in case the pipeline's Retry has no Discard
	}
	if c.spend() {
		return nil, c.marked(errSent, ignored)
	}
	body, err := c.body()
	if err != nil {
		return nil, c.marked(err, ignored)
	}
	response, err := c.roundTrip(ctx, body)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	late := c.over
	if !late {
		c.returned = append(c.returned, response)
	}
	c.mu.Unlock()
	if late {
		Discard(response)
		return nil, errLate
	}
	return response, nil
}

// spend reports whether the request has been sent and must not be sent again, and notes that it is sent now.
func (c *call) spend() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	spent := c.spent
	c.spent = c.once
	return spent
}

// forget notes that the last attempt has not sent the request.
func (c *call) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spent = false
}

// end discards every response but the one that RoundTrip returns, now and from here on.
func (c *call) end(kept *http.Response) {
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	c.discardBut(kept)
}

// discardBut discards what attempts have returned but for kept, which may be another response with the same body.
func (c *call) discardBut(kept *http.Response) {
	c.mu.Lock()
	returned := c.returned
	c.returned = nil
	c.mu.Unlock()
	for _, r := range returned {
		if kept == nil || r != kept && !sameBody(r.Body, kept.Body) {
			Discard(r)
		}
	}
}

// body returns the request's own body for the first attempt, and for the next ones as long as none has read from it.
// After that it returns a new one.
func (c *call) body() (io.ReadCloser, error) {
	r := c.request
	if own, ok := c.ownBody(); ok {
		return own, nil
	}
	if r.GetBody == nil {
		return nil, errors.New("pipehttp: the request's body cannot be sent again: it has no GetBody")
	}
	body, err := r.GetBody()
	if err != nil {
		return nil, fmt.Errorf("pipehttp: the request's body cannot be sent again: %w", err)
	}
	return newSource(body, r.ContentLength), nil
}

// ownBody returns the request's own body unless it is used up, or may yet be used by another attempt.
func (c *call) ownBody() (io.ReadCloser, bool) {
	r := c.request
	if r.Body == nil || r.Body == http.NoBody {
		return r.Body, true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sent && (c.own == nil || !c.own.unread()) {
		return nil, false
	}
	c.sent = true
	if inMemory(r) {
		return r.Body, true
	}
	c.own = newSource(r.Body, r.ContentLength)
	c.own.spare = true
	return c.own, true
}

// closeBody closes the request's body if no attempt has taken it, or read from it, as a RoundTripper must.
func (c *call) closeBody() {
	c.mu.Lock()
	sent, own := c.sent, c.own
	c.sent = true
	c.mu.Unlock()
	switch {
	case own != nil:
		own.release()
	case !sent && c.request.Body != nil:
		_ = c.request.Body.Close()
	}
}
