package pipehttp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/holdfast-go/holdfast/policy"
)

// A serving is one request that a Handler is at work on.
type serving struct {
	writer  writer
	request *http.Request
	next    http.Handler

	called bool
	err    error // what the pipeline was told of the call
	panic  any   // what escalate panics with
}

var (
	errGone = fmt.Errorf("pipehttp: the client has gone: %w", context.Canceled)

	// A Rejection is ignored by every classifier that does not look into it, and becomes a 503.
	errAborted   = &policy.Rejection{Policy: "handler", Reason: http.ErrAbortHandler}
	errNotCalled = &policy.Rejection{Policy: "handler", Reason: errors.New("the pipeline did not call it")}
)

// serve is the func that runs through the pipeline. It returns what the pipeline should know of the call.
func (s *serving) serve(ctx context.Context) (err error) {
	s.called = true
	copied := s.request.WithContext(ctx)
	returned := false
	defer func() {
		publish(s.request, copied)
		if !returned {
			err = s.recovered(recover())
		}
		s.err = err
	}()
	s.next.ServeHTTP(&s.writer, copied)
	returned = true
	switch {
	case s.gone():
		return errGone
	case s.writer.status >= http.StatusInternalServerError:
		return statusError(s.writer.status)
	case !s.writer.begun() && ctx.Err() != nil:
		return context.Cause(ctx) // it has heeded its context, and left the answer to us
	}
	return nil
}

// gone reports whether the client has gone away. A deadline of an outer handler's is not the client's doing.
func (s *serving) gone() bool { return s.request.Context().Err() == context.Canceled }

// recovered returns the error for a panic that does not count, and panics again with every other. A nil value means
// runtime.Goexit, which goes on by itself.
func (s *serving) recovered(value any) error {
	aborted := value == http.ErrAbortHandler
	if value != nil && !aborted && !s.gone() {
		panic(value)
	}
	switch {
	case value == nil:
		return nil
	case aborted:
		s.panic = value
		return errAborted
	default:
		s.panic = &policy.Panic{Value: value, Stack: debug.Stack()}
		return errGone
	}
}

// escalate panics as next has done, now that the pipeline cannot mistake it for a failure.
func (s *serving) escalate() {
	if s.panic != nil {
		panic(s.panic)
	}
}

// failure returns why a pipeline that reports a success has not had one.
func (s *serving) failure() error {
	if !s.called {
		return errNotCalled
	}
	return s.err
}

// publish sets on original what a handler has set on its copy.
func publish(original, copied *http.Request) {
	original.Form, original.PostForm, original.MultipartForm = copied.Form, copied.PostForm, copied.MultipartForm
	if original.Pattern == copied.Pattern {
		return
	}
	original.Pattern = copied.Pattern
	for _, name := range wildcards(copied.Pattern) {
		original.SetPathValue(name, copied.PathValue(name))
	}
}

// wildcards returns the names in a pattern: id and rest for "/users/{id}/{rest...}".
func wildcards(pattern string) (names []string) {
	for {
		_, after, found := strings.Cut(pattern, "{")
		if !found {
			return names
		}
		name, rest, found := strings.Cut(after, "}")
		if !found {
			return names
		}
		if name = strings.TrimSuffix(name, "..."); name != "$" {
			names = append(names, name)
		}
		pattern = rest
	}
}
