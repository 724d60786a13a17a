package pipehttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/holdfast-go/holdfast/policy"
)

// A call is one RoundTrip, and its attempts.
type call struct {
	base    http.RoundTripper
	request *http.Request

	mu       sync.Mutex // guards the fields below: attempts may overlap
	sent     bool       // the request's own body has been handed on
	returned []returned // responses that attempts have returned
}

// A returned is a response and the attempt that it came from.
type returned struct {
	attempt  int
	response *http.Response
}

var errNothing = errors.New("pipehttp: the base transport returned neither a response nor an error")

// attempt makes one round trip.
func (c *call) attempt(ctx context.Context) (*http.Response, error) {
	c.discardBefore(policy.Attempt(ctx))
	body, err := c.body()
	if err != nil {
		return nil, err
	}
	// The request's context outlives the pipeline's: those end it only until the response is there.
	own, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	release := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	request := c.request.WithContext(own)
	request.Body = body
	response, err := c.base.RoundTrip(request)
	if err == nil && response == nil {
		err = errNothing
	}
	alive := release()
	if err == nil && !alive && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		Discard(response)
		cancel(nil)
		return nil, err
	}
	caller := c.request.Context()
	c.keepOpen(response, context.AfterFunc(caller, func() { cancel(context.Cause(caller)) }), cancel)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.returned = append(c.returned, returned{policy.Attempt(ctx), response})
	return response, nil
}

// discardBefore frees the responses of earlier attempts, in case the pipeline's Retry has no Discard.
func (c *call) discardBefore(attempt int) {
	c.mu.Lock()
	var over []*http.Response
	for len(c.returned) > 0 && c.returned[0].attempt < attempt {
		over = append(over, c.returned[0].response)
		c.returned = c.returned[1:]
	}
	c.mu.Unlock()
	for _, response := range over {
		Discard(response)
	}
}

// body is the request's own body for the first attempt, and a new one for each that follows.
func (c *call) body() (io.ReadCloser, error) {
	c.mu.Lock()
	first := !c.sent
	c.sent = true
	c.mu.Unlock()
	if first || c.request.Body == nil || c.request.Body == http.NoBody {
		return c.request.Body, nil
	}
	if c.request.GetBody == nil {
		return nil, policy.Permanent(errors.New("pipehttp: the request's body cannot be sent again: it has no GetBody"))
	}
	body, err := c.request.GetBody()
	if err != nil {
		return nil, policy.Permanent(fmt.Errorf("pipehttp: the request's body cannot be sent again: %w", err))
	}
	return body, nil
}

// closeBody closes the request's body if no attempt has taken it, as a RoundTripper must.
func (c *call) closeBody() {
	c.mu.Lock()
	sent := c.sent
	c.sent = true
	c.mu.Unlock()
	if !sent && c.request.Body != nil {
		_ = c.request.Body.Close()
	}
}

// keepOpen has response's body free the request's context at its end, and no earlier.
func (c *call) keepOpen(response *http.Response, release func() bool, cancel context.CancelCauseFunc) {
	if response.Body == nil {
		response.Body = http.NoBody
	}
	b := &body{ReadCloser: response.Body, free: sync.OnceFunc(func() {
		release()
		cancel(nil)
	})}
	response.Body = b
	if w, ok := b.ReadCloser.(io.Writer); ok { // after 101 Switching Protocols
		response.Body = duplex{b, w}
	}
}

// A body is a response's, with what to do at its end.
type body struct {
	io.ReadCloser
	free func()
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.free()
	}
	return n, err
}

func (b *body) Close() error {
	defer b.free()
	return b.ReadCloser.Close()
}

// A duplex is a body that can be written to.
type duplex struct {
	*body
	io.Writer
}
