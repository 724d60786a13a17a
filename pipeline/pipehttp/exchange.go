package pipehttp

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/policy"
)

// An exchange is one attempt of a call, and the body of its response. The request's context outlives the pipeline's:
// those end it only until the response is there. After that it ends with the caller's context or with the body.
type exchange struct {
	call     *call
	cancel   context.CancelCauseFunc // ends the request's context
	progress progress

	body    io.ReadCloser // the response's
	release func() bool   // stops waiting for the end of the caller's context
	closed  atomic.Bool
}

// roundTrip sends the request.
func (c *call) roundTrip(ctx context.Context, body io.ReadCloser) (*http.Response, error) {
	own, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	release := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	x := &exchange{call: c, cancel: cancel}
	kept := false
	defer func() {
		release()
		if !kept {
			cancel(nil)
		}
	}()
	request := c.request.WithContext(x.progress.trace(own, c.base))
	request.Body = body
	if s, ok := body.(*source); ok {
		request.GetBody = s.rewinder(request.GetBody)
	}
	begun := clock.System.Nanos()
	response, err := c.base.RoundTrip(request)
	took := clock.Since(begun, clock.System.Nanos())
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
		return nil, x.blame(err, request, took)
	}
	c.host.pace.answered(took)
	kept = true
	x.keepOpen(response)
	if response.Request == request {
		response.Request = c.request
	} else if response.Request != nil { // a wrapper's copy, made of ours
		response.Request = response.Request.WithContext(c.request.Context())
	}
	return response, nil
}

// blame marks the error of a round trip if the request is at fault, if the caller did not give the host its time, or if
// the request was never sent.
func (x *exchange) blame(err error, request *http.Request, took time.Duration) error {
	switch s, watched := request.Body.(*source); {
	case x.caller().Err() == context.DeadlineExceeded && !x.call.host.pace.overdue(took):
		return x.call.marked(err, ignored)
	case isInvalid(err), watched && s.failed():
		return x.call.marked(err, ignored)
	case x.progress.unsent(err):
		x.call.forget()
		return x.call.marked(err, policy.Unsent)
	default:
		return err
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
func (x *exchange) keepOpen(response *http.Response) {
	if response.Body == nil || response.Body == http.NoBody {
		response.Body = http.NoBody
		x.free()
		return
	}
	x.body, response.Body = response.Body, x
	if w, ok := x.body.(io.Writer); ok { // after 101 Switching Protocols
		response.Body = duplex{x, w}
	}
	if caller := x.caller(); caller.Done() != nil {
		x.release = context.AfterFunc(caller, func() { x.cancel(context.Cause(caller)) })
	}
}

func (x *exchange) caller() context.Context { return x.call.request.Context() }

// free ends the request's context. It may be called several times.
func (x *exchange) free() {
	if x.release != nil {
		x.release()
	}
	x.cancel(nil)
}

// Read reads from the response's body.
func (x *exchange) Read(p []byte) (int, error) {
	if x.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := x.body.Read(p)
	if err != nil {
		err = because(x.caller(), err)
		x.free()
	}
	return n, err
}

// Close closes the response's body, once: a policy's Discard may have come before the call's own.
func (x *exchange) Close() error {
	if x.closed.Swap(true) {
		return nil
	}
	defer x.free()
	return x.body.Close()
}

// A duplex is a body that can be written to.
type duplex struct {
	*exchange
	io.Writer
}
