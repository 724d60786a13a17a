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
	alone   bool // attempts never overlap

	mu       sync.Mutex       // guards the fields below: attempts may overlap
	sent     bool             // the request's own body has been handed on
	returned []*http.Response // by attempts, and not discarded yet
	over     bool             // RoundTrip has returned
}

var (
	errNothing = errors.New("pipehttp: the base transport returned neither a response nor an error")
	errLate    = errors.New("pipehttp: the response came after the request had been answered")
)

// attempt makes one round trip.
func (c *call) attempt(ctx context.Context) (*http.Response, error) {
	if c.alone {
		c.discardBut(nil) // those of earlier attempts, in case the pipeline's Retry has no Discard
	}
	body, err := c.body()
	if err != nil {
		return nil, err
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

// roundTrip gives the request a context that outlives the pipeline's: those end it only until the response is there.
func (c *call) roundTrip(ctx context.Context, body io.ReadCloser) (*http.Response, error) {
	own, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	release := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	kept := false
	defer func() {
		release()
		if !kept {
			cancel(nil)
		}
	}()
	request := c.request.WithContext(own)
	request.Body = body
	response, err := c.base.RoundTrip(request)
	switch alive := release(); {
	case err != nil:
		err = because(ctx, err)
	case response == nil:
		err = errNothing
	case !alive && ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	if err != nil {
		Discard(response)
		return nil, err
	}
	kept = true
	c.keepOpen(response, cancel)
	return response, nil
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
		if kept == nil || r != kept && r.Body != kept.Body {
			Discard(r)
		}
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

// because is err, or in place of context.Canceled why ctx has ended: HTTP/2 asks the request's context, which is one of
// ours, only whether it ended and not why.
func because(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return context.Cause(ctx)
	}
	return err
}

// keepOpen has the end of response's body, or of the caller's context, free the request's context, and nothing earlier.
func (c *call) keepOpen(response *http.Response, cancel context.CancelCauseFunc) {
	if response.Body == nil {
		response.Body = http.NoBody
	}
	caller := c.request.Context()
	release := context.AfterFunc(caller, func() { cancel(context.Cause(caller)) })
	b := &body{ReadCloser: response.Body, caller: caller, free: sync.OnceFunc(func() {
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
	caller context.Context
	free   func()
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		err = because(b.caller, err)
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
