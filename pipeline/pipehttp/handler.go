package pipehttp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

// Handler runs next through p. A refusal becomes 503 Service Unavailable, with Retry-After where it is known, and a
// timeout 504 Gateway Timeout, each only if nothing was written before. To p a status of 500 and up is a failure, and
// everything else has worked. A panic of next passes, as it does without a pipeline.
//
// What a client does counts for nothing: once the request's context has been canceled, because the client has gone, p
// ignores whatever next has written and however it ended. If it panics then, the panic passes as a *policy.Panic, which
// holds the stack. A panic with http.ErrAbortHandler never counts, and passes unchanged.
//
// A response cannot be taken back, so p must not call twice, nor leave a call behind: Handler panics if p may call next
// more than once or detaches, or if that is not known. It also panics if p holds a Fallback or a Stale: these answer with
// a value, and a handler's answer is what it writes. If another policy turns a refusal or a timeout into a success and
// nothing was written, Handler answers as if it had not.
//
// Next is given a copy of the request. What it sets there, such as an inner mux the pattern and path values, or
// ParseMultipartForm the form, is set on the original when next ends, so that middleware outside and the server see it.
func Handler(p pipeline.Pipeline[struct{}], next http.Handler) http.Handler {
	if next == nil {
		panic(errors.New("pipehttp: Handler of a nil http.Handler"))
	}
	plan := p.Explain()
	switch b := plan.Bounds; {
	case !b.Calls.Known():
		panic(fmt.Errorf("pipehttp: Handler's pipeline may call more than once: %s", b.Calls.Missing))
	case b.Calls.Most > 1:
		panic(fmt.Errorf("pipehttp: Handler's pipeline may call %d times; a response can be written once", b.Calls.Most))
	case b.Detaches:
		panic(errors.New("pipehttp: Handler's pipeline detaches; a handler must not write after it has returned"))
	}
	if kind := answering(plan.Policies); kind != "" {
		panic(fmt.Errorf("pipehttp: Handler's pipeline has a %s, which answers with a value and cannot write a response; "+
			"write one in a handler around this one", kind))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := &serving{writer: writer{ResponseWriter: w}, request: r, next: next}
		err := pipeline.Run(r.Context(), p, s.serve)
		s.escalate()
		if err == nil {
			err = s.failure()
		}
		if err != nil && !s.writer.begun() {
			refuse(w, err)
		}
	})
}

// answering returns the kind of the first policy that answers in place of a call, or "".
func answering(policies []pipeline.Node) string {
	for _, p := range policies {
		if p.Kind == "fallback" || p.Kind == "stale" {
			return p.Kind
		}
		if kind := answering(p.Policies); kind != "" {
			return kind
		}
	}
	return ""
}

// ofContent are headers that speak of a response's content. Those that next has set before it gave up must not go out
// with other content; the rest, say for CORS, hold for any answer.
var ofContent = []string{
	"Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Location", "Content-Range",
	"Etag", "Expires", "Last-Modified",
}

// refuse answers in next's place.
func refuse(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	switch rejection, refused := errors.AsType[*policy.Rejection](err); {
	case errors.Is(err, policy.ErrTimeout):
		status = http.StatusGatewayTimeout
	case refused:
		status = http.StatusServiceUnavailable
		if wait := rejection.RetryAfter(); wait > 0 {
			w.Header().Set("Retry-After", seconds(wait))
		}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		status = http.StatusServiceUnavailable
	}
	for _, name := range ofContent {
		w.Header().Del(name)
	}
	http.Error(w, http.StatusText(status), status)
}

// seconds returns d in whole seconds, rounded up.
func seconds(d time.Duration) string {
	n := int64(d / time.Second) // an int is too small on 32 bits
	if d%time.Second > 0 {
		n++
	}
	return strconv.FormatInt(n, 10)
}
