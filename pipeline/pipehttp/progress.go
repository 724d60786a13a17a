package pipehttp

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
)

// A progress is how far a request has come, as far as the base transport reports it to an httptrace.ClientTrace.
type progress struct {
	hooks httptrace.ClientTrace
	asked atomic.Bool // for a connection
	got   atomic.Bool // one: from here on the request may have been sent
}

// trace returns ctx with hooks that follow the request.
func (p *progress) trace(ctx context.Context, base http.RoundTripper) context.Context {
	// A Transport of net/http asks for another connection if it may send a request again, because nothing of it was
	// written or the server has not taken it up. Another base may do so for reasons of its own.
	_, known := base.(*http.Transport)
	p.hooks.GetConn = func(string) {
		p.asked.Store(true)
		if known {
			p.got.Store(false)
		}
	}
	p.hooks.GotConn = func(httptrace.GotConnInfo) { p.got.Store(true) }
	return httptrace.WithClientTrace(ctx, &p.hooks)
}

// unsent reports whether the request that ended with err was never sent, or was sent and never looked at.
func (p *progress) unsent(err error) bool {
	return p.asked.Load() && !p.got.Load() || isRefused(err)
}

// isRefused reports whether an HTTP/2 server has said that it did not look at a request (RFC 9113, section 8.7): by
// REFUSED_STREAM, or by a GOAWAY whose last stream came before. Net/http tries again on its own after most of these, but
// for a bounded time, and not after an error on the first stream. It has no values of the errors to compare with.
func isRefused(err error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		text := err.Error()
		if strings.HasPrefix(text, "http2: Transport received GOAWAY from server ErrCode:") ||
			strings.HasPrefix(text, "http2: Transport received Server's graceful shutdown GOAWAY") ||
			strings.HasPrefix(text, "stream error: stream ID ") && strings.Contains(text, "; REFUSED_STREAM") {
			return true
		}
	}
	return false
}
