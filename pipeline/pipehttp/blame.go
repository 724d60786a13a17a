package pipehttp

import (
	"errors"
	"strings"

	"github.com/holdfast-go/holdfast/policy"
)

// A mark is what the pipeline is given in place of an attempt's error, so that policies know whose it is.
type mark struct{ marked, err error }

// ignored marks an error that says nothing of the host: the request could not be sent, or the caller did not wait. It is a
// Rejection because every classifier that does not know it ignores those.
func ignored(err error) error { return &policy.Rejection{Policy: "pipehttp", Reason: err} }

// marked returns the mark for err, and remembers it.
func (c *call) marked(err error, by func(error) error) error {
	m := mark{by(err), err}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.marks = append(c.marks, m)
	return m.marked
}

// unmarked returns the error behind err if that is a mark: the caller of RoundTrip gets the error of the base transport.
func (c *call) unmarked(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.marks {
		if err == m.marked {
			return m.err
		}
	}
	return err
}

// invalid are how the errors begin by which net/http, HTTP/2 included, refuses to send a request. It has no values of
// them to compare with.
var invalid = [...]string{
	"http: Request.ContentLength=",
	"http: invalid Host header",
	"http: nil Request.",
	"http: no Host in request URL",
	"invalid Trailer key",
	"net/http: can't write control character in Request.URL",
	"net/http: invalid ", // header, trailer, method
	"unsupported protocol scheme",
	"http2: invalid ", // header, trailer, Host, :path, and those that HTTP/2 does not have
	"http2: request header list larger than",
}

// isInvalid reports whether net/http has refused to send a request. It compares the beginnings of texts, because further
// on there may be words of a server's.
func isInvalid(err error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		text := err.Error()
		for _, prefix := range invalid {
			if strings.HasPrefix(text, prefix) {
				return true
			}
		}
	}
	return false
}
