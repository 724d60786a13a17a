package pipehttp

import (
	"bytes"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync"
)

// A source is a request's body on its way. It remembers how reading it went, since an attempt's error does not say
// whether the connection failed or the body did.
type source struct {
	body   io.ReadCloser
	length int64 // what the request says; 0 or less means unknown

	mu      sync.Mutex // guards the fields below
	spare   bool       // Close leaves the body open until something has been read, so that another attempt can have it
	started bool       // something has been read, or is about to be
	closed  bool
	count   int64   // bytes read
	ended   bool    // by io.EOF
	err     error   // another one, before Close
	again   *source // what net/http sends in place of this one, on another connection
}

func newSource(body io.ReadCloser, length int64) *source { return &source{body: body, length: length} }

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	if !s.start() {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := s.body.Read(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count += int64(n)
	switch {
	case err == io.EOF:
		s.ended = true
	case err != nil && !s.closed:
		s.err = err
	}
	return n, err
}

func (s *source) start() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started = s.started || !s.closed
	return !s.closed
}

// Close implements io.Closer.
func (s *source) Close() error {
	s.mu.Lock()
	keep := s.spare && !s.started
	s.closed = true
	s.mu.Unlock()
	if keep {
		return nil
	}
	return s.body.Close()
}

// unread reports whether the body was given back as it was.
func (s *source) unread() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed && s.spare && !s.started
}

// release ends what spare means: no other attempt will have the body.
func (s *source) release() {
	s.mu.Lock()
	left := s.closed && s.spare && !s.started
	s.spare = false
	s.mu.Unlock()
	if left {
		_ = s.body.Close()
	}
}

// failed reports whether the body is at fault: it could not be read, or is not as long as the request says.
func (s *source) failed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err != nil || s.again != nil && s.again.failed() ||
		s.length > 0 && (s.ended && s.count < s.length || s.count > s.length)
}

// rewinder returns a GetBody for the request that s is the body of. By it net/http sends the request once more on its
// own, when a connection turns out to be closed.
func (s *source) rewinder(getBody func() (io.ReadCloser, error)) func() (io.ReadCloser, error) {
	if getBody == nil {
		return nil
	}
	return func() (io.ReadCloser, error) {
		body, err := getBody()
		if err != nil {
			return nil, ignored(err)
		}
		again := newSource(body, s.length)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.again = again
		return again, nil
	}
}

var (
	nopCloser         = reflect.TypeOf(io.NopCloser(nil))
	nopCloserWriterTo = reflect.TypeOf(io.NopCloser(struct {
		io.Reader
		io.WriterTo
	}{}))
)

// inMemory reports whether r's body is one that http.NewRequest has made of bytes in memory. Reading it does not fail,
// and net/http sends it together with the header unless it is wrapped.
func inMemory(r *http.Request) bool {
	if r.GetBody == nil {
		return false
	}
	if t := reflect.TypeOf(r.Body); t != nopCloser && t != nopCloserWriterTo {
		return false
	}
	switch b := reflect.ValueOf(r.Body).Field(0).Interface().(type) {
	case *bytes.Buffer:
		return int64(b.Len()) == r.ContentLength
	case *bytes.Reader:
		return int64(b.Len()) == r.ContentLength
	case *strings.Reader:
		return int64(b.Len()) == r.ContentLength
	default:
		return false
	}
}
