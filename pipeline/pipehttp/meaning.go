package pipehttp

import (
	"fmt"
	"io"
	"net/http"
	"sync/atomic"

	"github.com/holdfast-go/holdfast/policy"
)

// Meaning says what responses mean, for every policy of a pipeline that does not say so itself: by Classify, Hint and
// Discard. It calls a failed response by its status, such as "503 Service Unavailable", in events and in a circuit's
// changes. A Transport gives it to every pipeline, so it is needed only for pipelines around an http.Client:
//
//	p := pipeline.Wrap(policies...).Means(pipehttp.Meaning)
//	response, err := p.Do(ctx, func(ctx context.Context) (*http.Response, error) {
//		return client.Do(request.WithContext(ctx))
//	})
//
// The contexts of Timeout, Hedge and Dedupe stay alive until the response's body has been closed, or read to its end or
// to an error.
var Meaning = policy.Meaning[*http.Response]{
	Name: "http", Classify: Classify, Hint: Hint, Discard: Discard, Failure: failure, Hold: hold,
}

// ownMeaning is that of a Transport's pipelines, whose contexts a response does not need: see exchange.
var ownMeaning = policy.Meaning[*http.Response]{
	Name: "http", Classify: Classify, Hint: Hint, Discard: Discard, Failure: failure,
}

// failure returns the error that stands for a response that Classify calls a failure.
func failure(r *http.Response) error {
	if r == nil {
		return errNothing
	}
	return statusError(r.StatusCode)
}

// A statusError is the error that stands for a response with that status.
type statusError int

func (s statusError) Error() string {
	if text := http.StatusText(int(s)); text != "" {
		return fmt.Sprintf("%d %s", int(s), text)
	}
	return fmt.Sprintf("status %d", int(s))
}

// hold has the end of r's body call release.
func hold(r *http.Response, release func()) *http.Response {
	if r == nil || r.Body == nil || r.Body == http.NoBody {
		release()
		return r
	}
	h := &held{body: r.Body, release: release}
	if w, ok := r.Body.(io.Writer); ok {
		r.Body = writableHeld{h, w}
	} else {
		r.Body = h
	}
	return r
}

// A held is a response's body with what to do at its end.
type held struct {
	body    io.ReadCloser
	release func()
	over    atomic.Bool
}

// Read implements io.Reader.
func (h *held) Read(p []byte) (int, error) {
	n, err := h.body.Read(p)
	if err != nil {
		h.end()
	}
	return n, err
}

// Close implements io.Closer.
func (h *held) Close() error {
	defer h.end()
	return h.body.Close()
}

func (h *held) end() {
	if !h.over.Swap(true) {
		h.release()
	}
}

// A writableHeld is a held that can be written to, after 101 Switching Protocols.
type writableHeld struct {
	*held
	io.Writer
}

// sameBody reports whether a and b are one body, which may be held.
func sameBody(a, b io.ReadCloser) bool { return bare(a) == bare(b) }

func bare(body io.ReadCloser) io.ReadCloser {
	for {
		switch h := body.(type) {
		case *held:
			body = h.body
		case writableHeld:
			body = h.body
		default:
			return body
		}
	}
}
